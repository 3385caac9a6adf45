"""Measuring a case: each kind of measurement is a generator of rows, without the columns of the run.

`on_progress(implementation, what)` is called before anything that may take long or never return.
"""

import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from suite import statistics
from suite.case import Case
from suite.checked import checked, checked_mean
from suite.given import given_path
from suite.harness import (
    Run,
    Trial,
    choose,
    describe,
    main_dt,
    main_measure,
    missing_row,
    why_not,
)
from suite.pairs import over_pairs
from suite.paths import Path
from suite.results import Row
from suite.sweeping import long, memory, too_many_paths
from suite.timing import MIN_ROUNDS, Budget, OnProgress, rounds, short_time

SLOW, FEW = 20.0, 3  # seconds of a call beyond which fewer rounds are enough
BASELINE = {"torch": "sdegrad_torch", "jax": "sdegrad_jax"}


def measure(case: Case, names: Sequence[str], device: str, budget: Budget, on_progress: OnProgress) -> Iterator[Row]:
    """All rows of a case. What an implementation cannot do is a skipped row, what it fails at a failed one."""
    trials = []
    for name in names:
        on_progress(name, "choosing")
        try:
            chosen = why_not(name, device) or choose(name, case, device)
        except Exception as failure:
            yield missing_row(case, device, name, "failed", told(failure))
            continue
        if isinstance(chosen, str):
            yield missing_row(case, device, name, "skipped", chosen)
        else:
            trials.append(chosen)
    if case.compares_times:
        yield from _times(case, trials, budget, on_progress)
        return
    for trial in trials:
        try:
            yield from MEASUREMENTS[case.kind](trial, on_progress)
        except Exception as failure:
            yield failed(trial, failure)


def failed(trial: Trial, failure: BaseException) -> Row:
    what, dt = main_measure(trial.case), main_dt(trial.case)
    return trial.row(what, dt=dt, status="failed", reason=told(failure))


def told(failure: BaseException) -> str:
    """`describe`; where it came from goes to what the libraries print."""
    traceback.print_exception(failure)
    return describe(failure)


def prepare(trial: Trial, on_progress: OnProgress) -> tuple[Run, float, Any]:
    """The run, called once and checked, the seconds from nothing to the end of that call, and what came of it."""
    on_progress(trial.name, "preparing")
    begin = time.perf_counter()
    if trial.case.kind == "brownian":
        run = trial.implementation.brownian(trial.brownian_task())
    else:
        run = trial.implementation.prepare(trial.task(trial.case.dts[0]))
    result = run()
    seconds = time.perf_counter() - begin
    return run, seconds, checked(trial, run, result)


def _times(case: Case, trials: Sequence[Trial], budget: Budget, on_progress: OnProgress) -> Iterator[Row]:
    """Times in rounds: every implementation once a round, in turn, so that what disturbs one disturbs all."""
    runs: dict[str, tuple[Trial, Run]] = {}
    dt = main_dt(case)
    for trial in trials:
        try:
            reason = too_many_paths(trial, on_progress)
            if reason:
                yield missing_row(case, trial.device, trial.name, "skipped", reason)
                continue
            run, seconds, outcome = prepare(trial, on_progress)
            mean = checked_mean(trial, outcome) if case.kind == "time" else None
            beside = [trial.row("compile_time", seconds, dt, samples=1)] if case.kind == "time" else []
            if mean is not None:
                beside.append(trial.row("weak_error", mean, dt, samples=len(outcome.ys[-1])))
        except Exception as failure:
            yield failed(trial, failure)
            continue
        runs[trial.name] = trial, run
        yield from beside
        if seconds > SLOW:
            budget = replace(budget, least=min(budget.least, FEW))
    clocks, failures = rounds({name: run for name, (_, run) in runs.items()}, budget, on_progress)
    for name, failure in failures.items():
        yield failed(runs[name][0], failure)
    what = main_measure(case)
    for name in clocks:
        trial, base = runs[name][0], BASELINE.get(runs[name][0].implementation.framework)
        enough = len(clocks[name]) >= MIN_ROUNDS
        median = statistics.median(clocks[name]) if enough else float(np.median(clocks[name]))
        yield trial.row(what, median, dt, samples=len(clocks[name]))
        if base in clocks and base != name:
            ratios = clocks[name] / clocks[base]
            ratio = statistics.paired_ratio(clocks[name], clocks[base]) if enough else float(np.median(ratios))
            yield trial.row(f"{what}_ratio", ratio, dt, samples=len(clocks[name]))


def nfe(trial: Trial, on_progress: OnProgress) -> Iterator[Row]:
    on_progress(trial.name, "counting")
    coarse, fine = (trial.implementation.prepare(trial.task(dt)) for dt in trial.case.dts)
    yield from _evaluations(trial, coarse, fine)
    count = getattr(fine, "operations", None)  # the contract has it only since lately
    try:
        found = count() if count else None
        operations = [] if found is None else [trial.row("operations", found, trial.case.dts[-1])]
    except Exception as failure:  # what was counted above stands
        operations = [trial.row("operations", dt=trial.case.dts[-1], status="failed", reason=told(failure))]
    yield from operations


def _evaluations(trial: Trial, coarse: Run, fine: Run) -> Iterator[Row]:
    """Evaluations per step, from two step sizes, so that what a solver does once is not counted."""
    try:
        first, second = coarse.count(), fine.count()
    except NotImplementedError as uncounted:  # the contract allows it, with the reason
        yield trial.row("nfe_drift", status="skipped", reason=str(uncounted) or describe(uncounted))
        return
    steps = second.steps - first.steps
    if not steps > 0:
        raise ValueError(
            f"count() must give more steps for the smaller of two step sizes, got {first.steps} and {second.steps}."
        )
    for what in ("drift", "diffusion", "drift_vjp", "diffusion_vjp"):
        if trial.adjoint is not None or not what.endswith("vjp"):
            yield trial.row(f"nfe_{what}", (getattr(second, what) - getattr(first, what)) / steps)


def gradient_error(trial: Trial, on_progress: OnProgress) -> Iterator[Row]:
    """The adjoint against backpropagation through the same solver, on the same path."""
    path = given_path(trial.case)
    for dt in trial.case.dts:
        on_progress(trial.name, f"gradient error at dt={dt}")
        run = trial.implementation.prepare(trial.task(dt, path))
        reference = trial.implementation.prepare(trial.task(dt, path, adjoint="backprop"))
        gradients = [checked(trial, r, r()).gradients for r in (run, reference)]
        yield trial.row("gradient_error", statistics.relative_l1(*gradients), dt, samples=1)
        clocks = short_time(run)
        yield trial.row("gradient_time", statistics.median(clocks), dt, samples=len(clocks))


def _solved(case: Case) -> tuple[Path, np.ndarray]:
    """The given path, and the solution at its end."""
    path, problem = given_path(case), case.make()
    if problem.exact is None:
        raise ValueError(f"the problem {case.problem!r} has no exact solution to measure an error against.")
    assert path is not None  # of an error
    return path, problem.exact(path, problem.y0, problem.params)


def strong_error(trial: Trial, on_progress: OnProgress) -> Iterator[Row]:
    case = trial.case
    path, exact = _solved(case)
    squares, runs = [], []
    for dt in case.dts:
        on_progress(trial.name, f"strong error at dt={dt}")
        run = trial.implementation.prepare(trial.task(dt, path))
        end = checked(trial, run, run()).ys[-1]
        squares.append(statistics.squared_errors(end, exact))
        yield trial.row("strong_error", statistics.strong_error(end, exact), dt, samples=len(end))
        weak = statistics.weak_error(end.sum(1), exact.sum(1))
        yield trial.row("weak_error", weak, dt, samples=len(end))
        clocks = short_time(run)
        yield trial.row("solve_time", statistics.median(clocks), dt, samples=len(clocks))
        runs = [*runs, run][:2]
    order = statistics.order(np.array(case.dts), np.array(squares))
    yield trial.row("strong_order", order, samples=len(exact))
    yield from _evaluations(trial, *runs)


def weak_error(trial: Trial, on_progress: OnProgress) -> Iterator[Row]:
    """The error of the mean, from pairs of paths with opposite noise."""
    path, exact = _solved(trial.case)
    runs = []
    for dt in trial.case.dts:
        on_progress(trial.name, f"weak error at dt={dt}")
        run = trial.implementation.prepare(trial.task(dt, path))
        end = checked(trial, run, run()).ys[-1]
        pairs = over_pairs(end.sum(1) - exact.sum(1))
        yield trial.row("weak_error", statistics.weak_error(pairs, 0.0), dt, samples=len(pairs))
        clocks = short_time(run)
        yield trial.row("solve_time", statistics.median(clocks), dt, samples=len(clocks))
        runs = [*runs, run][:2]
    yield from _evaluations(trial, *runs)


MEASUREMENTS: Mapping[str, Callable[[Trial, OnProgress], Iterator[Row]]] = {
    "memory": memory,
    "nfe": nfe,
    "gradient_error": gradient_error,
    "strong_error": strong_error,
    "weak_error": weak_error,
    "long": long,
}
