"""SRA1. Ito and Stratonovich, for additive noise; strong order 1.5.

Roessler (2010), SIAM J. Numer. Anal. 48(3). With W and the space-time Levy area H, W/2 + H stands for its I_(1,0)/h.
"""

from typing import Any

from sdegrad import tableaux
from sdegrad.jax.brownian.levy import LevyIncrement
from sdegrad.jax.methods.base import OneStep, tree
from sdegrad.jax.types import Field, Time

C, B = tableaux.SRA1.C, tableaux.SRA1.B


class SRA1(OneStep):
    levy_area = "space-time"
    smooth = False

    def step(self, field: Field, t0: Time, t1: Time, dt: Time, dW: LevyIncrement, state: Any) -> Any:
        mean = tree(lambda w, h: w / 2 + h, dW.W, dW.H)
        middle = field.noise_increment(t1, state, tree(lambda m: 2 * C * m, mean))
        end = field.noise_increment(t0, state, mean)
        rest = field.noise_increment(t1, state, tree(lambda w, m: w - m, dW.W, mean))
        k1 = field.drift_increment(t0, state, dt)
        k2 = field.drift_increment(t0 + C * dt, tree(lambda y, k, g: y + C * k + g, state, k1, middle), dt)
        return tree(lambda y, k1, k2, n0, n1: y + B[0] * k1 + B[1] * k2 + n0 + n1, state, k1, k2, end, rest)
