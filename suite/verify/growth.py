"""How round-off in the gradient of the reversible adjoint grows with the Lipschitz constant times the time span: a
figure, without a verdict. Up to 2 it is the check `gradient` that decides.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from suite import statistics
from suite.harness import Task
from suite.problems import make
from suite.verify import solving
from suite.verify.claims import KIDGER, Claim
from suite.verify.findings import Curve, Effort, Finding
from suite.verify.gradients import compiles_slowly

DT = 2.0**-5
SPANS = (2.0, 4.0, 8.0, 16.0, 32.0)  # of a problem whose Lipschitz constant is 1
WORDS = "how the error of its gradient grows with the Lipschitz constant times the time span: a figure, no verdict"


def claims(name: str) -> Iterator[Claim]:
    if name != "diffrax":  # has no reversible adjoint
        yield Claim(
            kind="theory",
            check="growth",
            implementation=name,
            subject="reversible_heun, driven, reversible",
            claim=WORDS,
            source=KIDGER,
            case={"problem": "driven", "method": "reversible_heun", "adjoint": "reversible"},
        )


def _gradient(name: str, case: Mapping[str, Any], adjoint: Any, span: float, seed: int) -> Any:
    problem = make(case["problem"], paths=4, t1=span, seed=seed, sde_type="stratonovich")
    common: dict[str, Any] = {"dt": DT, "ts": (0.0, span), "dtype": "float64", "seed": seed}
    task = Task(problem=problem, method=case["method"], adjoint=adjoint, **common)
    return solving.outcome(name, task).gradients


def measure(claim: Claim, effort: Effort) -> Finding:
    """At the longest span."""
    name, case = claim.implementation, claim.case
    spans = SPANS[::2] if compiles_slowly(name) else SPANS
    errors = [
        statistics.relative_l1(
            *(_gradient(name, case, adjoint, span, effort.seed) for adjoint in (case["adjoint"], "backprop"))
        )
        for span in spans
    ]
    label = "Lipschitz constant times the time span"
    curve = Curve(label, "relative error of the gradient", spans, errors, errors, errors)
    reason = f"the relative error at {spans[-1]:g}; at {spans[0]:g} it is {errors[0]:.1g}"
    worst = errors[-1]
    return Finding("measured", 0.0, worst, worst, worst, reason, curve=curve)
