"""Brownian increments over the cells of a known grid. Increments are independent, so this needs no tree.

Cells are drawn in blocks: one call to the generator, seeded with the number of the block. The values are a
pure function of (seed, shape, dtype, device, grid), and not of earlier queries; only the last blocks are kept.
"""

from functools import reduce
from itertools import chain, pairwise
from typing import Any, NamedTuple

import torch
from torch import Tensor

from sdegrad.grid import Grid
from sdegrad.torch.brownian.levy import Increment, join
from sdegrad.torch.brownian.rng import Normals, lasting, must_last

# What is kept is bounded in cells, so that a hundred steps are drawn once and memory is flat from there on, and in
# bytes, so that it stays within the processor's cache, or is small beside the states of a solver.
_KEPT_CELLS = 100
_KEPT_BYTES = 3 * 2**20
_BLOCK_CELLS = 32
_BLOCK_BYTES = 2**20  # a longer block is memory new from the system, which costs more than the calls that it saves


def kept_cells(nbytes: int) -> int:
    """The number of cells that are kept, from the bytes of a sample."""
    return max(2, min(_KEPT_CELLS, _KEPT_BYTES // max(nbytes, 1)))


def block_length(nbytes: int, itemsize: int, steps: int) -> int:
    """Cells per block of a grid of so many steps, for samples of so many bytes. It decides the values, so it depends
    on nothing else.

    A path that is kept whole is one block. Else 4096 numbers: the call to the generator costs little beside them, so
    a longer block makes a solve no faster, and random access slower. 1024 numbers cost about as much as one.
    """
    if steps <= kept_cells(nbytes) and steps * nbytes <= _BLOCK_BYTES:
        return steps
    size = max(nbytes // itemsize, 1)
    cells = max(min(2**12 // size, _BLOCK_CELLS), 2**10 // size, 1)
    return 2 ** (cells.bit_length() - 1)


class Block(NamedTuple):
    """Consecutive cells from number `start` on: W and H are [cells, *shape]."""

    start: int
    W: Tensor
    H: Tensor | None


class GridCells:
    """The increments W, and the space-time Levy areas H if `tracks_h`, over the cells of `grid`.

    `W`, `H` condition on the increment and the space-time Levy area over the whole grid. `keeps`: whether blocks are
    kept at all. `rows` holds the increments of the cells near the last one, by number: look there first.
    """

    def __init__(
        self,
        grid: Grid,
        normals: Normals,
        seed: int,
        tracks_h: bool,
        W: Tensor | None = None,
        H: Tensor | None = None,
        keeps: bool = True,
    ) -> None:
        self._grid, self._normals, self._seed = grid, normals, seed
        self._sample = normals.sample
        self._parts = 1 + tracks_h
        nbytes = self._sample.nbytes
        self._length = block_length(nbytes, self._sample.dtype.itemsize, grid.steps)
        self._capacity = max(2, kept_cells(nbytes * (1 + tracks_h)) // self._length) if keeps else 0
        self._blocks: dict[int, Block] = {}  # the oldest first
        self.rows: dict[int, Tensor] = {}
        self._free: Increment | None = None
        if W is not None or H is not None:
            free = self.union(0, grid.steps)
            self._free, self._given = free, (W, H)
            self._blocks.clear()

    def block(self, k: int) -> Block:
        """The block that holds cell k."""
        index = k // self._length
        block = self._blocks.get(index)
        if block is None:
            if self._capacity and must_last():
                with lasting():
                    block = self._draw(index)
            else:
                block = self._draw(index)
            self._blocks[index] = block
            if len(self._blocks) > self._capacity:
                del self._blocks[next(iter(self._blocks))]
        return block

    def number(self, k: Any) -> int:
        """k, if it is the number of a cell; else ValueError."""
        steps = self._grid.steps
        try:
            known = 0 <= k < steps and k == int(k)
        except (TypeError, ValueError):  # of text, of nothing
            known = False
        if not known:
            raise ValueError(f"there is no cell {k} on the grid of {steps} cells; they count from 0.")
        return int(k)

    def row(self, k: int) -> Tensor:
        """The increment over cell k."""
        steps, length = self._grid.steps, self._length
        start, W, _ = self.block(k)
        at = k - start
        window = at // _KEPT_CELLS * _KEPT_CELLS
        enters = at in (window, window + _KEPT_CELLS - 1, length - 1) or k == steps - 1 or length == steps
        if length == 1 or not enters or not self._capacity:
            return W[at]
        # A solve comes to the next cells soon: make views of them at once.
        self.rows.clear()
        ahead = W if length <= _KEPT_CELLS else W[window : window + _KEPT_CELLS]
        self.rows.update(enumerate(ahead.unbind(0), start + window))
        return self.rows[k]

    def cell(self, k: int) -> Increment:
        """W, and H if tracked, over cell k."""
        start, W, H = self.block(k)
        return Increment(self._grid.step(k), W[k - start], None if H is None else H[k - start])

    def union(self, i: int, j: int) -> Increment:
        """Cells i to j - 1 as one increment, i < j."""
        bounds = chain((i,), range((i // self._length + 1) * self._length, j, self._length), (j,))
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

    def _draw(self, index: int) -> Block:
        start = index * self._length
        cells = range(start, min(start + self._length, self._grid.steps))
        W, *areas = self._normals.cells(self._seed, index, cells, self._grid, self._parts)
        block = Block(start, W, areas[0] if areas else None)
        if self._free is not None:
            self._condition(block, self._free, len(cells))
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
