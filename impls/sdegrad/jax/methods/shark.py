"""ShARK, the shifted additive-noise Runge-Kutta method. Ito and Stratonovich, for additive noise; strong order 1.5.

Foster, dos Reis, Strange (2022), arXiv 2210.17543, equation (6.1), with g at both ends of the step where it depends
on time. With the increment W and the space-time Levy area H.
"""

from equinox.internal import ω

from sdegrad import tableaux
from sdegrad.jax.brownian.levy import LevyIncrement
from sdegrad.jax.methods.base import OneStep
from sdegrad.jax.types import Carried, MatrixField, Time

C, B = tableaux.SHARK.C, tableaux.SHARK.B


class ShARK(OneStep):
    levy_area = "space-time"
    smooth = False

    def step(self, field: MatrixField, t0: Time, t1: Time, dt: Time, dW: LevyIncrement, state: Carried) -> Carried:
        g0, g1 = field.matrix(t0, state), field.matrix(t1, state)
        y0, W, H = state**ω, dW.W**ω, dW.H**ω
        start = field.product(g0, dW.H) ** ω
        middle = field.product(g0, (C * W + H).ω) ** ω
        n0 = field.product(g0, (W / 2 + H).ω) ** ω
        n1 = field.product(g1, (W / 2 - H).ω) ** ω
        k1 = field.drift_increment(t0, (y0 + start).ω, dt) ** ω
        k2 = field.drift_increment(t0 + C * dt, (y0 + C * k1 + middle).ω, dt) ** ω
        return (y0 + B[0] * k1 + B[1] * k2 + n0 + n1).ω
