"""`python -m suite.verify` checks every claim of the table and writes reports/out/verification.csv as it goes.

Order: 4096 paths, five step sizes, least squares slope with a jackknife interval over paths. Gradient: the largest
error over the step sizes of the claim, deterministic. Law: 20000 samples of six overlapping increments, whitened by
their exact covariance; the mean square is chi-squared. Seeds are fixed; intervals are of joint confidence 0.95 over
the table.
"""

import argparse
import csv
import io
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from suite import measures
from suite.claims import CLAIMS, ORDER_DTS, ORDER_MARGIN, Claim
from suite.harness import BrownianTask, Task, describe, load, names, sum_of_squares, why_not
from suite.measures import Estimate
from suite.noise import make_path
from suite.problems import make
from suite.run import OUT

COLUMNS = (
    *("implementation", "version", "subject", "claim", "source"),
    *("expected", "measured", "low", "high", "verdict", "reason"),
)
PATHS = 4096
SAMPLES = 20_000
SEED = 20211
CONFIDENCE = 1 - 0.05 / len(CLAIMS)
# Overlapping, nested, on and off the grid of 1/8, in no order.
QUERIES = ((0.5, 1.0), (0.0, 0.3), (0.25, 0.375), (0.1, 0.9), (0.31, 0.32), (0.0, 1.0))


class Unsupported(Exception):
    """The implementation cannot do what the claim is about."""


def _run(implementation: Any, task: Task) -> Any:
    reason = implementation.unsupported(task)
    if reason is not None:
        raise Unsupported(reason)
    run = implementation.prepare(task)
    return run.outcome(run())


def check_order(claim: Claim) -> Estimate:
    """The slope of log error against log dt on common paths, against the exact solution."""
    implementation, case = load(claim.implementation), claim.case
    sizes: dict[str, Any] = {"paths": PATHS, "seed": SEED}
    problem = make(case["problem"], **sizes, sde_type=case["sde_type"])
    truth = make(case["problem"], **sizes, sde_type=case.get("solution", case["sde_type"]))
    path = make_path(0.0, 1.0, 2 * round(1 / min(ORDER_DTS)), PATHS, problem.noise_dim, SEED)
    assert truth.exact is not None
    exact = truth.exact(path, truth.y0, truth.params)
    squares = []
    for dt in ORDER_DTS:
        task = Task(problem=problem, method=case["method"], dt=dt, ts=(0.0, 1.0), noise=path, dtype="float64")
        squares.append(measures.squared_errors(_run(implementation, task).ys[-1], exact))
    return measures.order(ORDER_DTS, np.array(squares), confidence=CONFIDENCE)


def check_gradient(claim: Claim) -> Estimate:
    """The largest error over the step sizes, of the adjoint against backpropagation on the library's own noise."""
    implementation, case = load(claim.implementation), claim.case
    problem = make(case["problem"], paths=4, dim=3, hidden=4, seed=SEED)
    scale = case.get("scale", 1.0)
    worst = 0.0
    for dt in case["dts"]:
        gradients = []
        runs: tuple[tuple[Any, float], ...] = ((case["adjoint"], scale), ("backprop", 1.0))
        for adjoint, factor in runs:
            task = Task(
                problem=problem,
                method=case["method"],
                dt=dt,
                ts=case["ts"],
                adjoint=adjoint,
                dtype="float64",
                seed=SEED,
                loss=lambda xp, ys, factor=factor: factor * sum_of_squares(xp, ys),
            )
            gradients.append(_run(implementation, task).gradients)
        worst = max(worst, measures.relative_l1(*gradients))
    return Estimate(worst, worst, worst)


def check_law(claim: Claim) -> Estimate:
    """The mean square of the whitened increments, 1 if their covariance is exact, with its chi-squared interval."""
    implementation, case = load(claim.implementation), claim.case
    task = BrownianTask(queries=QUERIES, shape=(SAMPLES,), dt=case["dt"], seed=SEED, dtype="float64")
    reason = implementation.unsupported(task)
    if reason is not None:
        raise Unsupported(reason)
    run = implementation.brownian(task)
    increments = case.get("scale", 1.0) * run.outcome(run()).ys
    starts, ends = np.array(QUERIES).T
    overlap = np.minimum.outer(ends, ends) - np.maximum.outer(starts, starts)
    white = np.linalg.solve(np.linalg.cholesky(np.maximum(overlap, 0)), increments)
    tail = (1 - CONFIDENCE) / 2
    total, count = float((white**2).sum()), white.size
    low, high = total / stats.chi2.isf([tail, 1 - tail], count)
    return Estimate(total / count, float(low), float(high))


CHECKS = {"order": check_order, "gradient": check_gradient, "law": check_law}


def verdict(claim: Claim, measured: Estimate) -> str:
    """holds, fails or inconclusive: where the interval lies with respect to the bound of the claim."""
    if claim.check == "order":
        bound = claim.expected - ORDER_MARGIN
        return "holds" if measured.low >= bound else "fails" if measured.high < bound else "inconclusive"
    if claim.check == "gradient":
        return "holds" if measured.value <= claim.expected else "fails"
    return "holds" if measured.low <= claim.expected <= measured.high else "fails"


def verify(claim: Claim) -> dict[str, str]:
    """The row of a claim: measured, or unsupported with the reason."""
    row = {
        "implementation": claim.implementation,
        "subject": claim.subject,
        "claim": claim.claim,
        "source": claim.source,
        "expected": repr(claim.expected),
    }
    reason = why_not(claim.implementation, "cpu")
    if reason is not None:
        return row | {"verdict": "unsupported", "reason": reason}
    row["version"] = load(claim.implementation).versions()[0]
    try:
        measured = CHECKS[claim.check](claim)
    except Unsupported as unsupported:
        return row | {"verdict": "unsupported", "reason": str(unsupported)}
    except Exception as failure:
        return row | {"verdict": "fails", "reason": describe(failure)}
    numbers = {"measured": repr(measured.value), "low": repr(measured.low), "high": repr(measured.high)}
    return row | numbers | {"verdict": verdict(claim, measured)}


def write(path: Path, rows: Sequence[dict[str, str]]) -> None:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    temporary.write_text(text.getvalue(), encoding="utf-8")
    temporary.replace(path)


def wrong(claim: Claim, row: dict[str, str]) -> bool:
    """Whether a row must stop the build: a claim of our own that does not hold, or a control that was not rejected."""
    if claim.control:
        return row["verdict"] not in ("fails", "unsupported")
    return claim.implementation.startswith("sdegrad_") and row["verdict"] not in ("holds", "unsupported")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="nox -s verify --", description="Check what SDE libraries claim.")
    parser.add_argument("--implementation", action="append", default=[], metavar="NAME")
    parser.add_argument("--out", type=Path, default=OUT)
    asked = parser.parse_args(arguments)
    for name in asked.implementation:
        if name not in names():
            print(f"error: unknown implementation {name!r}; known are: {', '.join(names())}.", file=sys.stderr)
            return 2
    claims = [c for c in CLAIMS if not asked.implementation or c.implementation in asked.implementation]
    rows, stop = [], 0
    for number, claim in enumerate(claims, start=1):
        row = verify(claim)
        rows.append(row)
        write(asked.out / "verification.csv", rows)
        bad = wrong(claim, row)
        stop += bad
        measured = f" measured {float(row['measured']):.3g}" if row.get("measured") else ""
        mark = " (control)" if claim.control else ""
        print(
            f"[{number}/{len(claims)}] {row['verdict']:>12}  {claim.implementation}: {claim.subject}: {claim.claim};"
            f"{measured} {row.get('reason', '')}{mark}{'  <-- must not be' if bad else ''}",
            flush=True,
        )
    print(
        f"{asked.out / 'verification.csv'}: {len(rows)} claims, {stop} of ours or of the controls not as they must be."
    )
    return 1 if stop else 0


if __name__ == "__main__":
    sys.exit(main())
