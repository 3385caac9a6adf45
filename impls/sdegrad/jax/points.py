"""The times of a path as places in its cells."""

from typing import NamedTuple

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int, UInt32

from sdegrad.grid import Grid
from sdegrad.jax.steps import grid_time, time_dtype
from sdegrad.jax.types import Index

LEVELS = 24  # of halving of a cell
CUT = LEVELS + 1  # the level of the two parts of a leaf, cut at the point itself


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


class Point(NamedTuple):
    """A time, as a place in the tree of a cell. The node of level l that starts at it or holds it has the number
    code >> (25 - l), the root being 1 and the children of n being 2n and 2n + 1; the last bit of code is 1, for the
    right part of the leaf, which is cut at this fraction of its length.
    """

    cell: Int[Array, ""]
    code: UInt32[Array, ""]
    cut: Float[Array, ""]

    @classmethod
    def at(cls, cell: Index, fraction: Float[Array, ""]) -> "Point":
        """At a fraction in [0, 1) of the cell."""
        leaves = fraction * 2**LEVELS
        leaf = jnp.clip(jnp.floor(leaves), 0, 2**LEVELS - 1)
        code = 2 * leaf.astype(jnp.uint32) + jnp.uint32(2**CUT + 1)
        return cls(jnp.asarray(cell, jnp.int32), code, jnp.clip(leaves - leaf, 0, 1))

    def depth(self) -> Int[Array, ""]:
        """The level of the largest node that starts here."""
        node = self.code >> 1
        zeros = lax.population_count(~node & (node - 1)).astype(jnp.int32)
        return jnp.where(self.cut > 0, CUT, LEVELS - zeros)

    def node(self, level: Int[Array, "..."] | int) -> UInt32[Array, "..."]:
        return self.code >> (CUT - jnp.asarray(level, jnp.int32)).astype(jnp.uint32)

    def spot(self) -> Spot:
        return Spot((self.code >> 1).astype(jnp.int32) - 2**LEVELS, self.cut)

    def before(self, other: "Point") -> Bool[Array, ""]:
        later_code = (self.code < other.code) | ((self.code == other.code) & (self.cut < other.cut))
        return (self.cell < other.cell) | ((self.cell == other.cell) & later_code)

    def common(self, other: "Point") -> Int[Array, ""]:
        """The level of the last common node on the ways to both; 25 for the same point, -1 in different cells."""
        shared = lax.clz(self.code ^ other.code).astype(jnp.int32) - (31 - CUT) - 1
        shared = jnp.where((shared > LEVELS) & (self.cut != other.cut), LEVELS, shared)
        return jnp.where(self.cell == other.cell, shared, -1)


def start_of(k: Array) -> Point:
    return Point.at(k, jnp.zeros((), time_dtype()))


def place(s: Point, t: Point) -> tuple[Array, ...]:
    """Five numbers for the piece from s to t of a cell; a code of 0 is the end of the cell."""
    cuts = [(2.0**31 * point.cut).astype(jnp.uint32) for point in (s, t)]
    return s.cell.astype(jnp.uint32), s.code, t.code, *cuts


def nearest(grid: Grid, t: Array) -> tuple[Int[Array, ""], Bool[Array, ""]]:
    """The grid time nearest to t, and whether t is taken for it: within (k + 8) ulp."""
    ulp8 = grid.tolerance(0, float(jnp.finfo(t.dtype).eps))
    t = t.astype(time_dtype())
    k = jnp.clip(jnp.round((t - grid.t0) / grid.dt), 0, grid.steps).astype(jnp.int32)
    apart = jnp.abs(t - grid_time(grid, k))
    to_end = jnp.abs(t - grid.t1)
    k, apart = jnp.where(to_end < apart, grid.steps, k), jnp.minimum(to_end, apart)
    return k, apart <= ulp8 * (1 + k.astype(t.dtype) / 8)


def locate(grid: Grid, t: Array) -> Point:
    """A grid time where t is one within (k + 8) ulp, and otherwise a point inside a cell."""
    k, snap = nearest(grid, t)
    t = t.astype(time_dtype())
    k = jnp.where(~snap & (t < grid_time(grid, k)), k - 1, k)
    start = grid_time(grid, k)
    return Point.at(k, jnp.where(snap, 0, t - start) / (grid_time(grid, k + 1) - start))


def inside(grid: Grid, t: Array) -> Array:
    slack = grid.tolerance(grid.steps, float(jnp.finfo(t.dtype).eps))
    return (t >= grid.t0 - slack) & (t <= grid.t1 + slack)
