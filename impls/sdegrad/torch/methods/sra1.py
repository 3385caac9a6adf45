"""SRA1. Ito and Stratonovich, for additive noise, of strong order 1.5.

Roessler, Runge-Kutta methods for the strong approximation of solutions of stochastic differential equations, SIAM J.
Numer. Anal. 48 (2010), 922-952. With W and the space-time Levy area H, U/h = W/2 + H stands for its I_(1,0)/h.
"""

from sdegrad import tableaux
from sdegrad.torch.sde import VectorField
from sdegrad.torch.types import Scheme, SolverState, SpaceTime, Time, solution_only

C, B = tableaux.SRA1.C, tableaux.SRA1.B


def step(field: VectorField, state: SolverState, t0: Time, t1: Time, dt: float, dW: SpaceTime) -> SolverState:
    (y,) = state
    mean = 0.5 * dW.W + dW.H
    k1 = field.drift(t0, y, dt)
    k2 = field.drift(t0 + C * dt, y + C * k1 + field.noise(t1, y, 2 * C * mean), dt)
    return (y + B[0] * k1 + B[1] * k2 + field.noise(t0, y, mean) + field.noise(t1, y, dW.W - mean),)


SCHEME = Scheme(solution_only, step, levy_area="space-time")
