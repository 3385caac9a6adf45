"""SRK: SRI2W1 for diagonal and scalar noise, SRA1 for additive noise. Ito; strong order 1.5.

Roessler (2010), SIAM J. Numer. Anal. 48(3). Where an entry of diagonal noise depends on other components than its
own, the order is 1/2. Three drifts and four diffusions a step.
"""

from collections.abc import Sequence

import jax.numpy as jnp
from equinox.internal import ω
from jaxtyping import Array

from sdegrad.jax.brownian.levy import LevyIncrement
from sdegrad.jax.methods.base import OneStep, tree
from sdegrad.jax.methods.sra1 import SRA1
from sdegrad.jax.sde import real
from sdegrad.jax.types import Carried, MatrixField, Method, Time, Y
from sdegrad.tableaux import SRI2W1 as TABLEAU


def _sum(y: Y, weights: Sequence[float | int], values: Sequence[Y]) -> Y:
    for weight, value in zip(weights, values, strict=False):
        if weight:
            y = (y**ω + weight * value**ω).ω
    return y


class SRI(OneStep):
    levy_area = "space-time"
    smooth = False

    def step(self, field: MatrixField, t0: Time, t1: Time, dt: Time, dW: LevyIncrement, state: Carried) -> Carried:  # noqa: ARG002
        def integral(w: Array, h: Array, i: int) -> Array | int:
            dt_, root = real(dt, w), real(jnp.sqrt(dt), w)
            I = (w, (w * w - dt_) / (2 * root), w / 2 + h, (w * w * w - 3 * dt_ * w) / (6 * dt_))  # noqa: E741
            return sum(b[i] * x for b, x in zip(TABLEAU.beta, I, strict=True) if b[i])

        W, H = dW.W, dW.H
        mean = (W**ω / 2 + H**ω).ω
        root = tree(lambda w: jnp.full_like(w, real(jnp.sqrt(dt), w)), W)
        drifts, mixed, scaled, y1 = [], [], [], state  # f h, g I_10 / h, g sqrt h
        for i in range(4):
            if i < 3:
                at = _sum(_sum(state, TABLEAU.A0[i], drifts), TABLEAU.B0[i], mixed)
                drifts.append(field.drift_increment(t0 + TABLEAU.C0[i] * dt, at, dt))
            g = field.matrix(t0 + TABLEAU.C1[i] * dt, _sum(_sum(state, TABLEAU.A1[i], drifts), TABLEAU.B1[i], scaled))
            mixed.append(field.product(g, mean))
            scaled.append(field.product(g, root))
            noise = field.product(g, tree(lambda w, h, i=i: integral(w, h, i), W, H))
            y1 = (y1**ω + noise**ω).ω
        return _sum(y1, TABLEAU.alpha, drifts)


def make(sde_type: str, noise_type: str) -> Method:  # noqa: ARG001
    return SRA1() if noise_type == "additive" else SRI()
