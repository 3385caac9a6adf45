"""Outputs between steps: on the straight line between the solutions at both ends of the step, or, where a library says
so of a method, on the cubic that has its first and its last stage as slopes at the ends (Hermite's interpolation).

The largest relative distance from it, of one solve with outputs at the grid times and between them, on a given path
where its increments are needed. Nothing is random. Gradients of such outputs are part of the checks `gradient` and
`difference`.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from suite.harness import METHODS, Task
from suite.paths import Path, make_path
from suite.problems import Problem, make
from suite.verify import programs, quotations, solving
from suite.verify.claims import CONSTRUCTED, KLOEDEN, NEGATIVE, POSITIVE, Claim, said
from suite.verify.findings import Effort, Finding, at_most
from suite.verify.gradients import COMPILED, compiles_slowly
from suite.verify.schemes import Fields, Move

LINE = 1e-14  # a few roundings in float64
# name -> step size, and grid times with one inside; diffrax evens out its last two steps where the last is cut short
GRIDS: Mapping[str, tuple[float, tuple[tuple[float, float, float], ...]]] = {
    "cut short": (3 / 8, ((0.0, 0.1, 0.375), (0.375, 0.4, 0.75), (0.75, 0.99, 1.0))),
    "even": (1 / 4, ((0.0, 0.1, 0.25), (0.25, 0.3, 0.5), (0.5, 0.7, 0.75), (0.75, 0.99, 1.0))),
}
CELLS = 8  # of the path
WORDS = {
    "line": "an output between steps is the linear interpolation of the solution at both ends",
    "cubic": "an output between steps is the Hermite interpolation of the solution, and of its stages as slopes",
}
LAST: Mapping[str, float] = {"heun": 1.0, "midpoint": 0.5}  # method -> the place of its last stage, in steps


def claims(name: str) -> Iterator[Claim]:
    claim: dict[str, Any] = {"check": "output", "implementation": name, "expected": LINE}
    for method, facts in METHODS.items():
        cubic = quotations.hermite(name, method)
        curve = "cubic" if cubic else "line"
        stated: dict[str, Any] = said(cubic or quotations.interpolation(name, method), KLOEDEN) | {
            "claim": WORDS[curve]
        }
        problem = "driven" if "diagonal" in facts.order else "driven_additive"
        grid = "even" if cubic or solving.to_times(name) else "cut short"
        case = {"method": method, "problem": problem, "curve": curve, "grid": grid}
        preset = "default" if method in COMPILED or not compiles_slowly(name) else "full"
        yield Claim(**claim, **stated, subject=method, case=case, preset=preset)
        if method == "heun":
            for kind, by in ((NEGATIVE, 1e-6), (POSITIVE, 0.0)):
                made: dict[str, Any] = {"kind": kind, "source": CONSTRUCTED[kind]}
                subject = f"{method}, the {curve} itself, off by {by:g} of a step"
                yield Claim(**claim, **stated | made, subject=subject, case=case, spoil={"by": by})


def _posed(case: Mapping[str, Any], seed: int) -> tuple[Problem, Path | None]:
    """The problem, and the path where a slope has to be known."""
    problem = make(case["problem"], paths=4, seed=seed, sde_type=METHODS[case["method"]].sde_type)
    if case["curve"] == "line":
        return problem, None
    return problem, make_path(0.0, 1.0, CELLS, 4, problem.noise_dim, seed)


def _times(grid: str) -> tuple[float, ...]:
    return tuple(dict.fromkeys(t for times in GRIDS[grid][1] for t in times))


@solving.remembered
def _outputs(name: str, case: tuple[tuple[str, Any], ...], seed: int) -> np.ndarray:
    known = dict(case)
    problem, path = _posed(known, seed)
    steps: dict[str, Any] = {"dt": GRIDS[known["grid"]][0], "ts": _times(known["grid"])}
    task = Task(problem=problem, method=known["method"], **steps, noise=path, dtype="float64", seed=seed)
    return solving.outcome(name, task).ys


def between(y0: np.ndarray, y1: np.ndarray, w: float, slopes: tuple[np.ndarray, ...]) -> np.ndarray:
    """The part w of the way from y0 to y1, on the line, or on the cubic of these slopes times the step."""
    line = (1 - w) * y0 + w * y1
    if not slopes:
        return line
    first, last = slopes
    return line + w * (1 - w) * ((1 - w) * (first - (y1 - y0)) - w * (last - (y1 - y0)))


def _slopes(case: Mapping[str, Any], seed: int, t: float, t1: float, y: np.ndarray) -> tuple[np.ndarray, ...]:
    problem, path = _posed(case, seed)
    if path is None:
        return ()
    at, c, dt = Fields(problem), LAST[case["method"]], t1 - t
    before, after = np.searchsorted(path.times, (t, t1))
    W = path.W[after] - path.W[before]
    first = at.whole(t, y, Move(t, dt, W, 0 * W))
    return first, at.whole(t + c * dt, y + c * first, Move(t, dt, W, 0 * W))


def measure(claim: Claim, effort: Effort) -> Finding:
    case, seed = claim.case, effort.seed
    ys = _outputs(claim.implementation, tuple(case.items()), seed)
    at = dict(zip(_times(case["grid"]), ys, strict=True))
    worst = 0.0
    for before, inside, after in GRIDS[case["grid"]][1]:
        w = (inside - before) / (after - before)
        curve = between(at[before], at[after], w, _slopes(case, seed, before, after, at[before]))
        found = curve + claim.spoil["by"] * (at[after] - at[before]) if "by" in claim.spoil else at[inside]
        worst = max(worst, float(np.abs(found - curve).max() / np.abs(curve).max()))
    return at_most(claim.expected, worst)


_SCRIPT = """
ts = {ts}
ys, W = solve(np.ones((1, 2)), [0.7, 0.4], {dt}, ts)
at = dict(zip(ts, ys))
worst = 0.0
for start, inside, end in {between}:
    w = (inside - start) / (end - start)
    worst = max(worst, np.abs(at[inside] - (1 - w) * at[start] - w * at[end]).max())
print("the largest distance of an output from the line between both ends of its step:", worst)
sys.exit(bool(worst > 1e-13))
"""
# Of one step from 0 to 1, whose increment is known.
_CUBIC = """
ys, W = solve(np.ones((1, 2)), [0.7, 0.4], 1.0, (0.0, 0.3, 1.0))
def slope(t, y):
    return np.array(drift(t, y, [0.7, 0.4]) + diffusion(t, y, [0.7, 0.4]) * W)
(y0, y, y1), w = ys, 0.3
first = slope(0.0, y0)
last = slope({place}, y0 + {place} * first)
cubic = (1 - w) * y0 + w * y1 + w * (1 - w) * ((1 - w) * (first - (y1 - y0)) - w * (last - (y1 - y0)))
print("the distance of an output from the cubic of the two slopes:", np.abs(y - cubic).max())
sys.exit(bool(np.abs(y - cubic).max() > 1e-13))
"""


def script(claim: Claim) -> str | None:
    """A program that compares an output between steps with the curve through both ends of the step."""
    case = claim.case
    dt, between = GRIDS[case["grid"]]
    body, blanks = _SCRIPT, {"ts": _times(case["grid"]), "dt": dt, "between": between}
    if case["curve"] == "cubic":
        body, blanks = _CUBIC, {"place": LAST[case["method"]]}
    return programs.program(claim, claim.claim, programs.driven(case["problem"]), body, **blanks)
