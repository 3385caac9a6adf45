"""The explicit midpoint method. Stratonovich; strong order 1/2, and 1 for commutative noise; ODE order 2.

Ruemelin (1982), SIAM J. Numer. Anal. 19(3). With F = f dt + g dW:

    ym = y0 + F(t0, y0) / 2
    y1 = y0 + F(t0 + dt / 2, ym)
"""

from equinox.internal import ω

from sdegrad.jax.methods.base import OneStep
from sdegrad.jax.types import Carried, Increment, Time, VectorField


class Midpoint(OneStep):
    def step(self, field: VectorField, t0: Time, t1: Time, dt: Time, dW: Increment, state: Carried) -> Carried:
        y0 = state
        F0 = field.increment(t0, y0, dt, dW)
        ym = (y0**ω + F0**ω / 2).ω
        F1 = field.increment((t0 + t1) / 2, ym, dt, dW)
        return (y0**ω + F1**ω).ω
