"""The accepted steps of an adaptive solve: their times, lengths and Brownian increments.

Kept of the solve are the times of its steps, a scalar each, from which all else follows bitwise.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from sdegrad.jax.brownian.levy import LevyIncrement
from sdegrad.jax.stepping.blocks import BLOCK, loop, loop_back
from sdegrad.jax.stepping.fixed import increment
from sdegrad.jax.types import Cache, CachedPath, Carried, Carry, Increment, Index, Path, Y


class Accepted(eqx.Module):
    """times: the start, the ends of the accepted steps, and from there on the last time again. nodes: how many
    steps end before each output, or at it; every output is the end of a step. halved: whether each of these steps
    was made in two halves, which then are the steps. dtype: that of the times given to the vector fields. levy_area:
    that which the increments come with, as `LevyIncrement`, or "none".
    """

    bm: Path
    times: Float[Array, "times"]
    nodes: Int[Array, "outputs"]
    halved: bool = eqx.field(static=True)
    dtype: np.dtype = eqx.field(static=True)
    levy_area: str = eqx.field(static=True, default="none")
    left_out: Index = 0  # times before those in `times`

    @property
    def capacity(self) -> int:
        return (len(self.times) - 1) * (2 if self.halved else 1)

    def exact_time(self, k: Index) -> Array:
        """Time k, as the path is asked for it."""
        if not self.halved:
            return self.times[k - self.left_out]
        return middle(*(self.times[i // 2 - self.left_out] for i in (k, k + 1)))

    def before(self, k: Index) -> "Accepted":
        """The same, with no times but those around the BLOCK steps that end at time k."""
        first = (k // 2 if self.halved else k) - BLOCK
        some = jnp.clip(first + jnp.arange(BLOCK + 2, dtype=jnp.int32), 0, len(self.times) - 1)
        return replace(self, times=self.times[some], left_out=first)

    def time(self, k: Index) -> Array:
        return self.exact_time(k).astype(self.dtype)

    def length(self, k: Index) -> Array:
        """The length of the step from time k to k + 1."""
        return (self.exact_time(k + 1) - self.exact_time(k)).astype(self.dtype)

    def noise(self, k: Index) -> Increment:
        """The Brownian increment over that step."""
        return self.advance(self.start(), self.exact_time(k), self.exact_time(k + 1))[0]

    def start(self) -> Cache:
        """The cache before the first query; None for a path that has none."""
        return self.bm.start() if isinstance(self.bm, CachedPath) else None

    def advance(self, cache: Cache, a: Array, b: Array) -> tuple[Increment, Cache]:
        """The Brownian increment over [a, b], and the cache after it."""
        if not isinstance(self.bm, CachedPath):
            return increment(self.bm, a, b, self.levy_area), cache
        dW, cache = self.bm.advance(cache, a, b)
        return (dW.W if isinstance(dW, LevyIncrement) and self.levy_area == "none" else dW), cache

    def each(self, first: Index, last: Index, step: Callable, carry: Carry) -> Carry:
        """carry = step(k, dW, carry) for every step k from `first` to `last` - 1, beside what `advance` carries. dW is
        the increment over the step.
        """

        def forth(k: Index, carry: tuple[Cache, Carry]) -> tuple[Cache, Carry]:
            cache, carry = carry
            dW, cache = self.advance(cache, self.exact_time(k), self.exact_time(k + 1))
            return cache, step(k, dW, carry)

        return loop(first, last, forth, carry, backwards=False)

    def each_back(self, first: Index, last: Index, step: Callable, carry: Carry) -> Carry:
        """carry = step(some, k, dW, carry) for every step k from `last` - 1 back to `first`, beside what `advance`
        carries. dW is the increment over the step, `some` the steps with the times there.
        """

        def back(some: "Accepted", k: Index, carry: tuple[Cache, Carry]) -> tuple[Cache, Carry]:
            cache, carry = carry
            dW, cache = some.advance(cache, some.exact_time(k), some.exact_time(k + 1))
            return cache, step(some, k, dW, carry)

        return loop_back(first, last, self.before, back, carry)


def middle(a: Array, b: Array) -> Array:
    return (a + b) / 2


class Solved(NamedTuple):
    """The solution at the outputs, and the last state of the method."""

    ys: Y
    state: Carried
