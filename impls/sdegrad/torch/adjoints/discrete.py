"""Gradients through the solver itself: by autograd, by autograd with checkpoints, and exactly by reversal.

All three give the gradient of the numerical solution, and so agree to round-off. Their memory grows with the
number n of steps like n (backprop), like sqrt(n) (checkpoint: the tensors; of what autograd records beside them a few
kilobytes a step stay, so that small states grow like n too), not at all (reversible).
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint as recompute
from torch.utils.checkpoint import set_checkpoint_early_stop

from sdegrad.torch.adjoints.replay import REMEDY, returns, without_hooks
from sdegrad.torch.returned import differ
from sdegrad.torch.stepping.fixed import Solve
from sdegrad.torch.types import Context, Form, Outputs, SolverState, State
from sdegrad.torch.warn import warn

# Relative distance of the reconstructed from the true initial state above which the gradient is in doubt.
DRIFT_LIMIT = {torch.float64: 1e-6, torch.float32: 1e-3}
ENTRY = 10.0  # times that, for a single entry relative to its own size: the largest rounding of many is random
KNOWN = 0.01  # part of its size from which on an entry that starts there is not small by chance: its size is known
NEAR_LIMIT = 1e-3  # at least, for a method that is only nearly reversible


def backprop(solve: Solve, y0: State) -> tuple[Outputs, SolverState]:
    """Returns (outputs [outputs, *paths, dim], state at the end), as all adjoints do; autograd keeps every step."""
    return solve.run(y0)


def checkpoint(solve: Solve, y0: State) -> tuple[Outputs, SolverState]:
    """Keep the state at about sqrt(n) of the n steps, and compute the steps between two of them again when needed."""
    steps = solve.steps.grid.steps
    length = math.isqrt(steps - 1) + 1
    ys, state = solve.begin(y0)
    with set_checkpoint_early_stop(False):  # so that the end is reached again, and compared
        for start in range(0, steps, length):
            stop = min(start + length, steps)
            later, state = recompute(_Segment(solve), state, start, stop, use_reentrant=False)
            ys += later
    solve.kept.settle()
    return torch.stack(ys), state


class _Segment:
    """Some steps, which must end at the same state when they are computed again."""

    def __init__(self, solve: Solve) -> None:
        self._solve, self._end = solve, None

    def __call__(self, state: SolverState, start: int, stop: int) -> tuple[list[Tensor], SolverState]:
        if self._end is None:
            ys, state = self._solve.advance(state, start, stop)
            self._end = [x.detach() for x in state]
            return ys, state
        with self._solve.kept.restored():
            ys, state = self._solve.advance(state, start, stop)
        if any(map(differ, state, self._end)):
            raise RuntimeError(
                "the steps taken once more on the way back end elsewhere than before: what the SDE or bm depends on "
                f"has changed; {REMEDY}."
            )
        return ys, state


def reversible(solve: Solve, y0: State, params: Sequence[Tensor]) -> tuple[Outputs, SolverState]:
    """The solution, whose backward pass retraces the steps exactly; between the outputs nothing is stored.

    Exact to round-off, which in the backward pass grows exponentially in (Lipschitz constant x time span):
    a warning says when that pass does not end at the initial state. Differentiable once.
    """
    extra = solve.extra or ()
    inputs = (y0, *extra, *params)
    back = returns(inputs)
    ys, *state = _Reversible.apply(solve, len(extra), back, *inputs)  # pyright: ignore[reportGeneralTypeIssues]
    return ys, tuple(state)


class Accumulator:
    """Vector-Jacobian products whose parts in `params` are summed up in `totals`."""

    def __init__(self, params: Sequence[Tensor]) -> None:
        self.params = params
        self.begin()

    def begin(self) -> None:
        """From zero, in tensors of its own: what compiled code adds to one without axes that it was given is lost."""
        self.totals = [torch.zeros_like(p) for p in self.params]

    def vjp(self, outputs: Sequence[Tensor], y: Tensor, cotangents: Sequence[Tensor]) -> Tensor:
        """The product with the Jacobian in `y`. Outputs that depend on nothing add nothing."""
        pairs = [(o, c) for o, c in zip(outputs, cotangents, strict=True) if o.requires_grad]
        if not pairs:
            return torch.zeros_like(y)
        live, weights = zip(*pairs, strict=True)
        grad, *parts = torch.autograd.grad(live, (y, *self.params), weights, materialize_grads=True)
        self.add(parts)
        return grad

    def add(self, parts: Sequence[Tensor]) -> None:
        for total, part in zip(self.totals, parts, strict=True):
            total += part


def recorded(f_and_g: Form) -> Form:
    """`f_and_g` that keeps its graph and makes `y` a leaf, inside a pass that runs without gradients."""

    def record(t: Tensor, y: Tensor) -> Any:
        with torch.enable_grad():
            return f_and_g(t, y.requires_grad_())

    return record


class _Refused(torch.autograd.Function):
    """Returns the last inputs unchanged, as functions of all inputs, whose derivative raises RuntimeError(message)."""

    @staticmethod
    def forward(ctx: Context, message: str, outputs: int, *inputs: Tensor) -> tuple[Tensor, ...]:
        ctx.message = message
        return tuple(x.view_as(x) for x in inputs[-outputs:])

    @staticmethod
    def backward(ctx: Context, *_: Tensor) -> tuple[Tensor | None, ...]:
        raise RuntimeError(ctx.message)


def once_differentiable(message: str) -> Callable[..., Any]:
    """A decorator like torch's `once_differentiable`, but the error is `message`, and is raised for gradients of linear
    losses too, whose second derivatives torch's takes for zero."""

    def decorate(backward: Callable[..., tuple[Any, ...]]) -> Callable[..., tuple[Any, ...]]:
        def run(ctx: Context, *grads: Tensor) -> tuple[Any, ...]:
            with torch.no_grad():
                found = backward(ctx, *grads)
            if not torch.is_grad_enabled():
                return found
            tensors = [x for x in found if x is not None]
            refused = _Refused.apply(message, len(tensors), *grads, *ctx.saved_tensors, *tensors)
            rest = iter(refused)  # pyright: ignore[reportArgumentType]
            return tuple(x if x is None else next(rest) for x in found)

        return run

    return decorate


class _Reversible(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Context, solve: Solve, extras: int, back: bool, *inputs: Tensor) -> tuple[Tensor, ...]:
        y0, *rest = inputs
        ys, state = solve.run(y0)
        reversal = solve.scheme.reversal
        if back and reversal and not reversal.tells:
            ctx.at_end = solve.values(solve.steps.grid.steps, state[0])
        solve.kept.settle()
        ctx.solve = solve
        ctx.save_for_backward(y0, *state, *rest[extras:])
        return ys, *(x.view_as(x) for x in state)

    @staticmethod
    @once_differentiable(
        "the gradients of the reversible adjoint cannot be differentiated again, for it keeps no trajectory; use "
        'sdeint(..., adjoint="backprop"), exact, or adjoint="backsolve", approximate, for second derivatives.'
    )
    def backward(ctx: Context, grad_ys: Tensor, *grad_state: Tensor) -> tuple[Tensor | None, ...]:
        solve = ctx.solve
        with solve.kept.restored():
            y0, *rest = ctx.saved_tensors
            state, params = tuple(rest[: len(grad_state)]), rest[len(grad_state) :]
            gradients = Accumulator(params)
            solve.check_bm()
            if not solve.scheme.reversal.tells:
                solve.check_values(y0, state[0], ctx.at_end)
            with without_hooks(params):
                reached, adjoint = _retrace(solve, state, grad_state, grad_ys, gradients)
        _check_return(y0, reached[0], state[0], solve.scheme.reversal.exact)
        adjoint[0].add_(sum(w * grad_ys[i] for i, w in solve.weights().get(0, ())))
        return None, None, None, *adjoint, *gradients.totals


def _retrace(
    solve: Solve, state: SolverState, adjoint: SolverState, grad_ys: Tensor, gradients: Accumulator
) -> tuple[SolverState, SolverState]:
    """Undo the steps from the state at the end. Returns the state that is reached at the start, and the gradient in y0,
    or in all of the state if that was given."""
    reversal, steps, weights = solve.scheme.reversal, solve.steps, solve.weights()
    assert reversal is not None
    field = replace(solve.field, f_and_g=recorded(solve.field.f_and_g))
    t1 = next(steps.times([steps.grid.steps]))
    resumed = solve.kept.evaluate(lambda: reversal.resume(field, t1, state), state) if reversal.tells else state
    if solve.blocks is not None:
        received = {k: sum(w * grad_ys[i] for i, w in pairs) for k, pairs in weights.items()}
        return solve.blocks.retrace(solve, gradients, state, adjoint, received)
    state = resumed
    # To be overwritten, here and by the method; laid out as the state, which makes their products faster.
    adjoint = tuple(torch.empty_like(x).copy_(a) for x, a in zip(state, adjoint, strict=True))
    for k, t0, t1, dt, dW in steps.backward():
        for i, w in weights.get(k + 1, ()):
            adjoint[0].add_(grad_ys[i], alpha=w)
        state, adjoint = reversal.pull(field, gradients.vjp, state, adjoint, t0, t1, dt, dW)
    return state, adjoint if solve.extra else (reversal.finish(gradients.vjp, state, adjoint),)


def _check_return(y0: Tensor, reached: Tensor, end: Tensor, exact: bool) -> None:
    limit = DRIFT_LIMIT.get(y0.dtype, 0.1)
    limit = limit if exact else max(limit, NEAR_LIMIT)
    distance, sizes = (reached - y0).abs(), torch.maximum(y0.abs(), end.abs())
    known = (y0.abs() >= KNOWN * sizes) & (sizes > 0)
    alone = torch.where(known, distance / torch.where(known, ENTRY * sizes, 1), 0)  # not to be hidden by larger ones
    off = float(torch.maximum(distance.max() / sizes.max(), alone.max()))
    if not off <= limit and distance.any():
        warn(
            "the way back of the reversible adjoint ended off the initial state, by "
            f"{off:.1e} (relative; {limit:.0e} is accepted in {y0.dtype}). The gradients "
            'are about as inexact: use a smaller dt, float64, or adjoint="checkpoint" or "backprop".'
        )
