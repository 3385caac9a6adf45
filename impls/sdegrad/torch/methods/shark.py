"""ShARK, the shifted additive-noise Runge-Kutta method. Ito and Stratonovich, for additive noise, strong order 1.5.

Foster, dos Reis and Strange, High order splitting methods for SDEs satisfying a commutativity condition,
arXiv 2210.17543. With the increment W and the space-time Levy area H.
"""

from typing import Any

from sdegrad.torch.sde import Field
from sdegrad.torch.types import Scheme, SolverState, SpaceTime, solution_only

C = 5 / 6
B = (2 / 5, 3 / 5)

assert sum(B) == 1
assert B[1] * C == 1 / 2


def step(field: Field, state: SolverState, t0: Any, t1: Any, dt: float, dW: SpaceTime) -> SolverState:
    (y,) = state
    W, H = dW
    mean = 0.5 * W + H
    k1 = field.drift(t0, y + field.noise(t0, y, H), dt)
    k2 = field.drift(t0 + C * dt, y + C * k1 + field.noise(t0, y, C * W + H), dt)
    return (y + B[0] * k1 + B[1] * k2 + field.noise(t0, y, mean) + field.noise(t1, y, W - mean),)


SCHEME = Scheme(solution_only, step, levy_area="space-time")
