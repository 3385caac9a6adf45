"""Linear equations over many steps against the step matrix of each method, and a mild one over a long time.

Growth: of y' = a y with complex a, a plane that turns, per step, against the spectral radius of the step matrix at
x = a dt (paper and derivation with the method). Mean squares: of dX = a X dt + b X o dW over a few steps, against the
exact second moment of the step matrix over the normal law of dW. Long: dX = -0.3 X dt + 0.1 dW against its solution.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from suite.harness import Task
from suite.paths import make_path
from suite.problems import Problem, make
from suite.verify import programs, solving
from suite.verify.claims import BURRAGE, CONSTRUCTED, KIDGER, MCCALLUM, NEGATIVE, POSITIVE, SHMELEV, Claim, Kind
from suite.verify.findings import Effort, Finding, at_most

Matrix = Callable[[Any], np.ndarray]


def _one(polynomial: Callable[[Any], Any]) -> Matrix:
    return lambda x: np.array([[polynomial(x)]])


def _half(x: Any) -> Any:
    return 1 + x + x * x / 2


def _mccallum_foster(x: Any, coupling: float = 0.999) -> np.ndarray:
    """(y, z) with the increments p(x) of midpoint: y1 = l y + (1 - l) z + p(x) z; z1 = z - p(-x) y1."""
    forth, back = _half(x) - 1, _half(-x) - 1
    first = np.array([coupling + 0 * x, 1 - coupling + forth])
    return np.array([first, np.array([0 * x, 1 + 0 * x]) - back * first])


# method -> its step of a linear equation, z = a dt (+ b dW): the solution is the first component; and who derives it
STEPS: Mapping[str, tuple[Matrix, int, str]] = {
    "reversible_heun": (lambda x: np.array([[1 + x, x * x / 2], [2 + 0 * x, x - 1]]), 2, KIDGER),
    "mccallum_foster": (_mccallum_foster, 2, MCCALLUM),
    "ees25": (_one(lambda x: 1 + x + x * x / 2 + x**3 / 8), 1, SHMELEV),
    "midpoint": (_one(_half), 1, BURRAGE),
    "heun": (_one(_half), 1, BURRAGE),
}
POINTS = {"decays": -0.5 + 0.0j, "turns": 0.9j, "turns fast": 1.1j, "spirals": -0.3 + 0.8j}
COUNT = 40  # steps, over which growth is followed exactly
EXACT = 1e-8  # relative: 40 steps amplify rounding by at most 3^40 in a ratio, and by far less at these points
MEAN_STEPS, MEAN_PATHS, DRIFT, NOISE = 4, 2**17, -0.5, 0.4  # its standard error is a quarter of a percent
LONG, LONG_DT, LONG_ERROR = 50.0, 1 / 16, 0.02  # its standard deviation is 0.13
_GROWTH, _MEAN, _LONG = (
    "grows as its step matrix says",
    "has the mean square of its step matrix",
    "stays on the solution",
)


@dataclass(frozen=True)
class Linear:
    """dX = X A dt + X B o dW for row vectors; scalar noise."""

    A: np.ndarray
    B: np.ndarray

    def problem(self, paths: int, t1: float) -> Problem:
        known = make("scalar", paths=paths, dim=2, t1=t1)
        y0 = np.tile([1.0, 0.0], (paths, 1))
        size = float(max(np.linalg.norm(self.A, 2), np.linalg.norm(self.B, 2)))
        return Problem(
            **{**vars(known), "name": "linear", "y0": y0, "params": vars(self), "lipschitz": size, "exact": None}
        )


def claims(name: str) -> Iterator[Claim]:
    for method, (_, size, paper) in STEPS.items():
        for point in POINTS:
            yield _claim(name, method, _GROWTH, "theory", paper, point)
        yield _claim(name, method, _MEAN, "theory", paper)
        if size == 1:  # two copies of the solution part in the end, whatever the step: their matrix never contracts
            yield _claim(name, method, _LONG, "theory", paper)
    for kind, scale in ((POSITIVE, 1.0), (NEGATIVE, 1.02)):
        for words in (_GROWTH, _MEAN):
            yield _claim(name, "heun", words, kind, CONSTRUCTED[kind], scale=scale)


def _claim(name: str, method: str, words: str, kind: Kind, source: str, point: str = "turns", **spoil: float) -> Claim:
    at = f", {point}" if words == _GROWTH else ""
    return Claim(
        kind=kind,
        check="stability",
        implementation=name,
        subject=f"{method}, a linear equation{at}" + (f", times {spoil['scale']:g}" if spoil else ""),
        claim=words,
        source=source,
        case={"problem": "linear", "method": method, "what": words, "point": point if words == _GROWTH else ""},
        spoil=spoil,
        statistical=words == _MEAN,
        preset="default" if words != _GROWTH or point == "spirals" else "full",
    )


def measure(claim: Claim, effort: Effort) -> Finding:
    return {_GROWTH: _growth, _MEAN: _mean_square, _LONG: _long}[claim.claim](claim, effort)


def _grown(method: str, x: complex) -> float:
    """The size of the solution after COUNT steps by the step matrix."""
    matrix, size, _ = STEPS[method]
    return float(abs((np.linalg.matrix_power(matrix(x), COUNT) @ np.ones(size))[0]))


def _expected_square(method: str) -> float:
    """E |X|^2 after MEAN_STEPS steps, by the mean of the step matrix times itself over the normal law of dW."""
    (matrix, size, _), h = STEPS[method], 1 / MEAN_STEPS
    nodes, weights = np.polynomial.hermite_e.hermegauss(40)
    M = [matrix(DRIFT * h + NOISE * h**0.5 * x) for x in nodes]
    twice = sum(w * np.kron(m, m) for w, m in zip(weights / weights.sum(), M, strict=True))
    return float((np.linalg.matrix_power(twice, MEAN_STEPS) @ np.ones(size * size))[0])


def _growth(claim: Claim, effort: Effort) -> Finding:
    """The size of the solution after the last of COUNT steps of length 1, relative to what the matrices say."""
    x = POINTS[claim.case["point"]]
    expected = _grown(claim.case["method"], x)
    turn = np.array([[x.real, x.imag], [-x.imag, x.real]])
    problem = Linear(turn, 0 * turn).problem(2, float(COUNT))
    path = make_path(0.0, float(COUNT), 2 * COUNT, 2, 1, effort.seed)
    task = Task(
        problem=problem, method=claim.case["method"], dt=1.0, ts=(0.0, float(COUNT)), noise=path, dtype="float64"
    )
    found = claim.spoil.get("scale", 1.0) * float(np.linalg.norm(solving.outcome(claim.implementation, task).ys[-1, 0]))
    radius = max(abs(np.linalg.eigvals(STEPS[claim.case["method"]][0](x))))
    return at_most(EXACT, abs(found / expected - 1), f"the spectral radius of a step is {radius:.4f}")


@solving.remembered  # the controls change what their claim was checked on
def _squares(name: str, method: str, paths: int, seed: int) -> np.ndarray:
    """|X|^2 after a few steps, [paths]."""
    one = np.eye(2)
    problem = Linear(DRIFT * one, NOISE * one).problem(paths, 1.0)
    path = make_path(0.0, 1.0, 2 * MEAN_STEPS, paths, 1, seed)
    task = Task(problem=problem, method=method, dt=1 / MEAN_STEPS, ts=(0.0, 1.0), noise=path, dtype="float64")
    return (solving.outcome(name, task).ys[-1] ** 2).sum(1)


def _mean_square(claim: Claim, effort: Effort) -> Finding:
    """E |X|^2 after a few steps, by an interval of the central limit theorem."""
    paths, expected = round(MEAN_PATHS * effort.more), _expected_square(claim.case["method"])
    squares = _squares(claim.implementation, claim.case["method"], paths, effort.seed) * claim.spoil.get("scale", 1.0)
    error = squares.std(ddof=1) / paths**0.5
    half = error * stats.norm.isf(effort.level / 2)
    value = squares.mean()
    holds = abs(value - expected) <= half
    reason = f"kurtosis {stats.kurtosis(squares):.1f}"
    p = float(2 * stats.norm.sf(abs(value - expected) / error))
    return Finding("holds" if holds else "fails", expected, value, value - half, value + half, reason, p, paths)


def _long(claim: Claim, effort: Effort) -> Finding:
    """The largest error at the end of T = 50 over 64 paths; errors of earlier steps must have decayed."""
    problem = make("ou", paths=64, dim=1, noise_dim=1, t1=LONG, seed=effort.seed)
    params = {"theta": np.array([0.3]), "mean": np.array([0.0]), "sigma": np.array([[0.1]])}
    problem = Problem(**{**vars(problem), "params": params, "y0": np.full((64, 1), 0.5), "lipschitz": 0.3})
    path = make_path(0.0, LONG, round(2 * LONG / LONG_DT), 64, 1, effort.seed)
    assert problem.exact is not None
    task = Task(problem=problem, method=claim.case["method"], dt=LONG_DT, ts=(0.0, LONG), noise=path, dtype="float64")
    y = solving.outcome(claim.implementation, task).ys[-1]
    return at_most(LONG_ERROR, float(np.abs(y - problem.exact(path, problem.y0, params)).max()))


_SCRIPTS = {
    _GROWTH: """
ys, _ = solve(np.array([[1.0, 0.0]]), [0.0], 1.0, ts=(0.0, {count}.0))
found = float(np.linalg.norm(ys[-1]))
print(f"after {count} steps the solution has the size {{found}}; by the step matrix of the method {expected!r}")
sys.exit(abs(found / {expected!r} - 1) > {exact})
""",
    _MEAN: """
ys, _ = solve(np.tile([1.0, 0.0], (2**16, 1)), [0.0], 1 / {count})
squares = (ys[-1] ** 2).sum(1)
print(f"the mean square after {count} steps is {{squares.mean()}}; by the step matrix of the method {expected!r}")
sys.exit(bool(abs(squares.mean() - {expected!r}) > 5 * squares.std() / 2**8))
""",
    _LONG: """
coarse, fine = (solve(np.full((64, 2), 0.5), [0.0], dt, ts=(0.0, {long}))[0][-1] for dt in ({dt}, {dt} / 8))
print("at t = {long} steps of {dt} and of an eighth of it are apart by", np.abs(coarse - fine).max())
sys.exit(bool(np.abs(coarse - fine).max() > {exact}))
""",
}


def script(claim: Claim) -> str | None:
    """A program that solves the linear equation, and knows what the step matrix says."""
    method, words = claim.case["method"], claim.claim
    fields, blanks = programs.Fields("-0.3 * y", "0.1 + 0 * y"), {"exact": LONG_ERROR, "long": LONG, "dt": LONG_DT}
    if words == _GROWTH:
        x = POINTS[claim.case["point"]]
        turned = f"{x.real} * y + {x.imag} * xp.stack([-y[..., 1], y[..., 0]], -1)"
        fields, blanks = (
            programs.Fields(turned, "0 * y"),
            {"count": COUNT, "exact": EXACT, "expected": _grown(method, x)},
        )
    elif words == _MEAN:
        fields = programs.Fields(f"{DRIFT} * y", f"{NOISE} * y[..., None]", "scalar", 1)
        blanks = {"count": MEAN_STEPS, "expected": _expected_square(method)}
    return programs.program(claim, f"{claim.subject} {words}", fields, _SCRIPTS[words], **blanks)
