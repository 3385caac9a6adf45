"""Euler-Heun: Euler for the drift, Heun for the noise. Stratonovich.

Strong order 1 for commutative noise, 1/2 for general noise. Kloeden and Platen, Numerical Solution of
Stochastic Differential Equations (1992), section 4.9.
"""

from sdegrad.torch.sde import VectorField
from sdegrad.torch.types import Noise, Scheme, SolverState, Time, solution_only


def step(field: VectorField, state: SolverState, t0: Time, t1: Time, dt: float, dW: Noise) -> SolverState:
    (y,) = state
    n0 = field.noise(t0, y, dW)
    n1 = field.noise(t1, y + n0, dW)
    return (y + field.drift(t0, y, dt) + 0.5 * (n0 + n1),)


SCHEME = Scheme(solution_only, step)
