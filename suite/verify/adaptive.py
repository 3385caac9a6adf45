"""Adaptive steps on the library's own noise: the error falls with the tolerance, and the noise stays Brownian.

The problem `winding` tells on which path it was solved, so the error is known. A choice of steps that looks at the
noise must not change its law: the increment over the whole span, as the solution shows it, is normal with variance 1.

A method so good that the longest steps allowed are within the tolerance has nothing to fall: an error of at most a few
times the smaller tolerance will do.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from suite import laws, statistics
from suite.harness import METHODS, Task
from suite.problems import make
from suite.problems.winding import told
from suite.verify import programs, solving
from suite.verify.claims import CONSTRUCTED, GAINES, NEGATIVE, POSITIVE, Claim, Kind
from suite.verify.findings import Effort, Finding, likely

TOLERANCES = (1e-1, 1e-2)
FALL = 0.3  # the order in the tolerance that the error must have: a half for each tenth
LOST = 1.0  # an error as large as the solution: how much larger, for a few paths, would decide over all others
ENOUGH = 3.0  # times the smaller tolerance: tolerances are of steps, and errors of several steps add up
PATHS = 192
SEEDS = {"torch": 8, "jax": 2}  # solves, each on noise of its own; in JAX each is compiled
SAMPLES = 2048
DT = 1 / 4  # the first step, which is too long: there are rejections
_DEFAULT = ("heun", "srk", "reversible_heun")
_ERROR, _LAW = "the error falls with the tolerance", "its steps leave the noise Brownian"


def claims(name: str) -> Iterator[Claim]:
    # Steps of euler converge for additive noise alone, whoever chooses them.
    for method in (m for m, facts in METHODS.items() if "scalar" in facts.order and m != "euler"):
        yield _claim(name, method, _ERROR, "theory", GAINES)
    yield _claim(name, "heun", _LAW, "theory", GAINES)
    for controller in solving.controllers(name):
        if controller != "step_to":  # which adapts nothing
            for words in (_ERROR, _LAW):
                yield _claim(name, "heun", words, "theory", GAINES, controller)
    for kind, right in ((POSITIVE, 1.0), (NEGATIVE, 1.2)):
        for words in (_ERROR, _LAW):
            yield _claim(name, "heun", words, kind, CONSTRUCTED[kind], right=right)


def _claim(
    name: str, method: str, words: str, kind: Kind, source: str, controller: str | None = None, **spoil: float
) -> Claim:
    sde_type = METHODS[method].sde_type
    steps = f"adaptive steps by {controller}" if controller else "adaptive steps"
    return Claim(
        kind=kind,
        check="adaptive",
        implementation=name,
        subject=f"{method}, {sde_type}, {steps}" + ", numbers made up" * bool(spoil),
        claim=words,
        source=source,
        expected=FALL if words == _ERROR else float("nan"),
        case={"problem": "winding", "method": method, "sde_type": sde_type, "what": words, "controller": controller},
        spoil=spoil,
        statistical=True,
        preset="default" if method in _DEFAULT else "full",
    )


def _end(claim: Claim, tolerance: float, paths: int, seed: int) -> Any:
    """The end of a solve less its start, and the error of its second component [paths]."""
    case = claim.case
    problem = make("winding", paths=paths, seed=seed, sde_type=case["sde_type"])
    task = Task(
        problem=problem,
        method=case["method"],
        dt=DT,
        ts=(0.0, 1.0),
        rtol=tolerance,
        atol=tolerance,
        dtype="float64",
        seed=seed,
        controller=case["controller"],
    )
    y = solving.outcome(claim.implementation, task).ys[-1]
    return (y - problem.y0)[:, 0], y[:, 1] - told(y, 1.0, float(problem.params["k"]))


def measure(claim: Claim, effort: Effort) -> Finding:
    return (_falls if claim.claim == _ERROR else _brownian)(claim, effort)


def _falls(claim: Claim, effort: Effort) -> Finding:
    paths, rng = round(PATHS * effort.more), np.random.default_rng(effort.seed)
    squares = []
    for tolerance in TOLERANCES:
        if claim.spoil:  # errors that fall with the tolerance, or do not
            errors = (10 * tolerance if claim.spoil["right"] == 1 else 1.0) * rng.standard_normal(paths)
        else:
            _, errors = _end(claim, tolerance, paths, effort.seed)
        squares.append(np.minimum(np.abs(errors), LOST) ** 2)
    found = statistics.order(TOLERANCES, np.array(squares), confidence=1 - effort.level)
    verdict = "holds" if found.low >= FALL else "fails" if found.high < FALL else "inconclusive"
    smallest = float(np.mean(squares[-1]) ** 0.5)
    if smallest <= ENOUGH * TOLERANCES[-1]:
        verdict = "holds"
    needs = paths * ((found.value - found.low) / max(abs(found.value - FALL), 1e-9)) ** 2
    reason = f"the error is {smallest:.2g} at tolerance {TOLERANCES[-1]:g}"
    return Finding(verdict, FALL, *found, reason, samples=paths, needs=needs)


def _brownian(claim: Claim, effort: Effort) -> Finding:
    """Mean, variance and tails of the increment over the whole span."""
    total = round(SAMPLES * effort.more)
    if claim.spoil:
        moved = np.random.default_rng(effort.seed).standard_normal(total) * claim.spoil["right"]
    else:
        seeds = SEEDS.get(solving.implementation(claim.implementation).framework, 1)
        each = range(effort.seed, effort.seed + seeds)
        moved = np.concatenate([_end(claim, TOLERANCES[0], total // seeds, seed)[0] for seed in each])
    tests = {"mean": laws.mean(moved), "variance": laws.variance(moved), "tails": laws.tail(moved, 2.0)}
    worst = min(tests, key=lambda name: tests[name])
    reason = f"the {worst} of the increment over the whole span: variance {moved.var():.3g} for 1"
    return likely(effort.level, min(1.0, len(tests) * tests[worst]), moved.size, reason)


# The solution of the first component tells its Brownian path: exp W, in either calculus.
_EXPONENTIAL = {
    "stratonovich": programs.Fields("0 * y", "y"),
    "ito": programs.Fields("y / 2", "y"),
}
_FALLS = """
errors, tolerances = [], (1e-1, 1e-3)
for tolerance in tolerances:
    ys, W = solve(np.ones((256, 2)), [0.0], {dt}, tolerance=tolerance)
    errors.append(float(np.sqrt(np.mean((ys[-1] / np.exp(W) - 1) ** 2))))
print(f"the relative errors at the tolerances {{tolerances}} are {{errors}}")
slow = np.log(errors[0] / errors[1]) < {fall} * np.log(tolerances[0] / tolerances[1])
sys.exit(bool(slow and errors[1] > {enough} * tolerances[1]))
"""
# The first component is W itself, and the second has its steps chosen by it.
_NOISE = programs.Fields(
    "xp.stack([0 * y[..., 0], 20 * (xp.sin(9 * y[..., 0]) - y[..., 1])], -1)",
    "xp.stack([1 + 0 * y[..., 0], 0.1 + 0 * y[..., 0]], -1)",
)
_LAWFUL = """
zeros = np.zeros((2048 // {solves}, 2))
W = [solve(zeros, [0.0], {dt}, seed=k, tolerance={tolerance})[0][-1, :, 0] for k in range({solves})]
W = np.concatenate(W)
far = max(abs(W.mean()) * W.size**0.5, abs(W.var() - 1) * (W.size / 2) ** 0.5)
print(f"the increment over [0, 1] has mean {{W.mean():.3f}} and variance {{W.var():.3f}}, {{far:.1f}} deviations off")
sys.exit(bool(far > 5))
"""


def script(claim: Claim) -> str | None:
    """A program that takes adaptive steps, whose solution tells on which path."""
    blanks: dict[str, Any] = {"dt": DT, "tolerance": TOLERANCES[0]}
    if claim.claim == _LAW:
        blanks["solves"] = 8 if claim.implementation == "torchsde" else 1  # there all paths of a solve share its steps
        return programs.program(claim, claim.claim, _NOISE, _LAWFUL, **blanks)
    fields, blanks = _EXPONENTIAL[claim.case["sde_type"]], blanks | {"fall": FALL, "enough": ENOUGH}
    return programs.program(claim, claim.claim, fields, _FALLS, **blanks)
