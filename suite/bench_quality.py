"""asv: errors, memory and function evaluations of our solvers over the commits. Deterministic; smaller is better."""

from collections.abc import Iterable
from typing import ClassVar

from suite.asv_cases import OURS, find, trial
from suite.cases import EXACT
from suite.results import Row

METHODS = ["reversible_heun", "heun", "midpoint"]
EXACT_TO = 1e-13  # a gradient is exact below this: a change of round-off is no change of accuracy


def _value(rows: Iterable[Row], measure: str) -> float:
    """The largest value of a measure over the step sizes."""
    return max(float(row["value"]) for row in rows if row["measure"] == measure)


def _quiet(implementation: str, what: str) -> None:
    """No one listens to the progress of a benchmark."""


class Errors:
    """The largest errors over the step sizes of the bench, float64, on a given path; of a gradient no less than
    `EXACT_TO`."""

    params: ClassVar = [OURS, METHODS]
    param_names: ClassVar = ["implementation", "method"]
    version = "2"

    def track_gradient_error(self, implementation: str, method: str) -> float:
        from suite.measuring import gradient_error

        case = find("gradient_error", method=method)
        return max(EXACT_TO, _value(gradient_error(trial(implementation, case), _quiet), "gradient_error"))

    def track_strong_error(self, implementation: str, method: str) -> float:
        from suite.measuring import strong_error

        case = find("strong_error", method=method, problem="gbm")
        return _value(strong_error(trial(implementation, case), _quiet), "strong_error")


class Cost:
    """Memory of the gradient at the most steps of the bench, and evaluations per step."""

    params: ClassVar = [OURS]
    param_names: ClassVar = ["implementation"]
    version = "1"

    def track_gradient_memory(self, implementation: str) -> float:
        from suite.measuring import memory

        case = find("memory", adjoints=EXACT)
        return _value(memory(trial(implementation, case), _quiet), "gradient_memory")

    track_gradient_memory.unit = "B"  # pyright: ignore[reportFunctionMemberAccess]

    def track_nfe_drift(self, implementation: str) -> float:
        from suite.measuring import nfe

        case = find("nfe", method="reversible_heun", adjoints=EXACT)
        return _value(nfe(trial(implementation, case), _quiet), "nfe_drift")
