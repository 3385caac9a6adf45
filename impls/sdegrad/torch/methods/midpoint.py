"""The explicit midpoint rule. Stratonovich. Strong order 1 for commutative noise, 1/2 for general noise.

Burrage, Burrage and Tian, Numerical methods for strong solutions of stochastic differential equations: an
overview, Proc. R. Soc. Lond. A 460 (2004), 373-402.
"""

from sdegrad.torch.sde import VectorField
from sdegrad.torch.types import Noise, Scheme, SolverState, Time, solution_only


def step(field: VectorField, state: SolverState, t0: Time, t1: Time, dt: float, dW: Noise) -> SolverState:  # noqa: ARG001
    (y,) = state
    k0 = field.increment(t0, y, dt, dW)
    return (y + field.increment(t0 + 0.5 * dt, y + 0.5 * k0, dt, dW),)


SCHEME = Scheme(solution_only, step)
