"""ShARK, the shifted additive-noise Runge-Kutta method. Ito and Stratonovich, for additive noise, strong order 1.5.

Foster, dos Reis and Strange, High order splitting methods for SDEs satisfying a commutativity condition,
arXiv 2210.17543. With the increment W and the space-time Levy area H.
"""

from sdegrad import tableaux
from sdegrad.torch.sde import VectorField
from sdegrad.torch.types import Scheme, SolverState, SpaceTime, Time, solution_only

C, B = tableaux.SHARK.C, tableaux.SHARK.B


def step(field: VectorField, state: SolverState, t0: Time, t1: Time, dt: float, dW: SpaceTime) -> SolverState:
    (y,) = state
    W, H = dW
    g0, g1 = field.g(t0, y), field.g(t1, y)
    mean = 0.5 * W + H
    k1 = field.drift(t0, y + field.product(g0, H), dt)
    k2 = field.drift(t0 + C * dt, y + C * k1 + field.product(g0, C * W + H), dt)
    return (y + B[0] * k1 + B[1] * k2 + field.product(g0, mean) + field.product(g1, W - mean),)


SCHEME = Scheme(solution_only, step, levy_area="space-time")
