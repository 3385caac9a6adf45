"""The joint law of increments and their areas: all that standard normals must be (`suite.laws`).

2 seeds x 128 rows x 768 entries of overlapping increments W and areas H and K, whitened by their exact covariance.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Literal

import numpy as np

from suite import laws
from suite.verify import quotations, solving
from suite.verify.claims import AREAS, CONSTRUCTED, NEGATIVE, POSITIVE, Claim, said
from suite.verify.findings import Effort, Finding, likely
from suite.verify.intervals import SITUATIONS
from suite.verify.spoiled import DEFECTS

SEEDS, ROWS, ENTRIES = 2, 128, 768
JOINT = "W and its areas over any intervals have the exact joint law, independent over batch, entries and seeds"
QUICK = tuple(SITUATIONS)[:2]
FULL = ("of 100 cells",)
QUICK_CONTROLS = ("scaled by 1.01", "H correlated with W by 0.02")  # the smallest
PARTS: Mapping[str, tuple[Literal["W", "H", "K"], ...]] = {
    "none": ("W",),
    "space-time": ("W", "H"),
    "space-time-time": ("W", "H", "K"),
}


def claims(name: str) -> Iterator[Claim]:
    claim: dict[str, Any] = {"check": "law", "implementation": name, "claim": JOINT, "statistical": True}
    for situation, known in SITUATIONS.items():
        yield Claim(
            **claim,
            **said(quotations.brownian_laws(name, known.kind), AREAS),
            subject=f"Brownian motion {situation}",
            case={"situation": situation},
            preset="quick" if situation in QUICK else "full" if situation in FULL else "default",
            may_lack=name in known.lacking,
        )
    controls: list[tuple[Any, str]] = [(NEGATIVE, defect) for defect in DEFECTS]
    for kind, defect in [*controls, (POSITIVE, "exact samples")]:
        yield Claim(
            **claim,
            kind=kind,
            source=CONSTRUCTED[kind],
            subject=f"Brownian motion {QUICK[0]}, {defect}",
            case={"situation": QUICK[0]},
            spoil={"defect": defect},
            preset="quick" if defect in QUICK_CONTROLS else "default",
        )


@solving.remembered  # a control spoils the samples that its claim was checked on
def _samples(name: str, situation: str, entries: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """[seeds, parts x queries, rows, entries], the increments first, and their exact covariance."""
    samples: list[np.ndarray] = []
    tasks = [SITUATIONS[situation].task(name, seed, k, (ROWS, entries)) for k in range(SEEDS)]
    parts_asked = PARTS[tasks[0].levy_area]
    for task in tasks:
        outcome = solving.outcome(name, task)
        parts = {"W": outcome.ys, "H": outcome.H, "K": outcome.K}
        samples.append(np.concatenate([parts[what] for what in parts_asked]))
    exact = laws.covariance([(s, t, what) for what in parts_asked for s, t in tasks[0].queries])
    return np.array(samples, dtype=np.float64), exact


def measure(claim: Claim, effort: Effort) -> Finding:
    """The p-value of all tests of the whitened samples together."""
    entries, defect = round(ENTRIES * effort.more), claim.spoil.get("defect", "")
    samples, exact = _samples(claim.implementation, claim.case["situation"], entries, effort.seed)
    if defect in DEFECTS:
        samples = DEFECTS[defect](samples)
    elif defect:
        normals = np.random.default_rng(effort.seed).standard_normal(samples.shape)
        samples = np.einsum("pq,sqre->spre", np.linalg.cholesky(exact), normals)
    tests = laws.tests(laws.whiten(samples, exact))
    worst = f"{min(tests, key=lambda name: tests[name])} of the whitened samples"
    return likely(effort.level, laws.together(tests), SEEDS * ROWS * entries, worst)
