"""Times: both commits side by side, in pairs of fresh processes.

What varies most is not the call but the process, and what disturbs a machine lasts for seconds. So the two processes of
a pair live at the same time, on one core, and take turns within tens of milliseconds (A B B A ...); each pair gives one
number for each benchmark, and a comparison has as many numbers as pairs (Kalibera and Jones, Rigorous benchmarking in
reasonable time, 2013). Import and compilation happen once a process; who is first is drawn by lot. Seconds are those
of `clock`: what other programs have of the core is none of them.
"""

import math
import operator
import os
import re
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, Literal

from suite.asv_cases import find
from suite.cases import CASES, EXACT
from suite.regress.process import Lost, Process, calls_for

READING = 0.02  # seconds
TURNS = 8  # readings of each process
NOTHING = 100 * time.get_clock_info("perf_counter").resolution  # a shorter time is none

SIDES = ("base", "HEAD")

What = Literal["import", "compile", "solve", "gradient"]
Line = dict[str, Any]


@dataclass(frozen=True)
class Timed:
    """A benchmark of times."""

    implementation: str
    what: What
    size: str = ""

    def __str__(self) -> str:
        return " ".join(filter(None, (f"{self.what}_time", self.implementation, self.size)))

    @property
    def case(self) -> int:
        """The number of its case in the table."""
        wanted = (None,) if self.what == "solve" else EXACT
        return CASES.index(find("time", self.size, adjoints=wanted, t1=1.0, told_dt=False))


SMALL, MIDDLE = "1x8x8", "128x16x32"
TIMED: tuple[Timed, ...] = (
    *(Timed(name, "import") for name in ("sdegrad_torch", "sdegrad_jax")),
    Timed("sdegrad_jax", "compile", MIDDLE),
    *(Timed(name, "gradient", size) for name in ("sdegrad_torch", "sdegrad_jax") for size in (SMALL, MIDDLE)),
    *(Timed(name, "solve", MIDDLE) for name in ("sdegrad_torch", "sdegrad_jax")),
)


def chosen(pattern: re.Pattern[str]) -> list[Timed]:
    return [timed for timed in TIMED if pattern.search(str(timed))]


def pair(
    number: int, builds: Sequence[Path], timed: Sequence[Timed], log: Path, delays: Sequence[float] = (0.0,)
) -> Iterator[Line]:
    """A line for each benchmark: the logarithms of the ratios HEAD / base, one for each delay planted in HEAD (as a
    share of the time), and the seconds of both; or, of one that failed, at which commit and why."""
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [None]
    core = cores[number % len(cores)]
    for name in dict.fromkeys(t.implementation for t in timed):
        order = [0, 1]
        Random(f"{number} {name}").shuffle(order)
        with Process(builds[0], log, core=core) as base, Process(builds[1], log, core=core) as head:
            two = Two((base, head), order)
            for line in two.lines(name, [t for t in timed if t.implementation == name], delays):
                yield {"pair": number, **line}


class SideLost(Lost):
    """One of the two processes does not answer, or both. `where`: at which commit, and why."""

    def __init__(self, where: Mapping[str, str]) -> None:
        super().__init__(*where.values())
        self.where = where


Readings = list[tuple[list[float], list[float]]]  # seconds of base and of HEAD, for each delay


class Two:
    """Two processes that take turns. order: who is first, 0 (base) or 1."""

    def __init__(self, processes: tuple[Process, Process], order: Sequence[int]) -> None:
        self._processes, self._order = processes, order

    def lines(self, name: str, timed: Sequence[Timed], delays: Sequence[float]) -> Iterator[Line]:
        try:
            self._both("start")
            found = {"import": _once(self._both("load", name), delays)}
        except SideLost as lost:
            yield from ({"benchmark": str(t), **lost.where} for t in timed)
            return
        yield from (_line(t, found["import"]) for t in timed if t.what == "import")
        calls = [t for t in timed if t.what != "import"]
        for case in dict.fromkeys(t.case for t in calls):
            of_case = [t for t in calls if t.case == case]
            try:
                found = self._measured(case, of_case, delays)
            except SideLost as lost:
                yield from ({"benchmark": str(t), **lost.where} for t in of_case)
            else:
                yield from (_line(t, found[t.what]) for t in of_case)

    def _measured(self, case: int, timed: Sequence[Timed], delays: Sequence[float]) -> Mapping[What, Readings]:
        """The readings of compilation and, if asked for, of the calls."""
        prepared = self._both("prepare", timed[0].implementation, case)
        compiled = _once([first for first, _ in prepared], delays)
        seconds = min(later for _, later in prepared)
        times, readings = calls_for(seconds, READING), []
        for delay in delays if any(t.what != "compile" for t in timed) else ():
            base, head = [], []
            for turn in range(TURNS):
                a, b = self._both("read", case, times, delay * seconds, backwards=turn % 2 == 1)
                base.append(a / times)
                head.append(b / times)
            readings.append((base, head))
        return {"compile": compiled, "solve": readings, "gradient": readings}

    def _both(self, what: str, *arguments: Any, backwards: bool = False) -> list[Any]:
        """The answers of base and HEAD, asked in turn. The delay of a reading, its last argument, is HEAD's alone."""
        answers: dict[int, Any] = {}
        lost: dict[str, str] = {}
        for side in self._order[::-1] if backwards else self._order:
            given = (*arguments[:-1], 0.0) if what == "read" and side == 0 else arguments
            try:
                answers[side] = self._processes[side].ask(what, *given)
            except Lost as why:
                lost[SIDES[side]] = str(why)
        if lost:
            raise SideLost(lost)
        return [answers[0], answers[1]]


def _once(seconds: Sequence[float], delays: Sequence[float]) -> Readings:
    """The readings of an event that happens once in a process, where a delay is planted by arithmetic."""
    base, head = seconds
    return [([base], [head * (1 + delay)]) for delay in delays]


def _line(timed: Timed, readings: Readings) -> Line:
    """The median over the turns of the logarithm of the ratio, for each delay."""
    base, head = readings[0]
    if min(*base, *head) < NOTHING or (len(base) > 1 and len({*base, *head}) == 1):
        return {
            "benchmark": str(timed),
            "nothing": f"times of {min(*base, *head):.2g} s, below what the clock tells, or all the same",
        }
    logs = [statistics.median(map(math.log, map(operator.truediv, b, a))) for a, b in readings]
    return {
        "benchmark": str(timed),
        "logs": [round(x, 5) for x in logs],
        "seconds": [statistics.median(base), statistics.median(head)],
    }
