"""SRK: SRI2W1 for diagonal and scalar noise, SRA1 for additive noise. Ito; strong order 1.5.

Roessler (2010), SIAM J. Numer. Anal. 48(3). Where an entry of diagonal noise depends on other components than its
own, the order is 1/2. Three drifts and four diffusions a step.
"""

import math
from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp

from sdegrad.jax.bridge import LevyIncrement
from sdegrad.jax.methods.base import OneStep, tree
from sdegrad.jax.methods.sra1 import SRA1
from sdegrad.jax.sde import real
from sdegrad.jax.types import MatrixField, Method, Time

# Stages of the drift (0) and of the diffusion (1): nodes C, and the weights of the drifts (A) and diffusions (B).
C0, C1 = (0, 1, 1 / 2, 0), (0, 1 / 4, 1, 1 / 4)
A0 = ((), (1,), (1 / 4, 1 / 4), ())
A1 = ((), (1 / 4,), (1, 0), (0, 0, 1 / 4))
B0 = ((), (0,), (1, 1 / 2), ())
B1 = ((), (-1 / 2,), (1, 0), (2, -1, 1 / 2))
ALPHA = (1 / 6, 1 / 6, 2 / 3)
# The weights of the diffusions with I_1, I_11 / sqrt h, I_10 / h, I_111 / h.
BETA = ((-1, 4 / 3, 2 / 3, 0), (1, -4 / 3, 1 / 3, 0), (2, -4 / 3, -2 / 3, 0), (-2, 5 / 3, -2 / 3, 1))

_ROWS = tuple(sum(row) for row in B1)
_TOTALS = [sum(beta) for beta in BETA]
_SLOPES = [sum(b * row for b, row in zip(beta, _ROWS, strict=True)) for beta in BETA]
assert all(math.isclose(sum(A0[i]), C0[i]) and math.isclose(sum(A1[i]), C1[i]) for i in range(4))
assert math.isclose(sum(ALPHA), 1)
assert math.isclose(sum(a * sum(row) for a, row in zip(ALPHA, B0, strict=False)), 1)
assert all(abs(x - y) < 1e-15 for x, y in zip(_TOTALS + _SLOPES, (1, 0, 0, 0, 0, 1, 0, 0), strict=True))


def _sum(y: Any, weights: Sequence[float | int], values: Sequence[Any]) -> Any:
    for weight, value in zip(weights, values, strict=False):
        if weight:
            y = tree(lambda y, x, weight=weight: y + weight * x, y, value)
    return y


class SRI2W1(OneStep):
    levy_area = "space-time"
    smooth = False

    def step(self, field: MatrixField, t0: Time, t1: Time, dt: Time, dW: LevyIncrement, state: Any) -> Any:  # noqa: ARG002
        def integral(w: Any, h: Any, i: int) -> Any:
            dt_, root = real(dt, w), real(jnp.sqrt(dt), w)
            I = (w, (w * w - dt_) / (2 * root), w / 2 + h, (w * w * w - 3 * dt_ * w) / (6 * dt_))  # noqa: E741
            return sum(b[i] * x for b, x in zip(BETA, I, strict=True) if b[i])

        W, H = dW.W, dW.H
        mean = tree(lambda w, h: w / 2 + h, W, H)
        root = tree(lambda w: jnp.full_like(w, real(jnp.sqrt(dt), w)), W)
        drifts, mixed, scaled, y1 = [], [], [], state  # f h, g I_10 / h, g sqrt h
        for i in range(4):
            if i < 3:
                at = _sum(_sum(state, A0[i], drifts), B0[i], mixed)
                drifts.append(field.drift_increment(t0 + C0[i] * dt, at, dt))
            g = field.matrix(t0 + C1[i] * dt, _sum(_sum(state, A1[i], drifts), B1[i], scaled))
            mixed.append(field.product(g, mean))
            scaled.append(field.product(g, root))
            y1 = tree(jnp.add, y1, field.product(g, tree(lambda w, h, i=i: integral(w, h, i), W, H)))
        return _sum(y1, ALPHA, drifts)


def make(sde_type: str, noise_type: str) -> Method:  # noqa: ARG001
    return SRA1() if noise_type == "additive" else SRI2W1()
