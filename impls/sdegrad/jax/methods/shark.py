"""ShARK, the shifted additive-noise Runge-Kutta method. Ito and Stratonovich, for additive noise; strong order 1.5.

Foster, dos Reis, Strange (2022), arXiv 2210.17543, equation (6.1), with g at both ends of the step where it depends
on time. With the increment W and the space-time Levy area H.
"""

from typing import Any

from sdegrad import tableaux
from sdegrad.jax.brownian.levy import LevyIncrement
from sdegrad.jax.methods.base import OneStep, tree
from sdegrad.jax.types import MatrixField, Time

C, B = tableaux.SHARK.C, tableaux.SHARK.B


class ShARK(OneStep):
    levy_area = "space-time"
    smooth = False

    def step(self, field: MatrixField, t0: Time, t1: Time, dt: Time, dW: LevyIncrement, state: Any) -> Any:
        g0, g1 = field.matrix(t0, state), field.matrix(t1, state)
        start = field.product(g0, dW.H)
        middle = field.product(g0, tree(lambda w, h: C * w + h, dW.W, dW.H))
        end = field.product(g0, tree(lambda w, h: w / 2 + h, dW.W, dW.H))
        rest = field.product(g1, tree(lambda w, h: w / 2 - h, dW.W, dW.H))
        k1 = field.drift_increment(t0, tree(lambda y, g: y + g, state, start), dt)
        k2 = field.drift_increment(t0 + C * dt, tree(lambda y, k, g: y + C * k + g, state, k1, middle), dt)
        return tree(lambda y, k1, k2, n0, n1: y + B[0] * k1 + B[1] * k2 + n0 + n1, state, k1, k2, end, rest)
