"""The times of a solve by diffrax, bitwise the same in both passes: an ulp is another Brownian increment."""

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PyTree

from sdegrad.jax.stepping.blocks import BLOCK


class EvenSteps(eqx.Module):
    """`diffrax.ConstantStepSize`, in arithmetic that every compiler rounds alike.

    In diffrax's own form XLA may turn the division into a product with a constant reciprocal, and fuse the
    product with the sum, in one pass and not in the other. It cannot where the divisor is not seen to be
    constant, and where an absolute value stands between product and sum.
    """

    steps: Int[Array, ""]
    t0: Float[Array, ""]
    t1: Float[Array, ""]
    first: Float[Array, ""]  # the end of the first step, of length dt0; the others are of equal length

    def time(self, k: Int[Array, ""]) -> Float[Array, ""]:
        """The end of step k."""
        divisor = self.steps + (k < 0).astype(self.steps.dtype)
        fraction = k.astype(self.t0.dtype) / divisor.astype(self.t0.dtype)
        time = jnp.where(k >= self.steps, self.t1, self.t0 + jnp.abs((self.t1 - self.t0) * fraction))
        return jnp.where(k == 1, self.first, time)

    def adapt_step_size(self, _: Array, t1: Array, *unused: PyTree) -> tuple:
        """The method of `diffrax.AbstractStepSizeController`; its state is the number of the step just made."""
        k = unused[-1] + 1
        return True, t1, self.time(k), False, k, diffrax.RESULTS.successful


class Times(eqx.Module):
    """The start and the ends of the `count` accepted steps."""

    start: Float[Array, ""]
    last: Float[Array, ""]
    count: Int[Array, ""]
    ends: EvenSteps | Float[Array, "steps"]  # as recorded

    def __call__(self, k: Int[Array, ""]) -> Float[Array, ""]:
        """Time k; the last time, if k is beyond."""
        ends = self.ends
        end = ends.time(k) if isinstance(ends, EvenSteps) else ends[jnp.maximum(k - 1, 0)]
        return jnp.where(k == 0, self.start, jnp.where(k >= self.count, self.last, end))

    def before(self, k: Int[Array, ""]) -> "Window":
        """The times around the BLOCK steps that end at time k: those of the steps, and the one after them."""
        first = k - BLOCK
        return Window(first, jax.vmap(self)(first + jnp.arange(BLOCK + 2, dtype=jnp.int32)))


class Window(eqx.Module):
    """Some of the times, those from `first` on."""

    first: Int[Array, ""]
    times: Float[Array, "times"]

    def __call__(self, k: Int[Array, ""]) -> Float[Array, ""]:
        return self.times[k - self.first]
