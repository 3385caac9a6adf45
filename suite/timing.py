"""Timing runs: side by side in rounds, or one alone for a moment."""

import gc
import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from suite.harness import Run

OnProgress = Callable[[str, str], None]

MIN_ROUNDS = 6  # the fewest from which the median has a distribution-free interval of 95 %
SHORT = 0.1  # seconds for the time beside a precision; work that takes longer needs no second call to be warm
AT_LEAST = 0.005  # seconds of one reading of the clock: shorter work is repeated, as a user of it would


@dataclass(frozen=True)
class Budget:
    """How long a comparison of times may take: `seconds` per implementation, at most `rounds`, at least `least` unless
    the time of day `until` is past. With fewer than MIN_ROUNDS there is no interval."""

    seconds: float = 2.0
    rounds: int = 60
    least: int = MIN_ROUNDS
    until: float = math.inf


def _clock(run: Run, times: int = 1) -> float:
    """Seconds per call, of so many calls in a row."""
    begin = time.perf_counter()
    for _ in range(times):
        run()
    return (time.perf_counter() - begin) / times


def _first(run: Run) -> tuple[int, float]:
    """How often the work is repeated within a reading, 0 if it is long, and the first reading."""
    seconds = _clock(run)
    if seconds > SHORT:
        return 0, seconds
    times = math.ceil(AT_LEAST / seconds)
    return times, _reading(run, times)


def _reading(run: Run, times: int) -> float:
    """Seconds per call. Short work is called as often before as within: the library before it in the round leaves
    threads that spin for some milliseconds, and caches full of its own.
    """
    if times == 0:
        return _clock(run)
    _clock(run, times)
    return _clock(run, times)


def rounds(
    runs: dict[str, Run], budget: Budget, on_progress: OnProgress
) -> tuple[dict[str, np.ndarray], dict[str, BaseException]]:
    """The readings of each, as many of all of them; and those that failed at one, which were left out from then on."""
    clocks: dict[str, list[float]] = {name: [] for name in runs}
    times: dict[str, int] = {}
    failures: dict[str, BaseException] = {}
    end = time.perf_counter() + budget.seconds * len(runs)
    gc.collect()
    for number in range(budget.rounds):
        if (number >= budget.least and time.perf_counter() > end) or (number and time.time() > budget.until):
            break
        names = [name for name in runs if name not in failures]
        first = number % max(len(names), 1)
        for name in (*names[first:], *names[:first]):
            on_progress(name, f"round {number + 1}")
            try:
                if name in times:
                    seconds = _reading(runs[name], times[name])
                else:
                    times[name], seconds = _first(runs[name])
            except Exception as failure:
                failures[name] = failure
            else:
                clocks[name].append(seconds)
    return {name: np.array(read) for name, read in clocks.items() if name not in failures}, failures


def short_time(run: Run) -> np.ndarray:
    """The times of one run alone, for a moment: what stands beside a precision."""
    clocks = [_clock(run) for _ in range(MIN_ROUNDS)]
    end = time.perf_counter() + SHORT
    while time.perf_counter() < end and len(clocks) < 40:
        clocks.append(_clock(run))
    return np.array(clocks)
