"""Strong order: the slope of log error against log step size, on common paths, against the exact solution.

8192 paths (4096 if quick), five step sizes, least squares with a jackknife interval over paths.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Any, get_args

import numpy as np

from suite import statistics
from suite.cases import dyadic
from suite.harness import Task
from suite.paths import Path, make_path
from suite.problems import NoiseType, SDEType, make
from suite.verify import quotations, solving
from suite.verify.claims import BURRAGE, CASTELL, CONSTRUCTED, FOSTER, KIDGER, KLOEDEN, ROESSLER, Claim, Kind
from suite.verify.findings import Curve, Effort, Finding

PATHS, QUICK_PATHS = 8192, 4096
# How far below the claimed order the fitted slope may lie: step sizes are finite, orders are limits.
MARGIN = 0.05
DTS = dyadic(5, 6, 7, 8, 9)

_COMMUTATIVE: Mapping[NoiseType, float] = {"diagonal": 1.0, "scalar": 1.0, "additive": 1.0}
_HALF: Mapping[NoiseType, float] = {"diagonal": 0.5, "scalar": 0.5, "additive": 1.0}
_HIGH: Mapping[NoiseType, float] = {"diagonal": 1.5, "scalar": 1.5, "additive": 1.5}
_BOTH = get_args(SDEType)

# method -> (calculi, strong order by noise type, who proves it): diagonal noise whose entry i depends on y_i alone. For
# mccallum_foster nobody has: what sdegrad claims of it is its own.
THEORY: Mapping[str, tuple[Sequence[SDEType], Mapping[NoiseType, float], str]] = {
    "euler": (("ito",), _HALF, KLOEDEN),
    "milstein": (_BOTH, _COMMUTATIVE, KLOEDEN),
    "srk": (("ito",), _HIGH, ROESSLER),
    "sra1": (_BOTH, {"additive": 1.5}, ROESSLER),
    "shark": (_BOTH, {"additive": 1.5}, FOSTER),
    "reversible_heun": (("stratonovich",), _HALF, KIDGER),
    "log_ode": (("stratonovich",), _COMMUTATIVE, CASTELL),
    **dict.fromkeys(("heun", "midpoint", "euler_heun", "ees25", "ees27"), (("stratonovich",), _COMMUTATIVE, BURRAGE)),
}

# noise type -> the problem with an exact solution that it is checked on
EXACT_PROBLEMS: Mapping[NoiseType, str] = {"diagonal": "gbm", "scalar": "scalar", "additive": "ou"}
_QUICK = (("euler", "diagonal"), ("reversible_heun", "scalar"), ("srk", "diagonal"))


def claims(name: str) -> Iterator[Claim]:
    methods = dict.fromkeys([*THEORY, *quotations.METHODS])
    for method, sde_type, (noise_type, problem) in product(methods, _BOTH, EXACT_PROBLEMS.items()):
        for order, (kind, source) in sorted(_stated(name, method, sde_type, noise_type).items()):
            yield Claim(
                kind=kind,
                check="order",
                implementation=name,
                subject=f"{method}, {sde_type}, {noise_type} noise",
                claim=f"strong order {order:g}",
                expected=order,
                source=source,
                case={"problem": problem, "method": method, "sde_type": sde_type},
                statistical=True,
                preset="quick" if (method, noise_type) in _QUICK else "default",
            )
    # Ito's Euler converges to another process; against the Stratonovich solution it has no order at all.
    yield Claim(
        kind="negative control",
        check="order",
        implementation=name,
        subject="euler against the Stratonovich solution",
        claim="strong order 0.5",
        expected=0.5,
        source=CONSTRUCTED["negative control"],
        case={"problem": "gbm", "method": "euler", "sde_type": "ito"},
        spoil={"solution": "stratonovich"},
        statistical=True,
        preset="quick",
    )


def _stated(name: str, method: str, sde_type: Any, noise_type: NoiseType) -> dict[float, tuple[Kind, str]]:
    """Every strong order that is stated of the method, by whom; theory where it says more than the library."""
    quotes = quotations.strong_orders(name, method, sde_type, noise_type)
    sources: dict[float, tuple[Kind, str]] = {
        quote.value: ("claim", "; ".join(str(q) for q in quotes if q.value == quote.value)) for quote in quotes
    }
    calculi, orders, paper = THEORY.get(method, ((), {}, ""))
    if sde_type in calculi and orders.get(noise_type, 0.0) > max(sources, default=0.0):
        sources[orders[noise_type]] = "theory", paper
    return sources


@solving.remembered
def _path(paths: int, noise_dim: int, seed: int) -> Path:
    """The Brownian path that every library gets."""
    return make_path(0.0, 1.0, 2 * round(1 / min(DTS)), paths, noise_dim, seed)


@solving.remembered  # rows that expect different orders, and controls, rest on the same solutions
def _solutions(name: str, problem_name: str, method: str, sde_type: Any, paths: int, seed: int) -> np.ndarray:
    """At the end, [dts, paths, dim]."""
    problem = make(problem_name, paths=paths, seed=seed, sde_type=sde_type)
    path, ends = _path(paths, problem.noise_dim, seed), []
    for dt in DTS:
        task = Task(problem=problem, method=method, dt=dt, ts=(0.0, 1.0), noise=path, dtype="float64")
        ends.append(solving.outcome(name, task).ys[-1])
    return np.array(ends)


def measure(claim: Claim, effort: Effort) -> Finding:
    case, paths = claim.case, round((QUICK_PATHS if effort.quick else PATHS) * effort.more)
    ends = _solutions(claim.implementation, case["problem"], case["method"], case["sde_type"], paths, effort.seed)
    sde_type = claim.spoil.get("solution", case["sde_type"])
    truth = make(case["problem"], paths=paths, seed=effort.seed, sde_type=sde_type)
    assert truth.exact is not None
    exact = truth.exact(_path(paths, truth.noise_dim, effort.seed), truth.y0, truth.params)
    squares = np.array([statistics.squared_errors(end, exact) for end in ends])
    measured = statistics.order(DTS, squares, confidence=1 - effort.level)
    bound = claim.expected - MARGIN
    verdict = "holds" if measured.low >= bound else "fails" if measured.high < bound else "inconclusive"
    # the interval shrinks like one over the root of the number of paths
    needs = paths * ((measured.value - measured.low) / max(measured.value - bound, 1e-9)) ** 2
    errors = [statistics.strong_error(end, exact) for end in ends]
    curve = Curve("step size", "strong error", DTS, *zip(*errors, strict=True), slope=claim.expected)
    return Finding(verdict, claim.expected, *measured, samples=paths, needs=needs, curve=curve)
