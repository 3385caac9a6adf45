"""The noise that a solver consumes is that of its steps, each once: seen through a solution that is the noise itself.

X = W, by a drift of zero and a diffusion of one, and its integral I, by which a method that is exact for it (one that
uses the areas H) shows these, too. Constant steps: the law of what is consumed between all grid times, the last one
clipped. Adaptive steps: at the end, X and I do not depend on the steps that were taken or rejected on the way.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
from scipy import stats

from suite import laws
from suite.harness import Task
from suite.problems.problem import Problem
from suite.verify import quotations, solving
from suite.verify.claims import AREAS, CONSTRUCTED, LEVY_AREAS, NEGATIVE, POSITIVE, Claim, Kind, said
from suite.verify.findings import Effort, Finding, Unsupported, at_most, likely
from suite.verify.increments import EPS

DT = 0.07
# The last step is of 0.06: no less than half a step, the tol of trees.
CLIPPED = (*(k * DT for k in range(15)), 1.04)
ROWS, ENTRIES = 128, 512  # of X alone, in diagonal noise
PATHS, NOISE = 4096, 4  # of X and I, in additive noise
AREA_PATHS = 2**16
WITH_H = ("shark", "srk")  # methods that are exact for I
FIRST = 0.25  # step, of adaptive ones: too long for what is stiff
STIFF, TOLERANCE = 40.0, 1e-2
STEPS, ADDITIONS = 512, 4  # adaptive ones, at most, and what each adds to a value: two stages, the areas, the increment
AREA = 0.25  # the variance of the Levy area over [0, 1], of any mode
AREAS_LAW = "the Levy areas that its steps consume add up to one of the variance 1/4"
LAW = "the increments that the steps consume are independent and have the law of their lengths"
SAME = "the noise at the end of adaptive steps does not depend on which were taken or rejected"
END = "the noise at the end of adaptive steps, many of them rejected, has its law"


def claims(name: str) -> Iterator[Claim]:
    stated = said(quotations.brownian_laws(name, "exact"), AREAS)
    claim: dict[str, Any] = {"check": "consumed", "implementation": name}
    law: dict[str, Any] = {**claim, "claim": LAW, "statistical": True, "subject": "increments in constant steps"}
    same: dict[str, Any] = {**claim, "claim": SAME, "subject": "noise in adaptive steps"}
    constant, areas, adaptive = ({"what": what} for what in ("increments", "areas", "adaptive"))
    yield Claim(**law, **stated, case=constant)
    yield Claim(**law | {"subject": "increments and areas in constant steps"}, **stated, case=areas)
    yield Claim(**same, **stated, case=adaptive)
    yield Claim(**same | {"claim": END, "statistical": True}, **stated, case=adaptive)
    area: dict[str, Any] = {**claim, "claim": AREAS_LAW, "statistical": True, "subject": "Levy areas, log_ode"}
    log_ode = {"what": "Levy areas", "method": "log_ode"}
    yield Claim(**area, **said(quotations.levy_areas(name), LEVY_AREAS), case=log_ode, may_lack=True)
    controls: Sequence[tuple[dict[str, Any], dict[str, str], Kind, str]] = (
        (law, constant, NEGATIVE, "scaled by 1.01"),
        (law, constant, NEGATIVE, "the second those of the first"),
        (law, constant, POSITIVE, "exact samples"),
        (area, log_ode, NEGATIVE, "scaled by 1.05"),
        (area, log_ode, POSITIVE, "exact samples"),
        (same, adaptive, NEGATIVE, "changed by 1.01 of what rounding may"),
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


def rounding(noise: np.ndarray) -> float:
    """By how much two solves may be apart: each addition is off by at most half a unit in the last place of a value,
    and no value is larger than the largest of this noise, of its order."""
    return 2 * STEPS * ADDITIONS * EPS / 2 * float(np.abs(noise).max())


def _consumed(ys: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """W and then H of each step, from X and I at its ends."""
    X, I, h = ys[..., :NOISE], ys[..., NOISE : 2 * NOISE], lengths[:, None, None]  # noqa: E741
    W = np.diff(X, axis=0)
    H = (np.diff(I, axis=0) - h * X[:-1]) / h - W / 2
    return np.concatenate([W, H]).reshape(1, 2 * len(h), 64, -1)


def iterated() -> Problem:
    """dX_1 = dW_1, dX_2 = dW_2, dX_3 = X_1 o dW_2, of general noise: X_3 - X_1 X_2 / 2 is the Levy area."""

    def diffusion(xp: Any, t: Any, y: Any, params: Any) -> Any:
        del t, params
        one, zero = 1 + 0 * y[..., 0], 0 * y[..., 0]
        rows = (xp.stack(row, -1) for row in ((one, zero), (zero, one), (zero, y[..., 0])))
        return xp.stack(tuple(rows), -2)

    return replace(
        noise_itself(),
        y0=np.zeros((AREA_PATHS, 3)),
        noise_type="general",
        noise_dim=2,
        diffusion=diffusion,
    )


@solving.remembered
def _levy_areas(name: str, seed: int) -> np.ndarray:
    """[paths], of the areas of four steps."""
    task = Task(problem=iterated(), method="log_ode", dt=0.25, ts=(0.0, 1.0), seed=seed, dtype="float64")
    y = solving.outcome(name, replace(task, levy_area="foster")).ys[-1]
    return y[:, 2] - y[:, 0] * y[:, 1] / 2


def _variance(claim: Claim, effort: Effort) -> Finding:
    """By the central limit theorem: squares of a variable whose tails are exponential."""
    defect = claim.spoil.get("defect")
    if defect == "exact samples":  # of the law of the area, 1 / cosh
        uniform = np.random.default_rng(effort.seed).uniform(size=AREA_PATHS)
        areas = np.log(np.tan(np.pi / 2 * uniform)) / np.pi
    else:
        areas = _levy_areas(claim.implementation, effort.seed) * (1.05 if defect else 1.0)
    squares = areas**2
    error = squares.std() / squares.size**0.5
    p = float(2 * stats.norm.sf(abs(squares.mean() - AREA) / error))
    return likely(effort.level, p, squares.size, f"variance {squares.mean():.4f} for {AREA}")


def measure(claim: Claim, effort: Effort) -> Finding:
    name, what, defect = claim.implementation, claim.case["what"], claim.spoil.get("defect")
    if what == "Levy areas":
        return _variance(claim, effort)
    if what == "adaptive":
        first, *others = _adaptive(name, effort.seed)
        if claim.statistical:
            return _law(others[0], [(0.0, 1.0, "W"), (0.0, 1.0, "H")], effort)
        bound = rounding(first)
        if defect:
            others = [first + 1.01 * bound * (claim.kind == NEGATIVE)]
        return at_most(bound, max(float(np.abs(other - first).max()) for other in others))
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
