"""Reversible Heun. Stratonovich. Strong order 1 for additive noise, 1/2 in general (seen: 1 if commutative).

Kidger, Foster, Li and Lyons, Efficient and Accurate Gradients for Neural SDEs (2021), arXiv 2105.13493,
algorithms 1 and 2. One evaluation of (f, g) a step. The state is (z, f, g, zh), with f and g taken at zh.

The step is its own inverse, up to the signs of the increments: from t1 with (-dt, -dW) it returns to t0. For
y' = a y it stays bounded only for a dt in (-i, i): a stiff drift needs another method, or a smaller dt.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from sdegrad.torch.sde import Field, add_scaled_
from sdegrad.torch.types import Noise, Reversal, Scheme, SolverState, State, Time


def start(y0: State, f0: Any, g0: Any) -> SolverState:
    if g0 is None:
        raise ValueError("reversible_heun needs g itself: define g or f_and_g, or use another method.")
    return y0, f0, g0, y0


def step(field: Field, state: SolverState, t0: Time, t1: Time, dt: float, dW: Noise) -> SolverState:  # noqa: ARG001
    z0, f0, g0, zh0 = state
    k0 = field.combine(f0, g0, dt, dW)
    zh1 = (k0 - zh0).add_(z0, alpha=2)  # 2 z0 - zh0 + k0
    f1, g1 = field.f_and_g(t1, zh1)
    k1 = field.combine(f1, g1, dt, dW)
    z1 = torch.add(z0, k1.add_(k0), alpha=0.5)  # z0 + (k0 + k1) / 2
    return z1, f1, g1, zh1


def resume(field: Field, t: Time, state: SolverState) -> SolverState:
    z, _, _, zh = state
    zh = zh.detach()
    return z, *field.f_and_g(t, zh), zh


def pull(
    field: Field,
    vjp: Callable[..., Tensor],
    state: SolverState,
    adjoint: SolverState,
    t0: Time,
    t1: Time,
    dt: float,
    dW: Noise,
) -> tuple[SolverState, SolverState]:
    """The evaluation that undoes a step is also the one that the adjoint of the step before it differentiates."""
    _, f, g, zh = state
    a_z, a_f, a_g, a_zh = adjoint
    half_dW = 0.5 * dW
    add_scaled_(a_f, a_z, 0.5 * dt)
    a_g.add_(field.outer(a_z, half_dW))
    a_zh.add_(vjp((f, g), zh, (a_f, a_g)))
    a_z.add_(a_zh, alpha=2)
    before = step(field, state, t1, t0, -dt, -dW)
    return before, (a_z, a_z * (0.5 * dt), field.outer(a_z, half_dW), a_zh.neg_())


def finish(vjp: Callable[..., Tensor], state: SolverState, adjoint: SolverState) -> Tensor:
    _, f, g, zh = state
    a_z, a_f, a_g, a_zh = adjoint
    return a_z + a_zh + vjp((f, g), zh, (a_f, a_g))


SCHEME = Scheme(start, step, Reversal(resume, pull, finish))
