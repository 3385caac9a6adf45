"""Reversible Heun. Stratonovich. Strong order 1 for additive noise, 1/2 in general (seen: 1 if commutative).

Kidger, Foster, Li and Lyons, Efficient and Accurate Gradients for Neural SDEs (2021), arXiv 2105.13493,
algorithms 1 and 2. One evaluation of (f, g) a step. The state is (z, f, g, zh), with f and g taken at zh.

The step is its own inverse, up to the signs of the increments: from t1 with (-dt, -dW) it returns to t0. For
y' = a y it stays bounded only for a dt in (-i, i): a stiff drift needs another method, or a smaller dt.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from sdegrad.torch.sde import VectorField, add_scaled, add_scaled_
from sdegrad.torch.types import Noise, Reversal, Scheme, SolverState, State, Time

Vjp = Callable[..., Tensor]


def start(y0: State, f0: Tensor, g0: Tensor | None) -> SolverState:
    if g0 is None:
        raise ValueError("reversible_heun needs g itself: define g or f_and_g, or use another method.")
    return y0, f0, g0, y0


def step(field: VectorField, state: SolverState, t0: Time, t1: Time, dt: float, dW: Noise) -> SolverState:  # noqa: ARG001
    """Algorithm 1 of the paper. `_fused_step` computes the same, and is what `SCHEME` uses."""
    z0, f0, g0, zh0 = state
    zh1 = 2 * z0 - zh0 + f0 * dt + field.product(g0, dW)
    f1, g1 = field.f_and_g(t1, zh1)
    z1 = z0 + 0.5 * (f0 + f1) * dt + 0.5 * field.product(g0 + g1, dW)
    return z1, f1, g1, zh1


def _fused_step(field: VectorField, state: SolverState, t0: Time, t1: Time, dt: float, dW: Noise) -> SolverState:  # noqa: ARG001
    """`step` to round-off, with the fewest passes over memory, which are what costs with many paths."""
    z0, f0, _, _ = state
    return _from(add_scaled(_wide(z0), f0, 0.5 * dt), field, state, t1, dt, dW, 0.5)


def _from(z: State, field: VectorField, state: SolverState, t: Time, dt: float, dW: Noise, half: float) -> SolverState:
    """The state at t, from z = z0 + half f0 dt, which is overwritten; half: 1/2, or -1/2 for the inverse step."""
    _, _, g0, zh0 = state
    z = field.add_product_(z, g0, dW, half)  # z0 + (f0 dt + g0 dW) / 2
    zh1 = _as(zh0, torch.lerp(_wide(zh0), z, 2.0))  # 2 z0 - zh0 + f0 dt + g0 dW
    f1, g1 = field.f_and_g(t, zh1)
    z1 = field.add_product_(add_scaled_(z, f1, half * dt), g1, dW, half)
    return _as(zh0, z1), f1, g1, zh1


def _wide(x: Tensor) -> Tensor:
    """Sums are taken in float32 at least, and rounded to half precision once."""
    return x.float() if x.dtype.itemsize < 4 else x


def _as(like: Tensor, x: Tensor) -> Tensor:
    return x if x.dtype == like.dtype else x.to(like.dtype)


def resume(field: VectorField, t: Time, state: SolverState) -> SolverState:
    z, _, _, zh = state
    zh = zh.detach()
    return z.clone(), *field.f_and_g(t, zh), zh


def pull(
    field: VectorField, vjp: Vjp, state: SolverState, adjoint: SolverState, t0: Time, _t1: Time, dt: float, dW: Noise
) -> tuple[SolverState, SolverState]:
    """Algorithm 2. The evaluation that undoes a step is the one that the adjoint of the step before differentiates."""
    z, f, g, zh = state
    a_z, a_f, a_g, a_zh = adjoint
    add_scaled_(a_f, a_z, 0.5 * dt)
    field.add_outer_(a_g, a_z, dW, 0.5)
    a_zh.add_(vjp((f, g), zh, (a_f, a_g)))
    a_z.add_(a_zh, alpha=2)
    add_scaled_(a_f.zero_(), a_z, 0.5 * dt)
    field.add_outer_(a_g.zero_(), a_z, dW, 0.5)
    z = add_scaled_(_wide(z), f, -0.5 * dt)
    return _from(z, field, state, t0, dt, dW, -0.5), (a_z, a_f, a_g, a_zh.neg_())


def finish(vjp: Vjp, state: SolverState, adjoint: SolverState) -> Tensor:
    _, f, g, zh = state
    a_z, a_f, a_g, a_zh = adjoint
    return a_z + a_zh + vjp((f, g), zh, (a_f, a_g))


SCHEME = Scheme(start, _fused_step, Reversal(resume, pull, finish, tells=True), copy=3)
