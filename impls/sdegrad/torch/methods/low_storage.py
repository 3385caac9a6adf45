"""Runge-Kutta methods in the two registers of Williamson's 2N form: k <- a k + F(t + c h, y); y <- y + b k.

Williamson, Low-storage Runge-Kutta schemes, J. Comput. Phys. 35 (1980), 48-56. F = f dt + g dW, so Stratonovich.

Those that are effectively symmetric are nearly reversible: the step with (-dt, -dW) leads back to the start but for a
high power of the step. The adjoint differentiates the step there exactly, and so is as near to that of the solution.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from sdegrad import tableaux
from sdegrad.torch.sde import VectorField
from sdegrad.torch.types import Noise, Reversal, Scheme, SolverState, Time, solution_only


def low_storage(tableau: tableaux.LowStorage) -> Scheme:
    """The scheme with these coefficients."""
    stages = tuple(zip(tableau.A, tableau.B, tableau.C, strict=True))

    def step(field: VectorField, state: SolverState, t0: Time, t1: Time, dt: float, dW: Noise) -> SolverState:  # noqa: ARG001
        (y,), k = state, None
        for a, b, c in stages:
            F = field.increment(t0 + c * dt, y, dt, dW)
            k = F if k is None else a * k + F
            y = y + b * k
        return (y,)

    def pull(
        field: VectorField,
        vjp: Callable[..., Tensor],
        after: SolverState,
        adjoint: SolverState,
        t0: Time,
        t1: Time,
        dt: float,
        dW: Noise,
    ) -> tuple[SolverState, SolverState]:
        (y,) = step(field, (after[0].detach(),), t1, t0, -dt, -dW)
        with torch.enable_grad():
            (forth,) = step(field, (y.requires_grad_(),), t0, t1, dt, dW)
        return (y,), (vjp((forth,), y, adjoint),)

    reversal = Reversal(lambda field, t1, state: state, pull, lambda vjp, state, adjoint: adjoint[0], exact=False)
    return Scheme(solution_only, step, reversal)
