"""Whether a library has done the work: who solves less, or another SDE, is not compared."""

from typing import Any

import numpy as np

from suite.harness import Run, Trial
from suite.statistics import Estimate, weak_error

DEVIATIONS = 6.0  # standard errors by which a moment may be off, beside what steps of this length make of it


class Diverged(ArithmeticError):
    """A solver whose outputs or gradients are not finite."""


def _shapes(trial: Trial) -> dict[str, tuple[int, ...]]:
    """The shapes of the outputs and of the gradients: who solves less is not compared."""
    if trial.brownian:
        asked = trial.brownian_task()
        return {"outputs": (len(asked.queries), *asked.shape)}
    task = trial.task(trial.case.dts[0])
    y0 = task.problem.y0.shape
    gradients = {"y0": y0} | {name: np.shape(value) for name, value in task.problem.params.items()}
    return {"outputs": (len(task.ts), *y0)} | (gradients if trial.adjoint else {})


def checked(trial: Trial, run: Run, result: Any) -> Any:
    """What came of a call, if it is all that was asked for, and finite."""
    outcome = run.outcome(result)
    found = {"outputs": outcome.ys, **(outcome.gradients or {})}
    for what, shape in _shapes(trial).items():
        got = np.shape(found[what]) if what in found else "nothing"
        if got != shape:
            raise ValueError(f"{what} must have the shape {shape}, got {got}; return all that was asked for.")
    for what, array in found.items():
        if not np.isfinite(array).all():
            raise Diverged(f"{what} are not finite; the solver diverged, a smaller dt may help.")
    return outcome


def checked_mean(trial: Trial, outcome: Any) -> Estimate | None:
    """The error of the mean at the end, where moments are known; ValueError if they are not those of the SDE."""
    problem, end = trial.case.make(), outcome.ys[-1]
    if problem.growth is None or len(end) < 2:
        return None
    mean, square = problem.growth(problem.t1, problem.params)
    grown = np.divide(end, problem.y0, dtype=np.float64)
    for what, values, wanted in (("mean", grown, mean), ("mean square", grown**2, square)):
        error = values.std(0) / len(end) ** 0.5
        if (np.abs(values.mean(0) - wanted) > DEVIATIONS * error + trial.case.dts[0] * wanted).any():
            raise ValueError(
                f"the {what} of the solution in units of its start is {values.mean(0)}, expected {wanted}, with a "
                f"standard error of {error}: it is not that of this SDE."
            )
    return weak_error(end.sum(1), (problem.y0 * mean).sum(1))
