"""A plan by which a run ends in time anywhere: most telling cases first, fewer rounds before fewer cases."""

import math
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from suite.case import Case
from suite.harness import main_measure
from suite.timing import Budget

Work = tuple[Case, str, list[str]]  # on a device, with these implementations

# kind -> seconds of one implementation on the two cores of the reference run, mostly compiling. Later only their ratios
# count.
SECONDS = {"time": 6.0, "memory": 8.0, "nfe": 5.0, "gradient_error": 9.0, "strong_error": 2.0, "brownian": 3.0}
SECONDS |= {"weak_error": 8.0, "long": 600.0}
LARGE = 30 * 128 * 32  # paths x hidden at which the solves take as long as the rest
REPORT = 60.0  # seconds kept for what comes after the measurements, at most half of the budget
SHORT = Budget(seconds=0.5, least=3)


def expected(work: Work) -> float:
    """Seconds on the reference machine."""
    case, _, names = work
    size = case.sizes.get("paths", 1) * case.sizes.get("hidden", 1) if case.kind == "time" else 0
    return SECONDS[case.kind] * len(names) * (1 + size / LARGE)


def telling(work: Iterable[Work]) -> list[Work]:
    """The work in another order: the first case of every measure, then the second of every measure, and so on.

    In the table of cases the most telling of each measure come first.
    """
    seen: defaultdict[tuple[str, str], int] = defaultdict(int)
    ranked = []
    for case, device, names in work:
        measure = main_measure(case), device
        ranked.append((seen[measure], (case, device, names)))
        seen[measure] += 1
    return [item for _, item in sorted(ranked, key=lambda pair: pair[0])]


class Plan:
    """The work of a run and the time for it. minutes: None for as long as it takes."""

    def __init__(self, work: Sequence[Work], usual: Budget, minutes: float | None) -> None:
        self.rest = telling(work)
        self.short: list[Case] = []
        self._usual, self._minutes = usual, minutes
        seconds = 60 * minutes if minutes else math.inf
        self._end = time.time() + max(seconds - REPORT, seconds / 2)
        # Of whole cases and of those that are shortened: seconds spent, and what was expected of them.
        self._spent, self._done = [0.0, 0.0], [0.0, 0.0]
        # Of the case at work: when it began, what is expected, and whether it is shortened.
        self._at_work: tuple[float, float, bool] | None = None

    def left(self) -> float:
        """Seconds until the end, as far as is known."""
        return min(self.remaining(), self._end - time.time())

    def remaining(self) -> float:
        """Seconds that all of the rest would take, at the speed so far."""
        return self._speed() * sum(map(expected, self.rest))

    def _speed(self, short: bool = False) -> float:
        """Seconds for a second on the reference machine, of whole cases or of shortened ones."""
        if self._done[short]:
            return self._spent[short] / self._done[short]
        return self._speed() if short else 1.0

    def next(self) -> tuple[Work, Budget] | None:
        """The next case that there is time for, and how long it may be measured; None at the end."""
        now = time.time()
        if self._at_work is not None:
            (began, seconds, was_short), self._at_work = self._at_work, None
            self._spent[was_short] += now - began
            self._done[was_short] += seconds
        in_time = self.remaining() <= self._end - now
        for number, work in enumerate(self.rest):
            short = not in_time and work[0].compares_times
            if self._speed(short) * expected(work) <= self._end - now:
                del self.rest[number]
                self._at_work = now, expected(work), short
                if in_time:
                    return work, self._usual
                self.short += [work[0]] * short
                return work, replace(SHORT, until=self._end)
        return None

    def shortened(self) -> Iterator[str]:
        """Sentences that say which cases were shortened or left out."""
        within = f"To end within {self._minutes or 0:g} minutes"
        if self.short:
            yield f"{within} fewer rounds were made of: {'; '.join(map(str, self.short))}."
        if self.rest:
            yield (
                f"{within} there was no measurement of: {'; '.join(str(case) for case, *_ in self.rest)}. The same "
                "command now measures these; with --budget it takes more minutes at once."
            )
