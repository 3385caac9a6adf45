"""The steps of a solve: their times, lengths and Brownian increments, all by integer index."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from sdegrad.grid import Grid
from sdegrad.jax.bridge import LevyIncrement
from sdegrad.jax.types import CellPath, Index, Path

_BLOCK = 1024


def time_dtype() -> np.dtype:
    return jnp.zeros(()).dtype


def grid_time(grid: Grid, k: Index) -> jax.Array:
    """Grid time k, for a traced k, in the time dtype.

    The sum of two table entries and not t0 + k dt: a compiler may fuse that product and sum in one place and
    not in another, and then the forward and the backward pass would visit times an ulp apart.
    """
    size = min(_BLOCK, grid.steps + 1)
    coarse = np.asarray([grid.t0 + i * grid.dt for i in range(0, grid.steps + 1, size)], time_dtype())
    fine = np.asarray(np.arange(size) * grid.dt, time_dtype())
    k = jnp.asarray(k)
    time = jnp.asarray(coarse)[k // size] + jnp.asarray(fine)[k % size]
    return jnp.where(k == grid.steps, jnp.asarray(grid.t1, time_dtype()), time)


class Steps(eqx.Module):
    """`nodes`: the indices of the grid times whose solution is wanted; from 0 to grid.steps, strictly
    increasing. `cells`: the index of the path's own cell at t0, where its cells are the steps; None where
    they are not. `dtype`: that of the times given to the vector fields.
    """

    bm: Path
    grid: Grid = eqx.field(static=True)
    nodes: tuple[int, ...] = eqx.field(static=True)
    cells: int | None = eqx.field(static=True)
    dtype: np.dtype = eqx.field(static=True)

    def time(self, k: Index) -> jax.Array:
        return grid_time(self.grid, k).astype(self.dtype)

    def length(self, k: Index) -> jax.Array:
        """The length of the step from grid time k to k + 1."""
        last = self.grid.step(self.grid.steps - 1)
        return jnp.where(jnp.asarray(k) == self.grid.steps - 1, last, self.grid.dt).astype(self.dtype)

    def noise(self, k: Index) -> Any:
        """The Brownian increment over that step."""
        if self.cells is not None and isinstance(self.bm, CellPath):
            dW = self.bm.cell(self.cells + jnp.asarray(k))
        else:
            dW = self.bm.evaluate(grid_time(self.grid, k), grid_time(self.grid, jnp.asarray(k) + 1))
        return dW.W if isinstance(dW, LevyIncrement) else dW


def matching_cells(bm: Path, grid: Grid, eps: float) -> int | None:
    """The index of the path's cell that is the first step, if every step is a cell of the path; else None."""
    if not isinstance(bm, CellPath) or abs(bm.grid.dt - grid.dt) > eps * grid.dt:
        return None
    first, last = bm.grid.index(grid.t0, eps), bm.grid.index(grid.t1, eps)
    return first if first is not None and last == first + grid.steps else None
