"""Verdicts of a comparison, with their error rate: pure functions, the same for a comparison and for its calibration.

Times. The logarithms of the ratios HEAD / BASE, one a pair of fresh processes, are independent, and which process of a
pair measures first is drawn by lot: if nothing has changed they are symmetric about 0, whatever their distribution.
So the signed-rank test of Wilcoxon is exact, and the interval that belongs to it (of the median of all Walsh averages,
Hodges and Lehmann 1963) covers with the stated confidence. The error rate ALPHA of the whole run is divided evenly by
the number of benchmarks and by the LOOKS, the only numbers of pairs after which there are verdicts (Bonferroni). So a
run may end at any look, and go on later.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

ALPHA = 0.01  # the chance of one false alarm or more in a whole run
LOOKS = (14, 20, 28, 40, 56)  # numbers of pairs
MARGIN = 0.02  # a smaller slowdown is not worth an alarm: how code lies in memory moves as much
TELLING = 0.10  # an interval that reaches further than this tells nothing
CANNOT_TELL = "cannot tell in the time given"
RED = ("worse", "slower", "lost")
UNTOLD = ("failed", "measures nothing", CANNOT_TELL)


@dataclass(frozen=True, kw_only=True)
class Finding:
    """The comparison of one benchmark. base, head: values or seconds. ratio: of HEAD to BASE with the interval, of
    times."""

    benchmark: str
    verdict: str
    base: float | None = None
    head: float | None = None
    ratio: tuple[float, float, float] | None = None
    reason: str = ""
    accepted: bool = False

    @property
    def red(self) -> bool:
        return self.verdict in RED and not self.accepted

    @property
    def told(self) -> bool:
        return self.verdict not in (*UNTOLD, "new", "not compared")


def exit_code(findings: Iterable[Finding]) -> int:
    """0: all was compared and nothing is worse; 1: something is; 2: something, or everything, could not be told."""
    findings = list(findings)
    if any(finding.red for finding in findings):
        return 1
    compared = any(finding.told for finding in findings)
    return 0 if compared and not any(finding.verdict in UNTOLD for finding in findings) else 2


def level(benchmarks: int) -> float:
    """The error rate of each interval, two-sided."""
    return ALPHA / benchmarks / len(LOOKS)


def interval(logs: np.ndarray, error: float) -> tuple[float, float, float]:
    """The centre of independent, symmetric values [pairs] and the ends of its interval, which is infinite if there are
    too few for so small an error."""
    n = len(logs)
    i, j = np.triu_indices(n)
    walsh = np.sort((logs[i] + logs[j]) / 2)
    outside = int(np.sum(np.cumsum(_signed_ranks(n)) <= error / 2))
    if outside == 0:
        return float(np.median(walsh)), -np.inf, np.inf
    return float(np.median(walsh)), float(walsh[outside - 1]), float(walsh[-outside])


@cache
def _signed_ranks(n: int) -> np.ndarray:
    """The probabilities of the sums of the ranks 1 to n, each in it or not by a fair coin."""
    chances = np.ones(1)
    for rank in range(1, n + 1):
        chances = (np.pad(chances, (0, rank)) + np.pad(chances, (rank, 0))) / 2
    return chances


def of_times(benchmark: str, logs: np.ndarray, error: float, base: float, head: float) -> Finding:
    """The verdict on the log ratios [pairs] of one benchmark."""
    ratio = tuple(float(np.exp(x)) for x in interval(logs, error))
    _, low, high = ratio
    furthest = max(high, 1 / low if low else np.inf) - 1
    if low > 1 + MARGIN:
        verdict = "slower"
    elif high < 1 / (1 + MARGIN):
        verdict = "faster"
    elif furthest <= TELLING:
        verdict = f"same within {100 * furthest:.2g} %"
    else:
        verdict = CANNOT_TELL
    return Finding(benchmark=benchmark, verdict=verdict, base=base, head=head, ratio=(ratio[0], low, high))


def judge(benchmarks: Sequence[str], lines: Sequence[Mapping[str, Any]], delay: int = 0) -> list[Finding]:
    """A finding for each benchmark, from the lines of `paired.pair` up to the last look. delay: the number of the
    planted delay to judge."""
    pairs = 1 + max((line["pair"] for line in lines), default=-1)
    looked = max((look for look in LOOKS if look <= pairs), default=0)
    of: dict[str, list[Mapping[str, Any]]] = {name: [] for name in benchmarks}
    for line in lines:
        if line["benchmark"] in of:
            of[line["benchmark"]].append(line)
    return [_judged(name, of[name], looked, level(len(benchmarks)), delay) for name in benchmarks]


def _judged(name: str, lines: Sequence[Mapping[str, Any]], looked: int, error: float, delay: int) -> Finding:
    reasons = {key: line[key] for line in reversed(lines) for key in ("base", "HEAD", "nothing") if key in line}
    if reasons:
        some = "failed" if any("logs" in line for line in lines) or len(reasons) > 1 else ""
        verdict = some or {"base": "new", "HEAD": "lost", "nothing": "measures nothing"}[min(reasons)]
        return Finding(benchmark=name, verdict=verdict, reason="; ".join(": ".join(r) for r in reasons.items()))
    lines = [line for line in lines if line["pair"] < looked]
    if not lines:
        return Finding(benchmark=name, verdict=CANNOT_TELL, reason=f"fewer than {LOOKS[0]} pairs")
    base, head = np.median([line["seconds"] for line in lines], axis=0)
    logs = np.array([line["logs"][delay] for line in lines])
    return of_times(name, logs, error, float(base), float(head))
