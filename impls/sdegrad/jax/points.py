"""The times of a path as places in its cells."""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int, UInt32

from sdegrad.grid import Grid, covers
from sdegrad.jax.steps import grid_time, time_dtype
from sdegrad.jax.types import Index

MOST_LEVELS = 24  # of halving of a cell


class Spot(NamedTuple):
    """A time in a cell: so many leaves from its start, and a fraction of the next one."""

    leaf: Int[Array, "..."]
    cut: Float[Array, "..."]

    def to(self, other: "Spot") -> Float[Array, "..."]:
        """The length from here to there, in leaves. Exact but for the rounding of the result."""
        return (other.leaf - self.leaf).astype(self.cut.dtype) + (other.cut - self.cut)

    def clip(self, first: Int[Array, "..."], last: Int[Array, "..."]) -> "Spot":
        """The nearest place between the starts of these leaves."""
        within = (first <= self.leaf) & (self.leaf < last)
        return Spot(jnp.clip(self.leaf, first, last), jnp.where(within, self.cut, 0))


class Point(eqx.Module):
    """A time, as a place in the tree of a cell, whose leaves are 2^-levels of it long. The node of level l that starts
    at it or holds it has the number code >> (levels + 1 - l), the root being 1 and the children of n being 2n and
    2n + 1; the last bit of code is 1, for the right part of the leaf, which is cut at this fraction of its length.
    """

    cell: Int[Array, "..."]
    code: UInt32[Array, "..."]
    cut: Float[Array, "..."]
    levels: int = eqx.field(static=True)

    @classmethod
    def at(cls, cell: Index | Int[Array, "*times"], fraction: Float[Array, "*times"], levels: int) -> "Point":
        """At a fraction in [0, 1) of the cell."""
        leaves = fraction * 2**levels
        leaf = jnp.clip(jnp.floor(leaves), 0, 2**levels - 1)
        code = 2 * leaf.astype(jnp.uint32) + jnp.uint32(2 ** (levels + 1) + 1)
        return cls(jnp.asarray(cell, jnp.int32), code, jnp.clip(leaves - leaf, 0, 1), levels)

    def depth(self) -> Int[Array, "..."]:
        """The level of the largest node that starts here; that of the parts of a leaf, if none does."""
        node = self.code >> 1
        zeros = lax.population_count(~node & (node - 1)).astype(jnp.int32)
        return jnp.where(self.cut > 0, self.levels + 1, self.levels - zeros)

    def node(self, level: Int[Array, "..."] | int) -> UInt32[Array, "..."]:
        return self.code >> (self.levels + 1 - jnp.asarray(level, jnp.int32)).astype(jnp.uint32)

    def spot(self) -> Spot:
        return Spot((self.code >> 1).astype(jnp.int32) - 2**self.levels, self.cut)

    def same(self, other: "Point") -> Bool[Array, "..."]:
        return (self.cell == other.cell) & (self.code == other.code) & (self.cut == other.cut)

    def common(self, other: "Point") -> Int[Array, "..."]:
        """The level of the last common node on the ways to both; -1 in different cells, that of parts for one point."""
        shared = lax.clz(self.code ^ other.code).astype(jnp.int32) - (31 - self.levels)
        shared = jnp.where((shared > self.levels) & (self.cut != other.cut), self.levels, shared)
        return jnp.where(self.cell == other.cell, shared, -1)


def tree_where(condition: Array, a: Any, b: Any) -> Any:
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), a, b)


def start_of(k: Array, levels: int) -> Point:
    return Point.at(k, jnp.zeros((), time_dtype()), levels)


def place(s: Point, t: Point) -> tuple[Array, ...]:
    """Five numbers for the piece from s to t of a cell; a code of 0 is the end of the cell."""
    cuts = [(2.0**31 * point.cut).astype(jnp.uint32) for point in (s, t)]
    return s.cell.astype(jnp.uint32), s.code, t.code, *cuts


def nearest(grid: Grid, t: Float[Array, "*times"], eps: float) -> tuple[Int[Array, "*times"], Bool[Array, "*times"]]:
    """The grid time nearest to t, and whether t is taken for it. eps: what an ulp is, relative to t."""
    t = jnp.clip(t, grid.t0, grid.t1)
    k = jnp.clip(jnp.round((t - grid.t0) / grid.dt), 0, grid.steps).astype(jnp.int32)
    k = jnp.where(jnp.abs(t - grid.t1) < jnp.abs(t - grid_time(grid, k)), grid.steps, k)
    return k, grid.is_time(t, k, grid_time(grid, k), eps)


def locate(grid: Grid, levels: int, t: Float[Array, "*times"], eps: float) -> Point:
    """A grid time where t is one, and otherwise a point inside a cell."""
    k, snap = nearest(grid, t, eps)
    k = jnp.where(~snap & (t < grid_time(grid, k)), k - 1, k)
    start = grid_time(grid, k)
    return Point.at(k, jnp.where(snap, 0, t - start) / (grid_time(grid, k + 1) - start), levels)


def inside(grid: Grid, t: Array) -> Array:
    return covers(grid.t0, grid.t1, t, float(jnp.finfo(t.dtype).eps))
