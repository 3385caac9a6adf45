"""Counter-based randomness: each piece of noise is a pure function of a 64-bit seed, computed when needed.

Seeds are made by SplitMix64 (Steele, Lea, Flood 2014, "Fast splittable pseudorandom number generators").
PyTorch's CPU generator takes 32 bits of a seed, its CUDA generator all 64; so on the CPU a given pair of
pieces has the same noise with probability 2^-32.
"""

import math
import operator
import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

_MASK = 2**64 - 1
_GAMMA = 0x9E3779B97F4A7C15  # 2^64 / golden ratio, the increment of SplitMix64


def derive(seed: int, counter: int) -> int:
    """The seed number `counter` (any non-negative integer below 2^64) below `seed`."""
    x = (seed + (counter + 1) * _GAMMA) & _MASK
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9 & _MASK
    x = (x ^ (x >> 27)) * 0x94D049BB133111EB & _MASK
    return x ^ (x >> 31)


def time_counter(t: float) -> int:
    """A counter for `derive` from a time: the bits of the float64."""
    return struct.unpack("<Q", struct.pack("<d", t))[0]


def check_entropy(entropy: Any) -> int:
    """`entropy` as a non-negative int of any size; drawn from torch's global generator if None."""
    if entropy is None:
        return int(torch.randint(2**62, ()))
    try:
        value = operator.index(entropy)
    except TypeError:
        value = -1
    if value < 0:
        raise ValueError(f"entropy must be a non-negative integer or None, got {entropy!r}; pass e.g. entropy=0.")
    return value


def root_seed(entropy: int) -> int:
    return int(np.random.SeedSequence(entropy).generate_state(1, np.uint64)[0])


@dataclass(frozen=True)
class Sample:
    """What one sample of a Brownian motion is."""

    shape: tuple[int, ...]
    dtype: torch.dtype
    device: torch.device

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize


class Normals:
    """Standard normals, by seed, in the dtype and on the device of `sample`."""

    def __init__(self, sample: Sample) -> None:
        self.sample = sample
        self._generator = torch.Generator(sample.device)
        self._options: dict[str, Any] = {
            "generator": self._generator,
            "dtype": sample.dtype,
            "device": sample.device,
        }

    def __call__(self, seed: int, shape: tuple[int, ...]) -> Tensor:
        self._generator.manual_seed(seed)
        return torch.randn(shape, **self._options)

    def several(self, count: int, seed: int, shape: tuple[int, ...]) -> list[Tensor]:
        """`count` independent draws; the first is what a call gives, however many follow."""
        self._generator.manual_seed(seed)
        return [torch.randn(shape, **self._options) for _ in range(count)]
