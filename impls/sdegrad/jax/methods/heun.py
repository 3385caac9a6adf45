"""Heun's method, the trapezium rule. Stratonovich; strong order 1/2, and 1 for commutative noise; ODE order
2.

Ruemelin (1982), SIAM J. Numer. Anal. 19(3). With F = f dt + g dW:

    yh = y0 + F(t0, y0)
    y1 = y0 + (F(t0, y0) + F(t1, yh)) / 2
"""

from equinox.internal import ω

from sdegrad.jax.methods.base import OneStep
from sdegrad.jax.types import Carried, Increment, Time, VectorField, Y


class Heun(OneStep):
    def step(self, field: VectorField, t0: Time, t1: Time, dt: Time, dW: Increment, state: Carried) -> Carried:
        return self.estimated(field, t0, t1, dt, dW, state)[0]

    def estimated(
        self, field: VectorField, t0: Time, t1: Time, dt: Time, dW: Increment, state: Carried
    ) -> tuple[Carried, Y]:
        """y1, and y1 - yh."""
        y0 = state
        F0 = field.increment(t0, y0, dt, dW)
        yh = (y0**ω + F0**ω).ω
        F1 = field.increment(t1, yh, dt, dW)
        return (y0**ω + (F0**ω + F1**ω) / 2).ω, ((F1**ω - F0**ω) / 2).ω
