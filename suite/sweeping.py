"""Measurements over growing numbers of steps: memory of a gradient; and time, memory and error of very long ones."""

import gc
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path as FilePath
from typing import Any

from suite import limits, statistics
from suite.checked import checked
from suite.harness import Run, Trial, main_measure
from suite.results import Row
from suite.timing import OnProgress

ENOUGH = 2**16  # paths by which larger ensembles are judged: what a step costs by itself is nothing there


def memory(trial: Trial, on_progress: OnProgress) -> Iterator[Row]:
    """Peak memory of one call at every step size, the largest first.

    By those before it a step size is left out where the call would take too long or too much; not where the compiler
    has planned the memory, which is known without the call.
    """
    measure, before = main_measure(trial.case), (0.0, 0.0, 0.0)  # the step size, seconds and bytes of the last call
    for dt in trial.case.dts:
        on_progress(trial.name, f"memory at dt={dt}")
        times = before[0] / dt
        refused = limits.too_long(before[1], times) or limits.too_much(before[2] * times, trial.device)
        run = trial.implementation.prepare(trial.task(dt))
        planned = None if refused and trial.device != "cpu" else run.memory()
        if not refused:
            if not times:
                run()  # warm
            seconds = _checked_seconds(trial, run)
            peak = peak_memory(run) if planned is None else planned
            before = dt, seconds, peak
            yield trial.row(measure, peak, dt, samples=1)
        elif planned is not None:
            yield trial.row(measure, planned, dt, samples=1)
        else:
            yield trial.row(measure, dt=dt, status="skipped", reason=refused)


def too_many_paths(trial: Trial, on_progress: OnProgress) -> str | None:
    """Why an ensemble is left out, by the time and memory of one of ENOUGH paths; None if it is not."""
    case, paths = trial.case, trial.case.sizes.get("paths", 1)
    if case.kind != "time" or paths <= ENOUGH:
        return None
    small = replace(trial, case=replace(case, sizes={**case.sizes, "paths": ENOUGH}))
    on_progress(trial.name, f"{ENOUGH} paths first")
    run = small.implementation.prepare(small.task(case.dts[0]))
    run()  # warm
    seconds, times = _checked_seconds(small, run), paths / ENOUGH
    return limits.too_long(seconds, times) or limits.too_much(_peak(run) * times, trial.device)


def _checked_seconds(trial: Trial, run: Run) -> float:
    begin = time.perf_counter()
    result = run()
    seconds = time.perf_counter() - begin
    checked(trial, run, result)
    return seconds


def peak_memory(work: Callable[[], Any]) -> int:
    """Peak bytes that one call of `work` allocates, by every allocator of the process. Slow: never while timing."""
    import memray

    with tempfile.TemporaryDirectory() as folder:
        record = FilePath(folder) / "memray.bin"
        gc.collect()
        # Aggregated as it goes: the file does not grow with the number of allocations.
        with memray.Tracker(record, file_format=memray.FileFormat.AGGREGATED_ALLOCATIONS):
            work()
        return memray.FileReader(record).metadata.peak_memory


def _peak(run: Run) -> int:
    """Bytes of a call: as the compiler has planned them, else as they are seen."""
    planned = run.memory()
    return peak_memory(run) if planned is None else planned


def _warm_peak(trial: Trial, run: Run) -> int:
    """Of a long run, after a short one like it."""
    task = trial.task(trial.case.dts[0])
    trial.implementation.prepare(task if task.rtol is None else replace(task, rtol=1e-2, atol=1e-3))()
    return peak_memory(run)


def long(trial: Trial, on_progress: OnProgress) -> Iterator[Row]:
    """Of each number of steps the memory of a gradient, its processor time, and its error against one that keeps the
    states of every so many steps, which is that of the discrete solve in less memory. The step size of adaptive ones is
    the first alone; their number is that of the accepted ones."""
    needed: tuple[float, float] | None = None  # by the first of the gradients with kept states: step size and bytes
    for dt in trial.case.dts:
        columns: dict[str, Any] = {"dt": dt, "samples": 1}
        run = trial.implementation.prepare(trial.task(dt))
        on_progress(trial.name, f"memory at dt={dt}")
        planned = run.memory()  # this compiles it, too
        peak = _warm_peak(trial, run) if planned is None else planned
        if trial.case.rtol is not None:
            on_progress(trial.name, f"counting steps at rtol={trial.case.rtol}")
            columns["steps"] = run.count().steps
        yield trial.row("gradient_memory", peak, **columns)
        on_progress(trial.name, f"time at dt={dt}")
        begin = time.process_time()
        result = run()
        yield trial.row("gradient_cpu_time", time.process_time() - begin, **columns)
        given = checked(trial, run, result).gradients
        refused = _no_other(trial) or (needed and limits.too_much(needed[1] * needed[0] / dt, trial.device))
        if refused:
            yield trial.row("gradient_error", status="skipped", reason=refused, **columns)
            continue
        on_progress(trial.name, f"checkpointed gradient at dt={dt}")
        reference = trial.implementation.prepare(trial.task(dt, adjoint="checkpoint"))
        right = checked(trial, reference, reference()).gradients
        yield trial.row("gradient_error", statistics.relative_l1(given, right), **columns)
        if needed is None and dt != trial.case.dts[-1]:
            needed = dt, _peak(reference)


def _no_other(trial: Trial) -> str | None:
    """Why there is no gradient of kept states to hold this one to; None if there is."""
    if trial.adjoint == "checkpoint":
        return "it is by kept states itself, the gradient of the discrete solve."
    return trial.implementation.unsupported(trial.task(trial.case.dts[0], adjoint="checkpoint"))
