"""What a path answers: its increments over cells and over any interval, and one after another with a cache."""

from typing import TypeGuard

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array

from sdegrad.grid import Grid
from sdegrad.jax.brownian import cell_tree
from sdegrad.jax.brownian.cells import Cells
from sdegrad.jax.brownian.levy import Span
from sdegrad.jax.brownian.positions import at_sight
from sdegrad.jax.brownian.tree_cache import TreeCache
from sdegrad.jax.times import AnyGrid, Fine


@eqx.filter_jit
def cell(cells: Cells, k: Array) -> list[Span]:
    """The spans over cell k, one for every array; NaN where there is no such cell."""
    return cell_tree.directed(cell_tree.cell(cells, k), jnp.int32(1), (k >= 0) & (k < cells.grid.steps))


@eqx.filter_jit
def increment(cells: Cells, s: Fine, t: Fine, eps: float, beyond: str | None = None) -> list[Span]:
    """The spans over [s, t]. eps: what an ulp of the times is. beyond: what a run-time error says where the path does
    not reach these; else it is NaN.
    """
    grid, times = cells.grid, _stacked(s, t)
    if not _at_sight(grid, eps):
        return _searched(cells, times, eps, beyond)
    # So little for a cell that XLA on a CPU runs the loop of a solver around it without hand-overs between threads.
    k, known = at_sight(grid, times.high, eps)
    known &= jnp.abs(k[1] - k[0]) == 1

    def one() -> list[Span]:
        return cell_tree.directed(cell_tree.cell(cells, jnp.min(k)), k[1] - k[0], jnp.bool_(True))

    return lax.cond(known, one, lambda: _searched(cells, times, eps, beyond))


def _at_sight(grid: AnyGrid, eps: float) -> TypeGuard[Grid]:
    """Whether most queries of a solver are seen to be cells without a search."""
    return isinstance(grid, Grid) and grid.steps > 1 and grid.is_coarse(eps)


def _searched(cells: Cells, times: Fine, eps: float, beyond: str | None) -> list[Span]:
    """The spans over any interval: no descent and no memory for it between grid times, one draw for a cell."""
    ends, sign, valid = cell_tree.positions_of(cells, times, eps, beyond)
    if cells.grid.steps == 1:
        spans = cell_tree.total(cells, *cell_tree.sides(cells, None, ends)[:2], ends)
        return cell_tree.directed(spans, sign, valid)
    on_grid, count = (ends.depth() == 0).all(), ends.cell[1] - ends.cell[0]

    def nothing() -> tuple[list[Span], list[Span]]:
        return cells.zeros(), cells.zeros()

    def pieces() -> tuple[list[Span], list[Span]]:
        return cell_tree.sides(cells, None, ends)[:2]

    def whole() -> list[Span]:
        of_s, of_t = lax.cond(on_grid, nothing, pieces)
        return cell_tree.total(cells, of_s, of_t, ends)

    # What is left of the cells where most are seen at sight is not worth the time to compile this.
    if _at_sight(cells.grid, eps):
        spans = whole()
    else:
        spans = lax.cond(on_grid & (count == 1), lambda: cell_tree.cell(cells, ends.cell[0]), whole)
    return cell_tree.directed(spans, sign, valid)


@eqx.filter_jit
def advance(cells: Cells, cache: TreeCache, s: Fine, t: Fine, eps: float) -> tuple[list[Span], TreeCache]:
    """The spans over [s, t], and the cache after them."""
    ends, sign, valid = cell_tree.positions_of(cells, _stacked(s, t), eps)
    of_s, of_t, after = cell_tree.sides(cells, cache, ends)
    assert after is not None
    return cell_tree.directed(cell_tree.total(cells, of_s, of_t, ends), sign, valid), after


def _stacked(s: Fine, t: Fine) -> Fine:
    return jax.tree.map(lambda *x: jnp.stack(x), s, t)
