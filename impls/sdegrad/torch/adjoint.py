"""Gradients through the solver itself: by autograd, by autograd with checkpoints, and exactly by reversal.

All three give the gradient of the numerical solution, and so agree to round-off. Their memory grows with the
number n of steps like n (backprop), like sqrt(n) (checkpoint), not at all (reversible).
"""

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.utils.checkpoint import checkpoint as recompute

from sdegrad.torch.types import Outputs, State
from sdegrad.torch.walk import Solve

# Relative distance of the reconstructed from the true initial state above which the gradient is in doubt.
DRIFT_LIMIT = {torch.float64: 1e-6, torch.float32: 1e-3}


def backprop(solve: Solve, y0: State) -> Outputs:
    return solve.run(y0)[0]


def checkpoint(solve: Solve, y0: State) -> Outputs:
    """Keep the state at about sqrt(n) of the n steps, and compute the steps between two of them once more."""
    steps = solve.walk.grid.steps
    length = math.isqrt(steps - 1) + 1
    ys, state = solve.begin(y0)
    for start in range(0, steps, length):
        later, state = recompute(solve.advance, state, start, min(start + length, steps), use_reentrant=False)
        ys += later
    return torch.stack(ys)


def reversible(solve: Solve, y0: State, params: Sequence[Tensor]) -> Outputs:
    """The solution, whose backward pass retraces the steps exactly; between the outputs nothing is stored.

    Exact to round-off, which on the way back grows exponentially in (Lipschitz constant x time span): a
    warning says when the way back does not end at the initial state. Differentiable once.
    """
    return _Reversible.apply(solve, y0, *params)  # pyright: ignore[reportReturnType]


class Accumulator:
    """Vector-Jacobian products whose parts in `params` are summed up in `totals`."""

    def __init__(self, params: Sequence[Tensor]) -> None:
        self.params = params
        self.totals = [torch.zeros_like(p) for p in params]

    def vjp(self, outputs: Sequence[Tensor], y: Tensor, cotangents: Sequence[Tensor]) -> Tensor:
        """The part in `y`. Outputs that depend on nothing (constant noise, say) contribute nothing."""
        pairs = [(o, c) for o, c in zip(outputs, cotangents, strict=True) if o.requires_grad]
        if not pairs:
            return torch.zeros_like(y)
        live, weights = zip(*pairs, strict=True)
        grad, *grads = torch.autograd.grad(live, (y, *self.params), weights, materialize_grads=True)
        for total, part in zip(self.totals, grads, strict=True):
            total += part
        return grad


def recorded(f_and_g: Callable[..., Any]) -> Callable[..., Any]:
    """The same, with `y` made a leaf and the graph kept, inside a pass that runs without gradients."""

    def record(t: Tensor, y: Tensor) -> Any:
        with torch.enable_grad():
            return f_and_g(t, y.requires_grad_())

    return record


class _Reversible(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, solve: Solve, y0: Tensor, *params: Tensor) -> Tensor:
        ys, (z, zh, *_) = solve.run(y0)
        ctx.solve = solve
        ctx.save_for_backward(y0, z, zh, *params)
        return ys

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_ys: Tensor) -> tuple[Tensor | None, ...]:
        y0, z, zh, *params = ctx.saved_tensors
        gradients = Accumulator(params)
        grad_y0, reached = _retrace(ctx.solve, z, zh.detach(), grad_ys, gradients)
        _check_return(y0, reached, z)
        return None, grad_y0, *gradients.totals


def _retrace(solve: Solve, z: Tensor, zh: Tensor, grad_ys: Tensor, gradients: Accumulator) -> tuple[Tensor, Tensor]:
    """Undo the steps from (z, zh) at the end; return the gradient in y0, and y0 as it was arrived at.

    The adjoint has the layout of the state, (z, zh, f, g). The evaluation that undoes a step is also the one
    that the adjoint of the step before it differentiates.
    """
    step, pull, walk = solve.scheme.step, solve.scheme.pull, solve.walk
    assert pull is not None
    field = replace(solve.field, f_and_g=recorded(solve.field.f_and_g))
    state = (z, zh, *field.f_and_g(next(walk.times([walk.grid.steps])), zh))
    adjoint = tuple(torch.zeros_like(x) for x in state)
    weights = solve.weights()
    for k, t0, t1, dt, dW in walk.backward():
        for i, w in weights.get(k + 1, ()):
            adjoint[0].add_(grad_ys[i], alpha=w)
        adjoint = pull(field, gradients.vjp, state, adjoint, dt, dW)
        state = step(field, state, t1, t0, -dt, -dW)

    a_z, a_zh, a_f, a_g = adjoint  # at t0, where z and zh are y0, and f and g are evaluated there
    z, zh, f, g = state
    a_y0 = a_z + a_zh + gradients.vjp((f, g), zh, (a_f, a_g))
    for i, w in weights.get(0, ()):
        a_y0.add_(grad_ys[i], alpha=w)
    return a_y0, z


def _check_return(y0: Tensor, reached: Tensor, end: Tensor) -> None:
    scale = torch.maximum(y0.abs().max(), end.abs().max())
    distance, limit = (reached - y0).abs().max(), DRIFT_LIMIT.get(y0.dtype, 0.1)
    if not distance <= limit * scale:
        warnings.warn(
            "the way back of the reversible adjoint ended off the initial state, by "
            f"{float(distance / scale):.1e} (relative; {limit:.0e} is accepted in {y0.dtype}). The gradients "
            'are about as inexact: use a smaller dt, float64, or adjoint="checkpoint" or "backprop".',
            stacklevel=2,
        )
