"""Cases measured: every kind of measurement, as a generator of rows (without the columns of the run) as they come.

`tell(implementation, what)` is called before anything that may take long or may not come back.
"""

import gc
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path as FilePath
from typing import Any

import numpy as np

from suite import statistics as measures
from suite.cases import Case
from suite.harness import Counts, Run, Subject, choose, describe, main_dt, main_measure, make_grid, missing_row, why_not
from suite.paths import Path, make_path
from suite.results import Row
from suite.timing import MIN_ROUNDS, Budget, Tell, rounds, short_time

BASELINE = {"torch": "sdegrad_torch", "jax": "sdegrad_jax"}
REFINE = 4  # the given path is this much finer than the smallest step, for exact solutions that integrate it


def measure(case: Case, names: Sequence[str], device: str, budget: Budget, tell: Tell) -> Iterator[Row]:
    """All rows of a case. What an implementation cannot do is a skipped row, what it fails at a failed one."""
    subjects = []
    for name in names:
        tell(name, "choosing")
        try:
            chosen = why_not(name, device) or choose(name, case, device)
        except Exception as failure:
            yield missing_row(case, device, name, "failed", describe(failure))
            continue
        if isinstance(chosen, str):
            yield missing_row(case, device, name, "skipped", chosen)
        else:
            subjects.append(chosen)
    if case.compares_times:
        yield from _times(case, subjects, budget, tell)
        return
    one = {"memory": memory, "nfe": nfe, "gradient_error": gradient_error, "strong_error": strong_error}[case.kind]
    for subject in subjects:
        try:
            yield from one(subject, tell)
        except Exception as failure:
            yield failed(subject, failure)


def failed(subject: Subject, failure: BaseException) -> Row:
    what, dt = main_measure(subject.case), main_dt(subject.case)
    return subject.row(what, dt=dt, status="failed", reason=describe(failure))


class Diverged(ArithmeticError):
    """A solver whose outputs or gradients are not finite."""


def _checked(run: Run, result: Any) -> Any:
    outcome = run.outcome(result)
    for what, array in {"outputs": outcome.ys, **(outcome.gradients or {})}.items():
        if not np.isfinite(array).all():
            raise Diverged(f"{what} are not finite; the solver diverged, a smaller dt may help.")
    return outcome


def _prepare(subject: Subject, tell: Tell) -> tuple[Run, float]:
    """The run, called once and checked, and the seconds from nothing to the end of that call."""
    tell(subject.name, "preparing")
    begin = time.perf_counter()
    if subject.case.kind == "brownian":
        run = subject.implementation.brownian(subject.brownian_task(subject.adjoint))
    else:
        run = subject.implementation.prepare(subject.task(subject.case.dts[0]))
    result = run()
    seconds = time.perf_counter() - begin
    _checked(run, result)
    return run, seconds


def _times(case: Case, subjects: Sequence[Subject], budget: Budget, tell: Tell) -> Iterator[Row]:
    """Times in rounds: every implementation once a round, in turn, so that what disturbs one disturbs all."""
    runs: dict[str, tuple[Subject, Run]] = {}
    dt = main_dt(case)
    for subject in subjects:
        try:
            run, seconds = _prepare(subject, tell)
        except Exception as failure:
            yield failed(subject, failure)
        else:
            runs[subject.name] = subject, run
            if case.kind == "time":
                yield subject.row("compile_time", seconds, dt, samples=1)
    clocks, failures = rounds({name: run for name, (_, run) in runs.items()}, budget, tell)
    for name, failure in failures.items():
        yield failed(runs[name][0], failure)
    what = main_measure(case)
    for name in clocks:
        subject, base = runs[name][0], BASELINE.get(runs[name][0].implementation.framework)
        enough = len(clocks[name]) >= MIN_ROUNDS
        median = measures.median(clocks[name]) if enough else float(np.median(clocks[name]))
        yield subject.row(what, median, dt, samples=len(clocks[name]))
        if base in clocks and base != name:
            ratios = clocks[name] / clocks[base]
            ratio = measures.paired_ratio(clocks[name], clocks[base]) if enough else float(np.median(ratios))
            yield subject.row(f"{what}_ratio", ratio, dt, samples=len(clocks[name]))


def memory(subject: Subject, tell: Tell) -> Iterator[Row]:
    """Peak memory of one call at every step size."""
    for dt in subject.case.dts:
        tell(subject.name, f"memory at dt={dt}")
        run = subject.implementation.prepare(subject.task(dt))
        _checked(run, run())
        known = run.memory()
        peak = peak_memory(run) if known is None else known
        yield subject.row(main_measure(subject.case), peak, dt, samples=1)


def peak_memory(work: Callable[[], Any]) -> int:
    """Peak bytes that one call of `work` allocates, by every allocator of the process. Slow: never while timing."""
    import memray

    with tempfile.TemporaryDirectory() as folder:
        record = FilePath(folder) / "memray.bin"
        gc.collect()
        with memray.Tracker(record):
            work()
        return memray.FileReader(record).metadata.peak_memory


def nfe(subject: Subject, tell: Tell) -> Iterator[Row]:
    """Evaluations per step, from two step sizes, so that what a solver does once is not counted."""
    tell(subject.name, "counting")
    coarse, fine = (subject.implementation.prepare(subject.task(dt)).count() for dt in subject.case.dts)
    yield from _nfe_rows(subject, coarse, fine)


def _nfe_rows(subject: Subject, coarse: Counts, fine: Counts) -> Iterator[Row]:
    steps = fine.steps - coarse.steps
    for what in ("drift", "diffusion", "drift_vjp", "diffusion_vjp"):
        if subject.adjoint is not None or not what.endswith("vjp"):
            yield subject.row(f"nfe_{what}", (getattr(fine, what) - getattr(coarse, what)) / steps)


def given_path(case: Case) -> Path:
    """The Brownian path that every implementation gets in this case."""
    problem = case.make()
    steps = REFINE * make_grid(0.0, case.t1, min(case.dts)).steps
    return make_path(0.0, case.t1, steps, problem.y0.shape[0], problem.noise_dim, seed=case.seed + 1)


def gradient_error(subject: Subject, tell: Tell) -> Iterator[Row]:
    """The adjoint against backpropagation through the same solver, on the same path."""
    path = given_path(subject.case)
    for dt in subject.case.dts:
        tell(subject.name, f"gradient error at dt={dt}")
        run = subject.implementation.prepare(subject.task(dt, path))
        reference = subject.implementation.prepare(subject.task(dt, path, adjoint="backprop"))
        gradients = [_checked(r, r()).gradients for r in (run, reference)]
        yield subject.row("gradient_error", measures.relative_l1(*gradients), dt, samples=1)
        clocks = short_time(run)
        yield subject.row("gradient_time", measures.median(clocks), dt, samples=len(clocks))


def strong_error(subject: Subject, tell: Tell) -> Iterator[Row]:
    case, path = subject.case, given_path(subject.case)
    problem = case.make()
    if problem.exact is None:
        raise ValueError(f"the problem {case.problem!r} has no exact solution to measure a strong error against.")
    exact = problem.exact(path, problem.y0, problem.params)
    squares, counts = [], []
    for dt in case.dts:
        tell(subject.name, f"strong error at dt={dt}")
        run = subject.implementation.prepare(subject.task(dt, path))
        end = _checked(run, run()).ys[-1]
        squares.append(measures.squared_errors(end, exact))
        yield subject.row("strong_error", measures.strong_error(end, exact), dt, samples=len(end))
        clocks = short_time(run)
        yield subject.row("solve_time", measures.median(clocks), dt, samples=len(clocks))
        if len(counts) < 2:
            counts.append(run.count())
    yield from _nfe_rows(subject, *counts)
    order = measures.order(np.array(case.dts), np.array(squares))
    yield subject.row("strong_order", order, samples=len(exact))
