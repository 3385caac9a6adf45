"""The order with which gradients converge to the exact derivative of the solution along the path.

Geometric Brownian motion of 8192 components, each with parameters and noise of its own, so each a sample,
its errors in units of the square of the solution, which have light tails; for methods
of additive noise alone, 8192 paths of an Ornstein-Uhlenbeck process, by their starts. Four step sizes, least squares
with a jackknife interval over samples. Where a method steps back nearly where it came from, the truth is the gradient
of its own solve.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from suite import statistics
from suite.case import dyadic
from suite.harness import METHODS, Task
from suite.paths import make_path
from suite.problems import SDEType, make
from suite.verify import programs, solving, sources
from suite.verify.claims import (
    BURRAGE,
    CONSTRUCTED,
    FOSTER,
    KIDGER,
    KLOEDEN,
    LI,
    NEGATIVE,
    OURS,
    POSITIVE,
    ROESSLER,
    Claim,
)
from suite.verify.findings import Effort, Finding
from suite.verify.gradients import COMPILED, compiles_slowly

SAMPLES = 8192
DTS = dyadic(4, 5, 6, 7)
MARGIN = 0.05  # below the order, for finite step sizes
# method -> (order of its gradients for this noise, who proves it of the solution and so of its derivatives)
PATHWISE: Mapping[str, tuple[float, str, str]] = {
    "euler": (0.5, "gbm", KLOEDEN),
    "milstein": (1.0, "gbm", KLOEDEN),
    "srk": (1.5, "gbm", ROESSLER),
    "reversible_heun": (0.5, "gbm", KIDGER),
    "sra1": (1.5, "ou", ROESSLER),
    "shark": (1.5, "ou", FOSTER),
    **dict.fromkeys(("heun", "midpoint", "euler_heun", "ees25", "ees27", "mccallum_foster"), (1.0, "gbm", BURRAGE)),
}
NEAR = {"ees25": 2.0, "ees27": 3.0}  # at least, with noise (DIFFERENCES.md of sdegrad.torch)


def claims(name: str) -> Iterator[Claim]:
    slow = compiles_slowly(name)
    for method, (order, problem, source) in PATHWISE.items():
        sde_type: SDEType = METHODS[method].sde_type
        for adjoint, paper in (("backprop", source), ("backsolve", LI)):
            if adjoint == "backsolve" and METHODS[method].reversible:
                continue  # the continuous adjoint is then solved by another method
            case = {"method": method, "problem": problem, "sde_type": sde_type, "adjoint": adjoint}
            preset = "full" if slow and method not in (*COMPILED, "euler") else "default"
            yield _claim(name, case, order, paper, preset=preset)
            if (method, adjoint) == ("heun", "backprop"):
                yield from _controls(name, case)
    for method, order in NEAR.items() if name in OURS else ():
        case = {"method": method, "problem": "driven_general", "sde_type": "stratonovich", "adjoint": "reversible"}
        words = str(sources.page("impls/sdegrad/torch/DIFFERENCES.md", "at least like dt^2 and dt^3 with it"))
        yield _claim(name, case, order, words, preset="full" if slow else "default", kind="claim")


def _claim(name: str, case: Mapping[str, Any], order: float, source: str, **rest: Any) -> Claim:
    truth = "that of the solve" if case["adjoint"] == "reversible" else "the exact one of the path"
    common: dict[str, Any] = {
        "kind": "theory",
        "check": "gradient order",
        "implementation": name,
        "subject": f"{case['method']}, {case['problem']}, {case['adjoint']}",
        "claim": f"the gradient converges to {truth} with order {order:g}",
        "source": source,
        "expected": order,
        "case": case,
        "statistical": True,
        "may_lack": True,
    }
    return Claim(**common | rest)


def _controls(name: str, case: Mapping[str, Any]) -> Iterator[Claim]:
    """One part of the gradient too large by one per cent; the exact gradient plus an error that is dt."""
    for part in ("y0", "mu", "sigma"):
        false: dict[str, Any] = {"kind": NEGATIVE, "spoil": {"part": part, "factor": 1.01}}
        what = f"{case['method']}, gbm, {part} times 1.01"
        yield _claim(name, case, 1.0, CONSTRUCTED[NEGATIVE], subject=what, **false)
    true: dict[str, Any] = {"kind": POSITIVE, "spoil": {"order": 1.0}}
    what = f"{case['method']}, gbm, the exact gradient and an error of dt"
    yield _claim(name, case, 1.0, CONSTRUCTED[POSITIVE], subject=what, **true)


Parts = Mapping[str, np.ndarray]


@solving.remembered
def _gradients(
    name: str, method: str, problem_name: str, sde_type: Any, adjoint: Any, samples: int, seed: int
) -> tuple[list[Parts], list[Parts]]:
    """Those of the library at each step size, and the truths, each part [samples]."""
    paths, dim = (1, samples) if problem_name == "gbm" else (samples, 1 if problem_name == "ou" else 2)
    more = {} if problem_name == "gbm" else {"noise_dim": 1 if problem_name == "ou" else 2}
    problem = make(problem_name, paths=paths, dim=dim, seed=seed, sde_type=sde_type, **more)
    path = make_path(0.0, 1.0, 2 * round(1 / min(DTS)), paths, problem.noise_dim, seed)
    parts = ("y0", "mu", "sigma") if problem_name == "gbm" else ("y0",)

    def found(gradients: Any) -> Parts:
        return {part: np.reshape(gradients[part], (samples, -1)) for part in parts}

    def gradient(dt: float, adjoint: Any) -> Parts:
        task = Task(problem=problem, method=method, dt=dt, ts=(0.0, 1.0), noise=path, adjoint=adjoint, dtype="float64")
        return found(solving.outcome(name, task).gradients)

    ours: list[Parts] = [gradient(dt, adjoint) for dt in DTS]
    if problem.exact_gradient is None:
        return ours, [gradient(dt, "backprop") for dt in DTS]
    # the loss is over all outputs: the start is one, and its square has the derivative 2 y0
    exact = problem.exact_gradient(path, problem.y0, problem.params)
    exact["y0"] = exact["y0"] + 2 * problem.y0
    unit = exact["mu"][:, None] if problem_name == "gbm" else 1.0
    ours = [{part: x / unit for part, x in gradients.items()} for gradients in ours]
    return ours, [{part: x / unit for part, x in found(exact).items()}] * len(DTS)


def measure(claim: Claim, effort: Effort) -> Finding:
    case, samples = claim.case, round(SAMPLES * effort.more)
    work = case["method"], case["problem"], case["sde_type"], case["adjoint"]
    ours, truths = _gradients(claim.implementation, *work, samples, effort.seed)
    squares = np.array([_squares(x, exact, claim.spoil, dt) for x, exact, dt in zip(ours, truths, DTS, strict=True)])
    if not squares.any(axis=1).all():
        return Finding("exceeds", claim.expected, np.inf, np.inf, np.inf, "no error at all", samples=samples)
    # A way back is off by products of many increments, with tails too heavy for squares: its mean error is fitted.
    power = 1 if case["adjoint"] == "reversible" else 2
    halves = statistics.order(DTS, squares ** (power / 2), confidence=1 - effort.level)
    measured = statistics.Estimate(*(2 / power * x for x in halves))
    bound = claim.expected - MARGIN
    verdict = "holds" if measured.low >= bound else "fails" if measured.high < bound else "inconclusive"
    needs = samples * ((measured.value - measured.low) / max(abs(measured.value - bound), 1e-9)) ** 2
    return Finding(verdict, claim.expected, *measured, samples=samples, needs=needs)


def _squares(ours: Parts, truth: Parts, spoil: Mapping[str, Any], dt: float) -> np.ndarray:
    """The squared error of each sample, [samples]."""
    if "order" in spoil:
        return np.full(len(truth["y0"]), dt ** (2 * spoil["order"]))
    factors = {part: spoil["factor"] if part == spoil.get("part") else 1.0 for part in ours}
    return np.sum([np.square(factors[part] * ours[part] - truth[part]).sum(1) for part in ours], axis=0)


_SCRIPT = """
y0 = np.random.default_rng(0).uniform(0.5, 1.5, ({samples}, 2))
dts = {dts}
parts = [solve(y0, [0.5, 0.4], dt, gradient=True)[0] for dt in (*dts, dts[-1] / 2)]
errors = [np.sqrt(((a - b) ** 2).mean()) for a, b in zip(parts, parts[1:])]  # what half the step changes
order = np.polyfit(np.log(dts), np.log(errors), 1)[0]
print(f"the gradient converges with order {{order:.2f}}, expected {expected:g}")
sys.exit(bool(order < {expected:g} - 0.15))  # 0.05 for finite steps, 0.1 for chance
"""


def script(claim: Claim) -> str | None:
    """A program that fits the order to what the gradient changes by as the step is halved, on the same paths."""
    fields = programs.KINDS["diagonal" if claim.case["problem"] == "gbm" else "additive"]
    blanks = {"samples": SAMPLES // 8, "dts": DTS, "expected": claim.expected}
    return programs.program(claim, claim.claim, fields, _SCRIPT, **blanks)
