"""The checks of claims: from a claim to what was measured of it, and what it is worth.

Order: 8192 paths (4096 if quick), five step sizes, least squares slope with a jackknife interval over paths. Gradient:
the largest error over the step sizes of the claim, deterministic. Law: 2 seeds x 64 rows x 512 entries of overlapping
increments and areas, whitened by their exact covariance, against all that standard normals must be (`suite.laws`).
Seeds are fixed. Claims that differ in what they expect, and controls, rest on the same solutions and samples.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from suite import laws, statistics
from suite.claims import ORDER_DTS, ORDER_MARGIN, Claim
from suite.defects import DEFECTS
from suite.harness import BrownianTask, Task, load
from suite.paths import Path, make_path
from suite.problems import make

PATHS, QUICK_PATHS = 8192, 4096
SEEDS, ROWS, ENTRIES = 2, 64, 512
SEED = 20211


class Unsupported(Exception):
    """The implementation cannot do what the claim is about."""


class Effort(NamedTuple):
    """level: the significance of each statistical row. paths: of which an order is measured."""

    level: float
    paths: int


class Finding(NamedTuple):
    """What a check measured, with its interval, what was expected of it, and what the claim is worth."""

    verdict: str
    expected: float
    value: float
    low: float
    high: float
    reason: str = ""


def _run(implementation: Any, task: Any) -> Any:
    reason = implementation.unsupported(task)
    if reason is not None:
        raise Unsupported(reason)
    run = implementation.brownian(task) if isinstance(task, BrownianTask) else implementation.prepare(task)
    return run.outcome(run())


@lru_cache(maxsize=1)
def _path(paths: int, noise_dim: int) -> Path:
    """The Brownian path that every library gets."""
    return make_path(0.0, 1.0, 2 * round(1 / min(ORDER_DTS)), paths, noise_dim, SEED)


@lru_cache  # rows that expect different orders, and controls, rest on the same solutions
def _solutions(name: str, problem_name: str, method: str, sde_type: Any, paths: int) -> np.ndarray:
    """At the end, [dts, paths, dim]."""
    problem = make(problem_name, paths=paths, seed=SEED, sde_type=sde_type)
    path, ends = _path(paths, problem.noise_dim), []
    for dt in ORDER_DTS:
        task = Task(problem=problem, method=method, dt=dt, ts=(0.0, 1.0), noise=path, dtype="float64")
        ends.append(_run(load(name), task).ys[-1])
    return np.array(ends)


def check_order(claim: Claim, effort: Effort) -> Finding:
    """The slope of log error against log dt, on common paths, against the exact solution."""
    case, paths = claim.case, effort.paths
    ends = _solutions(claim.implementation, case["problem"], case["method"], case["sde_type"], paths)
    truth = make(case["problem"], paths=paths, seed=SEED, sde_type=case.get("solution", case["sde_type"]))
    assert truth.exact is not None
    exact = truth.exact(_path(paths, truth.noise_dim), truth.y0, truth.params)
    squares = np.array([statistics.squared_errors(end, exact) for end in ends])
    measured = statistics.order(ORDER_DTS, squares, confidence=1 - effort.level)
    bound = claim.expected - ORDER_MARGIN
    verdict = "holds" if measured.low >= bound else "fails" if measured.high < bound else "inconclusive"
    return Finding(verdict, claim.expected, *measured)


Gradients = Mapping[str, np.ndarray]


@lru_cache
def _gradients(
    name: str, problem_name: str, dts: tuple[float, ...], ts: tuple[float, ...]
) -> list[tuple[Gradients, Gradients]]:
    """For each step size that of the reversible adjoint and that of backpropagation, on the library's own noise."""
    problem = make(problem_name, paths=4, dim=3, hidden=4, seed=SEED)

    def gradient(dt: float, adjoint: Any) -> Gradients:
        task = Task(
            problem=problem, method="reversible_heun", dt=dt, ts=ts, adjoint=adjoint, dtype="float64", seed=SEED
        )
        return _run(load(name), task).gradients

    return [(gradient(dt, "reversible"), gradient(dt, "backprop")) for dt in dts]


def check_gradient(claim: Claim, effort: Effort) -> Finding:
    """The largest error over the step sizes. Nothing is random: a failure is measured once more before it counts."""
    del effort
    worst = _largest_error(claim)
    if worst <= claim.expected or claim.kind == "control":
        return Finding("holds" if worst <= claim.expected else "fails", claim.expected, worst, worst, worst)
    _gradients.cache_clear()
    again = _largest_error(claim)
    reason = "" if again == worst else f"not deterministic: {worst:.3g}, and {again:.3g} when measured once more"
    verdict = "fails" if again > claim.expected else "inconclusive"
    return Finding(verdict, claim.expected, worst, min(worst, again), max(worst, again), reason)


def _largest_error(claim: Claim) -> float:
    case = claim.case
    scale = case.get("scale", 1.0)
    return max(
        statistics.relative_l1({name: scale * x for name, x in reversible.items()}, backprop)
        for reversible, backprop in _gradients(claim.implementation, case["problem"], case["dts"], case["ts"])
    )


@lru_cache(maxsize=1)  # a control spoils the samples that its claim was checked on
def _samples(name: str, dt: float | None, queries: tuple[tuple[float, float], ...], kind: Any) -> np.ndarray:
    """[seeds, 2 queries, rows, entries]: the increments, and after them the areas."""
    samples = []
    for seed in range(SEED, SEED + SEEDS):
        task = BrownianTask(
            queries=queries,
            shape=(ROWS, ENTRIES),
            kind=kind,
            dt=dt,
            levy_area="space-time",
            seed=seed,
            dtype="float64",
        )
        outcome = _run(load(name), task)
        samples.append(np.concatenate([outcome.ys, outcome.H]))
    return np.array(samples)


def check_law(claim: Claim, effort: Effort) -> Finding:
    """The p-value of all tests of the whitened samples together."""
    case = claim.case
    queries = case["queries"]
    samples = _samples(claim.implementation, case["dt"], queries, case.get("kind", "interval"))
    if "defect" in case:
        samples = DEFECTS[case["defect"]](samples)
    exact = laws.covariance([(s, t, what) for what in ("W", "H") for s, t in queries])
    tests = laws.tests(laws.whiten(samples, exact))
    p = laws.together(tests)
    worst = f"{min(tests, key=lambda name: tests[name])} of the whitened samples" if p < effort.level else ""
    return Finding("holds" if p >= effort.level else "fails", effort.level, p, p, p, worst)


CHECKS = {"order": check_order, "gradient": check_gradient, "law": check_law}
