"""The joint law of increments and space-time Levy areas: all that standard normals must be (`suite.laws`).

2 seeds x 64 rows x 512 entries of overlapping increments and areas, whitened by their exact covariance.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from suite import laws
from suite.harness import BrownianTask
from suite.verify import quotations, solving
from suite.verify.claims import AREAS, CONSTRUCTED, Claim, said
from suite.verify.findings import Effort, Finding, likely
from suite.verify.spoiled import DEFECTS

SEEDS, ROWS, ENTRIES = 2, 64, 512

# Overlapping, nested, on and off the grid of 1/8, in no order.
QUERIES = ((0.5, 1.0), (0.0, 0.3), (0.25, 0.375), (0.1, 0.9), (0.31, 0.32), (0.0, 1.0))
ON_GRID = ((0.5, 1.0), (0.0, 0.25), (0.25, 0.375), (0.125, 0.875), (0.0, 1.0))
JOINT = "W and H over any intervals have the exact joint law, independent over batch, entries and seeds"
_INTERVAL: Mapping[str, Mapping[str, Any]] = {
    "Brownian Interval on and off a grid of 1/8": {"dt": 0.125, "queries": QUERIES, "kind": "interval"},
    "Brownian Interval without a grid": {"dt": None, "queries": QUERIES, "kind": "interval"},
}
_TREE: Mapping[str, Mapping[str, Any]] = {
    "Virtual Brownian Tree on a grid of 1/8": {"dt": 0.125, "queries": ON_GRID, "kind": "tree"},
    "Virtual Brownian Tree at one time off the grid": {"dt": 0.125, "queries": ((0.0, 0.3),), "kind": "tree"},
}


def claims(name: str) -> Iterator[Claim]:
    stated = said(quotations.brownian_laws(name), AREAS)
    subjects = _TREE if name == "diffrax" else _INTERVAL
    claim: dict[str, Any] = {
        "check": "law",
        "implementation": name,
        "claim": JOINT,
        "statistical": True,
        "preset": "quick",
    }
    for subject, case in subjects.items():
        yield Claim(**claim, **stated, subject=subject, case=case)
    first = next(iter(subjects))
    for defect in DEFECTS:
        yield Claim(
            **claim,
            kind="negative control",
            source=CONSTRUCTED["negative control"],
            subject=f"{first}, {defect}",
            case=subjects[first],
            spoil={"defect": defect},
        )


@solving.remembered  # a control spoils the samples that its claim was checked on
def _samples(
    name: str, dt: float | None, queries: tuple[tuple[float, float], ...], kind: Any, entries: int, seed: int
) -> np.ndarray:
    """[seeds, 2 queries, rows, entries]: the increments, and after them the areas."""
    samples = []
    for k in range(SEEDS):
        task = BrownianTask(
            queries=queries,
            shape=(ROWS, entries),
            kind=kind,
            dt=dt,
            levy_area="space-time",
            seed=seed + k,
            dtype="float64",
        )
        outcome = solving.outcome(name, task)
        samples.append(np.concatenate([outcome.ys, outcome.H]))
    return np.array(samples)


def measure(claim: Claim, effort: Effort) -> Finding:
    """The p-value of all tests of the whitened samples together."""
    case, entries = claim.case, round(ENTRIES * effort.more)
    samples = _samples(claim.implementation, case["dt"], case["queries"], case["kind"], entries, effort.seed)
    if "defect" in claim.spoil:
        samples = DEFECTS[claim.spoil["defect"]](samples)
    exact = laws.covariance([(s, t, what) for what in ("W", "H") for s, t in case["queries"]])
    tests = laws.tests(laws.whiten(samples, exact))
    worst = f"{min(tests, key=lambda name: tests[name])} of the whitened samples"
    return likely(effort.level, laws.together(tests), SEEDS * ROWS * entries, worst)
