"""SRK: SRI2W1 for diagonal and scalar noise, SRA1 for additive noise. Ito. Strong order 1.5.

Roessler, Runge-Kutta methods for the strong approximation of solutions of stochastic differential equations, SIAM J.
Numer. Anal. 48 (2010), 922-952. Where an entry of diagonal noise depends on other components than its own, the
order is 1/2. Three drifts and four diffusions a step.
"""

import math
from collections.abc import Sequence
from typing import Any

from torch import Tensor

from sdegrad.torch.methods import sra1
from sdegrad.torch.sde import Field
from sdegrad.torch.types import Scheme, SolverState, SpaceTime, solution_only

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


def _sum(y: Tensor, weights: Sequence[float | int], values: Sequence[Tensor]) -> Tensor:
    for weight, value in zip(weights, values, strict=False):
        if weight:
            y = y.add(value, alpha=weight)
    return y


def step(field: Field, state: SolverState, t0: Any, t1: Any, dt: float, dW: SpaceTime) -> SolverState:  # noqa: ARG001
    (y,) = state
    W, root = dW.W, dt**0.5
    I1, I11, I10, I111 = W, (W * W - dt) / (2 * root), 0.5 * W + dW.H, (W * W * W - (3 * dt) * W) / (6 * dt)
    drifts, mixed, scaled, y1 = [], [], [], y  # f h, g I_10 / h, g sqrt h
    for i in range(4):
        if i < 3:
            drifts.append(field.drift(t0 + C0[i] * dt, _sum(_sum(y, A0[i], drifts), B0[i], mixed), dt))
            y1 = y1.add(drifts[i], alpha=ALPHA[i])
        g = field.entries(t0 + C1[i] * dt, _sum(_sum(y, A1[i], drifts), B1[i], scaled))
        mixed.append(g * I10)
        scaled.append(g * root)
        y1 = y1 + g * sum(b[i] * x for b, x in zip(BETA, (I1, I11, I10, I111), strict=True) if b[i])
    return (y1,)


def scheme(sde_type: str, noise_type: str) -> Scheme:  # noqa: ARG001
    return sra1.SCHEME if noise_type == "additive" else Scheme(solution_only, step, levy_area="space-time")
