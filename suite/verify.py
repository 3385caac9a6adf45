"""`python -m suite.verify` checks what libraries claim and theory says, and writes reports/out/verification.csv.

Order: 8192 paths (4096 if quick), five step sizes, least squares slope with a jackknife interval over paths. Gradient:
the largest error over the step sizes of the claim, deterministic. Law: 2 seeds x 64 rows x 512 entries of overlapping
increments and areas, whitened by their exact covariance, against all that standard normals must be (`suite.laws`).

Seeds are fixed. The run as a whole raises a false alarm with a probability of at most ALPHA: each statistical row has
its share of it.
"""

import argparse
import csv
import io
import sys
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path as FilePath
from typing import Any, NamedTuple

import numpy as np

from suite import laws, measures
from suite.claims import ORDER_DTS, ORDER_MARGIN, OURS, Claim, claims_of
from suite.defects import DEFECTS
from suite.harness import BrownianTask, Task, compared, describe, load, names, why_not
from suite.noise import Path, make_path
from suite.problems import make
from suite.run import OUT

COLUMNS = (
    *("implementation", "version", "subject", "claim", "source"),
    *("expected", "measured", "low", "high", "verdict", "reason"),
)
PATHS, QUICK_PATHS = 8192, 4096
SEEDS, ROWS, ENTRIES = 2, 64, 512
SEED = 20211
ALPHA = 1e-3

Row = dict[str, str]


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
    squares = np.array([measures.squared_errors(end, exact) for end in ends])
    measured = measures.order(ORDER_DTS, squares, confidence=1 - effort.level)
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
    """The largest error over the step sizes."""
    del effort  # nothing is random
    case = claim.case
    scale = case.get("scale", 1.0)
    worst = max(
        measures.relative_l1({name: scale * x for name, x in reversible.items()}, backprop)
        for reversible, backprop in _gradients(claim.implementation, case["problem"], case["dts"], case["ts"])
    )
    return Finding("holds" if worst <= claim.expected else "fails", claim.expected, worst, worst, worst)


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
    told = f"{min(tests, key=lambda name: tests[name])} of the whitened samples" if p < effort.level else ""
    return Finding("holds" if p >= effort.level else "fails", effort.level, p, p, p, told)


CHECKS = {"order": check_order, "gradient": check_gradient, "law": check_law}


def level_of(claims: Sequence[Claim]) -> float:
    """The significance of each statistical row, so that all of them together have ALPHA (Bonferroni)."""
    return ALPHA / max(1, sum(claim.statistical for claim in claims))


def verify(claim: Claim, effort: Effort) -> Row:
    """The row of a claim: measured, or unsupported with the reason. A control that crashes proves nothing."""
    row = {
        "implementation": claim.implementation,
        "version": load(claim.implementation).versions()[0],
        "subject": claim.subject,
        "claim": claim.claim,
        "source": f"{claim.kind}: {claim.source}",
    }
    try:
        found = CHECKS[claim.check](claim, effort)
    except Unsupported as unsupported:
        return row | {"verdict": "unsupported", "reason": str(unsupported)}
    except Exception as failure:
        verdict = "inconclusive" if claim.kind == "control" else "fails"
        return row | {"verdict": verdict, "reason": describe(failure)}
    numbers = {name: repr(float(getattr(found, name))) for name in ("expected", "low", "high")}
    return row | numbers | {"measured": repr(float(found.value)), "verdict": found.verdict, "reason": found.reason}


def write(path: FilePath, rows: Sequence[Mapping[str, str]]) -> None:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    temporary.write_text(text.getvalue(), encoding="utf-8")
    temporary.replace(path)


def wrong(claim: Claim, row: Mapping[str, str]) -> bool:
    """Whether a row must stop the build: a claim of our own that does not hold, or is no longer supported, or a control
    that was not rejected by what was measured."""
    ours = claim.implementation in OURS
    if claim.kind == "control":
        return row["verdict"] != "fails" and (ours or row["verdict"] != "unsupported")
    return ours and row["verdict"] != "holds"


def _told(row: Mapping[str, str]) -> str:
    measured = f" measured {float(row['measured']):.3g}" if row.get("measured") else ""
    return f"{row['implementation']}: {row['subject']}: {row['claim']};{measured} {row.get('reason', '')}"


def _unknown(asked: Sequence[str]) -> str | None:
    """Why this selection cannot be verified here."""
    for name in asked:
        if name not in names():
            return f"unknown implementation {name!r}; known are: {', '.join(names())}."
        reason = why_not(name, "cpu")
        if reason is not None:
            return f"{name} cannot be verified here: {reason}"
    return None


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="nox -s verify --", description="Check what SDE libraries claim.")
    parser.add_argument("--implementation", action="append", default=[], metavar="NAME")
    parser.add_argument("--quick", action="store_true", help="the strongest checks of sdegrad, or of those named")
    parser.add_argument("--out", type=FilePath, default=OUT)
    options = parser.parse_args(arguments)
    error = _unknown(options.implementation)
    if error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    chosen = options.implementation or (OURS if options.quick else compared())
    present = [name for name in chosen if why_not(name, "cpu") is None]
    for name in set(chosen) - set(present):
        print(f"not verified: {name}: {why_not(name, 'cpu')}", flush=True)
    claims = [claim for name in present for claim in claims_of(name) if claim.quick or not options.quick]
    effort = Effort(level_of(claims), QUICK_PATHS if options.quick else PATHS)
    rows = _verify_all(claims, effort, options.out / "verification.csv")
    stop = sum(wrong(claim, row) for claim, row in zip(claims, rows, strict=True))
    unmeasured = [name for name in present if not any(r.get("measured") for r in rows if r["implementation"] == name)]
    for name in unmeasured:
        print(f"error: nothing of {name} could be measured; its rows say why.", file=sys.stderr)
    if not rows:
        print("error: no library is installed that could be verified; see pyproject.toml's extras.", file=sys.stderr)
        return 1
    print(
        f"{options.out / 'verification.csv'}: {len(rows)} rows, {stop} of ours or of the controls not as they must be."
    )
    return 1 if stop or unmeasured else 0


def _verify_all(claims: Sequence[Claim], effort: Effort, file: FilePath) -> list[Row]:
    """The rows of the claims, written as they come."""
    rows: list[Row] = []
    for number, claim in enumerate(claims, start=1):
        row = verify(claim, effort)
        rows.append(row)
        write(file, rows)
        mark = " (control)" if claim.kind == "control" else ""
        bad = "  <-- must not be" if wrong(claim, row) else ""
        print(f"[{number}/{len(claims)}] {row['verdict']:>12}  {_told(row)}{mark}{bad}", flush=True)
    return rows


if __name__ == "__main__":
    sys.exit(main())
