"""Euler-Maruyama. Ito; strong order 1/2, and 1 for additive noise.

Maruyama (1955); Kloeden and Platen (1992), equation (10.2.4).
"""

from equinox.internal import ω

from sdegrad.jax.methods.base import OneStep
from sdegrad.jax.types import Carried, Increment, Time, VectorField


class Euler(OneStep):
    smooth = False

    def step(self, field: VectorField, t0: Time, t1: Time, dt: Time, dW: Increment, state: Carried) -> Carried:  # noqa: ARG002
        F = field.increment(t0, state, dt, dW)
        return (state**ω + F**ω).ω
