"""asv: errors, orders, memory, evaluations and operations of every implementation over the commits, of the bench's
cases.

The same at every run. For asv smaller is better; of an order it is not, so `nox -s regress` judges, not asv.
"""

import math
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

from suite import asv_cases
from suite.results import EXACT_TO, Row


def _largest(measure: Callable[[Any, Any], Iterator[Row]], trial: Any, name: str) -> float:
    """The largest magnitude of a measure over the step sizes; NaN, asv's n/a, where a commit cannot tell it yet."""
    found = [abs(float(row["value"])) for row in measure(trial, asv_cases.quiet) if row["measure"] == name]
    return max(found, default=math.nan)


class GradientError(asv_cases.OfCases):
    """On a given path, in float64; no less than `EXACT_TO`."""

    params: ClassVar = asv_cases.params("gradient_error")

    def track_gradient_error(self, implementation: str, device: str, work: str) -> float:
        from suite.measuring import gradient_error

        return max(EXACT_TO, _largest(gradient_error, self.trial, "gradient_error"))


class StrongError(asv_cases.OfCases):
    """On given paths, in float64: strong and weak error at the largest step, and the order over all."""

    params: ClassVar = asv_cases.params("strong_error")

    def _value(self, name: str) -> float:
        from suite.measuring import strong_error

        return _largest(strong_error, self.trial, name)

    def track_strong_error(self, implementation: str, device: str, work: str) -> float:
        return self._value("strong_error")

    def track_weak_error(self, implementation: str, device: str, work: str) -> float:
        return self._value("weak_error")

    def track_strong_order(self, implementation: str, device: str, work: str) -> float:
        return self._value("strong_order")


class Memory(asv_cases.OfCases):
    """Peak memory of a gradient, in bytes, at the most steps of the bench."""

    params: ClassVar = asv_cases.params("memory", gradient=True)

    def track_gradient_memory(self, implementation: str, device: str, work: str) -> float:
        from suite.measuring import memory

        return _largest(memory, self.trial, "gradient_memory")

    track_gradient_memory.unit = "B"  # pyright: ignore[reportFunctionMemberAccess]


class SolveMemory(asv_cases.OfCases):
    """Peak memory of a solve, in bytes, at the most steps of the bench."""

    params: ClassVar = asv_cases.params("memory", gradient=False)

    def track_solve_memory(self, implementation: str, device: str, work: str) -> float:
        from suite.measuring import memory

        return _largest(memory, self.trial, "solve_memory")

    track_solve_memory.unit = "B"  # pyright: ignore[reportFunctionMemberAccess]


class Evaluations(asv_cases.OfCases):
    """Evaluations a step, and operations."""

    params: ClassVar = asv_cases.params("nfe")

    def track_nfe_drift(self, implementation: str, device: str, work: str) -> float:
        return _evaluations(self.trial, "nfe_drift")

    def track_nfe_diffusion(self, implementation: str, device: str, work: str) -> float:
        return _evaluations(self.trial, "nfe_diffusion")

    def track_operations(self, implementation: str, device: str, work: str) -> float:
        return _evaluations(self.trial, "operations")


class Products(asv_cases.OfCases):
    """Vector-Jacobian products a step, of gradients."""

    params: ClassVar = asv_cases.params("nfe", gradient=True)

    def track_nfe_drift_vjp(self, implementation: str, device: str, work: str) -> float:
        return _evaluations(self.trial, "nfe_drift_vjp")

    def track_nfe_diffusion_vjp(self, implementation: str, device: str, work: str) -> float:
        return _evaluations(self.trial, "nfe_diffusion_vjp")


def _evaluations(trial: Any, name: str) -> float:
    from suite.measuring import nfe

    return _largest(nfe, trial, name)
