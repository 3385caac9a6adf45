"""Counter-based randomness: each piece of noise is a pure function of a 64-bit seed, computed when needed.

Seeds are made by SplitMix64 (Steele, Lea, Flood 2014, "Fast splittable pseudorandom number generators").
PyTorch's CPU generator takes the low 32 bits of a seed, its CUDA generator all 64; so on the CPU two pieces with
derived seeds have the same noise with probability 2^-32, and those with numbered seeds never have.
"""

import math
import operator
import struct
from _thread import RLock
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch._C._functorch import peek_interpreter_stack as in_transform
from torch._functorch.pyfunctorch import (
    VmapInterpreter,
    retrieve_all_functorch_interpreters,
    temporarily_clear_interpreter_stack,
)

from sdegrad.grid import EPS64, Grid, same

_MASK = 2**64 - 1
_MASK32 = 2**32 - 1
_GAMMA = 0x9E3779B97F4A7C15  # 2^64 / golden ratio, the increment of SplitMix64


def derive(seed: int, counter: int) -> int:
    """The seed number `counter` (any non-negative integer below 2^64) below `seed`."""
    x = (seed + (counter + 1) * _GAMMA) & _MASK
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9 & _MASK
    x = (x ^ (x >> 27)) * 0x94D049BB133111EB & _MASK
    return x ^ (x >> 31)


def numbered(seed: int, counter: int) -> int:
    """The seed number `counter` below `seed` in a family whose low 32 bits differ for any 2^32 counters in a row.

    They are a bijection of the counter: a walk from a start and by an odd stride, both from `seed`, then mixed
    (multipliers: Wellons 2018, "Prospecting for hash functions").
    """
    x = (seed + counter * (seed >> 32 | 1)) & _MASK32
    x = (x ^ (x >> 16)) * 0x7FEB352D & _MASK32
    x = (x ^ (x >> 15)) * 0x846CA68B & _MASK32
    return seed & ~_MASK32 | x ^ (x >> 16)


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
    """A seed from an entropy of any size, 64 bits at a time."""
    seed = 0
    while True:
        seed = derive(seed, entropy & _MASK)
        entropy >>= 64
        if not entropy:
            return seed


class Sample(NamedTuple):
    """Shape, dtype and device of one sample of a Brownian motion."""

    shape: tuple[int, ...]
    dtype: torch.dtype
    device: torch.device

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize


class Lock(RLock):  # pyright: ignore[reportGeneralTypeIssues] (it is not final)
    """A lock to hold while an object draws and stores, since threads may share the object; a copy has its own."""

    def __reduce__(self) -> tuple[Any, ...]:
        return Lock, ()


@contextmanager
def lasting() -> Iterator[None]:
    """For a `with` block that draws what is kept: beyond inference mode, in which it could not serve autograd later,
    and beyond the transforms of torch.func, to which it would belong. RuntimeError in a vmap that asks for noise of
    its own for each sample."""
    levels = retrieve_all_functorch_interpreters()
    if any(isinstance(level, VmapInterpreter) and level.randomness() == "different" for level in levels):
        raise RuntimeError(
            "a Brownian motion is the same for all samples of torch.func.vmap: in place of "
            'randomness="different" put the samples into the leading axes of y0, or pass randomness="same".'
        )
    with torch.inference_mode(False), temporarily_clear_interpreter_stack():
        yield


def must_last() -> bool:
    """Whether what is kept must be drawn in `lasting()`, which takes some microseconds."""
    return torch.is_inference_mode_enabled() or in_transform() is not None


class Normals:
    """Normal numbers of mean zero and the given deviation, by seed, in the dtype and on the device of `sample`."""

    def __init__(self, sample: Sample) -> None:
        self.sample = sample
        self._generator = torch.Generator(sample.device)

    def __getstate__(self) -> dict[str, Any]:
        """Every draw begins with a seed, so a copy needs no generator; and torch can send none to a spawned process."""
        return {name: value for name, value in vars(self).items() if name != "_generator"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._generator = torch.Generator(self.sample.device)

    def __call__(self, seed: int, shape: tuple[int, ...], deviation: float = 1.0) -> Tensor:
        self._generator.manual_seed(seed)
        return self.more(shape, deviation)

    def cells(self, seed: int, block: int, numbers: range, grid: Grid, parts: int) -> list[Tensor]:
        """W, and H with two parts, over cells with these numbers [cells, *shape] each; all cells of this block."""
        shape, last = (len(numbers), *self.sample.shape), numbers.stop - 1
        W = self(numbered(seed, block), shape, math.sqrt(grid.dt))
        drawn = [W, *(self.more(shape, math.sqrt(grid.dt / 12)) for _ in range(parts - 1))]
        if last == grid.steps - 1 and not same(grid.time(last) + grid.dt, grid.t1, grid.t0, EPS64):
            for x in drawn:
                x[-1].mul_(math.sqrt(grid.last / grid.dt))
        return drawn

    def more(self, shape: tuple[int, ...], deviation: float = 1.0) -> Tensor:
        """Numbers independent of those drawn before with the same seed."""
        _, dtype, device = self.sample
        return torch.normal(0.0, deviation, shape, generator=self._generator, dtype=dtype, device=device)

    def into(self, out: Tensor, seed: int, deviation: float) -> None:
        """Fill `out` with the numbers that a call with this seed returns."""
        self._generator.manual_seed(seed)
        out.normal_(0.0, deviation, generator=self._generator)
