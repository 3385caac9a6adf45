"""Reversible Heun. Stratonovich; strong order 1/2, 1 for additive noise; ODE order 2; one evaluation a step.

Kidger, Foster, Li, Lyons (2021), arXiv 2105.13493, algorithms 1 and 2. With F = f dt + g dW:

    hat1 = 2 y0 - hat0 + F(t0, hat0)
    y1   = y0 + (F(t0, hat0) + F(t1, hat1)) / 2

The step has a closed inverse, so the gradient needs no stored trajectory. For y' = a y it is stable only if a
dt lies on the imaginary axis between -i and i; for a < 0, y and hat part like exp(-a t), however small dt is.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from equinox.internal import ω

from sdegrad.jax.methods.base import tree
from sdegrad.jax.types import Arrays, FieldOf, FieldValue, Increment, Time, VectorField, Y


class State(NamedTuple):
    y: Y
    hat: Y
    fields: FieldValue  # at hat


class Reverse(NamedTuple):
    """The backward pass at grid time t. (dt, dW) is the step after t, and F = F(t, hat; dt, dW)."""

    ahead: Y  # y + F / 2
    hat: Y
    dt: Time
    dW: Increment
    a_y: Y  # cotangents, of y, hat, F and the arrays in the vector fields
    a_hat: Y
    a_F: Y
    a_arrays: Arrays


class ReversibleHeun(eqx.Module):
    levy_area = "none"
    smooth = True

    def init(self, field: VectorField, t0: Time, y0: Y) -> State:
        return State(y0, y0, field.at(t0, y0))

    def step(self, field: VectorField, t0: Time, t1: Time, dt: Time, dW: Increment, state: State) -> State:  # noqa: ARG002
        y0, hat0, fields = state
        F0 = field.contract(fields, dt, dW)
        hat1 = (2 * y0**ω - hat0**ω + F0**ω).ω
        fields = field.at(t1, hat1)
        F1 = field.contract(fields, dt, dW)
        y1 = (y0**ω + (F0**ω + F1**ω) / 2).ω
        return State(y1, hat1, fields)

    def estimated(
        self, field: VectorField, t0: Time, t1: Time, dt: Time, dW: Increment, state: State
    ) -> tuple[State, Y]:
        """The step, and y1 - (y0 + F(t0, hat0))."""
        new = self.step(field, t0, t1, dt, dW, state)
        return new, field.contract(((new.fields**ω - state.fields**ω) / 2).ω, dt, dW)

    def value(self, state: State) -> Y:
        return state.y

    def copies(self, state: State) -> tuple[Y, Y]:
        return state.y, state.hat

    def reverse_init(self, state: State, dt: Time, dW: Increment, arrays: Arrays) -> Reverse:
        """The backward pass at the last time, where it starts. dt, dW and the arrays only give the shapes."""
        dt, dW, a_y, a_arrays = tree(jnp.zeros_like, (dt, dW, state.y, arrays))
        return Reverse(state.y, state.hat, dt, dW, a_y, a_y, a_y, a_arrays)

    def reverse(
        self,
        field: FieldOf,
        arrays: Arrays,
        t0: Time,  # noqa: ARG002
        t1: Time,
        dt: Time,
        dW: Increment,
        r: Reverse,
    ) -> Reverse:
        """The inverse of the step (dt, dW) from t0 to t1, and its gradient: one evaluation at t1, and one pull-back.

        field(arrays) is the `VectorField`.
        """

        def after_and_before(hat: Y, arrays: Arrays) -> tuple[Y, Y]:
            fields = field(arrays).at(t1, hat)
            return field(arrays).contract(fields, r.dt, r.dW), field(arrays).contract(fields, dt, dW)

        (F, G), pull = jax.vjp(after_and_before, r.hat, arrays)
        half = (r.a_y**ω / 2).ω
        v_hat, v_arrays = pull((r.a_F, half))
        y = (r.ahead**ω - F**ω / 2).ω
        ahead = (y**ω - G**ω / 2).ω
        hat = (2 * y**ω - r.hat**ω - G**ω).ω
        a_hat = (r.a_hat**ω + v_hat**ω).ω
        a_y = (r.a_y**ω + 2 * a_hat**ω).ω
        a_F = (half**ω + a_hat**ω).ω
        a_arrays = (r.a_arrays**ω + v_arrays**ω).ω
        return Reverse(ahead, hat, dt, dW, a_y, (-(a_hat**ω)).ω, a_F, a_arrays)

    def reverse_last(self, field: FieldOf, arrays: Arrays, t0: Time, y0: Y, r: Reverse) -> tuple[Y, Y, Arrays]:
        """The y that the backward pass reaches at t0, where hat = y0, and the cotangents of y0 and the arrays."""
        dt, dW = tree(jnp.zeros_like, (r.dt, r.dW))
        end = self.reverse(field, arrays, t0, t0, dt, dW, r._replace(hat=y0))
        return end.ahead, (end.a_y**ω + end.a_hat**ω).ω, end.a_arrays
