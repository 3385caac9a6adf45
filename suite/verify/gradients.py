"""Gradients of the reversible adjoint against those of backpropagation through the same solve, on the library's noise.

The largest relative L1 error over the step sizes of the claim. Nothing is random.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from suite import statistics
from suite.cases import dyadic
from suite.harness import Task
from suite.problems import make
from suite.verify import quotations, solving
from suite.verify.claims import CONSTRUCTED, KIDGER, OURS, Claim, said
from suite.verify.findings import Curve, Effort, Finding, at_most

# Reversible Heun's round-off, relative L1, where the Lipschitz constant times T is at most 2.
EXACT = 1e-13
DYADIC = dyadic(0, 1, 2, 3, 4, 5, 6, 7)
DIVIDING = (0.1, 0.05, 0.02, 0.01)
ANY = (1.0, 0.5, 0.1, 0.07, 0.05, 0.02, 0.01, 2.0**-7)
_QUICK_PROBLEM = "mlp_general"

# Where a library says that its reversible gradient is exact -> the step sizes and output times that are tried. torchsde
# warns where the spacing of the output times is not a multiple of the step. Of others, only what is exact in any
# arithmetic of times.
_DYADIC = {"for dt a power of two": (DYADIC, (0.0, 1.0))}
_WHERE: Mapping[str, Mapping[str, tuple[tuple[float, ...], tuple[float, ...]]]] = {
    **{name: {"for any dt and output times": (ANY, (0.0, 0.3, 1.0))} for name in OURS},
    "torchsde": _DYADIC | {"for dt that divides the span": (DIVIDING, (0.0, 1.0))},
}


def claims(name: str) -> Iterator[Claim]:
    if name == "diffrax":  # has no reversible adjoint, and claims none
        return
    stated = said(quotations.exact_gradients(name), KIDGER)
    for where, (dts, ts) in _WHERE.get(name, _DYADIC).items():
        claim: dict[str, Any] = {
            "check": "gradient",
            "implementation": name,
            "claim": f"gradients of the reversible adjoint are exact to rounding {where}",
            "expected": EXACT,
        }
        for problem in ("mlp", "mlp_additive", "mlp_scalar", "mlp_general"):
            yield Claim(
                **claim,
                **stated,
                subject=f"reversible_heun, {problem}",
                case={"problem": problem, "method": "reversible_heun", "dts": dts, "ts": ts},
                preset="quick" if problem == _QUICK_PROBLEM else "default",
            )
        yield Claim(
            **claim,
            kind="negative control",
            source=CONSTRUCTED["negative control"],
            subject=f"reversible_heun, {_QUICK_PROBLEM}, gradients scaled by 1 + 1e-9",
            case={"problem": _QUICK_PROBLEM, "method": "reversible_heun", "dts": dts, "ts": ts},
            spoil={"scale": 1 + 1e-9},
            preset="quick",
        )


Gradients = Mapping[str, np.ndarray]


@solving.remembered
def _gradients(
    name: str, problem_name: str, dts: tuple[float, ...], ts: tuple[float, ...], seed: int
) -> list[tuple[Gradients, Gradients]]:
    """For each step size that of the reversible adjoint and that of backpropagation."""
    problem = make(problem_name, paths=4, dim=3, hidden=4, seed=seed)

    def gradient(dt: float, adjoint: Any) -> Gradients:
        task = Task(
            problem=problem, method="reversible_heun", dt=dt, ts=ts, adjoint=adjoint, dtype="float64", seed=seed
        )
        return solving.outcome(name, task).gradients

    return [(gradient(dt, "reversible"), gradient(dt, "backprop")) for dt in dts]


def measure(claim: Claim, effort: Effort) -> Finding:
    case, scale = claim.case, claim.spoil.get("scale", 1.0)
    pairs = _gradients(claim.implementation, case["problem"], case["dts"], case["ts"], effort.seed)
    errors = [statistics.relative_l1({k: scale * x for k, x in ours.items()}, exact) for ours, exact in pairs]
    curve = Curve("step size", "relative error of the gradient", case["dts"], errors, errors, errors)
    return at_most(claim.expected, max(errors))._replace(curve=curve)
