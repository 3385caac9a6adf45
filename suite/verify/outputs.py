"""Outputs between steps: on the straight line between the solutions at both ends of the step.

The largest relative distance from it, of one solve with outputs at the grid times and between them. Nothing is random.
Gradients of such outputs are part of the checks `gradient` and `difference`.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from suite.harness import METHODS, Task
from suite.problems import make
from suite.verify import quotations, solving
from suite.verify.claims import CONSTRUCTED, KLOEDEN, NEGATIVE, POSITIVE, Claim, said
from suite.verify.findings import Effort, Finding, at_most
from suite.verify.gradients import COMPILED, compiles_slowly

LINE = 1e-14  # a few roundings in float64
DT = 0.25
BETWEEN = ((0.0, 0.1, 0.25), (0.25, 0.3, 0.5), (0.5, 0.7, 0.75), (0.75, 0.99, 1.0))  # grid times, and one inside
TS = tuple(dict.fromkeys(t for times in BETWEEN for t in times))


def claims(name: str) -> Iterator[Claim]:
    stated = said(quotations.interpolation(name), KLOEDEN)
    claim: dict[str, Any] = {
        "check": "output",
        "implementation": name,
        "claim": "an output between steps is the linear interpolation of the solution at both ends",
        "expected": LINE,
    }
    for method, facts in METHODS.items():
        case = {"method": method, "problem": "driven" if "diagonal" in facts.order else "driven_additive"}
        preset = "default" if method in COMPILED or not compiles_slowly(name) else "full"
        yield Claim(**claim, **stated, subject=method, case=case, preset=preset)
        if method == "heun":
            for kind, by in ((NEGATIVE, 1e-6), (POSITIVE, 0.0)):
                source = CONSTRUCTED[kind]
                subject = f"{method}, the line itself, off by {by:g} of a step"
                yield Claim(**claim, kind=kind, source=source, subject=subject, case=case, spoil={"by": by})


@solving.remembered
def _outputs(name: str, method: str, problem_name: str, seed: int) -> np.ndarray:
    problem = make(problem_name, paths=4, seed=seed, sde_type=METHODS[method].sde_type)
    task = Task(problem=problem, method=method, dt=DT, ts=TS, dtype="float64", seed=seed)
    return solving.outcome(name, task).ys


def measure(claim: Claim, effort: Effort) -> Finding:
    at = dict(
        zip(TS, _outputs(claim.implementation, claim.case["method"], claim.case["problem"], effort.seed), strict=True)
    )
    worst = 0.0
    for before, inside, after in BETWEEN:
        w = (inside - before) / (after - before)
        line = (1 - w) * at[before] + w * at[after]
        found = line + claim.spoil["by"] * (at[after] - at[before]) if "by" in claim.spoil else at[inside]
        worst = max(worst, float(np.abs(found - line).max() / np.abs(line).max()))
    return at_most(claim.expected, worst)
