"""Solvers made wrong on purpose."""

from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from importlib import import_module
from types import SimpleNamespace
from typing import Any

from suite.mutants.mutant import Mutant
from suite.mutants.patched import patched

METHODS = "sdegrad.torch.methods"
Change = Callable[[Any], Any]


AGREEMENT = ("agreement",)


def _step(name: str, change: Change) -> dict[str, Change]:
    """The step of one method, changed."""

    def changed(entry: Any) -> Any:
        if hasattr(entry, "step"):
            return replace(entry, step=change(entry.step))
        return wraps(entry)(lambda *types, **options: changed(entry(*types, **options)))

    return {f"{METHODS}:SOLVERS": lambda table: {**table, name: changed(table[name])}}


def _as(other: str) -> dict[str, Change]:
    """Heun's name for another method."""
    return {f"{METHODS}:SOLVERS": lambda table: {**table, "heun": table[other]}}


def _given(change: Callable[..., Any]) -> Change:
    """A step that is given what `change` makes of its field and of t0, t1, dt, dW."""

    def changed(step: Any) -> Any:
        return lambda field, state, *rest: step(*_spread(state, change(field, *rest)))

    return changed


def _spread(state: Any, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    field, *rest = arguments
    return field, state, *rest


def _at(time: Callable[..., Any]) -> Change:
    """Drift and diffusion are evaluated at time(t0, t1) in every stage."""

    def change(field: Any, t0: Any, t1: Any, dt: Any, dW: Any) -> Any:
        at = time(t0, t1)
        wrong = replace(field, increment=lambda _, y, dt, dW: field.increment(at, y, dt, dW))
        return wrong, t0, t1, dt, dW

    return _given(change)


def _noise(change: Change) -> Change:
    return _given(lambda field, t0, t1, dt, dW: (field, t0, t1, dt, change(dW)))


def _late_drift(field: Any, t0: Any, t1: Any, dt: Any, dW: Any) -> Any:
    def increment(t: Any, y: Any, dt: Any, dW: Any) -> Any:
        return field.drift(t1, y, dt) + field.noise(t, y, dW)

    return replace(field, increment=increment), t0, t1, dt, dW


def _correction(factor: float) -> Change:
    """A step whose terms beyond Euler's are multiplied by a factor."""

    def change(step: Any) -> Any:
        def changed(field: Any, state: Any, t0: Any, t1: Any, dt: Any, dW: Any) -> Any:
            plain = state[0] + field.increment(t0, state[0], dt, dW)
            return (plain + factor * (step(field, state, t0, t1, dt, dW)[0] - plain),)

        return changed

    return change


def _ees25(table: Any) -> Any:
    step = import_module(f"{METHODS}.low_storage").low_storage(
        SimpleNamespace(A=(0.0, -7 / 15, -35 / 32), B=(1 / 3, 1.02 * 15 / 16, 2 / 5), C=(0.0, 1 / 3, 5 / 6))
    )
    return {**table, "ees25": step}


def _products(change: Change) -> dict[str, Change]:
    """The product of a matrix of general noise with dW, changed."""

    def changed(table: Any) -> Any:
        product, *adding = table["general"]
        return {**table, "general": (change(product), *adding)}

    return {"sdegrad.torch.sde:_PRODUCTS": changed}


def _transposed_jacobian(_: Any) -> Any:
    torch = import_module("torch")

    def with_derivative(function: Any, y: Any, along: Any) -> Any:
        with torch.enable_grad():
            y = y.detach().requires_grad_()
            value = function(y)
            total = sum((column * direction.detach()).sum() for column, direction in along(value))
            (slope,) = torch.autograd.grad(total, y)
        return value.detach(), slope

    return with_derivative


def _predictor_with_drift(_: Any) -> Any:
    def step(field: Any, state: Any, t0: Any, t1: Any, dt: float, dW: Any) -> Any:  # noqa: ARG001
        (y,), root = state, dt**0.5
        k, g = field.drift(t0, y, dt), field.entries(t0, y)
        return (y + k + g * dW + (field.entries(t0, y + k + g * root) - g) * dW * dW / (2 * root),)

    return step


def _late_difference(_: Any) -> Any:
    def without_derivative(field: Any, t0: Any, y: Any, k: Any, dt: float, dW: Any, v: Any) -> Any:
        root, g = dt**0.5, field.entries(t0, y)
        return g * dW + (field.entries(t0 + dt, y + k + g * root) - g) * (v / (2 * root))

    return without_derivative


def _euler_heun_with_drift(_: Any) -> Any:
    def step(field: Any, state: Any, t0: Any, t1: Any, dt: float, dW: Any) -> Any:
        (y,) = state
        k, n = field.drift(t0, y, dt), field.noise(t0, y, dW)
        return (y + k + 0.5 * (n + field.noise(t1, y + k + n, dW)),)

    return step


def _times(dW: Any, factor: float) -> Any:
    return type(dW)(*(factor * x for x in dW)) if isinstance(dW, tuple) else factor * dW


def _stale(share: Callable[[Any, int], float]) -> dict[str, Change]:
    """The noise of step k times share(grid, k)."""

    def changed(increments: Any) -> Any:
        def wrong(bm: Any, grid: Any, *rest: Any) -> Any:
            right = increments(bm, grid, *rest)
            return lambda k: _times(right(k), share(grid, k))

        return wrong

    return {"sdegrad.torch.prepare:increments": changed}


def _rounded(step: Any) -> Any:
    return lambda *arguments: tuple(x.float().to(x.dtype) for x in step(*arguments))


def _again(step: Any) -> Any:
    def changed(field: Any, state: Any, t0: Any, *rest: Any) -> Any:
        field.drift(t0, state[0], 1.0)
        return step(field, state, t0, *rest)

    return changed


def _always(error: Any) -> Any:
    return lambda *arguments: min(error(*arguments), 1.0)


def _mutant(about: str, effect: str, changes: dict[str, Change], checks: tuple[str, ...], after: str = "") -> Mutant:
    make = patched("sdegrad_torch", changes)
    return Mutant(about=about, effect=effect, after=after, base="sdegrad_torch", checks=checks, make=make)


MUTANTS: dict[str, Mutant] = {
    "heun: Ito": _mutant("heun takes the steps of euler", "another calculus", _as("euler"), ("order", "agreement")),
    "heun: midpoint": _mutant(
        "heun takes the steps of midpoint", "another scheme of the same order", _as("midpoint"), AGREEMENT
    ),
    "heun: a step late": _mutant(
        "t0 and t1 are those of the next step",
        "dt in time",
        _step("heun", _given(lambda field, t0, t1, dt, dW: (field, t0 + dt, t1 + dt, dt, dW))),
        AGREEMENT,
    ),
    "heun: time stands still": _mutant(
        "t is t0 in both stages", "dt in one stage", _step("heun", _at(lambda t0, _: t0)), AGREEMENT
    ),
    "heun: noise": _mutant(
        "dW is 1 % too large", "variance 2 % too large", _step("heun", _noise(lambda dW: 1.01 * dW)), AGREEMENT
    ),
    "heun: rounded": _mutant(
        "the state goes through float32 once a step", "6e-8, relative", _step("heun", _rounded), AGREEMENT
    ),
    "heun: evaluates once more": _mutant(
        "one evaluation of the drift is not used", "3 for 2 a step", _step("heun", _again), ("count",)
    ),
    "euler: late drift": _mutant(
        "the drift is at the end of the step", "dt in one of two fields", _step("euler", _given(_late_drift)), AGREEMENT
    ),
    "ees25: tableau": _mutant(
        "one weight is 2 % too large", "2 % of one stage", {f"{METHODS}:SOLVERS": _ees25}, ("agreement", "order")
    ),
    "mccallum_foster: coupling": _mutant(
        "the coupling is 2 % too small",
        "2 % of a number that no order shows",
        {f"{METHODS}.mccallum_foster:scheme.__kwdefaults__": lambda known: {**known, "coupling": 0.98}},
        AGREEMENT,
    ),
    "milstein: correction": _mutant(
        "the correction is 2 % too large", "2 % of one term", _step("milstein", _correction(1.02)), AGREEMENT
    ),
    "sra1: weights": _mutant(
        "the weights are 0.34 and 0.66", "2 % of one stage", {f"{METHODS}.sra1:B": lambda _: (0.34, 0.66)}, AGREEMENT
    ),
    "srk: I_10": _mutant(
        "I_10 is 2 % too large",
        "2 % of one integral",
        _step("srk", _noise(lambda dW: dW._replace(H=1.02 * dW.H + 0.01 * dW.W))),
        ("agreement", "order"),
    ),
    "srk: a weight": _mutant(
        "the last weight of I_111 is 1.02 for 1",
        "2 % of one weight",
        {
            f"{METHODS}.srk:TABLEAU": lambda table: SimpleNamespace(
                **{**vars(table), "beta": (*table.beta[:3], (-2, 5 / 3, -2 / 3, 1.02))}
            )
        },
        AGREEMENT,
    ),
    "grid: the last step": _mutant(
        "a last step that is cut short has the length of the others",
        "dt of one step",
        {"sdegrad.grid:Grid.step": lambda _: lambda grid, k: grid.dt},
        AGREEMENT,
    ),
    "grid: a last step 1 % short": _mutant(
        "a last step that is cut short is 1 % shorter than it should be",
        "1 % of one step",
        {
            "sdegrad.grid:Grid.step": lambda step: (
                lambda grid, k: step(grid, k) * (0.99 if step(grid, k) < 0.99 * grid.dt else 1)
            )
        },
        AGREEMENT,
    ),
    "adaptive: error of one entry": _mutant(
        "the error of a step is that of its first component alone",
        "no control of the error of all others",
        {
            "sdegrad.torch.stepping.adaptive:_error": lambda error: (
                lambda whole, halves, tolerances: error(whole[..., :1], halves[..., :1], tolerances)
            )
        },
        ("adaptive",),
    ),
    "products: transposed": _mutant(
        "the matrix of general noise is transposed",
        "another SDE",
        _products(lambda product: lambda g, dW: product(g.mT if g.shape[-1] == g.shape[-2] else g, dW)),
        AGREEMENT,
    ),
    "adaptive: accepts": _mutant(
        "every step is accepted",
        "no control of the error",
        {"sdegrad.torch.stepping.adaptive:_error": _always},
        ("adaptive",),
    ),
    "products: diagonal": _mutant(
        "a square matrix of general noise acts by its diagonal",
        "another SDE",
        _products(
            lambda product: (
                lambda g, dW: g.diagonal(dim1=-2, dim2=-1) * dW if g.shape[-1] == g.shape[-2] else product(g, dW)
            )
        ),
        AGREEMENT,
        "SciML/OrdinaryDiffEq.jl#3468: noise that is not diagonal went the way of scalar noise",
    ),
    "sra1: sign of H": _mutant(
        "H has the other sign",
        "order 1 for 1.5",
        _step("sra1", _noise(lambda dW: dW._replace(H=-dW.H))),
        ("agreement", "order"),
        "patrick-kidger/diffrax#746: H changed its sign backwards in time",
    ),
    "milstein: Jacobian": _mutant(
        "the Jacobian of the correction is transposed",
        "order 1/2 for 1",
        {f"{METHODS}.milstein:with_derivative": _transposed_jacobian},
        ("agreement", "order"),
        "SciML/OrdinaryDiffEq.jl#3214: J[:, i] in the correction for J[i, :]",
    ),
    "milstein: predictor": _mutant(
        "without derivatives in the Stratonovich calculus, the predictor has the drift in it",
        "a term of order dt",
        {f"{METHODS}.milstein:step_stratonovich_grad_free": _predictor_with_drift},
        AGREEMENT,
        "SciML/StochasticDiffEq.jl#650 (and #19): the perturbation went along drift and noise",
    ),
    "milstein: late difference": _mutant(
        "without derivatives, the diffusion of the predictor is at the end of the step",
        "dt in one evaluation",
        {f"{METHODS}.milstein:_without_derivative": _late_difference},
        AGREEMENT,
        "google-research/torchsde#31: t1 for t0 there, on a test problem that did not depend on time",
    ),
    "euler_heun: predictor": _mutant(
        "the predictor has the drift in it",
        "another scheme of the same order",
        _step("euler_heun", _euler_heun_with_drift),
        AGREEMENT,
        "SciML/StochasticDiffEq.jl#638: documented as one scheme, written as another",
    ),
    "sra1: stands still": _mutant(
        "the noise is zero where it is not diagonal",
        "no noise",
        _step("sra1", _noise(lambda dW: type(dW)(0 * dW.W, 0 * dW.H))),
        ("agreement", "order"),
        "SciML/DifferentialEquations.jl#1042: SRA3 returned a constant for noise that is not diagonal",
    ),
    "noise: of the step before it was cut": _mutant(
        "a last step that is cut short has the noise of a whole one",
        "variance 1.5 times too large, of one step",
        _stale(lambda grid, k: (grid.step(k) / grid.dt) ** -0.5 if grid.step(k) < 0.99 * grid.dt else 1.0),
        AGREEMENT,
        "SciML/OrdinaryDiffEq.jl#4095: the step was shortened, its noise was not",
    ),
    "adaptive: bridge": _mutant(
        "where steps were rejected, the increments are a fifth too large",
        "variance 1.44 times too large",
        _stale(lambda grid, _: 1.2 if getattr(grid, "rejected", 0) else 1.0),
        ("adaptive",),
        "SciML/DiffEqNoiseProcess.jl#307: bridges after a rejection had the wrong variance",
    ),
}
