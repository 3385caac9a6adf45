"""Euler-Maruyama. Ito. Strong order 1/2; 1 for additive noise.

Kloeden and Platen, Numerical Solution of Stochastic Differential Equations (1992), equation (10.2.4).
"""

from typing import Any

from sdegrad.torch.sde import VectorField
from sdegrad.torch.types import Scheme, SolverState, solution_only


def step(field: VectorField, state: SolverState, t0: Any, t1: Any, dt: float, dW: Any) -> SolverState:  # noqa: ARG001
    (y,) = state
    return (y + field.increment(t0, y, dt, dW),)


SCHEME = Scheme(solution_only, step)
