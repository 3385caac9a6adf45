"""SRK: SRI2W1 for diagonal and scalar noise, SRA1 for additive noise. Ito. Strong order 1.5.

Roessler, Runge-Kutta methods for the strong approximation of solutions of stochastic differential equations, SIAM J.
Numer. Anal. 48 (2010), 922-952. Where an entry of diagonal noise depends on other components than its own, the
order is 1/2. Three drifts and four diffusions a step.
"""

from collections.abc import Sequence

from torch import Tensor

from sdegrad.tableaux import SRI2W1 as TABLEAU
from sdegrad.torch.methods import sra1
from sdegrad.torch.sde import VectorField
from sdegrad.torch.types import Scheme, SolverState, SpaceTime, Time, solution_only


def _sum(y: Tensor, weights: Sequence[float | int], values: Sequence[Tensor]) -> Tensor:
    for weight, value in zip(weights, values, strict=False):
        if weight:
            y = y.add(value, alpha=weight)
    return y


def step(field: VectorField, state: SolverState, t0: Time, t1: Time, dt: float, dW: SpaceTime) -> SolverState:  # noqa: ARG001
    (y,) = state
    W, root = dW.W, dt**0.5
    I1, I11, I10, I111 = W, (W * W - dt) / (2 * root), 0.5 * W + dW.H, (W * W * W - (3 * dt) * W) / (6 * dt)
    drifts, mixed, scaled, y1 = [], [], [], y  # f h, g I_10 / h, g sqrt h
    for i in range(4):
        if i < 3:
            drifts.append(
                field.drift(t0 + TABLEAU.C0[i] * dt, _sum(_sum(y, TABLEAU.A0[i], drifts), TABLEAU.B0[i], mixed), dt)
            )
            y1 = y1.add(drifts[i], alpha=TABLEAU.alpha[i])
        g = field.entries(t0 + TABLEAU.C1[i] * dt, _sum(_sum(y, TABLEAU.A1[i], drifts), TABLEAU.B1[i], scaled))
        mixed.append(g * I10)
        scaled.append(g * root)
        y1 = y1 + g * sum(b[i] * x for b, x in zip(TABLEAU.beta, (I1, I11, I10, I111), strict=True) if b[i])
    return (y1,)


def scheme(sde_type: str, noise_type: str) -> Scheme:  # noqa: ARG001
    return sra1.SCHEME if noise_type == "additive" else Scheme(solution_only, step, levy_area="space-time")
