"""Strong order: the slope of log error against log step size, on common paths, and whether the error has the limit 0.

The problems depend on time in drift and diffusion, mix their components, and are chosen so that the orders are sharp:
no method does better on them than theory says. Their solutions are exact functions of a path that is finer than what
the libraries get; where a part of it is not known from a path on a grid, it is at most a tenth of the smallest error.

The fit is by least squares over step sizes over which the curve is straight, the interval by the jackknife over paths.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Any, get_args

import numpy as np

from suite import statistics
from suite.harness import Task
from suite.noises import for_steps
from suite.problems import SDEType
from suite.verify import quotations, solving, step_programs
from suite.verify.claims import (
    BURRAGE,
    CASTELL,
    CONSTRUCTED,
    FOSTER,
    KIDGER,
    KLOEDEN,
    NEGATIVE,
    POSITIVE,
    ROESSLER,
    Claim,
    Kind,
)
from suite.verify.findings import Curve, Effort, Finding
from suite.verify.gradients import compiles_slowly
from suite.verify.noises import NOISES, fine, posed

# How far below the claimed order the fitted slope may lie: step sizes are finite, orders are limits.
MARGIN = 0.05
FEWEST = 3  # step sizes that a slope is fitted over
MOST = 2**24  # cells of all paths together: what fits into memory
BLUR = 0.1  # of the smallest error: what may be unknown of the solution


Orders = Mapping[str, float]

_COMMUTATIVE: Orders = {"diagonal": 1.0, "scalar": 1.0, "additive": 1.0, "commutative": 1.0, "general": 0.5}
_MILSTEIN: Orders = {"diagonal": 1.0, "scalar": 1.0, "additive": 1.0}
_HALF: Orders = {"diagonal": 0.5, "scalar": 0.5, "additive": 1.0, "commutative": 0.5, "general": 0.5}
_HIGH: Orders = {"diagonal": 1.5, "scalar": 1.5, "additive": 1.5}
_BOTH = get_args(SDEType)

# method -> (calculi, strong order by kind of noise, who proves it): diagonal noise whose entry i depends on y_i alone.
# For mccallum_foster nobody has: what sdegrad claims of it is its own.
THEORY: Mapping[str, tuple[Sequence[SDEType], Orders, str]] = {
    "euler": (("ito",), _HALF, KLOEDEN),
    "milstein": (_BOTH, _MILSTEIN, KLOEDEN),
    "srk": (("ito",), _HIGH, ROESSLER),
    "sra1": (_BOTH, {"additive": 1.5}, ROESSLER),
    "shark": (_BOTH, {"additive": 1.5}, FOSTER),
    "reversible_heun": (("stratonovich",), _HALF, KIDGER),
    "log_ode": (("stratonovich",), _COMMUTATIVE, CASTELL),
    **dict.fromkeys(("heun", "midpoint", "euler_heun", "ees25", "ees27"), (("stratonovich",), _COMMUTATIVE, BURRAGE)),
}

LIMIT = "its error tends to zero with the step"
SYNTHETIC = {POSITIVE: 0.0, NEGATIVE: 0.1}  # kind -> how much of the order errors made up lack
_QUICK = {("srk", "diagonal")}


def claims(name: str) -> Iterator[Claim]:
    methods = dict.fromkeys([*THEORY, *quotations.METHODS, *solving.own_methods(name)])
    for method, sde_type, noise in product(methods, _BOTH, NOISES):
        stated = _stated(name, method, sde_type, noise)
        for order, (kind, source) in sorted(stated.items()):
            yield _claim(name, method, sde_type, noise, kind=kind, source=source, expected=order)
        if stated:
            order, (kind, source) = max(stated.items())
            yield _claim(name, method, sde_type, noise, kind=kind, source=source, expected=order, claim=LIMIT)
    # Ito's Euler with the drift of the Stratonovich equation converges to another process.
    for claim in ({}, {"claim": LIMIT}):
        yield _claim(
            *(name, "euler", "ito", "diagonal"),
            kind=NEGATIVE,
            subject="euler with the drift of the other calculus",
            expected=0.5,
            case=_case("diagonal", "euler", "ito") | {"drift": "stratonovich"},
            **claim,
        )
    for kind, lacks in SYNTHETIC.items():
        yield _claim(
            *(name, "euler", "ito", "diagonal"),
            kind=kind,
            subject=f"errors made up, of order {1 - lacks:g}",
            expected=1.0,
            spoil={"order": 1 - lacks},
        )


def _case(noise: str, method: str, sde_type: str) -> dict[str, Any]:
    return {"problem": NOISES[noise].problem, "noise": noise, "method": method, "sde_type": sde_type}


def _claim(name: str, method: str, sde_type: str, noise: str, *, kind: Kind, expected: float, **more: Any) -> Claim:
    levy = method == "log_ode" and noise in ("commutative", "general")
    quick = (method, noise) in _QUICK or kind in CONSTRUCTED
    usual = "default" if _sharpest(name, method, noise) else "full"
    return Claim(
        **{
            "kind": kind,
            "check": "order",
            "implementation": name,
            "subject": f"{method}, {sde_type}, {noise} noise",
            "claim": f"strong order {expected:g}",
            "expected": expected,
            "source": CONSTRUCTED.get(kind, ""),
            "case": _case(noise, method, sde_type),
            "statistical": True,
            "preset": "quick" if quick else usual,
            "may_lack": levy,
        }
        | more
    )


def _sharpest(name: str, method: str, noise: str) -> bool:
    """Whether the default run has time for it: of methods that a library alone has, and that take long to compile, one
    kind of noise, where their order is highest."""
    own = solving.own_methods(name)
    if method not in own or not compiles_slowly(name):
        return True
    orders = {kind: own[method].order.get(kind, 0.0) for kind in NOISES}
    return noise == max(orders, key=lambda kind: orders[kind])


def _stated(name: str, method: str, sde_type: Any, noise: str) -> dict[float, tuple[Kind, str]]:
    """Every strong order that is stated of the method, by whom; theory where it says more than the library."""
    quotes = quotations.strong_orders(name, method, sde_type, noise)
    sources: dict[float, tuple[Kind, str]] = {
        quote.value: ("claim", "; ".join(str(q) for q in quotes if q.value == quote.value)) for quote in quotes
    }
    calculi, orders, paper = THEORY.get(method, ((), {}, ""))
    if sde_type in calculi and orders.get(noise, 0.0) > max(sources, default=0.0):
        sources[orders[noise]] = "theory", paper
    return sources


@solving.remembered  # rows that expect different orders, and controls, rest on the same solutions
def solutions(name: str, case: tuple[tuple[str, Any], ...], paths: int, seed: int) -> np.ndarray:
    """At the end, [dts, paths, dim]."""
    known = dict(case)
    noise = NOISES[known["noise"]]
    problem = posed(noise, known["sde_type"], paths, seed, known.get("drift"))
    path, _, _ = fine(known["noise"], paths, seed)
    tasks = (
        Task(problem=problem, method=known["method"], dt=dt, ts=(0.0, 1.0), noise=for_steps(path, dt), dtype="float64")
        for dt in noise.dts
    )
    return np.array([solving.outcome(name, task).ys[-1] for task in tasks])


def _squares(claim: Claim, paths: int, seed: int) -> tuple[np.ndarray, float]:
    """The squared errors [dts, paths], and what of them is not known, at most (root mean square)."""
    noise = NOISES[claim.case["noise"]]
    if "order" in claim.spoil:
        errors = np.random.default_rng(seed).standard_normal((len(noise.dts), paths, 1))
        return (errors * np.array(noise.dts)[:, None, None] ** claim.spoil["order"]).squeeze(-1) ** 2, 0.0
    _, exact, blur = fine(claim.case["noise"], paths, seed)
    ends = solutions(claim.implementation, tuple(claim.case.items()), paths, seed)
    return np.array([statistics.squared_errors(end, exact) for end in ends]), blur


def straight(dts: Sequence[float], squares: np.ndarray, confidence: float) -> tuple[Sequence[float], np.ndarray]:
    """Without the coarsest step sizes, for as long as the curve bends by more than the margin."""
    while len(dts) > FEWEST:
        bend = statistics.bend(dts, squares, confidence=confidence)
        if bend.low <= MARGIN and bend.high >= -MARGIN:
            break
        dts, squares = dts[1:], squares[1:]
    return dts, squares


def measure(claim: Claim, effort: Effort) -> Finding:
    noise = NOISES[claim.case["noise"]]
    paths = min(round(noise.paths * effort.more / (2 if effort.quick else 1)), MOST // noise.cells)
    squares, blur = _squares(claim, paths, effort.seed)
    if blur > BLUR * squares[-1].mean() ** 0.5:
        reason = f"the solution is known to {blur:.2g} alone, and the smallest error is {squares[-1].mean() ** 0.5:.2g}"
        return Finding("inconclusive", claim.expected, *statistics.Estimate(*[np.nan] * 3), reason, samples=paths)
    confidence = 1 - effort.level
    if claim.claim == LIMIT:
        return _limit(claim.expected, noise.dts, squares, confidence)
    dts, squares = straight(noise.dts, squares, confidence)
    measured = statistics.order(dts, squares, confidence=confidence)
    bound = claim.expected - MARGIN
    verdict = "holds" if measured.low >= bound else "fails" if measured.high < bound else "inconclusive"
    if measured.low > claim.expected + 2 * MARGIN:
        verdict = "exceeds"
    # the interval shrinks like one over the root of the number of paths
    needs = paths * ((measured.value - measured.low) / max(abs(measured.value - bound), 1e-9)) ** 2
    reason = "" if len(dts) == len(noise.dts) else f"fitted over dt <= {dts[0]:g}, where the curve is straight"
    errors = (squares.mean(1) ** 0.5).tolist()
    curve = Curve("step size", "strong error", dts, errors, errors, errors, slope=claim.expected)
    return Finding(verdict, claim.expected, *measured, reason, samples=paths, needs=needs, curve=curve)


def _limit(order: float, dts: Sequence[float], squares: np.ndarray, confidence: float) -> Finding:
    """Whether the mean square error at dt = 0, in units of that at the smallest dt, may be 0. As much is allowed as an
    order that is the margin too low would show."""
    found = statistics.limit(dts, squares, order, confidence=confidence)
    step = dts[-2] / dts[-1]
    allowed = (1 - step ** (-2 * MARGIN)) / (1 - step ** (-2 * order))
    return Finding("holds" if found.low <= allowed else "fails", 0.0, *found, samples=squares.shape[1])


def script(claim: Claim) -> str | None:
    """A program that shows the failure with the library alone."""
    return step_programs.order(claim, NOISES[claim.case["noise"]].dts)
