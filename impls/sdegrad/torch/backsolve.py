"""The continuous adjoint: the SDE of (y, dL/dy, dL/dparams), solved backwards in time.

Its gradients are those of the exact solution, up to the error of the solver; the other adjoints give those of
the numerical solution. Memory does not grow with the number of steps. Li, Wong, Chen and Duvenaud, Scalable
Gradients for Stochastic Differential Equations (2020), arXiv 2001.01328.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from sdegrad.torch.adjoint import Accumulator
from sdegrad.torch.methods import ees25, ees27, euler, euler_heun, heun, midpoint
from sdegrad.torch.sde import Field
from sdegrad.torch.types import Outputs, Scheme, SolverState, State
from sdegrad.torch.walk import Solve, Step

# By calculus: the methods that can solve the adjoint SDE, which has F = f dt + g dW, f dt and g dW, but not g itself.
USABLE: dict[str, dict[str, Scheme]] = {
    "ito": {"euler": euler.SCHEME},
    "stratonovich": {
        "ees25": ees25.SCHEME,
        "ees27": ees27.SCHEME,
        "euler_heun": euler_heun.SCHEME,
        "heun": heun.SCHEME,
        "midpoint": midpoint.SCHEME,
    },
}


class Bundle:
    """(y, a_y, *a_params), with the arithmetic that a method needs."""

    def __init__(self, parts: Sequence[Tensor]) -> None:
        self.parts = parts

    def __add__(self, other: "Bundle") -> "Bundle":
        return Bundle([a + b for a, b in zip(self.parts, other.parts, strict=True)])

    def __rmul__(self, factor: float) -> "Bundle":
        return Bundle([factor * a for a in self.parts])


def backsolve(
    solve: Solve, y0: State, params: Sequence[Tensor], sde_type: str, method: str
) -> tuple[Outputs, SolverState]:
    """The solution, whose backward pass solves the adjoint SDE with `method` over the same steps.

    Differentiable once; gradients go through the outputs, not through the rest of the state at the end.
    """
    ys, *state = _Backsolve.apply(solve, sde_type, method, y0, *params)  # pyright: ignore[reportGeneralTypeIssues]
    return ys, tuple(state)


class _Backsolve(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, solve: Solve, sde_type: str, method: str, y0: Tensor, *params: Tensor) -> tuple[Tensor, ...]:
        ys, state = solve.run(y0)
        ctx.solve, ctx.sde_type, ctx.method = solve, sde_type, method
        ctx.save_for_backward(ys, state[0], *params)
        state = tuple(x.view_as(x) for x in state)
        ctx.mark_non_differentiable(*state)
        return ys, *state

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_ys: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        ys, end, *params = ctx.saved_tensors
        weights = ctx.solve.weights()
        reverse = _ito if ctx.sde_type == "ito" else _stratonovich
        step_back = reverse(USABLE[ctx.sde_type][ctx.method], ctx.solve.field, params)
        x = Bundle([end, *(torch.zeros_like(p) for p in (end, *params))])
        for step in ctx.solve.walk.backward():
            step = step if isinstance(step.dW, Tensor) else step._replace(dW=step.dW.W)
            x = _collect(x, weights.get(step.k + 1, ()), ys, grad_ys)
            x = step_back(step, x)
        x = _collect(x, weights.get(0, ()), ys, grad_ys)
        return None, None, None, *x.parts[1:]


def _collect(x: Bundle, weights: Iterable[tuple[int, float]], ys: Tensor, grad_ys: Tensor) -> Bundle:
    """Add what the outputs hand to the adjoint; where one lies on the grid, go on from the state itself."""
    y, a, *totals = x.parts
    for i, w in weights:
        a = torch.add(a, grad_ys[i], alpha=w)
        y = ys[i] if w == 1 else y
    return Bundle([y, a, *totals])


def _stratonovich(scheme: Scheme, field: Field, params: Sequence[Tensor]) -> Callable[[Step, Bundle], Bundle]:
    """The Stratonovich calculus is that of smooth paths: time runs backwards with the signs of (dt, dW)."""
    increment, drift, noise = (_augment(part, params) for part in (field.increment, field.drift, field.noise))
    field = replace(field, increment=increment, drift=drift, noise=noise)

    def step_back(step: Step, x: Bundle) -> Bundle:
        (x,) = scheme.step(field, (x,), step.t1, step.t0, -step.dt, -step.dW)
        return x

    return step_back


def _ito(_: Scheme, field: Field, params: Sequence[Tensor]) -> Callable[[Step, Bundle], Bundle]:
    """Euler-Maruyama backwards, the field taken at the left end of the step, as in the Ito integral.

    Taken at the right end, it would need the corrections + (dg_k) g_k dt in y and - a (d^2 g_k) g_k dt in a,
    summed over the columns g_k. Taken at a predicted left end, y1 - F(t0, y1), it has both to the order of
    the method, for every noise type, without a derivative of g.
    """
    increment = _augment(field.increment, params)

    def step_back(step: Step, x: Bundle) -> Bundle:
        y, a, *_ = x.parts
        before = y - field.increment(step.t0, y, step.dt, step.dW)
        return x + -1.0 * increment(step.t0, Bundle([before, a]), step.dt, step.dW)

    return step_back


def _augment(increment: Callable[..., Tensor], params: Sequence[Tensor]) -> Callable[..., Bundle]:
    """An increment F(t, y, ...) of y, with those of the adjoints, - a dF/dy and - a dF/dparams."""

    def augmented(t: Tensor, x: Bundle, *increments: Any) -> Bundle:
        y, a, *_ = x.parts
        gradients = Accumulator(params)
        with torch.enable_grad():
            y = y.detach().requires_grad_()
            dy = increment(t, y, *increments)
        da = gradients.vjp((dy,), y, (-a,))
        return Bundle([dy.detach(), da, *gradients.totals])

    return augmented
