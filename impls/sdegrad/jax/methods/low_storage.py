"""Runge-Kutta methods in the two registers of Williamson's 2N form: k <- a k + F(t + c h, y); y <- y + b k.

Williamson (1980), J. Comput. Phys. 35. F = f dt + g dW, so Stratonovich; strong order 1/2, and 1 for commutative
noise. For those that are symmetric to a high power of the step, a step back with (-dt, -dW) is almost its inverse.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from equinox.internal import ω

from sdegrad import tableaux
from sdegrad.jax.methods.base import OneStep, tree
from sdegrad.jax.sde import backwards
from sdegrad.jax.types import Arrays, Carried, FieldOf, Increment, Time, VectorField, Y


class Reverse(NamedTuple):
    """The backward pass: the solution as the steps back find it, and the cotangents."""

    y: Y
    a_y: Y
    a_arrays: Arrays


class LowStorage(OneStep):
    tableau: tableaux.LowStorage = eqx.field(static=True)

    def step(self, field: VectorField, t0: Time, t1: Time, dt: Time, dW: Increment, state: Carried) -> Carried:  # noqa: ARG002
        y, k = state, tree(jnp.zeros_like, state)
        for a, b, c in zip(self.tableau.A, self.tableau.B, self.tableau.C, strict=True):
            F = field.increment(t0 + c * dt, y, dt, dW)
            k = (a * k**ω + F**ω).ω
            y = (y**ω + b * k**ω).ω
        return y

    def reverse_init(self, state: Carried, dt: Time, dW: Increment, arrays: Arrays) -> Reverse:  # noqa: ARG002
        return Reverse(state, *tree(jnp.zeros_like, (state, arrays)))

    def reverse(
        self, field: FieldOf, arrays: Arrays, t0: Time, t1: Time, dt: Time, dW: Increment, r: Reverse
    ) -> Reverse:
        """A step back, and the gradient of the step from where it leads."""
        y = self.step(field(arrays), t1, t0, -dt, backwards(dW), r.y)
        _, pull = jax.vjp(lambda y, arrays: self.step(field(arrays), t0, t1, dt, dW, y), y, arrays)
        a_y, v_arrays = pull(r.a_y)
        return Reverse(y, a_y, (r.a_arrays**ω + v_arrays**ω).ω)

    def reverse_last(self, field: FieldOf, arrays: Arrays, t0: Time, y0: Y, r: Reverse) -> tuple[Y, Y, Arrays]:  # noqa: ARG002
        return r.y, r.a_y, r.a_arrays
