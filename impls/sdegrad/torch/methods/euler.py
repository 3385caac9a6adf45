"""Euler-Maruyama. Ito. Strong order 1/2; 1 for additive noise.

Kloeden and Platen, Numerical Solution of Stochastic Differential Equations (1992), equation (10.2.4).
"""

from sdegrad.torch.sde import VectorField
from sdegrad.torch.types import Noise, Scheme, SolverState, Time, solution_only


def step(field: VectorField, state: SolverState, t0: Time, t1: Time, dt: float, dW: Noise) -> SolverState:  # noqa: ARG001
    (y,) = state
    return (y + field.increment(t0, y, dt, dW),)


SCHEME = Scheme(solution_only, step)
