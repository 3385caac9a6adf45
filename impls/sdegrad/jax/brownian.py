"""Brownian motion on a known grid, without a tree: every grid cell has its own counter-based random numbers.

Element i of cell k is made from word (k, i) of the generator, so the path is a pure function of (key, shape,
dtype, grid), and costs one normal per step in any order. A query inside a cell descends a dyadic tree of that
cell.
"""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jax import lax
from jax.core import Tracer
from jaxtyping import Array, UInt32

from sdegrad.grid import Grid, check_times, make_grid
from sdegrad.jax.bridge import LevyIncrement, Span, join, span, split, subtract
from sdegrad.jax.checks import check_dtype, static_number
from sdegrad.jax.random import normal, threefry
from sdegrad.jax.steps import grid_time
from sdegrad.jax.types import Index, Number

_LEVELS = 24  # of halving inside a cell, before the last split at the query itself


class BrownianInterval(eqx.Module):
    """A Brownian path on [t0, t1], sampled when asked.

    shape: of one increment, a tuple, or a pytree of `jax.ShapeDtypeStruct`. key: a JAX random key. dtype: of
    the increments; JAX's default float dtype if None. dt: the step of the solver that will use it: [t0, t1]
    is cut into cells of this length (the last may be shorter), and increments over cells are independent
    draws; without it the whole interval is one cell. levy_area: None, or "space-time" for
    `LevyIncrement(W, H)` instead of W; the W are the same.

    On the grid the path is exact, and a cell costs one normal per element. A query that starts or ends
    inside a cell costs some 50 normals per element and end. It is exact in law at every point, and jointly
    for points that lie in different leaves of the cell's tree, 2^-24 of the cell long; points in one leaf
    share the normals of that leaf.

    Usable under jit and vmap; a batch of paths is a batch of keys, or a batch axis in `shape`.
    ValueError: times that are not finite or not increasing, dt not positive, a shape that is not one, a dtype
    that is not a float or needs JAX's x64 mode, an unknown levy_area, a key that is none.
    """

    words: UInt32[Array, "leaves 4 2"]
    structs: Any = eqx.field(static=True)
    grid: Grid = eqx.field(static=True)
    levy_area: str | None = eqx.field(static=True)

    def __init__(
        self,
        t0: Number,
        t1: Number,
        shape: Any,
        key: Any,
        *,
        dtype: Any = None,
        dt: Number | None = None,
        levy_area: str | None = None,
    ):
        if levy_area not in (None, "space-time"):
            raise ValueError(f'levy_area must be None or "space-time", got {levy_area!r}.')
        self.grid = _grid(t0, t1, dt)
        self.structs = _structs(shape, dtype)
        self.levy_area = levy_area
        self.words = _words(key, len(jax.tree.leaves(self.structs)))

    @property
    def t0(self) -> float:
        return self.grid.t0

    @property
    def t1(self) -> float:
        return self.grid.t1

    @property
    def shape(self) -> Any:
        return jax.tree.map(lambda s: s.shape, self.structs)

    @property
    def dtype(self) -> Any:
        return jax.tree.map(lambda s: s.dtype, self.structs)

    def cell(self, k: Index) -> Any:
        """The increment over grid cell k, for 0 <= k < grid.steps; k may be traced."""
        return _cell(self, jnp.asarray(k))

    def evaluate(self, s: Number, t: Number | None = None) -> Any:
        """The increment over [s, t]; over [t0, s] if t is None. The times may be traced, and are snapped to
        the grid within (k + 8) ulp. Costs one draw per cell between them. H is of use only for s <= t.

        ValueError for times outside [t0, t1]; if they are traced, the increment is NaN instead.
        """
        s, t = (self.t0, s) if t is None else (s, t)
        for time in (s, t):
            self._check_range(time)
        return _evaluate(self, *(jnp.asarray(time, jnp.result_type(time, float)) for time in (s, t)))

    def _check_range(self, time: Number) -> None:
        if isinstance(time, Tracer):
            return
        slack = self.grid.tolerance(self.grid.steps, float(jnp.finfo(jnp.result_type(time, float)).eps))
        if not self.t0 - slack <= float(time) <= self.t1 + slack:
            raise ValueError(f"the time {time} is outside [t0, t1] = [{self.t0}, {self.t1}] of this path.")

    def _spans(self, query: Callable[["_Paths"], Span]) -> Any:
        """The increment made of the query's span of every array."""
        structs, treedef = jax.tree.flatten(self.structs)
        spans = [query(_Paths(w, self.grid, s.shape, s.dtype)) for w, s in zip(self.words, structs, strict=True)]
        W = treedef.unflatten([span.W for span in spans])
        if self.levy_area is None:
            return W
        return LevyIncrement(W, treedef.unflatten([span.H for span in spans]))


@eqx.filter_jit
def _cell(bm: BrownianInterval, k: Array) -> Any:
    return bm._spans(lambda paths: paths.cell(k))


@eqx.filter_jit
def _evaluate(bm: BrownianInterval, s: Array, t: Array) -> Any:
    return bm._spans(lambda paths: paths.between(s, t))


class _Paths(eqx.Module):
    """One array of Brownian paths. words: the keys of W and H of cells, and of X1 and X2 of splits."""

    words: UInt32[Array, "4 2"]
    grid: Grid = eqx.field(static=True)
    shape: tuple[int, ...] = eqx.field(static=True)
    dtype: np.dtype = eqx.field(static=True)

    def cell(self, k: Array) -> Span:
        h = self._length(k)
        W, H = (normal(key, k.astype(jnp.uint32), self.shape, self.dtype) for key in self.words[:2])
        return span(h, jnp.sqrt(h) * W, jnp.sqrt(h / 12) * H)

    def between(self, s: Array, t: Array) -> Span:
        (i, before), (j, after) = self._locate(s), self._locate(t)
        cells = lax.fori_loop(i, j, lambda k, total: join(total, self.cell(k)), self._zero())
        parts = lax.map(lambda at: self._inside(*at), (jnp.stack([i, j]), jnp.stack([before, after])))
        whole = subtract(join(cells, jax.tree.map(lambda x: x[1], parts)), jax.tree.map(lambda x: x[0], parts))
        return jax.tree.map(lambda x: jnp.where(self._valid(s) & self._valid(t), x, jnp.nan), whole)

    def _inside(self, k: Array, length: Array) -> Span:
        """From the start of cell k over `length`, less than the cell."""
        return lax.cond(length > 0, lambda: self._descend(k, length), lambda: self._zero())

    def _descend(self, k: Array, length: Array) -> Span:
        """Down the dyadic tree of cell k, whose node n has the children 2n and 2n + 1. The leaf is cut at the point."""
        keys = [jnp.stack(threefry(key, k.astype(jnp.uint32), jnp.uint32(0))) for key in self.words[2:]]

        def down(level: Index, carry: tuple[Array, Array, Span, Span]) -> tuple[Array, Array, Span, Span]:
            node, rest, done, whole = carry
            X1, X2 = (normal(key, node, self.shape, self.dtype) for key in keys)
            at = jnp.where(level == _LEVELS, jnp.minimum(rest, whole.h), whole.h / 2)
            left, right = split(whole, at, (X1, X2))
            beyond = rest >= at
            done, whole = jax.tree.map(lambda a, b: jnp.where(beyond, a, b), (join(done, left), right), (done, left))
            return 2 * node + beyond.astype(jnp.uint32), jnp.where(beyond, rest - at, rest), done, whole

        start = (jnp.uint32(1), length, self._zero(), self.cell(k))
        return lax.fori_loop(0, _LEVELS + 1, down, start)[2]

    def _zero(self) -> Span:
        return Span(*(jnp.zeros(shape, self.dtype) for shape in ((), self.shape, self.shape)))

    def _locate(self, t: Array) -> tuple[Array, Array]:
        """(k, length): t is `length` after grid time k; 0 if t is that grid time within (k + 8) ulp."""
        grid = self.grid
        k = jnp.clip(jnp.round((t - grid.t0) / grid.dt), 0, grid.steps).astype(jnp.int32)
        k = jnp.where(jnp.abs(t - grid.t1) < jnp.abs(t - grid_time(grid, k)), grid.steps, k)
        length = t - grid_time(grid, k)
        ulp8 = grid.tolerance(0, float(jnp.finfo(t.dtype).eps))
        snap = jnp.abs(length) <= ulp8 * (1 + k.astype(t.dtype) / 8)
        k = jnp.where(~snap & (length < 0), k - 1, k)
        return k, jnp.where(snap, 0, t - grid_time(grid, k)).astype(self.dtype)

    def _length(self, k: Array) -> Array:
        last = self.grid.step(self.grid.steps - 1)
        return jnp.where(k == self.grid.steps - 1, last, self.grid.dt).astype(self.dtype)

    def _valid(self, t: Array) -> Array:
        slack = self.grid.tolerance(self.grid.steps, float(jnp.finfo(t.dtype).eps))
        return (t >= self.grid.t0 - slack) & (t <= self.grid.t1 + slack)


def _grid(t0: Number, t1: Number, dt: Number | None) -> Grid:
    t0, t1 = static_number("t0", t0), static_number("t1", t1)
    check_times((t0, t1), 1.0 if dt is None else static_number("dt", dt))
    return make_grid(t0, t1, t1 - t0 if dt is None else static_number("dt", dt))


def _structs(shape: Any, dtype: Any) -> Any:
    """A tree of shapes and dtypes; of one leaf if shape is a tuple of integers."""
    if isinstance(shape, (tuple, list)) and all(isinstance(n, (int, np.integer)) for n in shape):
        shape = jax.ShapeDtypeStruct(tuple(shape), check_dtype(dtype))
    elif dtype is not None:
        raise ValueError(f"dtype={dtype} given, but the shape is a tree whose leaves have dtypes; leave dtype out.")
    for leaf in jax.tree.leaves(shape):
        if not isinstance(leaf, jax.ShapeDtypeStruct):
            raise ValueError(f"shape must be a tuple of integers or a tree of jax.ShapeDtypeStruct, got {leaf!r}.")
        check_dtype(leaf.dtype)
    return shape


def _words(key: Any, leaves: int) -> Array:
    """Four keys of two words for every leaf."""
    if not isinstance(key, jax.Array):
        raise ValueError(f"key must be a JAX random key, got {key!r}; pass e.g. jax.random.key(0).")
    return jr.bits(key, (leaves, 4, 2), jnp.uint32)
