"""Backpropagation through a solve against central differences of the solve itself, for every method.

The relative error of one directional derivative, in y0 and all parameters at once, on the library's own noise. Nothing
is random: the direction is drawn with the seed, but for the signs, which are those of the gradient, so that nothing in
the product cancels.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from suite.harness import METHODS, Task, sum_of_squares
from suite.problems import NoiseType, Problem, make
from suite.verify import programs, solving
from suite.verify.claims import CONSTRUCTED, GRIEWANK, NEGATIVE, POSITIVE, Claim
from suite.verify.findings import Effort, Finding, at_most
from suite.verify.gradients import COMPILED, DRIVEN, TERMS, compiles_slowly

STEP = 1e-5
# Of the error of a central difference: STEP^2 times a third derivative, and 2^-52 / STEP times the loss, each below
# 1e-9 of the sum of the sizes of all parts, with a hundred in hand.
BOUND = 1e-7
DT, TS = 0.07, (0.0, 0.3, 1.0)
_CONTROLLED = "heun"


def claims(name: str) -> Iterator[Claim]:
    claim: dict[str, Any] = {
        "check": "difference",
        "implementation": name,
        "claim": "backpropagation gives the derivative of the solve, as differences do",
        "expected": BOUND,
    }
    for method, facts in METHODS.items():
        noise: NoiseType = next(n for n in ("general", "diagonal", "additive") if n in facts.order)
        for sde_type in facts.sde_types:
            case = {"problem": DRIVEN[noise], "method": method, "sde_type": sde_type}
            subject = f"{method}, {sde_type}, {DRIVEN[noise]}"
            preset = "default" if method in COMPILED or not compiles_slowly(name) else "full"
            yield Claim(**claim, kind="theory", source=GRIEWANK, subject=subject, case=case, preset=preset)
            if method == _CONTROLLED:
                yield from _controls(claim, case, subject)


def _controls(claim: Mapping[str, Any], case: Mapping[str, Any], subject: str) -> Iterator[Claim]:
    for term in TERMS:
        yield Claim(
            **claim,
            kind=NEGATIVE,
            source=CONSTRUCTED[NEGATIVE],
            subject=f"{subject}, {term} scaled by 1 + 1e-4",
            case=case,
            spoil={"term": term, "factor": 1 + 1e-4},
        )
    yield Claim(
        **claim,
        kind=POSITIVE,
        source=CONSTRUCTED[POSITIVE],
        subject=f"{subject}, the difference by itself",
        case=case,
        spoil={"itself": True},
    )


Parts = Mapping[str, np.ndarray]


def _moved(problem: Problem, direction: Parts, by: float) -> Problem:
    params = {name: value + by * direction[name] for name, value in problem.params.items()}
    return replace(problem, y0=problem.y0 + by * direction["y0"], params=params)


@solving.remembered
def _derivatives(name: str, problem_name: str, method: str, sde_type: Any, seed: int) -> tuple[float, Parts]:
    """The central difference along a direction, and the product of the gradient with the direction, by part."""
    problem = make(problem_name, paths=4, seed=seed, sde_type=sde_type)

    def outcome(problem: Problem, adjoint: Any = None) -> Any:
        area = "foster" if method == "log_ode" else "none"
        common: dict[str, Any] = {"dt": DT, "ts": TS, "dtype": "float64", "seed": seed, "levy_area": area}
        return solving.outcome(name, Task(problem=problem, method=method, adjoint=adjoint, **common))

    rng, gradients = np.random.default_rng(seed), outcome(problem, "backprop").gradients
    direction = {part: np.copysign(rng.standard_normal(g.shape), g) for part, g in gradients.items()}
    high, low = (sum_of_squares(np, outcome(_moved(problem, direction, h)).ys) for h in (STEP, -STEP))
    return float(high - low) / (2 * STEP), {part: g * direction[part] for part, g in gradients.items()}


def measure(claim: Claim, effort: Effort) -> Finding:
    case, spoil = claim.case, claim.spoil
    difference, products = _derivatives(
        claim.implementation, case["problem"], case["method"], case["sde_type"], effort.seed
    )
    size = float(sum(np.abs(x).sum() for x in products.values()))
    along = sum(float(x.sum()) * (spoil["factor"] if part == spoil.get("term") else 1) for part, x in products.items())
    return at_most(claim.expected, 0.0 if spoil.get("itself") else abs(along - difference) / size)


_SCRIPT = """
rng, h = np.random.default_rng(0), {step}
y0, p, ts = rng.uniform(0.5, 1.5, (4, 2)), np.array([0.7, 0.4]), {ts}
parts = solve(y0, p, {dt}, ts, gradient=True)
along = [np.copysign(rng.uniform(0.5, 1.5, part.shape), part) for part in parts]
products = [float((part * way).sum()) for part, way in zip(parts, along)]
high, low = (
    float((solve(y0 + s * along[0], p + s * along[1], {dt}, ts)[0][-1] ** 2).sum()) for s in (h, -h))
error = abs(sum(products) - (high - low) / (2 * h)) / sum(products)
print(f"the gradient along a direction is {{sum(products)}}, the difference {{(high - low) / (2 * h)}}")
sys.exit(error > {bound})
"""


def script(claim: Claim) -> str | None:
    """A program that holds backpropagation against a difference of the solve itself, on the same noise."""
    fields = programs.driven(claim.case["problem"])
    blanks = {"step": STEP, "ts": TS, "dt": DT, "bound": BOUND, "adjoint": "backprop"}
    return programs.program(claim, claim.claim, fields, _SCRIPT, **blanks)
