"""Findings: the measurement that belongs to a claim, and its verdict."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

# "measured": a number or a curve for the reader, which decides nothing.
Verdict = Literal["holds", "exceeds", "fails", "inconclusive", "unsupported", "measured"]
GOOD: tuple[Verdict, ...] = ("holds", "exceeds", "measured")
NAN = float("nan")


class Unsupported(Exception):
    """The implementation cannot do what the claim is about."""


@dataclass(frozen=True)
class Effort:
    """The effort of a check. level: the significance of each statistical row. seed: of all that is random.

    more: how many times its usual number of samples it takes, at least 1. quick: whether time is short.
    """

    level: float
    seed: int
    more: float = 1.0
    quick: bool = False


class Curve(NamedTuple):
    """The data behind a number, for a plot: y against x, both logarithmic and in words; the ends of an interval of each
    y are its own value where there is none. slope: the order that is claimed, NaN where the claim is not of one."""

    x_label: str
    y_label: str
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float]
    high: Sequence[float]
    slope: float = NAN


class Finding(NamedTuple):
    """expected: what the number had to be. value: what was measured, with its confidence interval.

    p: of a statistical row, the probability of what was measured, or worse, if the claim is true. samples: how many
    were taken. needs: with how many the end of the interval would be at the bound, where these were too few. curve:
    what it was read from.
    """

    verdict: Verdict
    expected: float
    value: float
    low: float
    high: float
    reason: str = ""
    p: float = NAN
    samples: float = NAN
    needs: float = NAN
    curve: Curve | None = None


def at_most(bound: float, value: float, reason: str = "") -> Finding:
    """The finding of a number that is not random and must not be above `bound`; NaN is."""
    return Finding("holds" if value <= bound else "fails", bound, value, value, value, reason)


def likely(level: float, p: float, samples: float, reason: str = "") -> Finding:
    """The finding of a test: the claim fails if what was measured has a probability `p` below `level`."""
    holds = p >= level
    return Finding("holds" if holds else "fails", level, p, p, p, "" if holds else reason, p, samples)
