"""Times of a path as positions in its cells."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float, Int, PyTree, UInt

from sdegrad.grid import Grid, covers, is_near
from sdegrad.jax.times import AnyGrid, Fine, grid_time, half_digits, multiple, since, time_dtype
from sdegrad.jax.types import Index, Number

_MOST_OF_32_BITS = 29  # levels


def most_levels() -> int:
    """The largest number of halvings of a cell: by then there are 2^-5 ulps of its end in a leaf of single
    precision."""
    return 52 if time_dtype() == np.float64 else _MOST_OF_32_BITS


def integers(levels: int) -> tuple[np.dtype, np.dtype]:
    """The integer dtypes in which the leaves are counted and the nodes are numbered."""
    bits = 32 if levels <= _MOST_OF_32_BITS else 64
    return np.dtype(f"int{bits}"), np.dtype(f"uint{bits}")


class LeafPosition(NamedTuple):
    """A time in a cell, as a number of leaves from the start of the cell and a fraction of the next leaf."""

    leaf: Int[Array, "..."]
    fraction: Float[Array, "..."]

    def to(self, other: "LeafPosition") -> Float[Array, "..."]:
        """The length from here to there, in leaves. Exact but for the rounding of the result."""
        return (other.leaf - self.leaf).astype(self.fraction.dtype) + (other.fraction - self.fraction)

    def clip(self, first: Int[Array, "..."], last: Int[Array, "..."]) -> "LeafPosition":
        """The nearest place between the starts of these leaves."""
        within = (first <= self.leaf) & (self.leaf < last)
        return LeafPosition(jnp.clip(self.leaf, first, last), jnp.where(within, self.fraction, 0))


class TreePosition(eqx.Module):
    """A time, as a position in the tree of a cell, whose leaves are 2^-levels of it long. The node of level l that
    starts at it or holds it has the number code >> (levels + 1 - l), the root being 1 and the children of n being 2n
    and 2n + 1; the last bit of code is 1, for the right part of the leaf, which is cut at this fraction of its length.
    """

    cell: Int[Array, "..."]
    code: UInt[Array, "..."]
    fraction: Float[Array, "..."]
    levels: int = eqx.field(static=True)

    @classmethod
    def at(cls, cell: Index | Int[Array, "*times"], place: LeafPosition, levels: int) -> "TreePosition":
        leaf, code = integers(levels)
        number = 2 * (place.leaf.astype(leaf) + jnp.asarray(2**levels, leaf)) + 1
        return cls(jnp.asarray(cell, jnp.int32), number.astype(code), place.fraction, levels)

    def depth(self) -> Int[Array, "..."]:
        """The level of the largest node that starts here; that of the parts of a leaf, if none does."""
        node = self.code >> 1
        zeros = lax.population_count(~node & (node - 1)).astype(jnp.int32)
        return jnp.where(self.fraction > 0, self.levels + 1, self.levels - zeros)

    def node(self, level: Int[Array, "..."] | int) -> UInt[Array, "..."]:
        return self.code >> (self.levels + 1 - jnp.asarray(level, jnp.int32)).astype(self.code.dtype)

    def in_leaves(self) -> LeafPosition:
        leaf, _ = integers(self.levels)
        return LeafPosition((self.code >> 1).astype(leaf) - jnp.asarray(2**self.levels, leaf), self.fraction)

    def same(self, other: "TreePosition") -> Bool[Array, "..."]:
        return (self.cell == other.cell) & (self.code == other.code) & (self.fraction == other.fraction)

    def common(self, other: "TreePosition") -> Int[Array, "..."]:
        """The level of the last node that both descents share; -1 in different cells, that of parts for one point."""
        bits = 8 * self.code.dtype.itemsize
        shared = lax.clz(self.code ^ other.code).astype(jnp.int32) - (bits - 1 - self.levels)
        shared = jnp.where((shared > self.levels) & (self.fraction != other.fraction), self.levels, shared)
        return jnp.where(self.cell == other.cell, shared, -1)


def tree_where(condition: Array, a: PyTree, b: PyTree) -> PyTree:
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), a, b)


def start_of(k: Index | Array, levels: int) -> TreePosition:
    shape = jnp.shape(k)
    return TreePosition.at(k, LeafPosition(jnp.zeros(shape, jnp.int32), jnp.zeros(shape, time_dtype())), levels)


def words(number: UInt[Array, "..."]) -> tuple[UInt[Array, "..."], ...]:
    """The words of 32 bits that the number is made of, the lowest first."""
    if number.dtype == np.uint32:
        return (number,)
    return number.astype(jnp.uint32), (number >> 32).astype(jnp.uint32)


def piece_id(s: TreePosition, t: TreePosition) -> tuple[Array, ...]:
    """Unsigned integers that no piece of a cell but that from s to t has; a code of 0 is the end of the cell."""
    cuts = [(2.0**31 * point.fraction).astype(jnp.uint32) for point in (s, t)]
    return s.cell.astype(jnp.uint32), *words(s.code), *words(t.code), *cuts


def locate(grid: AnyGrid, levels: int, t: Fine, eps: float) -> TreePosition:
    """A grid time where t cannot be told from one, and otherwise a point inside a cell. eps: what an ulp is."""
    last, dtype = grid.steps - 1, time_dtype()
    dt = jnp.asarray(grid.dt, dtype)

    def cell(k: Array | int, passed: Array) -> Array:
        steps = jnp.floor(jnp.clip(passed / dt, -last, last)).astype(jnp.int32)
        return jnp.clip(k + steps, 0, last)

    k = cell(0, t.high - jnp.asarray(grid.t0, dtype)) if last else jnp.zeros(t.high.shape, jnp.int32)
    if not is_coarse(grid, eps):  # in single precision 10^9 cells are found to 10^2 of them
        k = cell(k, since(grid, k, t).high)
    length = jnp.where(k == last, jnp.asarray(grid.step(last), dtype), dt)
    passed = since(grid, k, t)
    ahead = length - passed.high
    ends = ahead < passed.high
    apart = jnp.minimum(jnp.abs(passed.high), jnp.abs(ahead))
    snap = is_near(grid, apart, jnp.where(ends, k + 1, k), t.high, eps)
    whole, more, cut = multiple(passed, half_digits(2.0**levels / length))
    leaf = whole.astype(integers(levels)[0]) + more.astype(integers(levels)[0])
    within = ~snap & (leaf >= 0) & (leaf < 2**levels)
    place = LeafPosition(jnp.where(snap, 0, jnp.clip(leaf, 0, 2**levels - 1)), jnp.where(within, cut, 0))
    return TreePosition.at(jnp.where(snap & ends, k + 1, k), place, levels)


def is_coarse(grid: AnyGrid, eps: float) -> bool:
    """Whether a rounding takes no time further than to the next grid time."""
    return grid.steps == 1 or (isinstance(grid, Grid) and grid.is_coarse(eps))


def at_sight(grid: Grid, times: Array, eps: float) -> tuple[Int[Array, "times"], Bool[Array, ""]]:
    """The grid times nearest to these, and whether `locate` takes all times for them; False where the roundings here
    leave a doubt. On a coarse grid.
    """
    k = jnp.clip(jnp.round((times - jnp.asarray(grid.t0, times.dtype)) / grid.dt), 0, grid.steps).astype(jnp.int32)
    at = grid_time(grid, k)
    return k, (jnp.abs(times - at) <= 2 * eps * jnp.maximum(jnp.abs(at), abs(grid.t0))).all()


def inside(grid: AnyGrid, t: Number, eps: float) -> Bool[Array, "..."] | bool | np.bool_:
    """Whether t is in [t0, t1], or cannot be told from one of the ends."""
    return covers(grid.t0, grid.t1, t, eps)
