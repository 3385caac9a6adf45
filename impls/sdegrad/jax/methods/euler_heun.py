"""Euler-Heun: Euler in the drift, Heun in the noise. Stratonovich; strong order 1/2, and 1 for commutative
noise.

Kloeden and Platen (1992), equation (15.5.18) without its drift corrector:

    yh = y0 + g(t0, y0) dW
    y1 = y0 + f(t0, y0) dt + (g(t0, y0) + g(t1, yh)) dW / 2
"""

from equinox.internal import ω

from sdegrad.jax.methods.base import OneStep
from sdegrad.jax.types import Carried, Increment, Time, VectorField


class EulerHeun(OneStep):
    def step(self, field: VectorField, t0: Time, t1: Time, dt: Time, dW: Increment, state: Carried) -> Carried:
        y0 = state
        f = field.drift_increment(t0, y0, dt)
        g0 = field.noise_increment(t0, y0, dW)
        yh = (y0**ω + g0**ω).ω
        g1 = field.noise_increment(t1, yh, dW)
        return (y0**ω + f**ω + (g0**ω + g1**ω) / 2).ω
