"""SRA1. Ito and Stratonovich, for additive noise; strong order 1.5.

Roessler (2010), SIAM J. Numer. Anal. 48(3). With W and the space-time Levy area H, W/2 + H stands for its I_(1,0)/h.
"""

from equinox.internal import ω

from sdegrad import tableaux
from sdegrad.jax.brownian.levy import LevyIncrement
from sdegrad.jax.methods.base import OneStep
from sdegrad.jax.types import Carried, Time, VectorField

C, B = tableaux.SRA1.C, tableaux.SRA1.B


class SRA1(OneStep):
    levy_area = "space-time"
    smooth = False

    def step(self, field: VectorField, t0: Time, t1: Time, dt: Time, dW: LevyIncrement, state: Carried) -> Carried:
        y0, W, H = state**ω, dW.W**ω, dW.H**ω
        mean = W / 2 + H
        middle = field.noise_increment(t1, state, (2 * C * mean).ω) ** ω
        n0 = field.noise_increment(t0, state, mean.ω) ** ω
        n1 = field.noise_increment(t1, state, (W - mean).ω) ** ω
        k1 = field.drift_increment(t0, state, dt) ** ω
        k2 = field.drift_increment(t0 + C * dt, (y0 + C * k1 + middle).ω, dt) ** ω
        return (y0 + B[0] * k1 + B[1] * k2 + n0 + n1).ω
