"""The noise that a solver consumes is that of its steps, each once: seen through a solution that is the noise itself.

X = W, by a drift of zero and a diffusion of one, and its integral I, by which a method that is exact for it (one that
uses the areas H) shows these, too. Constant steps: the law of what is consumed between all grid times, the last one
clipped. Adaptive steps: at the end, X and I do not depend on the steps that were taken or rejected on the way.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from suite import laws
from suite.harness import Task
from suite.problems.problem import Problem
from suite.verify import programs, quotations, solving
from suite.verify.claims import AREAS, CONSTRUCTED, NEGATIVE, POSITIVE, Claim, Kind, said
from suite.verify.findings import Effort, Finding, Unsupported, at_most, likely

DT = 0.07
# The last step is of 0.06: no less than half a step, the tol of trees.
CLIPPED = (*(k * DT for k in range(15)), 1.04)
ROWS, ENTRIES = 128, 512  # of X alone, in diagonal noise
PATHS, NOISE = 4096, 4  # of X and I, in additive noise
WITH_H = ("shark", "srk")  # methods that are exact for I
FIRST = 0.25  # step, of adaptive ones: too long for what is stiff
STIFF, TOLERANCE = 40.0, 1e-2
ROUNDING = 1e-10  # of some hundred steps
LAW = "the increments that the steps consume are independent and have the law of their lengths"
SAME = "the noise at the end of adaptive steps does not depend on which were taken or rejected"
END = "the noise at the end of adaptive steps, many of them rejected, has its law"


def claims(name: str) -> Iterator[Claim]:
    stated = said(quotations.brownian_laws(name), AREAS)
    claim: dict[str, Any] = {"check": "consumed", "implementation": name}
    law: dict[str, Any] = {**claim, "claim": LAW, "statistical": True, "subject": "increments in constant steps"}
    same: dict[str, Any] = {**claim, "claim": SAME, "expected": ROUNDING, "subject": "noise in adaptive steps"}
    constant, areas, adaptive = ({"what": what} for what in ("increments", "areas", "adaptive"))
    yield Claim(**law, **stated, case=constant)
    yield Claim(**law | {"subject": "increments and areas in constant steps"}, **stated, case=areas)
    yield Claim(**same, **stated, case=adaptive)
    yield Claim(**same | {"claim": END, "statistical": True}, **stated, case=adaptive)
    controls: Sequence[tuple[dict[str, Any], dict[str, str], Kind, str]] = (
        (law, constant, NEGATIVE, "scaled by 1.01"),
        (law, constant, NEGATIVE, "the second those of the first"),
        (law, constant, POSITIVE, "exact samples"),
        (same, adaptive, NEGATIVE, "changed by 1e-8"),
        (same, adaptive, POSITIVE, "that of the first solution"),
    )
    for words, case, kind, defect in controls:
        subject, source = f"{words['subject']}, {defect}", CONSTRUCTED[kind]
        yield Claim(**{**words, "subject": subject}, kind=kind, source=source, case=case, spoil={"defect": defect})


def noise_itself() -> Problem:
    """dX = dW, of diagonal noise."""
    return Problem(
        name="noise",
        version="1",
        t1=CLIPPED[-1],
        y0=np.zeros((ROWS, ENTRIES)),
        params={},
        sde_type="stratonovich",
        noise_type="diagonal",
        noise_dim=ENTRIES,
        drift=lambda xp, t, y, params: 0 * y,
        diffusion=lambda xp, t, y, params: 0 * y + 1,
        lipschitz=0.0,
    )


def noise_and_integral(stiff: float) -> Problem:
    """dX = dW, dI = X dt and dZ = stiff (sin(10 (X_1 + I_1)) - Z) dt: [X, I, Z] of additive noise."""
    size, k = 2 * NOISE + 1, np.arange(NOISE)
    params = {name: np.zeros((size, size)) for name in ("integrate", "follow")}
    params |= {"stiff": np.zeros(size), "sigma": np.zeros((size, NOISE))}
    params["integrate"][k, NOISE + k] = params["sigma"][k, k] = 1.0
    params["follow"][[0, NOISE], -1] = 10.0
    params["stiff"][-1] = stiff
    return Problem(
        name="noise and integral",
        version="1",
        t1=CLIPPED[-1],
        y0=np.zeros((PATHS, size)),
        params=params,
        sde_type="ito",
        noise_type="additive",
        noise_dim=NOISE,
        drift=lambda xp, t, y, params: y @ params["integrate"] + params["stiff"] * (xp.sin(y @ params["follow"]) - y),
        diffusion=lambda xp, t, y, params: xp.broadcast_to(params["sigma"], (*y.shape, NOISE)),
        lipschitz=10 * stiff,
    )


@solving.remembered
def _increments(name: str, seed: int) -> np.ndarray:
    """[1, steps, rows, entries]"""
    steps: dict[str, Any] = {"dt": DT, "ts": CLIPPED, "controller": solving.to_times(name)}
    task = Task(problem=noise_itself(), method="heun", **steps, seed=seed, dtype="float64")
    return np.diff(solving.outcome(name, task).ys, axis=0)[None]


@solving.remembered
def _areas(name: str, seed: int) -> np.ndarray:
    """[1, steps and as many areas, rows, entries]"""
    steps: dict[str, Any] = {"dt": DT, "ts": CLIPPED, "controller": solving.to_times(name)}
    return _consumed(_solved(name, noise_and_integral(0.0), **steps, seed=seed), np.diff(CLIPPED))


@solving.remembered
def _adaptive(name: str, seed: int) -> list[np.ndarray]:
    """W and H over all, [1, 2, rows, entries]: without rejections, with some, and with other ones."""
    found = []
    for stiff, tolerance in ((0.0, TOLERANCE), (STIFF, TOLERANCE), (STIFF, TOLERANCE / 10)):
        steps = {"dt": FIRST, "rtol": tolerance, "atol": tolerance, "ts": (0.0, 1.0)}
        ys = _solved(name, noise_and_integral(stiff), **steps, seed=seed)
        found.append(_consumed(ys, np.ones(1)))
    return found


def _solved(name: str, problem: Problem, **task: Any) -> np.ndarray:
    tasks = [Task(problem=problem, method=method, dtype="float64", **task) for method in WITH_H]
    reasons = [solving.implementation(name).unsupported(task) for task in tasks]
    if None not in reasons:
        raise Unsupported(" ".join(filter(None, reasons)))
    return solving.outcome(name, tasks[reasons.index(None)]).ys


def _consumed(ys: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """W and then H of each step, from X and I at its ends."""
    X, I, h = ys[..., :NOISE], ys[..., NOISE : 2 * NOISE], lengths[:, None, None]  # noqa: E741
    W = np.diff(X, axis=0)
    H = (np.diff(I, axis=0) - h * X[:-1]) / h - W / 2
    return np.concatenate([W, H]).reshape(1, 2 * len(h), 64, -1)


def measure(claim: Claim, effort: Effort) -> Finding:
    name, what, defect = claim.implementation, claim.case["what"], claim.spoil.get("defect")
    if what == "adaptive":
        first, *others = _adaptive(name, effort.seed)
        if claim.statistical:
            return _law(others[0], [(0.0, 1.0, "W"), (0.0, 1.0, "H")], effort)
        if defect:
            others = [first + 1e-8 * (defect == "changed by 1e-8")]
        return at_most(claim.expected, max(float(np.abs(other - first).max()) for other in others))
    samples = _areas(name, effort.seed) if what == "areas" else _increments(name, effort.seed)
    parts: list[Any] = [(s, t, W) for W in ("W", "H")[: 1 + (what == "areas")] for s, t in pairwise(CLIPPED)]
    if defect == "scaled by 1.01":
        samples = 1.01 * samples
    elif defect == "the second those of the first":
        samples = np.concatenate([samples[:, :1], samples[:, :1], samples[:, 2:]], axis=1)
    elif defect == "exact samples":
        deviations = np.diff(CLIPPED)[None, :, None, None] ** 0.5
        samples = deviations * np.random.default_rng(effort.seed).standard_normal(samples.shape)
    return _law(samples, parts, effort)


def _law(samples: np.ndarray, parts: list[Any], effort: Effort) -> Finding:
    tests = laws.tests(laws.whiten(samples, laws.covariance(parts)))
    worst = f"{min(tests, key=lambda name: tests[name])} of what was consumed, whitened"
    return likely(effort.level, laws.together(tests), samples[0, 0].size, worst)


_NOISE = programs.Fields("0 * y", "1 + 0 * y")
_DRIFT = "xp.stack([0 * y[..., 0], y[..., 0], p[0] * (xp.sin(10 * (y[..., 0] + y[..., 1])) - y[..., 2])], -1)"
_WITH_INTEGRAL = programs.Fields(_DRIFT, "(xp.ones_like(y) * xp.eye(3)[0])[..., None]", "additive", 1)
_JUDGED = """
covariance = white @ white.T / white.shape[1]
worst = np.abs(covariance - np.eye(len(white))).max() * (white.shape[1] / 2) ** 0.5
print("the covariance of what was consumed, made standard normal, is off by", worst, "deviations")
sys.exit(bool(worst > 6))
"""
_SCRIPTS = {
    "increments": """
ts = {ts}
ys, _ = solve(np.zeros((2**14, 2)), [0.0], {dt}, ts)
white = np.diff(ys, axis=0)[..., 0] / np.diff(ts)[:, None] ** 0.5
""",
    "areas": """
ts, h = {ts}, np.diff({ts})[:, None]
ys, _ = solve(np.zeros((2**14, 3)), [0.0], {dt}, ts)
X, I = ys[..., 0], ys[..., 1]
W = np.diff(X, axis=0)
H = (np.diff(I, axis=0) - h * X[:-1]) / h - W / 2
white = np.concatenate([W / h**0.5, H / (h / 12) ** 0.5])
""",
    END: """
ys, _ = solve(np.zeros((4096, 3)), [{stiff}], {first}, tolerance={tolerance})
X, I = ys[-1, :, 0], ys[-1, :, 1]
white = np.stack([X, (I - X / 2) * 12**0.5])
""",
    SAME: """
easy, hard = (solve(np.zeros((4096, 3)), [stiff], {first}, tolerance={tolerance})[0][-1] for stiff in (0.0, {stiff}))
apart = np.abs(easy - hard)[:, :2].max()
print("the noise at the end of other steps is another by", apart)
sys.exit(bool(apart > {rounding}))
""",
}


def script(claim: Claim) -> str | None:
    """A program whose solution is the noise that was consumed."""
    what, torch = claim.case["what"], claim.implementation == "torchsde"
    blanks = {"ts": CLIPPED[:-1], "dt": DT, "first": FIRST, "stiff": STIFF}
    blanks |= {"tolerance": TOLERANCE, "rounding": ROUNDING, "method": "srk" if torch else "shark"}
    if what == "increments":
        return programs.program(claim, claim.claim, _NOISE, _SCRIPTS[what] + _JUDGED, **blanks | {"method": "heun"})
    body = _SCRIPTS[claim.claim if what == "adaptive" else what] + _JUDGED * (claim.claim != SAME)
    return programs.program(claim, claim.claim, _WITH_INTEGRAL, body, **blanks)
