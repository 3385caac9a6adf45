"""Adjoints made wrong on purpose, and what a solve says of itself: evaluations, memory, steps, log-ratio.

They are made of sdegrad.torch, by names of its adjoints and of its steps.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np

from suite.mutants.mutant import Mutant
from suite.mutants.patched import Changes, patched

_DISCRETE, _FIXED, _RUN = "sdegrad.torch.adjoints.discrete", "sdegrad.torch.stepping.fixed", "sdegrad.torch.run"
_BACKWARD = f"{_DISCRETE}:_Reversible.backward"
_VJP = f"{_DISCRETE}:Accumulator.vjp"
_STEPS_BACK = f"{_FIXED}:Steps.backward"
_WEIGHTS = f"{_FIXED}:Solve.weights"
_Y0 = 3  # where the gradient of y0 stands among those of the reversible adjoint


def _gradients(change: Callable[[list[Any]], list[Any]]) -> Callable[[Any], Any]:
    """The gradients of the reversible adjoint, [None, None, None, y0, *params], changed."""
    return lambda backward: lambda ctx, *grads: tuple(change(list(backward(ctx, *grads))))


def _times(factor: float, first: int = _Y0, last: int | None = None) -> Callable[[Any], Any]:
    return _gradients(lambda g: [*g[:first], *(factor * x for x in g[first:last]), *(g[last:] if last else [])])


def _each_step_back(change: Callable[[Any, Any], Any]) -> Callable[[Any], Any]:
    """The steps of the way back, each changed, given the one before it in time too."""

    def backward(steps: Any) -> Callable[..., Iterator[Any]]:
        def changed(self: Any) -> Iterator[Any]:
            made = list(steps(self))
            yield from (change(step, before) for step, before in pairwise([*made, made[-1]]))

        return changed

    return backward


def _outputs(change: Callable[[int, float], float]) -> Callable[[Any], Any]:
    """The weights of the adjoint of interpolation: change(grid index, weight) -> weight."""

    def weights(right: Any) -> Callable[[Any], dict[int, list[tuple[int, float]]]]:
        return lambda self: {k: [(i, change(k, w)) for i, w in pairs] for k, pairs in right(self).items()}

    return weights


def _not_the_last_step(vjp: Any) -> Any:
    """The first product on the way back adds nothing to the parameters."""

    def changed(self: Any, *arguments: Any) -> Any:
        known = [total.clone() for total in self.totals]
        product = vjp(self, *arguments)
        if not any(total.any() for total in known):
            self.totals[:] = known
            vars(self)["totals"] = [total + 1e-300 for total in known]
        return product

    return changed


def _single_precision(vjp: Any) -> Any:
    def changed(self: Any, *arguments: Any) -> Any:
        product = vjp(self, *arguments)
        for total in self.totals:
            total.copy_(total.float().to(total.dtype))
        return product

    return changed


def _other_noise_again(call: Any) -> Any:
    """A checkpoint whose steps, when they are taken once more, have increments that are 0.1 % larger."""

    def changed(self: Any, state: Any, start: int, stop: int) -> Any:
        if self._end is None:
            return call(self, state, start, stop)
        steps = self._solve.steps
        louder = replace(steps, increment=lambda k: 1.001 * steps.increment(k))
        return replace(self._solve, steps=louder).advance(state, start, stop)

    return changed


def _one_more(step: Any) -> Any:
    def changed(z: Any, field: Any, state: Any, t: Any, dt: Any, dW: Any, half: Any) -> Any:
        field.f_and_g(t, state[3])
        return step(z, field, state, t, dt, dW, half)

    return changed


def _other_coupling_back(make_scheme: Any) -> Any:
    def changed(method: str, sde_type: str, noise_type: str, options: Mapping[str, Any]) -> Any:
        scheme = make_scheme(method, sde_type, noise_type, options)
        if method != "mccallum_foster":
            return scheme
        other = make_scheme(method, sde_type, noise_type, {**options, "coupling": 0.999 * (1 + 1e-7)})
        return replace(scheme, reversal=other.reversal)

    return changed


def _parameters_one_per_cent_off(pull: Any) -> Any:
    def changed(*arguments: Any) -> Any:
        value, product, *products = pull(*arguments)
        return value, product, *(1.01 * x for x in products)

    return changed


def _two_per_cent_more(split: Any) -> Any:
    def changed(ys: Any) -> Any:
        solution, ratio = split(ys)
        return solution, 1.02 * ratio

    return changed


def _times_added_up(make_grid: Any) -> Any:
    """As many steps as it takes to get to the end by adding dt up in single precision."""

    def changed(t0: float, t1: float, dt: float, eps: float = 2.0**-52) -> Any:
        grid, t, steps = make_grid(t0, t1, dt, eps), np.float32(t0), 0
        if eps < 1e-10:
            return grid
        while t < t1:
            t, steps = t + np.float32(dt), steps + 1
        return replace(grid, steps=steps)

    return changed


def _as_in_a_whole_step(right: Any) -> Any:
    def changed(self: Any, t: float, eps: float) -> tuple[int, float]:
        k, w = right(self, t, eps)
        return k, w if w == 1 else (t - self.time(k - 1)) / self.dt

    return changed


def _single_precision_times(times: Any) -> Any:
    def changed(self: Any, indices: Any) -> Iterator[Any]:
        dt, t0 = np.float32(self.grid.dt), np.float32(self.grid.t0)
        for k, t in zip(indices, times(self, indices), strict=True):
            added = np.add.accumulate(np.append(t0, np.full(k, dt)))[-1]
            yield t if k == self.grid.steps else 0 * t + float(added)

    return changed


def _mutant(about: str, effect: str, changes: Changes, *checks: str, after: str = "") -> Mutant:
    make = patched("sdegrad_torch", changes)
    return Mutant(about=about, effect=effect, after=after, base="sdegrad_torch", checks=checks, make=make)


_JULIA = "SciML/SciMLSensitivity.jl"

MUTANTS: dict[str, Mutant] = {
    "adjoint: gradients 1e-9 too large": _mutant(
        "every gradient of the reversible adjoint is scaled",
        "1e-9, relative",
        {_BACKWARD: _times(1 + 1e-9)},
        "gradient",
    ),
    "adjoint: gradient of y0 1e-9 too large": _mutant(
        "that of y0 alone is scaled", "1e-9, relative", {_BACKWARD: _times(1 + 1e-9, _Y0, _Y0 + 1)}, "gradient"
    ),
    "adjoint: gradient of y0 negated": _mutant(
        "the gradient of y0 has the wrong sign",
        "2, relative",
        {_BACKWARD: _times(-1.0, _Y0, _Y0 + 1)},
        "gradient",
        after=f"{_JULIA}#543",
    ),
    "adjoint: a parameter forgotten": _mutant(
        "the last parameter gets no gradient",
        "all of one part",
        {_BACKWARD: _gradients(lambda g: [*g[:-1], 0 * g[-1]])},
        "gradient",
    ),
    "adjoint: no parameters": _mutant(
        "the adjoint does not see the parameters, whose gradients are zero",
        "all of them",
        {f"{_RUN}:_params": lambda params: lambda *_: []},
        "gradient",
        after="rtqichen/torchdiffeq#119",
    ),
    "adjoint: last step without parameters": _mutant(
        "the parameters get nothing from the last step", "one step of many", {_VJP: _not_the_last_step}, "gradient"
    ),
    "adjoint: single precision": _mutant(
        "gradients of parameters are added up in single precision",
        "1e-8, relative",
        {_VJP: _single_precision},
        "gradient",
    ),
    "adjoint: noise negated": _mutant(
        "the way back has increments of the wrong sign",
        "a gradient of another path",
        {_STEPS_BACK: _each_step_back(lambda step, _: step._replace(dW=-step.dW))},
        "gradient",
        after=f"{_JULIA}#242",
    ),
    "adjoint: time not negated": _mutant(
        "the way back goes on in time",
        "a gradient of another path",
        {_STEPS_BACK: _each_step_back(lambda step, _: step._replace(dt=-step.dt))},
        "gradient",
    ),
    "adjoint: noise off by one step": _mutant(
        "each step of the way back has the increment of the step before it",
        "a gradient of another path",
        {_STEPS_BACK: _each_step_back(lambda step, before: step._replace(dW=before.dW))},
        "gradient",
        after="SciML/DiffEqNoiseProcess.jl#62",
    ),
    "adjoint: time off by one step": _mutant(
        "the fields on the way back are taken one step too late",
        "dt times a derivative in time",
        {_STEPS_BACK: _each_step_back(lambda step, _: step._replace(t0=step.t1))},
        "gradient",
    ),
    "adjoint: first output dropped": _mutant(
        "the gradient that comes from the output at the start is lost",
        "one output of many",
        {_WEIGHTS: _outputs(lambda k, w: w if k else 0.0)},
        "gradient",
        after="pymc-devs/sunode#35",
    ),
    "adjoint: outputs between steps dropped": _mutant(
        "gradients of outputs between steps are lost",
        "one output of many",
        {_WEIGHTS: _outputs(lambda k, w: w if w == 1 else 0.0)},
        "gradient",
    ),
    "adjoint: outputs between steps 1 % off": _mutant(
        "the weights of interpolation are 1 % too small on the way back",
        "1 % of one output",
        {_WEIGHTS: _outputs(lambda k, w: w if w == 1 else 0.99 * w)},
        "gradient",
    ),
    "adjoint: another coupling back": _mutant(
        "McCallum-Foster goes back with another coupling",
        "1e-7, relative",
        {"sdegrad.torch.prepare:make_scheme": _other_coupling_back},
        "gradient",
    ),
    "checkpoint: other noise": _mutant(
        "what is computed once more has increments 0.1 % larger",
        "0.1 %",
        {f"{_DISCRETE}:_Segment.__call__": _other_noise_again},
        "gradient",
    ),
    "backsolve: no Ito correction": _mutant(
        "the adjoint of an Ito SDE is solved as if it were one of Stratonovich",
        "a gradient of another SDE",
        {f"{_RUN}:predictions": lambda right: lambda *_: 0},
        "gradient order",
        after=f"{_JULIA}#279",
    ),
    "backsolve: parameters 1 % off": _mutant(
        "the continuous adjoint makes gradients of parameters 1 % too large",
        "1 %",
        {"sdegrad.torch.adjoints.backsolve:_pull": _parameters_one_per_cent_off},
        "gradient order",
    ),
    "memory: trajectory kept": _mutant(
        "the reversible adjoint keeps all steps",
        "memory that grows with the steps",
        {f"{_RUN}:reversible": lambda _: lambda solve, y0, params: _backprop(solve, y0)},
        "memory",
        after="rtqichen/torchdiffeq#180",
    ),
    "count: one more evaluation": _mutant(
        "reversible Heun evaluates the fields twice a step",
        "twice the cost",
        {"sdegrad.torch.methods.reversible_heun:_from": _one_more},
        "count",
    ),
    "count: times added up": _mutant(
        "single-precision times are added up, and the last step is a sliver",
        "1 step in 100",
        {"sdegrad.torch.prepare:make_grid": _times_added_up},
        "count",
    ),
    "output: 1 % of a step off": _mutant(
        "outputs between steps are too near to the start of the step",
        "1 % of the way",
        {
            "sdegrad.grid:Grid.outputs": lambda right: (
                lambda self, *a: tuple((k, w if w == 1 else 0.99 * w) for k, w in right(self, *a))
            )
        },
        "output",
    ),
    "output: of a whole step in the last one": _mutant(
        "outputs in a last step that is cut short are weighted as in a whole one",
        "half of the way, in one step",
        {"sdegrad.grid:Grid._output": _as_in_a_whole_step},
        "output",
    ),
    "times: added up in single precision": _mutant(
        "the fields are evaluated at times that are sums of steps in single precision",
        "1e-7 of a time",
        {f"{_FIXED}:Steps.times": _single_precision_times},
        "agreement",
    ),
    "logqp: 2 % too large": _mutant(
        "the log-ratio is 2 % too large", "2 %", {"sdegrad.torch.prepare:split_log_ratio": _two_per_cent_more}, "logqp"
    ),
}


def _backprop(solve: Any, y0: Any) -> Any:
    return solve.run(y0)
