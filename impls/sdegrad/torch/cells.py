"""Brownian increments over the cells of a known grid. Increments are independent, so this needs no tree.

Cells are drawn in blocks: one call to the generator, seeded with the number of the block. The values are a
pure function of (seed, shape, dtype, device, grid), whatever was asked before; only the last blocks are kept.
"""

import math
from collections import OrderedDict
from functools import reduce
from itertools import pairwise

import torch
from torch import Tensor

from sdegrad.grid import Grid
from sdegrad.torch.levy import Increment, join
from sdegrad.torch.seeds import Normals, derive

_BLOCK_NUMBERS = 2**15  # per block of several cells: large enough to hide the cost of the call
_BLOCK_CELLS = 128
_CACHE_BYTES = 2**17  # small against any solve, so that memory is flat in the number of steps
_ROW_OVERHEAD = 512  # bytes of Python objects


def block_length(shape: tuple[int, ...]) -> int:
    """Cells per block: a power of two that depends on the shape alone, since it decides the values."""
    cells = min(max(_BLOCK_NUMBERS // max(math.prod(shape), 1), 1), _BLOCK_CELLS)
    return 2 ** (cells.bit_length() - 1)


class Block:
    """Consecutive cells from number `start` on: W and H are [cells, *shape]."""

    __slots__ = ("H", "W", "_rows", "start")

    def __init__(self, start: int, W: Tensor, H: Tensor | None) -> None:
        self.start, self.W, self.H = start, W, H
        self._rows: dict[int, Tensor] | None = None

    def rows(self) -> dict[int, Tensor]:
        """The increment of each cell, a view, by the number of the cell."""
        if self._rows is None:
            self._rows = dict(enumerate(self.W.unbind(0), self.start))
        return self._rows


class GridCells:
    """The increments W, and the space-time Levy areas H if `tracks_h`, over the cells of `grid`.

    `W`, `H` condition on the increment and the space-time Levy area over the whole grid.
    """

    def __init__(
        self,
        grid: Grid,
        normals: Normals,
        seed: int,
        tracks_h: bool,
        W: Tensor | None = None,
        H: Tensor | None = None,
    ) -> None:
        self._grid, self._normals, self._seed, self._tracks_h = grid, normals, seed, tracks_h
        self._sample = normals.sample
        self._length = block_length(self._sample.shape)
        cell_bytes = self._sample.nbytes * (1 + tracks_h) + _ROW_OVERHEAD
        self._capacity = max(2, _CACHE_BYTES // (self._length * cell_bytes))
        self._blocks: OrderedDict[int, Block] = OrderedDict()
        self._free: Increment | None = None
        if W is not None or H is not None:
            free = self.union(0, grid.steps)
            self._free, self._given = free, (W, H)
            self._blocks.clear()

    def block(self, k: int) -> Block:
        """The block that holds cell k."""
        number = k // self._length
        block = self._blocks.get(number)
        if block is not None:
            self._blocks.move_to_end(number)
            return block
        if len(self._blocks) >= self._capacity:
            self._blocks.popitem(last=False)
        with torch.inference_mode(False):  # what is kept must serve autograd later
            block = self._blocks[number] = self._draw(number)
        return block

    def cell(self, k: int) -> Increment:
        block = self.block(k)
        row = k - block.start
        return Increment(self._grid.step(k), block.rows()[k], None if block.H is None else block.H[row])

    def union(self, i: int, j: int) -> Increment:
        """Cells i to j - 1 as one increment, i < j."""
        bounds = [i, *range((i // self._length + 1) * self._length, j, self._length), j]
        return reduce(join, (self._within_block(lo, hi) for lo, hi in pairwise(bounds)))

    def _within_block(self, lo: int, hi: int) -> Increment:
        """Cells lo to hi - 1 of one block, by Chen's relation: H = sum_k [(c - c_k) W_k + h_k H_k] / h, with
        c the middles and h the lengths."""
        block = self.block(lo)
        rows = slice(lo - block.start, hi - block.start)
        start, end = self._grid.time(lo), self._grid.time(hi)
        h, W, H = end - start, block.W[rows], None
        if block.H is not None:
            lengths, middles = self._geometry(lo, hi)
            arms = self._column(((start + end) / 2 - middles) / h)
            H = (arms * W).add_(self._column(lengths / h) * block.H[rows]).sum(0)
        return Increment(h, W.sum(0), H)

    def _draw(self, number: int) -> Block:
        grid, start = self._grid, number * self._length
        cells = min(self._length, grid.steps - start)
        noise = self._normals.several(1 + self._tracks_h, derive(self._seed, number), (cells, *self._sample.shape))
        last = math.sqrt(grid.step(grid.steps - 1) / grid.dt)
        for normals, variance in zip(noise, (grid.dt, grid.dt / 12), strict=False):
            normals.mul_(math.sqrt(variance))
            if start + cells == grid.steps:
                normals[-1].mul_(last)
        block = Block(start, noise[0], noise[1] if self._tracks_h else None)
        if self._free is not None:
            self._condition(block, self._free, cells)
        return block

    def _condition(self, block: Block, free: Increment, cells: int) -> None:
        """Replace the totals `free` of the independent cells by the given ones: x + Cov(x, totals)
        Cov(totals)^-1 (given - free), where Cov(W_k, W) = h_k, Cov(W_k, H) = h_k (c - c_k)/h, Cov(H_k, H) =
        h_k^2/(12 h)."""
        lengths, middles = self._geometry(block.start, block.start + cells)
        h, centre = free.h, (self._grid.t0 + self._grid.t1) / 2
        share = self._column(lengths / h)
        W, H = self._given
        if W is not None:
            block.W.sub_(share * free.W).add_(share * W)
        if H is not None and block.H is not None and free.H is not None:
            block.W.add_(self._column(12 * lengths * (centre - middles) / h**2) * (H - free.H))
            block.H.sub_(share**2 * free.H).add_(share**2 * H)

    def _geometry(self, lo: int, hi: int) -> tuple[Tensor, Tensor]:
        """Lengths and middles [hi - lo] of cells lo to hi - 1, float64."""
        lengths = torch.full((hi - lo,), self._grid.dt, dtype=torch.float64)
        lengths[-1] = self._grid.step(hi - 1)
        starts = self._grid.t0 + torch.arange(lo, hi, dtype=torch.float64) * self._grid.dt
        return lengths, starts + lengths / 2

    def _column(self, of_cells: Tensor) -> Tensor:
        """One number per cell, to be multiplied with samples [cells, *shape]."""
        numbers = of_cells.to(self._sample.device, self._sample.dtype)
        return numbers.reshape(-1, *(1 for _ in self._sample.shape))
