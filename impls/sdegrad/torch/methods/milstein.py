"""Milstein. Ito and Stratonovich. Strong order 1, for diagonal, scalar and additive noise.

Kloeden and Platen, Numerical Solution of Stochastic Differential Equations (1992), section 10.3; with `grad_free` a
difference in place of the derivative, section 11.1. Where an entry of diagonal noise depends on other components than
its own, the order is 1/2; the calculus is right even there, but for `grad_free` in the Stratonovich case.
"""

from torch import Tensor

from sdegrad.torch.derivative import with_derivative
from sdegrad.torch.methods import euler
from sdegrad.torch.sde import VectorField
from sdegrad.torch.types import Noise, Scheme, SolverState, Time, solution_only


def step_ito(field: VectorField, state: SolverState, t0: Time, t1: Time, dt: float, dW: Noise) -> SolverState:  # noqa: ARG001
    (y,) = state
    v = dW * dW - dt
    g, dg = with_derivative(lambda y: field.entries(t0, y), y, lambda g: [(g, g * v)])
    return (y + field.drift(t0, y, dt) + g * dW + 0.5 * dg,)


def step_stratonovich(field: VectorField, state: SolverState, t0: Time, t1: Time, dt: float, dW: Noise) -> SolverState:  # noqa: ARG001
    (y,) = state
    n, dn = with_derivative(lambda y: field.noise(t0, y, dW), y, lambda n: [(n, n)])
    return (y + field.drift(t0, y, dt) + n + 0.5 * dn,)


def step_ito_grad_free(field: VectorField, state: SolverState, t0: Time, t1: Time, dt: float, dW: Noise) -> SolverState:  # noqa: ARG001
    (y,) = state
    k = field.drift(t0, y, dt)
    return (y + k + _without_derivative(field, t0, y, k, dt, dW, dW * dW - dt),)


def step_stratonovich_grad_free(
    field: VectorField,
    state: SolverState,
    t0: Time,
    t1: Time,  # noqa: ARG001
    dt: float,
    dW: Noise,
) -> SolverState:
    (y,) = state
    return (y + field.drift(t0, y, dt) + _without_derivative(field, t0, y, 0.0, dt, dW, dW * dW),)


def _without_derivative(
    field: VectorField, t0: Time, y: Tensor, k: Tensor | float, dt: float, dW: Tensor, v: Tensor
) -> Tensor:
    """g dW + (g(y + k + g sqrt dt) - g) v / (2 sqrt dt)."""
    root = dt**0.5
    g = field.entries(t0, y)
    return g * dW + (field.entries(t0, y + k + g * root) - g) * (v / (2 * root))


def scheme(sde_type: str, noise_type: str, *, grad_free: object = False) -> Scheme:
    """The scheme for these types. grad_free: two evaluations of the diffusion in place of one and its derivative."""
    if noise_type == "additive":
        return euler.SCHEME  # nothing to differentiate
    if grad_free not in (False, True):
        raise ValueError(f"the option grad_free of milstein must be True or False, got {grad_free!r}.")
    steps = {
        ("ito", False): step_ito,
        ("ito", True): step_ito_grad_free,
        ("stratonovich", False): step_stratonovich,
        ("stratonovich", True): step_stratonovich_grad_free,
    }
    return Scheme(solution_only, steps[sde_type, bool(grad_free)])
