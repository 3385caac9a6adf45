"""Times: both commits side by side, in pairs of fresh processes.

What varies most is not the call but the process, and what disturbs a machine lasts for seconds. So the two processes of
a pair live at the same time, on one core, and take turns within tens of milliseconds (A B B A ...); each pair gives one
number for each benchmark, and a comparison has as many numbers as pairs (Kalibera and Jones, Rigorous benchmarking in
reasonable time, 2013). Import and compilation happen once a process, so copies of it do them; what JAX compiles for the
other benchmarks is kept between processes. Who is first is drawn by lot. Seconds are those of `clock`: what other
programs have of the core is none of them.
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
from suite.regress.process import Lost, Process, calls_for, kept_programs

READING = 0.02  # seconds
TURNS = 8  # readings of each process
NOTHING = 100 * time.get_clock_info("perf_counter").resolution  # a shorter time is none

SIDES = ("base", "HEAD")

What = Literal["import", "compile", "solve", "gradient"]
# what happens once in a process -> readings of each process, by copies of it that end with it; the method of process
ONCE: Mapping[What, tuple[int, str]] = {"import": (TURNS, "load"), "compile": (1, "compile")}
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
# What happens once in a process comes first: copies can do it only as long as the process itself has done nothing.
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
        base, head = (Process(build, log, core=core, more=kept_programs(log.parent)) for build in builds)
        with base, head:
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
        """A line for each of these benchmarks of an implementation, in their order in TIMED."""
        try:
            self._both("start", name)
        except SideLost as lost:
            yield from ({"benchmark": str(t), **lost.where} for t in timed)
            return
        for t in timed:
            try:
                readings = self._once(t, delays) if t.what in ONCE else self._calls(t, delays)
            except SideLost as lost:
                yield {"benchmark": str(t), **lost.where}
            else:
                yield _line(t, readings)

    def _once(self, timed: Timed, delays: Sequence[float]) -> Readings:
        """Of what happens once in a process; a delay is planted by arithmetic."""
        turns, method = ONCE[timed.what]
        question = (method, timed.implementation, *([timed.case] if timed.size else []))
        asked = [self._both("once", *question, backwards=turn % 2 == 1) for turn in range(turns)]
        base, head = map(list, zip(*asked, strict=True))
        return [(base, [seconds * (1 + delay) for seconds in head]) for delay in delays]

    def _calls(self, timed: Timed, delays: Sequence[float]) -> Readings:
        """Of a call: of base, and of HEAD with each delay, in turn. The first delay is none, next to base."""
        times = calls_for(min(self._both("prepare", timed.implementation, timed.case)), READING)
        # of several: a share of one reading that was disturbed would be too much
        seconds = min(min(self._both("read", timed.case, times, 0.0)) for _ in range(TURNS // 2)) / times
        asked = [(0, 0.0), *((1, delay * seconds) for delay in delays)]
        readings = []
        for turn in range(TURNS):
            step = 1 if (turn % 2 == 0) == (self._order[0] == 0) else -1
            found = self._all([(side, ("read", timed.case, times, delay)) for side, delay in asked[::step]])
            readings.append([reading / times for reading in found[::step]])
        base, *heads = map(list, zip(*readings, strict=True))
        return [(base, head) for head in heads]

    def _both(self, what: str, *arguments: Any, backwards: bool = False) -> list[Any]:
        """The answers of base and HEAD, asked in turn."""
        order = self._order[::-1] if backwards else self._order
        answers = self._all([(side, (what, *arguments)) for side in order])
        return [answers[order.index(side)] for side in (0, 1)]

    def _all(self, questions: Sequence[tuple[int, tuple[Any, ...]]]) -> list[Any]:
        """The answers to questions, each of a side, one after another."""
        answers: list[Any] = []
        lost: dict[str, str] = {}
        for side, question in questions:
            try:
                answers.append(self._processes[side].ask(*question))
            except Lost as why:
                lost[SIDES[side]] = str(why)
        if lost:
            raise SideLost(lost)
        return answers


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
