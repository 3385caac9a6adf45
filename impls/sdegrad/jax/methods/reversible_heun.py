"""Reversible Heun. Stratonovich; strong order 1/2, 1 for additive noise; ODE order 2; one evaluation a step.

Kidger, Foster, Li, Lyons (2021), arXiv 2105.13493, algorithms 1 and 2. With F = f dt + g dW:

    hat1 = 2 y0 - hat0 + F(t0, hat0)
    y1   = y0 + (F(t0, hat0) + F(t1, hat1)) / 2

The step has a closed inverse, so the gradient needs no stored trajectory. For y' = a y it is stable only if a
dt lies on the imaginary axis between -i and i; where it blows up, take a smaller dt, or "heun".
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp

from sdegrad.jax.methods.base import tree
from sdegrad.jax.types import Field, Time


class State(NamedTuple):
    y: Any
    hat: Any
    fields: Any  # at hat


class Reverse(NamedTuple):
    """The backward pass at grid time t. (dt, dW) is the step after t, and F = F(t, hat; dt, dW)."""

    ahead: Any  # y + F / 2
    hat: Any
    dt: Any
    dW: Any
    a_y: Any  # cotangents, of y, hat, F and the arrays in the vector fields
    a_hat: Any
    a_F: Any
    a_arrays: Any


class ReversibleHeun(eqx.Module):
    levy_area = "none"
    smooth = True

    def init(self, field: Field, t0: Time, y0: Any) -> State:
        return State(y0, y0, field.at(t0, y0))

    def step(self, field: Field, t0: Time, t1: Time, dt: Time, dW: Any, state: State) -> State:  # noqa: ARG002
        y, hat, fields = state
        F0 = field.contract(fields, dt, dW)
        hat = tree(lambda y, hat, F: 2 * y - hat + F, y, hat, F0)
        fields = field.at(t1, hat)
        F1 = field.contract(fields, dt, dW)
        return State(tree(lambda y, F0, F1: y + (F0 + F1) / 2, y, F0, F1), hat, fields)

    def estimated(self, field: Field, t0: Time, t1: Time, dt: Time, dW: Any, state: State) -> tuple[State, Any]:
        """The step, and how far it is from y0 + F(t0, hat0)."""
        new = self.step(field, t0, t1, dt, dW, state)
        return new, field.contract(tree(lambda a, b: (b - a) / 2, state.fields, new.fields), dt, dW)

    def value(self, state: State) -> Any:
        return state.y

    def copies(self, state: State) -> tuple[Any, Any]:
        return state.y, state.hat

    def reverse_init(self, state: State, dt: Any, dW: Any, arrays: Any) -> Reverse:
        """At the last grid time; no step follows it. dt, dW and the arrays only give the shapes."""
        dt, dW, a_y, a_arrays = tree(jnp.zeros_like, (dt, dW, state.y, arrays))
        return Reverse(state.y, state.hat, dt, dW, a_y, a_y, a_y, a_arrays)

    def reverse(
        self,
        field: Callable,
        arrays: Any,
        t0: Time,  # noqa: ARG002
        t1: Time,
        dt: Any,
        dW: Any,
        r: Reverse,
    ) -> Reverse:
        """The inverse of the step (dt, dW) from t0 to t1, and its gradient: one evaluation at t1, and one pull-back.

        field(arrays) is the `Field`.
        """

        def after_and_before(hat: Any, arrays: Any) -> tuple[Any, Any]:
            fields = field(arrays).at(t1, hat)
            return field(arrays).contract(fields, r.dt, r.dW), field(arrays).contract(fields, dt, dW)

        (F, G), pull = jax.vjp(after_and_before, r.hat, arrays)
        half = tree(lambda a: a / 2, r.a_y)
        v_hat, v_arrays = pull((r.a_F, half))
        y = tree(lambda ahead, F: ahead - F / 2, r.ahead, F)
        ahead = tree(lambda y, G: y - G / 2, y, G)
        hat = tree(lambda y, hat, G: 2 * y - hat - G, y, r.hat, G)
        a_hat = tree(jnp.add, r.a_hat, v_hat)
        a_y = tree(lambda a, b: a + 2 * b, r.a_y, a_hat)
        a_F = tree(jnp.add, half, a_hat)
        a_arrays = tree(jnp.add, r.a_arrays, v_arrays)
        return Reverse(ahead, hat, dt, dW, a_y, tree(jnp.negative, a_hat), a_F, a_arrays)

    def reverse_last(self, field: Callable, arrays: Any, t0: Time, y0: Any, r: Reverse) -> tuple[Any, Any, Any]:
        """At t0, where hat = y0, before an empty step: the y that it leads to, the cotangents of y0, arrays."""
        dt, dW = tree(jnp.zeros_like, (r.dt, r.dW))
        end = self.reverse(field, arrays, t0, t0, dt, dW, r._replace(hat=y0))
        return end.ahead, tree(jnp.add, end.a_y, end.a_hat), end.a_arrays
