"""Times to twice the digits of the time dtype: a cell of a long grid is a few ulps long, and its parts are less.

All products here are exact, so that no compiler can round them in two ways by fusing them with a sum: the forward and
the backward pass must see the same bits.
"""

from typing import ClassVar, NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int

from sdegrad.grid import Grid
from sdegrad.jax.types import Index

_BLOCK = 1024


def time_dtype() -> np.dtype:
    return jnp.zeros(()).dtype


class Fine(NamedTuple):
    """A number as the sum of two, the second less than an ulp of the first."""

    high: Float[Array, "*times"]
    low: Float[Array, "*times"]


class OneCell(eqx.Module):
    """A grid of one cell, whose ends may be traced."""

    t0: Float[Array, ""]
    t1: Float[Array, ""]
    steps: ClassVar[int] = 1

    @property
    def dt(self) -> Float[Array, ""]:
        return self.t1 - self.t0

    def step(self, _: int) -> Float[Array, ""]:
        return self.dt


AnyGrid = Grid | OneCell


def fine(t: float | np.ndarray) -> Fine:
    """A number, or an array of numbers, known when traced, to twice the digits of the time dtype."""
    high = np.asarray(t, time_dtype())
    return Fine(jnp.asarray(high), jnp.asarray(np.asarray(t, np.float64) - high, time_dtype()))


def as_given(t: Float[Array, "*times"]) -> Fine:
    """t, which has no digits beyond its dtype."""
    return Fine(t, jnp.zeros_like(t))


def _summands(grid: AnyGrid, k: Int[Array, "*times"]) -> tuple[Fine, ...]:
    """Two entries of tables whose sum is grid time k (not the last one), in place of t0 + k dt."""
    if isinstance(grid, OneCell):
        return (as_given(grid.t0),)
    if grid.steps == 1:
        return (fine(grid.t0),)
    size = min(_BLOCK, grid.steps + 1)
    coarse, inner = grid.t0 + np.arange(0, grid.steps + 1, size) * grid.dt, np.arange(size) * grid.dt
    return _entry(coarse, k // size), _entry(inner, k % size)


def _entry(table: np.ndarray, i: Int[Array, "*times"]) -> Fine:
    return Fine(*(x[i] for x in fine(table)))


def grid_time(grid: Grid, k: Index | Int[Array, "*times"]) -> Float[Array, "*times"]:
    """Grid time k, for a traced k, in the time dtype."""
    k = jnp.asarray(k)
    first, *rest = (summand.high for summand in _summands(grid, k))
    return jnp.where(k == grid.steps, jnp.asarray(grid.t1, time_dtype()), sum(rest, first))


def fine_time(grid: Grid, k: Index) -> Fine:
    """Grid time k with all its digits."""
    k = jnp.asarray(k)
    high, low = _less(as_given(jnp.zeros((), time_dtype())), _summands(grid, k))
    last = fine(grid.t1)
    return Fine(jnp.where(k == grid.steps, last.high, -high), jnp.where(k == grid.steps, last.low, -low))


def since(grid: AnyGrid, k: Int[Array, "*times"], t: Fine) -> Fine:
    """t less the start of cell k."""
    return _less(t, _summands(grid, k))


def _less(t: Fine, summands: tuple[Fine, ...]) -> Fine:
    high, low = t
    for x in summands:
        high, rest = _sum(high, -x.high)
        low = low + rest - x.low
    return Fine(*_sum(high, low))


def _sum(a: Array, b: Array) -> tuple[Array, Array]:
    """a + b rounded, and what the rounding took away."""
    s = a + b
    v = s - a
    return s, (a - (s - v)) + (b - v)


def multiple(x: Fine, factor: Fine) -> tuple[Float[Array, "*times"], ...]:
    """x times a factor of half digits, for x >= 0: its whole part, in two summands, and the fraction."""
    upper = _upper(x.high)
    lower = x.high - upper
    most = upper * factor.high
    whole = jnp.floor(most)
    small = upper * factor.low + lower * factor.high + lower * factor.low + _upper(x.low) * factor.high
    rest = (most - whole) + small
    more = jnp.floor(rest)
    return whole, more, rest - more


def half_digits(x: Float[Array, "*times"]) -> Fine:
    """x in two parts, each with half of the digits."""
    upper = _upper(x)
    return Fine(upper, _upper(x - upper))


def _upper(x: Array) -> Array:
    """x cut to the upper half of its digits."""
    digits, word = jnp.finfo(x.dtype).nmant + 1, {4: jnp.uint32, 8: jnp.uint64}[x.dtype.itemsize]
    kept = ~np.asarray(2 ** (digits - digits // 2) - 1, word)
    return lax.bitcast_convert_type(lax.bitcast_convert_type(x, word) & kept, x.dtype)
