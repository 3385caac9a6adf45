"""Brownian motion on a known grid, without a tree: every grid cell has its own counter-based random numbers.

Element i of cell k is made from word (k, i) of the generator, so the path is a pure function of (key, shape,
dtype, grid), and costs one normal per step in any order. A query inside a cell walks down a dyadic tree of that
cell.
"""

import math
from typing import Any

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jax.core import Tracer
from jaxtyping import Array, Float

from sdegrad.grid import Grid, check_times, covers
from sdegrad.jax import cell_tree
from sdegrad.jax.areas import CLASSES, PARTS, area_name
from sdegrad.jax.arguments import check_number, static_grid, static_number
from sdegrad.jax.bridge import LevyIncrement, Span
from sdegrad.jax.cells import Cells, keys_of, structs_of
from sdegrad.jax.points import MOST_LEVELS, inside, locate, nearest
from sdegrad.jax.steps import time_dtype
from sdegrad.jax.types import Index, Number
from sdegrad.jax.ways import Walk, start


class BrownianInterval(diffrax.AbstractBrownianPath):
    """A Brownian path on [t0, t1], sampled when asked; also the control of a `diffrax.ControlTerm`.

    shape: of one increment, a tuple, or a pytree of `jax.ShapeDtypeStruct`. key: a JAX random key. dtype: of
    the increments; JAX's default float dtype if None. dt: the step of the solver that will use it: [t0, t1]
    is cut into cells of this length (the last may be shorter), and increments over cells are independent
    draws; without it the whole interval is one cell, which is best for adaptive steps. tol: how near to each other
    points inside a cell are told apart, 2^-24 of the cell if None.

    levy_area: None or "none"; "space-time" for H; "space-time-time" for H and K; "davie" or "foster" for H and an
    approximate A of the last axis of shape; or `diffrax.BrownianIncrement`, `SpaceTimeLevyArea`,
    `SpaceTimeTimeLevyArea`. Over cells the W and H are the same for all; inside a cell the path is another one
    with H and with K. A has the exact covariance with W and H over a cell, and the exact variance; over unions of
    cells it obeys Chen's relation; over a piece of a cell it is drawn given the W and H of the piece.

    On the grid the path is exact, and a cell costs one normal per element (and one more for each of H and K). A
    query that starts or ends inside a cell walks down a tree, 24 halvings of the cell (fewer with tol) and a cut at the
    point, each of as many normals; both ends share the upper part of the way, and so do one query and the next with
    `advance`. The law is exact at every point, and jointly for points in different leaves of the tree, which are no
    longer than tol; points in one leaf share its normals.

    The same numbers in any order of queries. For a batch of paths, a batch of keys under vmap, or an axis in `shape`.
    ValueError: times that are not finite or not increasing, dt or tol not positive, a shape that is not one, a dtype
    that is not a float or needs JAX's x64 mode, an unknown levy_area, A without an axis, a key that is none.
    """

    cells: Cells
    structs: Any = eqx.field(static=True)
    grid: Grid = eqx.field(static=True)
    area: str = eqx.field(static=True)

    def __init__(
        self,
        t0: Number,
        t1: Number,
        shape: Any,
        key: Any,
        *,
        dtype: Any = None,
        dt: Number | None = None,
        tol: Number | None = None,
        levy_area: str | type | None = None,
    ):
        self.area = area_name(levy_area)
        self.grid = _grid(t0, t1, dt)
        self.structs = structs_of(shape, dtype)
        leaves = tuple(jax.tree.leaves(self.structs))
        approximate = self.area if self.area in ("davie", "foster") else None
        if approximate and not all(leaf.shape for leaf in leaves):
            raise ValueError(
                f"levy_area={self.area!r} needs a last axis for the noise; give the path a shape like (1,)."
            )
        self.cells = Cells(
            keys_of(key, len(leaves)), leaves, self.grid, PARTS[self.area], _levels(self.grid, tol), approximate
        )

    @property
    def t0(self) -> float:
        return self.grid.t0

    @property
    def t1(self) -> float:
        return self.grid.t1

    @property
    def levy_area(self) -> type:
        """The class of what `evaluate` returns with use_levy."""
        return CLASSES[self.area]

    @property
    def shape(self) -> Any:
        return jax.tree.map(lambda s: s.shape, self.structs)

    @property
    def dtype(self) -> Any:
        return jax.tree.map(lambda s: s.dtype, self.structs)

    def cell(self, k: Index) -> Any:
        """The increment over grid cell k, for 0 <= k < grid.steps; k may be traced. W, or a `LevyIncrement` if the path
        has a Levy area.
        """
        return _cell(self, jnp.asarray(k))

    def start(self) -> Walk:
        """What `advance` carries from one query to the next: the way down to the last time asked for, some 26
        increments in memory. An array pytree, for the carry of a loop.
        """
        return start(self.cells, time_dtype())

    def advance(self, walk: Walk, s: Number, t: Number) -> tuple[Any, Walk]:
        """The increment over [s, t], as `cell` returns it, and the walk from there on. The same numbers as those of
        `evaluate`, to the last bit, for fewer draws where s or t is near a time of the last query.

        A query that starts where the last one ended, or ends where that started, walks down to its other end alone,
        and only from where the ways to both part: some 24 - log2(cell / |t - s|) halvings.
        """
        return _advance(self, walk, *self._times(s, t))

    def evaluate(self, t0: Number, t1: Number | None = None, left: bool = True, use_levy: bool = False) -> Any:
        """W over [t0, t1], or over [self.t0, t0] if t1 is None; with use_levy a value of class `levy_area`: the
        length dt = t1 - t0, W, and the areas that the path has.

        The times may be traced, and may be off a grid time by four ulp. From a later to an earlier time it is
        the increment of the path run backwards: W, K and A change their signs, H does not. `left` is without effect:
        the path has no jumps.
        ValueError for times that are not numbers, or outside [t0, t1]; there, if they are traced, the increment is NaN
        instead.
        """
        del left
        s, t = (self.t0, t0) if t1 is None else (t0, t1)
        increment = _increment(self, *self._times(s, t))
        W, areas = (increment, {}) if self.area == "none" else (increment.W, increment._asdict())
        if not use_levy:
            return W
        areas = {name: area for name, area in areas.items() if area is not None}
        length = jnp.asarray(t) - jnp.asarray(s)
        return self.levy_area(**{"dt": jax.tree.map(lambda w: length.astype(w.dtype), W), "W": W, **areas})

    def _times(self, *times: Number) -> list[Array]:
        for time in times:
            check_number("a time", time)
            if isinstance(time, Tracer):
                continue
            if not covers(self.t0, self.t1, float(time), float(jnp.finfo(jnp.result_type(time, float)).eps)):
                raise ValueError(f"the time {time} is outside [t0, t1] = [{self.t0}, {self.t1}] of this path.")
        return [jnp.asarray(time, jnp.result_type(time, float)) for time in times]

    def _packed(self, spans: list[Span]) -> Any:
        """As `cell` returns it."""
        treedef = jax.tree.structure(self.structs)
        parts = [treedef.unflatten(part) for part in zip(*(span.parts for span in spans), strict=True)]
        if self.area == "none":
            return parts[0]
        A = None if self.cells.area is None else treedef.unflatten([span.A for span in spans])
        return LevyIncrement(**dict(zip(("W", "H", "K"), parts, strict=False)), A=A)


@eqx.filter_jit
def _cell(bm: BrownianInterval, k: Array) -> Any:
    return bm._packed(cell_tree.cell(bm.cells, k))


@eqx.filter_jit
def _increment(bm: BrownianInterval, s: Array, t: Array) -> Any:
    """Over a cell it is one draw and no more; on the grid nothing is walked, and no memory taken for it."""
    cells, grid = bm.cells, bm.grid
    times, eps = _in_order(s, t)
    k, snaps = nearest(grid, times, eps)
    ends = locate(grid, cells.levels, times, eps)

    def whole() -> list[Span]:
        return cell_tree.total(cells, cells.zeros(), cells.zeros(), ends)

    def pieces() -> list[Span]:
        of_s, of_t, _ = cell_tree.sides(cells, bm.start(), ends)
        return cell_tree.total(cells, of_s, of_t, ends)

    ways = lambda: cell_tree.cell(cells, k[0]), whole, pieces
    spans = lax.switch(jnp.where(snaps.all(), jnp.where(k[1] - k[0] == 1, 0, 1), 2), ways)
    return bm._packed(_directed(grid, spans, s, t))


@eqx.filter_jit
def _advance(bm: BrownianInterval, walk: Walk, s: Array, t: Array) -> tuple[Any, Walk]:
    times, eps = _in_order(s, t)
    ends = locate(bm.grid, bm.cells.levels, times, eps)
    of_s, of_t, walk = cell_tree.sides(bm.cells, walk, ends)
    return bm._packed(_directed(bm.grid, cell_tree.total(bm.cells, of_s, of_t, ends), s, t)), walk


def _in_order(s: Array, t: Array) -> tuple[Float[Array, "2"], float]:
    """Both times, and what is an ulp for the coarser one."""
    a, b = s.astype(time_dtype()), t.astype(time_dtype())
    return jnp.stack([jnp.minimum(a, b), jnp.maximum(a, b)]), max(float(jnp.finfo(x.dtype).eps) for x in (s, t))


def _directed(grid: Grid, spans: list[Span], s: Array, t: Array) -> list[Span]:
    """Of the path run backwards, if that is asked for; NaN where a time is outside."""
    sign = jnp.where(t < s, -1, 1)
    valid = inside(grid, s) & inside(grid, t)

    def one(span: Span) -> Span:
        signs = [sign, 1, sign][: len(span.parts)]
        signed = [x * jnp.asarray(b, x.dtype) for x, b in zip(span.parts, signs, strict=True)]
        parts = [jnp.where(valid, x, jnp.nan) for x in signed]
        A = None if span.A is None else jnp.where(valid, span.A * sign.astype(span.A.dtype), jnp.nan)
        return Span(span.h, tuple(parts), A)

    return list(map(one, spans))


def _grid(t0: Number, t1: Number, dt: Number | None) -> Grid:
    t0, t1 = static_number("t0", t0), static_number("t1", t1)
    check_times((t0, t1), 1.0 if dt is None else static_number("dt", dt))
    return static_grid(t0, t1, t1 - t0 if dt is None else static_number("dt", dt))


def _levels(grid: Grid, tol: Number | None) -> int:
    """How often a cell is halved until it is no longer than tol."""
    if tol is None:
        return MOST_LEVELS
    tol = static_number("tol", tol)
    if not 0 < tol < math.inf:
        raise ValueError(f"tol must be positive and finite, got {tol}; leave it out for the finest.")
    return max(0, min(MOST_LEVELS, math.ceil(math.log2(grid.dt / tol))))
