"""Normal numbers that are the same on every device and in JAX, as `sdegrad.normals` has it.

Number i of draw `high` of a key is made of counter (high, i), so those of some rows of a batch are made without the
others. On the CPU numba compiles it all into one loop, where it is installed; else, and on other devices, it is a
hundred operations on whole tensors.
"""

import math
import operator
from collections.abc import Sequence
from functools import cache
from inspect import unwrap
from typing import Any, SupportsIndex

import numpy as np
import torch
from torch import Tensor

from sdegrad.grid import Grid
from sdegrad.normals import PARITY, PIECES, ROTATIONS, table, threefry
from sdegrad.torch.brownian.rng import Normals, Sample, root_seed

Key = tuple[int, int]
_VARIANCES = (1.0, 1 / 12)  # of W and H, by the length
_BITS32, _SIGN = 2**32 - 1, 2**31
_AT_ONCE = 2048  # numbers, for which a processor's cache has room


class PortableNormals(Normals):
    """entropy: that of the Brownian motion; its cells are those of `sdegrad.jax` with jax.random.key(entropy). first:
    the number of the first row of `sample` among those of the whole batch."""

    def __init__(self, sample: Sample, entropy: int, first: int = 0) -> None:
        super().__init__(sample)
        seed = entropy if entropy < 2**64 else root_seed(entropy)
        root = seed >> 32, seed & _BITS32
        self._keys = [threefry(root, part, 0) for part in range(len(_VARIANCES))]
        self._first = first
        self._drawn: tuple[Key, int] = root, 0

    def __call__(self, seed: int, shape: tuple[int, ...], deviation: float = 1.0) -> Tensor:
        self._drawn = (seed >> 32, seed & _BITS32), 0
        return self.more(shape, deviation)

    def more(self, shape: tuple[int, ...], deviation: float = 1.0) -> Tensor:
        key, high = self._drawn
        self._drawn = key, high + 1
        return self._made(key, [high], shape)[0].mul_(deviation)

    def into(self, out: Tensor, seed: int, deviation: float) -> None:
        out.copy_(self(seed, tuple(out.shape), deviation))

    def cells(self, seed: int, block: int, numbers: range, grid: Grid, parts: int) -> list[Tensor]:
        del seed, block
        h = np.asarray([grid.step(k) for k in (numbers.start, numbers.stop - 1)], _numpy_dtype(self.sample.dtype))
        drawn = [self._made(key, list(numbers), self.sample.shape) for key in self._keys[:parts]]
        for x, variance in zip(drawn, _VARIANCES, strict=False):
            most, last = (float(deviation) for deviation in np.sqrt(h * h.dtype.type(variance)))
            x[:-1].mul_(most)
            x[-1].mul_(last)
        return drawn

    def _made(self, key: Key, highs: list[int], shape: tuple[int, ...]) -> Tensor:
        """The numbers of these draws [draws, *shape], of deviation one."""
        _, dtype, device = self.sample
        size, first = math.prod(shape), self._first * math.prod(shape[1:])
        kernel = _kernel() if device.type == "cpu" else None
        if kernel is None:
            made = _by_operations(key, highs, first, size, device)
        else:
            out = np.empty((len(highs), size), np.float32)
            kernel(out, *map(np.uint32, key), np.asarray(highs, np.uint32), first, *table())
            made = torch.from_numpy(out)
        return made.to(dtype).reshape(len(highs), *shape)


def normals_of(
    generator: str, sample: Sample, entropy: int, rows: Sequence[SupportsIndex] | None, free: bool
) -> Normals:
    """The numbers of `sample`, or of these of its rows. free: whether the path is conditioned on nothing. ValueError
    for a generator that there is not, and for rows that are not in the sample or cannot be drawn alone."""
    if generator not in ("native", "portable"):
        raise ValueError(f'generator must be "native" or "portable", got {generator!r}; leave it out for "native".')
    if rows is None:
        return PortableNormals(sample, entropy) if generator == "portable" else Normals(sample)
    if generator == "native" or not free:
        raise ValueError(f'rows={rows!r} needs generator="portable", and goes without W and H; pass it so.')
    try:
        start, stop = map(operator.index, rows)
    except (TypeError, ValueError):
        start, stop = 0, -1
    count = sample.shape[0] if sample.shape else 0
    if not 0 <= start <= stop <= count:
        raise ValueError(
            f"rows must be (start, stop) with 0 <= start <= stop <= {count}, the paths of size={sample.shape}, got "
            f"{rows!r}; pass e.g. rows=(0, {count})."
        )
    return PortableNormals(sample._replace(shape=(stop - start, *sample.shape[1:])), entropy, start)


def _numpy_dtype(dtype: torch.dtype) -> np.dtype:
    return np.dtype(np.float64 if dtype == torch.float64 else np.float32)


def _by_operations(key: Key, highs: list[int], first: int, size: int, device: torch.device) -> Tensor:
    """Numbers [draws, size]."""
    keys = [_signed(k) for k in (*key, key[0] ^ key[1] ^ PARITY)]
    high = torch.tensor([_signed(h) for h in highs], dtype=torch.int32, device=device)[:, None]
    b = torch.arange(first, first + size, device=device).to(torch.int32).expand(len(highs), size) + keys[1]
    a = (high + keys[0]).expand_as(b).clone()
    for group in range(5):
        for rotation in ROTATIONS[group % 2]:
            a += b
            turned = (b >> (32 - rotation)).bitwise_and_((1 << rotation) - 1)
            b = (b << rotation).bitwise_or_(turned).bitwise_xor_(a)
        a += keys[(group + 1) % 3]
        b += _signed(keys[(group + 2) % 3] + group + 1)
    return _quantiles(a.bitwise_xor_(b))


def _quantiles(bits: Tensor) -> Tensor:
    """Quantiles, from bits as int32: from the digits of v + 1/2 as a number of double precision."""
    entries, slopes = _table_on(bits.device)
    digits = (bits & (_SIGN - 1)).double().add_(0.5).view(torch.int64)
    piece = (digits >> 42) - 1022 * PIECES
    x = entries.take(piece).addcmul_(slopes.take(piece), ((digits >> 30) & 4095).float())
    return torch.where(bits < 0, -x, x)


@cache
def _table_on(device: torch.device) -> tuple[Tensor, ...]:
    with torch.inference_mode(False):  # what is kept must serve autograd later
        return tuple(torch.from_numpy(x).to(device) for x in table())


def _signed(word: int) -> int:
    """The int32 of the same bits."""
    word &= _BITS32
    return word - 2**32 if word >= _SIGN else word


@cache
def _kernel() -> Any:
    """(out [draws, size], key0, key1, highs [draws], first, entries, slopes): fills `out`. None without numba."""
    try:
        from numba import njit, uint32
    except ImportError:
        return None

    (r0, r1, r2, r3), (r4, r5, r6, r7) = ROTATIONS
    parity = np.uint32(PARITY)

    def four_rounds(a, b, r0, r1, r2, r3):
        for rotation in (r0, r1, r2, r3):
            a = uint32(a + b)
            b = uint32((uint32(b << rotation) | (b >> uint32(32 - rotation))) ^ a)
        return a, b

    four = njit(inline="always")(unwrap(four_rounds))  # numba reads the code, and not that of a check of types

    def fill(out, key0, key1, highs, first, entries, slopes):
        key2 = uint32(key0 ^ key1 ^ parity)
        bits, digits = np.empty(_AT_ONCE, np.uint32), np.empty(_AT_ONCE)
        words, size = digits.view(np.int64), out.shape[1]
        for row, start in [(row, start) for row in range(len(highs)) for start in range(0, size, _AT_ONCE)]:
            count = min(_AT_ONCE, size - start)
            for i in range(count):
                a, b = uint32(highs[row] + key0), uint32(uint32(first + start + i) + key1)
                a, b = four(a, b, r0, r1, r2, r3)
                a, b = uint32(a + key1), uint32(b + key2 + uint32(1))
                a, b = four(a, b, r4, r5, r6, r7)
                a, b = uint32(a + key2), uint32(b + key0 + uint32(2))
                a, b = four(a, b, r0, r1, r2, r3)
                a, b = uint32(a + key0), uint32(b + key1 + uint32(3))
                a, b = four(a, b, r4, r5, r6, r7)
                a, b = uint32(a + key1), uint32(b + key2 + uint32(4))
                a, b = four(a, b, r0, r1, r2, r3)
                bits[i] = uint32(a + key2) ^ uint32(b + key0 + uint32(5))
                digits[i] = np.float64(bits[i] & uint32(0x7FFFFFFF)) + 0.5
            for i in range(count):
                piece = (words[i] >> 42) - 1022 * PIECES
                x = entries[piece] + slopes[piece] * np.float32((words[i] >> 30) & 4095)
                out[row, start + i] = -x if bits[i] >> uint32(31) else x

    return njit(nogil=True)(unwrap(fill))
