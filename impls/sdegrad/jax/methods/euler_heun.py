"""Euler-Heun: Euler in the drift, Heun in the noise. Stratonovich; strong order 1/2, and 1 for commutative
noise.

Kloeden and Platen (1992), equation (15.5.18) without its drift corrector:

    yh = y0 + g(t0, y0) dW
    y1 = y0 + f(t0, y0) dt + (g(t0, y0) + g(t1, yh)) dW / 2
"""

from typing import Any

from sdegrad.jax.methods.base import OneStep, tree
from sdegrad.jax.types import Field, Time


class EulerHeun(OneStep):
    def step(self, field: Field, t0: Time, t1: Time, dt: Time, dW: Any, state: Any) -> Any:
        f = field.drift_increment(t0, state, dt)
        g0 = field.noise_increment(t0, state, dW)
        g1 = field.noise_increment(t1, tree(lambda y, g: y + g, state, g0), dW)
        return tree(lambda y, f, g0, g1: y + f + (g0 + g1) / 2, state, f, g0, g1)
