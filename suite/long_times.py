"""A mild SDE solved for a long time, in single precision: how far off are the solution and its gradient?

    python -m suite.long_times reports/reference/cpu/long_times.csv

dy = -0.3 y dt + 0.1 dW from 0.5, whose solution and gradient stay below 1. Of each method the root mean square error at
several times T, on one set of Brownian paths, and the error of the gradient of the sum of squares of ten outputs, by
the adjoint with the least memory, against that of Heun's method by backpropagation in double precision.
`python -m reports.long_times` draws them.
"""

import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path as File
from typing import Any

import numpy as np

from suite import results, statistics
from suite.harness import METHODS, Task, describe, load
from suite.paths import Path, make_path
from suite.problems import Problem, make
from suite.provenance import context

IMPLEMENTATION = "sdegrad_jax"
SHOWN = ("reversible_heun", "mccallum_foster", "ees25", "heun")
TIMES = (1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 50.0, 100.0, 200.0, 500.0, 1000.0)
DTS = (0.1, 0.01)
GRADIENT_TIMES, GRADIENT_DT = (1.0, 5.0, 10.0, 20.0, 30.0, 50.0, 100.0), 0.01
PATHS, OUTPUTS = 16, 10

Columns = dict[str, Any]  # of a row, but for those that say where it was measured


def mild(t1: float) -> Problem:
    params = {"theta": np.array([0.3]), "mean": np.array([0.0]), "sigma": np.array([[0.1]])}
    known = make("ou", paths=PATHS, dim=1, noise_dim=1, t1=t1)
    return replace(known, name="mild", y0=np.full((PATHS, 1), 0.5), params=params, lipschitz=0.3)


def until(path: Path, t: float) -> Path:
    """The path up to the time t of its grid."""
    points = round(t / path.dt) + 1
    return Path(path.times[:points], path.W[:points], path.integral[:points])


def adjoint(method: str) -> str:
    """The one with which it is compared: the exact one, in the least memory."""
    facts = METHODS[method]
    return "reversible" if facts.reversible or facts.near_reversible else "checkpoint"


def solutions(path: Path, method: str, dt: float) -> Iterator[Columns]:
    """The strong error at each of TIMES, of one solve."""
    problem = mild(TIMES[-1])
    task = Task(problem=problem, method=method, dt=dt, ts=(0.0, *TIMES), noise=path)
    run = load(IMPLEMENTATION).prepare(task)
    for t, y in zip(TIMES, run.outcome(run()).ys[1:], strict=True):
        exact = until(path, t)
        wanted = mild(t).exact(exact, problem.y0, problem.params)  # pyright: ignore[reportOptionalCall]
        yield columns(
            "strong_error", method, None, dt, t, lambda y=y, wanted=wanted: statistics.strong_error(y, wanted)
        )


def gradients(path: Path, t: float) -> Iterator[Columns]:
    """The error of each method's gradient of a solve up to t."""

    def gradient(method: str, adjoint: str, dtype: str) -> dict[str, np.ndarray]:
        task = Task(
            problem=mild(t),
            method=method,
            dt=GRADIENT_DT,
            ts=tuple(t * i / OUTPUTS for i in range(OUTPUTS + 1)),
            noise=until(path, t),
            adjoint=adjoint,  # pyright: ignore[reportArgumentType]
            dtype=dtype,  # pyright: ignore[reportArgumentType]
        )
        run = load(IMPLEMENTATION).prepare(task)
        return {name: np.asarray(g, float) for name, g in (run.outcome(run()).gradients or {}).items()}

    right = gradient("heun", "backprop", "float64")
    for method in SHOWN:
        given = gradient(method, adjoint(method), "float32")
        yield columns(
            *("gradient_error", method, adjoint(method), GRADIENT_DT, t),
            lambda given=given: statistics.Estimate(*[statistics.relative_l1(given, right)] * 3),
        )


def columns(
    measure: str, method: str, adjoint: str | None, dt: float, t: float, value: Callable[[], statistics.Estimate]
) -> Columns:
    """The columns of a row with the value of `value()`, or of a failure where that is not finite."""
    version, framework = load(IMPLEMENTATION).versions()
    problem = mild(t)
    try:
        known = dict(zip(("value", "low", "high"), value(), strict=True)) | {"status": "ok"}
    except ValueError as failure:
        known = {"status": "failed", "reason": describe(failure)}
    return dict(
        time=datetime.now(UTC).isoformat(timespec="seconds"),
        device="cpu",
        tool="long_times",
        implementation=IMPLEMENTATION,
        version=version,
        framework=framework,
        problem=problem.name,
        problem_version=problem.version,
        method=method,
        adjoint=adjoint,
        noise_type=problem.noise_type,
        noise_source="given",
        batch=PATHS,
        dim=1,
        noise_dim=1,
        dt=dt,
        steps=round(t / dt),
        dtype="float32",
        samples=PATHS if adjoint is None else 1,
        measure=measure,
        unit=results.MEASURES[measure],
        **known,
    )


def rows() -> Iterator[Columns]:
    path = make_path(0.0, TIMES[-1], round(TIMES[-1] / min(DTS)), PATHS, 1, seed=0)
    for method in SHOWN:
        for dt in DTS:
            yield from solutions(path, method, dt)
    for t in GRADIENT_TIMES:
        yield from gradients(path, t)


def main(file: File) -> None:
    where, done = asdict(context(threads=1)), []
    for made in rows():
        done.append(results.row(**where, **made))
        print(*(done[-1][c] for c in ("measure", "method", "dt", "steps", "value", "reason")), flush=True)
        results.write(file, done)


if __name__ == "__main__":
    main(File(sys.argv[1]))
