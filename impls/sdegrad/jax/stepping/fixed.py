"""The steps of a solve: their times, lengths and Brownian increments, all by integer index."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from sdegrad.grid import Grid
from sdegrad.jax.brownian.levy import LevyIncrement
from sdegrad.jax.stepping.blocks import loop
from sdegrad.jax.times import fine_time, grid_time, time_dtype
from sdegrad.jax.types import Carry, CellPath, Increment, Index, Path

_DRAWS = 16  # at once; more are no cheaper
# XLA on a CPU divides the making of more normals among threads, which costs more than it saves; and a solve that
# makes fewer, and does little else, it runs in the calling thread.
_LEAST_NORMALS, _MOST_NORMALS = 8, 128


class Steps(eqx.Module):
    """`nodes`: the indices of the grid times whose solution is wanted; from 0 to grid.steps, strictly
    increasing. `cells`: the index of the path's own cell at t0, where its cells are the steps; None where
    they are not. `dtype`: that of the times given to the vector fields. `levy_area`: that which the
    increments come with, as `LevyIncrement`, or "none".
    """

    bm: Path
    grid: Grid = eqx.field(static=True)
    nodes: tuple[int, ...] = eqx.field(static=True)
    cells: int | None = eqx.field(static=True)
    dtype: np.dtype = eqx.field(static=True)
    levy_area: str = eqx.field(static=True, default="none")

    def start(self) -> None:
        """The carry of the loops over the steps along the path: nothing."""

    def each(self, first: Index, last: Index, step: Callable, carry: Carry) -> Carry:
        """carry = (None, step(k, dW, carry)) for every step k from `first` to `last` - 1; dW is the increment over
        it.
        """
        return None, self._each(first, last, step, carry[1])

    def each_back(self, first: Index, last: Index, step: Callable, carry: Carry) -> Carry:
        """carry = (None, step(self, k, dW, carry)) for every step k from `last` - 1 back to `first`."""
        return None, self._each(first, last, lambda *at: step(self, *at), carry[1], backwards=True)

    def _each(self, first: Index, last: Index, step: Callable, carry: Carry, *, backwards: bool = False) -> Carry:
        """The increments of a block of steps are drawn at once, the same in both directions."""
        size = self._draws()
        if size == 1:
            return loop(first, last, lambda k, carry: step(k, self.noise(k), carry), carry, backwards)

        def block(i: Index, carry: Carry) -> Carry:
            start = first + i * size
            end = jnp.minimum(start + size, last)
            each = jnp.minimum(start + jnp.arange(size, dtype=jnp.int32), self.grid.steps - 1)
            dWs = jax.vmap(self.noise)(each)

            def one(k: Index, carry: Carry) -> Carry:
                return step(
                    k, jax.tree.map(lambda x: lax.dynamic_index_in_dim(x, k - start, keepdims=False), dWs), carry
                )

            return loop(start, end, one, carry, backwards)

        return loop(0, (last - first + size - 1) // size, block, carry, backwards)

    def _draws(self) -> int:
        """The number of increments that are drawn at once: one, unless they are the path's own cells, small but not
        tiny."""
        normals = max((leaf.size for leaf in jax.tree.leaves(jax.eval_shape(self.noise, 0))), default=0)
        if self.cells is None or normals < _LEAST_NORMALS:
            return 1
        between_nodes = self.grid.steps // max(1, len(self.nodes) - 1)
        return max(1, min(_DRAWS, _MOST_NORMALS // normals, between_nodes))

    def time(self, k: Index) -> jax.Array:
        return grid_time(self.grid, k).astype(self.dtype)

    def length(self, k: Index) -> jax.Array:
        """The length of the step from grid time k to k + 1."""
        last = self.grid.step(self.grid.steps - 1)
        return jnp.where(jnp.asarray(k) == self.grid.steps - 1, last, self.grid.dt).astype(self.dtype)

    def noise(self, k: Index) -> Increment:
        """The Brownian increment over that step."""
        if not isinstance(self.bm, CellPath):
            return increment(self.bm, grid_time(self.grid, k), grid_time(self.grid, k + 1), self.levy_area)
        if self.cells is None:
            dW = self.bm.over(fine_time(self.grid, k), fine_time(self.grid, k + 1))
        else:
            dW = self.bm.cell(self.cells + jnp.asarray(k))
        return dW.W if isinstance(dW, LevyIncrement) and self.levy_area == "none" else dW


def increment(bm: Any, a: jax.Array, b: jax.Array, levy_area: str) -> Increment:
    """W over [a, b]; a `LevyIncrement` where a Levy area is wanted, which a path gives as those of diffrax do."""
    if levy_area == "none":
        return bm.evaluate(a, b)
    dW = bm.evaluate(a, b, use_levy=True)
    return LevyIncrement(dW.W, getattr(dW, "H", None), A=getattr(dW, "A", None))


def matching_cells(bm: Path, grid: Grid, eps: float) -> int | None:
    """The index of the path's cell that is the first step, if every step is a cell of the path; else None. Where JAX's
    times are of single precision, so are those of a path: it cannot tell dt=0.1 from dt=np.float32(0.1).
    """
    cells, eps = bm.grid if isinstance(bm, CellPath) else None, max(eps, float(np.finfo(time_dtype()).eps))
    if not isinstance(cells, Grid) or not cells.is_like(grid, eps):
        return None
    (first, starts), (last, ends) = (cells.locate(t, eps) for t in (grid.t0, grid.t1))
    return first if starts and ends and last == first + grid.steps else None
