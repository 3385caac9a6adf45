"""The continuous adjoint: the SDE of (y, dL/dy, dL/dparams), solved backwards in time.

Its gradients are those of the exact solution, up to the error of the solver; the other adjoints give those of
the numerical solution. Memory does not grow with the number of steps, but for derivatives of the gradients. Li, Wong,
Chen and Duvenaud, Scalable Gradients for Stochastic Differential Equations (2020), arXiv 2001.01328.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from torch import Tensor

from sdegrad.methods import METHODS, NoiseType
from sdegrad.torch.adjoints.discrete import once_differentiable
from sdegrad.torch.adjoints.replay import returns, without_hooks
from sdegrad.torch.sde import CALLED, VectorField
from sdegrad.torch.stepping.adaptive import AcceptedGrid, Tolerances, plan
from sdegrad.torch.stepping.fixed import Solve, Step
from sdegrad.torch.types import Context, Form, Number, Outputs, Scheme, SolverState, State

# Those that need no more of the SDE than f dt + g dW, f dt and g dW.
MIRRORED = ("ees25", "ees27", "euler_heun", "heun", "midpoint")


class BacksolveOptions(NamedTuple):
    """Options of the solve of the adjoint SDE: by `scheme`, over the steps of the forward pass, or, if there are
    tolerances, over steps of its own, the first of length dt.

    predictions: how often the state at the left end of a step is predicted before the step is transposed there; 0 for
    the methods that know f dt + g dW alone and are Stratonovich, which take the adjoint SDE itself.
    """

    scheme: Scheme
    predictions: int
    tolerances: Tolerances | None
    dt: Number


class Bundle:
    """(y, a_y, *a_params), with the arithmetic that a method needs."""

    def __init__(self, parts: Sequence[Tensor]) -> None:
        self.parts = parts

    def __add__(self, other: "Bundle") -> "Bundle":
        return Bundle([a + b for a, b in zip(self.parts, other.parts, strict=True)])

    def __rmul__(self, factor: float) -> "Bundle":
        return Bundle([factor * a for a in self.parts])


def predictions(method: str, noise_type: NoiseType) -> int:
    """The number of predictions in `BacksolveOptions`; `_transposed` says why so many."""
    if method in MIRRORED:
        return 0
    return 3 if METHODS[method].order[noise_type] > 1 else 1


StepBack = Callable[[Bundle, Step], Bundle]


def backsolve(
    solve: Solve, y0: State, params: Sequence[Tensor], options: BacksolveOptions
) -> tuple[Outputs, SolverState]:
    """The solution, whose backward pass solves the adjoint SDE.

    Differentiable twice: the second derivative is that of the numerical adjoint, by backpropagation through its steps.
    Gradients go through the outputs, not through the rest of the state at the end.
    """
    back = returns((y0, *params))
    ys, *state = _Backsolve.apply(solve, options, back, y0, *params)  # pyright: ignore[reportGeneralTypeIssues]
    return ys, tuple(state)


class _Backsolve(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Context, solve: Solve, options: BacksolveOptions, back: bool, y0: Tensor, *params: Tensor
    ) -> tuple[Tensor, ...]:
        ys, state = solve.run(y0)
        ctx.at_end = solve.values(solve.steps.grid.steps, ys[-1]) if back else None
        solve.kept.settle()
        ctx.solve, ctx.options = solve, options
        ctx.save_for_backward(ys, *params)
        state = tuple(x.view_as(x) for x in state)
        ctx.mark_non_differentiable(*state)
        return ys, *state

    @staticmethod
    def backward(ctx: Context, *cotangents: Tensor) -> tuple[Tensor | None, ...]:
        solve, options = ctx.solve, ctx.options
        with solve.kept.restored():
            ys, *params = ctx.saved_tensors
            solve.check_bm()
            solve.check_values(ys[0], ys[-1], ctx.at_end)
            step_back = (_transposed if options.predictions else _mirrored)(options, _field(solve), params)
            x = Bundle([ys[-1], *(torch.zeros_like(p) for p in (ys[-1], *params))])
            sweep = _over_the_steps if options.tolerances is None else _over_own_steps
            with without_hooks(params):
                return None, None, None, *sweep(solve, options, step_back, x, ys, cotangents[0]).parts[1:]


def _field(solve: Solve) -> VectorField:
    """The vector field of the forward pass, put back at each call if second derivatives may come later."""
    if not torch.is_grad_enabled():
        return solve.field
    return replace(solve.field, **{name: solve.kept.around(getattr(solve.field, name)) for name in CALLED})


def _over_the_steps(
    solve: Solve, options: BacksolveOptions, step_back: StepBack, x: Bundle, ys: Tensor, grad_ys: Tensor
) -> Bundle:
    """Solve over the steps of the forward pass, the last one first."""
    weights = solve.weights()
    for step in solve.steps_over(solve.steps.grid, options.scheme.levy_area).backward():
        x = step_back(_collect(x, weights.get(step.k + 1, ()), ys, grad_ys), step)
    return _collect(x, weights.get(0, ()), ys, grad_ys)


def _over_own_steps(
    solve: Solve, options: BacksolveOptions, step_back: StepBack, x: Bundle, ys: Tensor, grad_ys: Tensor
) -> Bundle:
    """Solve over steps of its own, chosen between the grid times that the outputs are made of."""
    assert options.tolerances is not None
    grid, weights = solve.steps.grid, solve.weights()

    def step(state: SolverState, b: float, a: float) -> SolverState:
        (at,) = solve.steps_over(AcceptedGrid((a, b)), options.scheme.levy_area).backward()
        return (step_back(state[0], at),)

    stops = sorted({0, *weights}, reverse=True)
    for k, before in pairwise(stops):
        x = _collect(x, weights[k], ys, grad_ys)
        _, (x,) = plan(step, (x,), (grid.time(k), grid.time(before)), float(options.dt), options.tolerances, _flat)
    return _collect(x, weights.get(0, ()), ys, grad_ys)


def _flat(state: SolverState) -> Tensor:
    return torch.cat([part.detach().flatten() for part in state[0].parts])


def _collect(x: Bundle, weights: Iterable[tuple[int, float]], ys: Tensor, grad_ys: Tensor) -> Bundle:
    """Add the gradients of the outputs to the adjoint; where an output lies on the grid, continue from its value."""
    y, a, *totals = x.parts
    for i, w in weights:
        a = torch.add(a, grad_ys[i], alpha=w)
        y = ys[i] if w == 1 else y
    return Bundle([y, a, *totals])


def _mirrored(options: BacksolveOptions, field: VectorField, params: Sequence[Tensor]) -> StepBack:
    """A step back with (-dt, -dW): Stratonovich calculus is that of smooth paths, which run backwards so."""

    def augment(increment: Callable[..., Tensor]) -> Callable[..., Bundle]:
        """The increments of y, F(t, y, ...), and of the adjoints, - a dF/dy and - a dF/dparams."""

        def augmented(t: Tensor, x: Bundle, *increments: Any) -> Bundle:
            y, a, *_ = x.parts
            return Bundle(_pull(lambda y: increment(t, y, *increments), y, -a, params))

        return augmented

    increment, drift, noise = map(augment, (field.increment, field.drift, field.noise))
    field = replace(field, increment=increment, drift=drift, noise=noise)

    def step_back(x: Bundle, step: Step) -> Bundle:
        minus_dW = -step.dW  # pyright: ignore[reportOperatorIssue] (no `Area`: no scheme that runs backwards needs one)
        return options.scheme.step(field, (x,), step.t1, step.t0, -step.dt, minus_dW)[0]

    return step_back


def _transposed(options: BacksolveOptions, field: VectorField, params: Sequence[Tensor]) -> StepBack:
    """A step back by iteration. Where y1 = S(y0) is the step of the method, y0 = y1 - (S(y0) - y0), and the adjoint is
    pulled back by the transpose of dS at the predicted y0: for every calculus, noise and Levy area that S is for.

    In the Ito sense, with the field taken at the right end of the step, it would need the corrections + (dg_k) g_k dt
    in y and - a (d^2 g_k) g_k dt in a, summed over the columns g_k. Each prediction gains half an order in the error of
    y0; after the first, which misses by O(dt), both corrections are there to the order of Euler and of Milstein, and
    after the third to order 3/2: without a derivative of g in any but the transpose.
    """

    def step_back(x: Bundle, step: Step) -> Bundle:
        y1, a, *totals = x.parts

        def forth(y: Tensor) -> Tensor:
            return options.scheme.step(field, (y,), step.t0, step.t1, step.dt, step.dW)[0]

        y = y1
        for _ in range(options.predictions):
            y = y1 - (forth(y) - y)
        reached, a, *parts = _pull(forth, y, a, params)
        return Bundle([y1 - (reached - y), a, *(t + p for t, p in zip(totals, parts, strict=True))])

    return step_back


def _pull(function: Callable[[Tensor], Tensor], y: Tensor, a: Tensor, params: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """(value, a dvalue/dy, *a dvalue/dparams) of value = function(y); autograd sees them where it is on."""
    return (_Pull.apply if torch.is_grad_enabled() else _pulled)(function, y, a, *params)


def _pulled(function: Form, y: Tensor, a: Tensor, *params: Tensor, keep: bool = False) -> tuple[Tensor, ...]:
    """`_pull` without derivatives. y is made a leaf: what it was made of, perhaps the parameters, gets no product."""
    with torch.enable_grad():
        y = y if keep else y.detach().requires_grad_()
        value = function(y)
        if not value.requires_grad:  # constant noise, say
            return value, *map(torch.zeros_like, (y, *params))
        products = torch.autograd.grad(value, (y, *params), a, materialize_grads=True, create_graph=keep)
    return value if keep else value.detach(), *products


class _Pull(torch.autograd.Function):
    """`_pulled`, differentiable: its derivative evaluates the function once more."""

    @staticmethod
    def forward(ctx: Context, function: Form, y: Tensor, a: Tensor, *params: Tensor) -> tuple[Tensor, ...]:
        ctx.function = function
        ctx.save_for_backward(y, a, *params)
        return _pulled(function, y, a, *params)

    @staticmethod
    @once_differentiable('adjoint="backsolve" has no third derivatives; use sdeint(..., adjoint="backprop").')
    def backward(ctx: Context, *cotangents: Tensor) -> tuple[Tensor | None, ...]:
        y, a, *params = ctx.saved_tensors
        with without_hooks(params):
            with torch.enable_grad():
                y, a = (x.detach().requires_grad_() for x in (y, a))
                outputs = _pulled(ctx.function, y, a, *params, keep=True)
            pairs = [(o, c) for o, c in zip(outputs, cotangents, strict=True) if o.requires_grad]
            live, weights = zip(*pairs, strict=True) if pairs else ((y,), (torch.zeros_like(y),))
            return None, *torch.autograd.grad(live, (y, a, *params), weights, materialize_grads=True)
