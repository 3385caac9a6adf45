"""The rate of alarms of the gate, from a recording of pairs: pure functions of its log ratios.

logs [pairs, benchmarks, delays]: of HEAD to itself, and to itself with each delay planted; the first delay is none.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import bdtr

from suite.regress.verdicts import CANNOT_TELL, LOOKS, level, of_times

WHOLE = "whole run"


class Alarms(NamedTuple):
    """The number of `runs` comparisons that called this benchmark slower or, for the whole run, any."""

    benchmark: str
    delay: float
    runs: int
    alarms: int


def alarms(
    logs: np.ndarray, benchmarks: Sequence[str], delays: Sequence[float], most: int, runs: int, seed: int = 0
) -> list[Alarms]:
    """Comparisons of at most `most` pairs, drawn from the recording: windows of consecutive pairs, starting anywhere;
    without a delay, the sides of each pair are swapped by lot too."""
    rng = np.random.default_rng(seed)
    found = np.zeros((len(delays), len(benchmarks) + 1), int)
    for _ in range(runs):
        window = logs[(rng.integers(len(logs)) + np.arange(most)) % len(logs)]
        swap = rng.choice((-1, 1), size=(most, 1))
        for k in range(len(delays)):
            slower = compared(window[:, :, k] * (swap if k == 0 else 1))
            found[k] += (*slower, any(slower))
    names = (*benchmarks, WHOLE)
    return [
        Alarms(name, delay, runs, int(found[k, b])) for k, delay in enumerate(delays) for b, name in enumerate(names)
    ]


def compared(logs: np.ndarray) -> list[bool]:
    """Which benchmarks a comparison calls slower, by its log ratios [pairs, benchmarks] at the look that ends it."""
    error, verdicts = level(logs.shape[1]), []
    for look in _looks(len(logs)):
        verdicts = [of_times("", column, error, 0.0, 0.0).verdict for column in logs[:look].T]
        if CANNOT_TELL not in verdicts:
            break
    return [verdict == "slower" for verdict in verdicts]


def _looks(pairs: int) -> Iterator[int]:
    return (look for look in LOOKS if look <= pairs)


def bound(alarms: int, runs: int, confidence: float = 0.95) -> float:
    """The highest rate of alarms that so many in so many independent runs leave possible (Clopper and Pearson)."""
    low, high = alarms / runs, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if bdtr(alarms, runs, middle) > 1 - confidence else (low, middle)
    return high
