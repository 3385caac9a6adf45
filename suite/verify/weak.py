"""Weak order: the bias of expectations, apart from the noise of the Monte Carlo estimate.

The same paths go through every step size and through the exact solution (multilevel coupling after Giles, Multilevel
Monte Carlo path simulation, 2008), so that f(X_dt) - f(X) has a small variance, and its mean, the bias, is known to a
few percent. Steps are long, where the bias is large. Giles's checks: the bias of both halves of the paths agree, and
the kurtosis of the differences is one for which intervals can be trusted. An order is fitted to each functional f whose
bias is resolved at every step size; each must have the order claimed.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from scipy import stats

from suite import statistics
from suite.cases import dyadic
from suite.harness import METHODS, Task
from suite.paths import make_path
from suite.verify import quotations, solving
from suite.verify.claims import CONSTRUCTED, FOSTER, KLOEDEN, NEGATIVE, POSITIVE, Claim, said
from suite.verify.findings import Effort, Finding
from suite.verify.orders import NOISES, coarser, posed

PATHS = 65536
DTS = dyadic(1, 2, 3)
CELLS = 16  # of the path that the exact solution gets
MARGIN = 0.3  # of the order, at long steps: it tells 1 from 2
RESOLVED = 5.0  # standard errors that a bias must have at every step size
KURTOSIS = 200.0  # of a difference, beyond which its standard error is not to be trusted

Functional = Callable[[np.ndarray], np.ndarray]
FUNCTIONALS: Mapping[str, Functional] = {
    "mean of X_1": lambda y: y[:, 0],
    "mean of X_2": lambda y: y[:, 1],
    "second moment": lambda y: (y * y).sum(1),
    "mean of cos(X_1 + X_2)": lambda y: np.cos(y[:, 0] + y[:, 1]),
}
# method -> weak order by kind of noise where nobody claims one: that of its paper
THEORY: Mapping[str, tuple[Mapping[str, float], str]] = {
    "sra1": ({"additive": 2.0}, FOSTER),
    "shark": ({"additive": 2.0}, FOSTER),
}
_ONE = {"diagonal": 1.0, "additive": 1.0}


def claims(name: str) -> Iterator[Claim]:
    for method, facts in METHODS.items():
        theory, paper = THEORY.get(method, (_ONE, KLOEDEN))
        for noise in (n for n in theory if n in facts.order):
            for sde_type in facts.sde_types[:1]:
                quotes = quotations.weak_orders(name, method, sde_type, noise)
                order = max((q.value for q in quotes), default=theory[noise])
                yield Claim(
                    **said(quotes, paper),
                    check="weak",
                    implementation=name,
                    subject=f"{method}, {sde_type}, {noise} noise",
                    claim=f"weak order {order:g}",
                    expected=order,
                    case={"problem": NOISES[noise].problem, "noise": noise, "method": method, "sde_type": sde_type},
                    statistical=True,
                )
    for kind, order in ((POSITIVE, 2.0), (NEGATIVE, 1.0)):
        yield Claim(
            kind=kind,
            check="weak",
            implementation=name,
            subject=f"biases made up, of order {order:g}",
            claim="weak order 2",
            source=CONSTRUCTED[kind],
            expected=2.0,
            case={"problem": "", "noise": "additive", "method": "euler", "sde_type": "ito"},
            spoil={"order": order},
            statistical=True,
        )


@solving.remembered
def _exact(noise_name: str, paths: int, seed: int) -> tuple[Any, np.ndarray]:
    """The path that libraries get, and the solution."""
    noise = NOISES[noise_name]
    problem = posed(noise, "stratonovich", paths, seed)
    path = make_path(0.0, 1.0, CELLS, paths, problem.noise_dim, seed)
    assert problem.exact is not None
    return coarser(path, round(2 / min(DTS))), problem.exact(path, problem.y0, problem.params)


def _differences(claim: Claim, paths: int, seed: int) -> dict[str, np.ndarray]:
    """f(X_dt) - f(X) by functional [dts, paths]."""
    case = claim.case
    if claim.spoil:
        normal = np.random.default_rng(seed).standard_normal((len(DTS), paths))
        bias = np.array(DTS)[:, None] ** claim.spoil["order"]
        return {"made up": bias * (1 + normal)}
    noise = NOISES[case["noise"]]
    path, exact = _exact(case["noise"], paths, seed)
    problem = posed(noise, case["sde_type"], paths, seed)
    ends = [
        solving.outcome(
            claim.implementation,
            Task(problem=problem, method=case["method"], dt=dt, ts=(0.0, 1.0), noise=path, dtype="float64"),
        ).ys[-1]
        for dt in DTS
    ]
    return {name: np.array([f(end) - f(exact) for end in ends]) for name, f in FUNCTIONALS.items()}


def measure(claim: Claim, effort: Effort) -> Finding:
    paths = round(PATHS * effort.more)
    found: dict[str, statistics.Estimate] = {}
    strongest = 0.0
    for name, differences in _differences(claim, paths, effort.seed).items():
        errors = differences.std(1) / paths**0.5
        clear = float(np.min(np.abs(differences.mean(1)) / errors))
        strongest = max(strongest, clear)
        if clear > RESOLVED and _trusted(differences, errors, effort.level):
            found[name] = statistics.weak_order(DTS, differences, confidence=1 - effort.level / len(FUNCTIONALS))
    if not found:
        reason = f"no bias is resolved: the clearest is {strongest:.1f} standard errors"
        needs = paths * (2 * RESOLVED / max(strongest, 0.1)) ** 2
        return Finding(
            "inconclusive", claim.expected, *statistics.Estimate(*[np.nan] * 3), reason, samples=paths, needs=needs
        )
    return _judged(claim.expected, found, paths)


def _trusted(differences: np.ndarray, errors: np.ndarray, level: float) -> bool:
    """Giles's checks: consistency of two halves of the paths, and kurtosis."""
    halves = np.abs(differences[:, ::2].mean(1) - differences[:, 1::2].mean(1)) / (2 * errors)
    consistent = halves.max() < stats.norm.isf(level / 2 / len(errors))
    return bool(consistent and stats.kurtosis(differences, axis=1).max() < KURTOSIS)


def _judged(expected: float, found: Mapping[str, statistics.Estimate], paths: int) -> Finding:
    """The functional with the lowest order decides."""
    name = min(found, key=lambda key: found[key].value)
    worst, bound = found[name], expected - MARGIN
    failing: Sequence[str] = [key for key, estimate in found.items() if estimate.high < bound]
    verdict = "fails" if failing else "holds" if worst.low >= bound else "inconclusive"
    if worst.low > expected + MARGIN:
        verdict = "exceeds"
    needs = paths * ((worst.value - worst.low) / max(abs(worst.value - bound), 1e-9)) ** 2
    return Finding(verdict, expected, *worst, f"{name}, the lowest of {len(found)}", samples=paths, needs=needs)
