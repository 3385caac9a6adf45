"""Weak order: the bias of expectations, apart from the noise of the Monte Carlo estimate.

The same paths go through every step size and through the exact solution (multilevel coupling after Giles, Multilevel
Monte Carlo path simulation, 2008), and with each path the one of the opposite noise, with which the largest errors
cancel: f(X_dt) - f(X) has a small variance, and its mean, the bias, is known to a few percent. Steps are long, where
the bias is large. Giles's checks: the bias of both halves of the pairs agree, and the kurtosis of the differences is
one for which intervals can be trusted.

An order is fitted to each functional f whose bias is resolved at every step size. Where the bias is not, since it
changes its sign, its first two powers of dt are of one size there. From two step sizes the second is removed (Talay,
Tubaro, Expansion of the global error for numerical schemes solving stochastic differential equations, 1990), which
leaves the first, or a lower one that should not be there. No functional may have less than the order claimed, and that
with the clearest slope must have it.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from scipy import stats

from suite import statistics
from suite.case import dyadic
from suite.harness import METHODS, Task
from suite.noises import NOISES, coarser, for_steps, posed
from suite.pairs import doubled, opposed, over_pairs
from suite.paths import Path, make_path
from suite.problems import Problem
from suite.verify import programs, quotations, solving
from suite.verify.claims import CONSTRUCTED, FOSTER, KLOEDEN, NEGATIVE, POSITIVE, Claim, said
from suite.verify.findings import Effort, Finding

PAIRS = 32768  # of paths, with opposite noise
DTS = dyadic(1, 2, 3)
CELLS = 16  # of the path that the exact solution gets
MARGIN = 0.3  # of the order, at long steps: it tells 1 from 2
RESOLVED = 5.0  # standard errors that a bias must have at every step size
KURTOSIS = 200.0  # of a difference, beyond which its standard error is not to be trusted

Functional = Callable[[np.ndarray], np.ndarray]
FUNCTIONALS: Mapping[str, Functional] = {
    "mean of X_1": lambda y: y[:, 0],
    "mean of arsinh(X_i), summed": lambda y: np.arcsinh(y).sum(1),  # which has light tails, whatever X has
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


def _paired(noise_name: str, sde_type: Any, pairs: int, seed: int) -> Problem:
    return doubled(posed(NOISES[noise_name], sde_type, pairs, seed))


@solving.remembered
def _exact(noise_name: str, pairs: int, seed: int) -> tuple[Path, np.ndarray]:
    """The paths that libraries get, first ones of the pairs first, and the solutions."""
    problem = _paired(noise_name, "stratonovich", pairs, seed)
    path = opposed(make_path(0.0, 1.0, CELLS, pairs, problem.noise_dim, seed))
    assert problem.exact is not None
    return coarser(path, round(2 / min(DTS))), problem.exact(path, problem.y0, problem.params)


def _differences(claim: Claim, pairs: int, seed: int) -> dict[str, np.ndarray]:
    """f(X_dt) - f(X) by functional, the mean over each pair [dts, pairs]."""
    case = claim.case
    if claim.spoil:
        normal = np.random.default_rng(seed).standard_normal((len(DTS), pairs))
        bias = np.array(DTS)[:, None] ** claim.spoil["order"]
        return {"made up": bias * (1 + normal)}
    path, exact = _exact(case["noise"], pairs, seed)
    problem = _paired(case["noise"], case["sde_type"], pairs, seed)
    ends = [
        solving.outcome(
            claim.implementation,
            Task(
                problem=problem, method=case["method"], dt=dt, ts=(0.0, 1.0), noise=for_steps(path, dt), dtype="float64"
            ),
        ).ys[-1]
        for dt in DTS
    ]
    differences = {name: np.array([f(end) - f(exact) for end in ends]) for name, f in FUNCTIONALS.items()}
    return {name: over_pairs(x) for name, x in differences.items()}


def leading(differences: np.ndarray, order: float) -> np.ndarray:
    """Without the next power of dt, if they are of this order, [dts but the last, pairs]."""
    return 2 ** (order + 1) * differences[1:] - differences[:-1]


def measure(claim: Claim, effort: Effort) -> Finding:
    pairs = round(PAIRS * effort.more)
    found: dict[str, statistics.Estimate] = {}
    strongest = 0.0
    for name, differences in _differences(claim, pairs, effort.seed).items():
        for dts, series in ((DTS, differences), (DTS[:-1], leading(differences, claim.expected))):
            means, errors = series.mean(1), series.std(1) / pairs**0.5
            clear = float(np.min(np.abs(means) / errors))
            strongest = max(strongest, clear)
            resolved = clear > RESOLVED and len(set(np.sign(means))) == 1
            if resolved and _trusted(series, errors, effort.level):
                found[name] = statistics.weak_order(dts, series, confidence=1 - effort.level / len(FUNCTIONALS))
            if resolved:
                break
    if not found:
        reason = f"no bias is resolved: the clearest is {strongest:.1f} standard errors"
        needs = pairs * (2 * RESOLVED / max(strongest, 0.1)) ** 2
        return Finding(
            "inconclusive", claim.expected, *statistics.Estimate(*[np.nan] * 3), reason, samples=pairs, needs=needs
        )
    return _judged(claim.expected, found, pairs)


def _trusted(differences: np.ndarray, errors: np.ndarray, level: float) -> bool:
    """Giles's checks: consistency of two halves of the pairs, and kurtosis."""
    halves = np.abs(differences[:, ::2].mean(1) - differences[:, 1::2].mean(1)) / (2 * errors)
    consistent = halves.max() < stats.norm.isf(level / 2 / len(errors))
    return bool(consistent and stats.kurtosis(differences, axis=1).max() < KURTOSIS)


def _judged(expected: float, found: Mapping[str, statistics.Estimate], pairs: int) -> Finding:
    bound = expected - MARGIN
    failing = [name for name, estimate in found.items() if estimate.high < bound]
    name = min(failing or found, key=lambda key: found[key].high - found[key].low)
    clearest = found[name]
    verdict = "fails" if failing else "holds" if clearest.low >= bound else "inconclusive"
    if not failing and clearest.low > expected + MARGIN:
        verdict = "exceeds"
    needs = pairs * ((clearest.value - clearest.low) / max(abs(clearest.value - bound), 1e-9)) ** 2
    open_ones = [other for other, estimate in found.items() if estimate.low < bound <= estimate.high and other != name]
    reason = f"{name}, the clearest of {len(found)}" + f"; not decided: {', '.join(open_ones)}" * bool(open_ones)
    return Finding(verdict, expected, *clearest, reason, samples=pairs, needs=needs)


_SCRIPT = """
y0, paths = np.random.default_rng(0).uniform(0.5, 1.5, (1, 2)), 2**15
dts, lowest = (1 / 2, 1 / 4, 1 / 8, 1 / 16), []
ends = [solve(np.repeat(y0, paths, 0), [0.9, 0.6], dt)[0][-1] for dt in dts]
for moment in (lambda y: y[:, 0], lambda y: (y * y).sum(1), lambda y: np.cos(y.sum(1))):
    steps = np.array([moment(a) - moment(b) for a, b in zip(ends, ends[1:])])  # what half the step changes
    biases = 2 ** ({expected:g} + 1) * steps[1:] - steps[:-1]  # without the next power of dt
    means, errors = biases.mean(1), biases.std(1) / paths**0.5
    if (np.abs(means) > 8 * errors).all():  # and so its logarithm is known to 1/8
        order = np.log2(abs(means[0] / means[1]))
        lowest.append((order + 5 * ((errors / means) ** 2).sum() ** 0.5 / np.log(2), order))
print("weak orders:", [round(float(order), 2) for _, order in lowest], "expected at least {expected:g}")
sys.exit(any(high < {expected:g} - {margin} for high, _ in lowest))
"""


def script(claim: Claim) -> str | None:
    """A program that fits the order to what expectations change by as the step is halved, on the same paths."""
    fields = programs.KINDS[claim.case["noise"]]
    blanks = {"expected": claim.expected, "margin": MARGIN}
    return programs.program(claim, f"{claim.subject}, {claim.claim}", fields, _SCRIPT, **blanks)
