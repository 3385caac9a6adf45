"""Heun (the trapezoidal rule). Stratonovich. Strong order 1 for commutative noise, 1/2 for general noise.

Burrage, Burrage and Tian, Numerical methods for strong solutions of stochastic differential equations: an
overview, Proc. R. Soc. Lond. A 460 (2004), 373-402.
"""

from sdegrad.torch.sde import VectorField
from sdegrad.torch.types import Noise, Scheme, SolverState, Time, solution_only


def step(field: VectorField, state: SolverState, t0: Time, t1: Time, dt: float, dW: Noise) -> SolverState:
    (y,) = state
    k0 = field.increment(t0, y, dt, dW)
    k1 = field.increment(t1, y + k0, dt, dW)
    return (y + 0.5 * (k0 + k1),)


SCHEME = Scheme(solution_only, step)
