"""The law of approximate Levy areas A, by mode: given W and H, A less H (x) W - W (x) H is normal, with the variance
h^2/12 (davie) or h^2/20 + h/5 (H_i^2 + H_j^2) (foster). So its variance is h^2/4, that of the exact one.

Divided by that, it is a standard normal number independent of W, H and everything else. 2 seeds x 128 rows x 900 of
them for each of 5 disjoint intervals: cells of a grid, and a piece of one. For unions of cells see `increments`.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from suite import laws
from suite.harness import BrownianTask
from suite.verify import quotations, solving
from suite.verify.claims import CONSTRUCTED, LEVY_AREAS, NEGATIVE, POSITIVE, Claim, said
from suite.verify.findings import Curve, Effort, Finding, likely

SEEDS, ROWS, ENTRIES = 2, 128, 900
NOISE = 3  # and so three areas, as many as increments
PAIRS = (0, 0, 1), (1, 2, 2)
MODES = ("davie", "foster")
CELL = 0.125
QUERIES = ((0.0, 0.125), (0.125, 0.25), (0.5, 0.625), (0.7, 0.74), (0.875, 1.0))
DISTANCE = "how far the law of A alone is from that of the exact Levy area: a figure, no verdict"
LAW = "A given W and H has the mean H (x) W - W (x) H and the variance of its mode, and is normal"


def claims(name: str) -> Iterator[Claim]:
    if name == "diffrax":  # has none, and claims none
        return
    stated = said(quotations.levy_areas(name), LEVY_AREAS)
    claim: dict[str, Any] = {"check": "levy area", "implementation": name, "claim": LAW, "statistical": True}
    for mode in MODES:
        yield Claim(**claim, **stated, subject=f"Levy area, {mode}", case={"mode": mode})
        figure = claim | {"claim": DISTANCE, "statistical": False}
        yield Claim(**figure, kind="theory", source=LEVY_AREAS, subject=f"Levy area, {mode}", case={"mode": mode})
        other = MODES[1 - MODES.index(mode)]
        for kind, spoil in (
            (NEGATIVE, f"read as {other}"),
            (NEGATIVE, "negated"),
            (NEGATIVE, "scaled by 1.01"),
            (POSITIVE, "exact samples"),
        ):
            yield Claim(
                **claim,
                kind=kind,  # pyright: ignore[reportArgumentType]
                source=CONSTRUCTED[kind],
                subject=f"Levy area, {mode}, {spoil}",
                case={"mode": mode},
                spoil={"defect": spoil},
            )


def _distance(A: np.ndarray) -> Finding:
    """Of areas over cells, in units of their length: the largest difference of characteristic functions, 1 / cosh(u/2)
    being the exact one. By chance alone it is of the size of one over the root of the number of samples."""
    cells = [k for k, (s, t) in enumerate(QUERIES) if t - s == CELL]
    unit = (A[:, cells] / CELL).ravel()
    arguments = np.linspace(1.0, 16.0, 16)
    apart = [abs(float(np.cos(u * unit).mean() - 1 / np.cosh(u / 2))) for u in arguments]
    worst, chance = max(apart), unit.size**-0.5
    labels = "argument of the characteristic function", "distance from that of the exact law"
    curve = Curve(*labels, arguments.tolist(), apart, apart, apart)
    reason = f"the largest distance of characteristic functions; {chance:.1g} is chance"
    return Finding("measured", 0.0, worst, worst, worst, reason, samples=unit.size, curve=curve)


@solving.remembered
def _samples(name: str, mode: Any, entries: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """W and H [seeds, queries, rows, entries, noise] and A [seeds, queries, rows, entries, pairs]."""
    found: list[tuple[Any, ...]] = []
    for k in range(SEEDS):
        task = BrownianTask(
            queries=QUERIES,
            shape=(ROWS, entries, NOISE),
            dt=CELL,
            levy_area=mode,
            seed=seed + k,
            dtype="float64",
        )
        outcome = solving.outcome(name, task)
        found.append((outcome.ys, outcome.H, outcome.A[..., PAIRS[0], PAIRS[1]]))
    W, H, A = (np.array(part) for part in zip(*found, strict=True))
    return W, H, A


def _lengths() -> np.ndarray:
    """The lengths of the queries, with axes for the samples."""
    return np.diff(QUERIES, axis=1)[:, :, None, None]


def mean(W: np.ndarray, H: np.ndarray) -> np.ndarray:
    i, j = PAIRS
    return H[..., i] * W[..., j] - W[..., i] * H[..., j]


def deviation(mode: str, H: np.ndarray) -> np.ndarray:
    """The standard deviation of A given H."""
    h, (i, j) = _lengths(), PAIRS
    if mode == "davie":
        return np.broadcast_to(h / 12**0.5, H.shape)
    return np.sqrt(h**2 / 20 + h / 5 * (H[..., i] ** 2 + H[..., j] ** 2))


def measure(claim: Claim, effort: Effort) -> Finding:
    """The p-value of all tests of W, H and A, each made standard normal, together."""
    mode, defect = claim.case["mode"], claim.spoil.get("defect", "")
    entries = round(ENTRIES * effort.more) // NOISE
    W, H, A = _samples(claim.implementation, mode, entries, effort.seed)
    if claim.claim == DISTANCE:
        return _distance(A)
    if defect == "exact samples":
        W, H, A = _exact(mode, W.shape, effort.seed)
    elif defect == "scaled by 1.01":
        A = 1.01 * A
    elif defect == "negated":
        A = -A
    read = MODES[1 - MODES.index(mode)] if defect.startswith("read as") else mode
    h = _lengths()
    white = np.concatenate([W / h**0.5, H / (h / 12) ** 0.5, (A - mean(W, H)) / deviation(read, H)], axis=1)
    tests = laws.tests(white.reshape(*white.shape[:3], -1))
    worst = f"{min(tests, key=lambda name: tests[name])} of W, H and A, made standard normal"
    return likely(effort.level, laws.together(tests), white.size / 3 / len(QUERIES), worst)


def _exact(mode: str, shape: tuple[int, ...], seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng, h = np.random.default_rng(seed), _lengths()
    W, H = h**0.5 * rng.standard_normal(shape), (h / 12) ** 0.5 * rng.standard_normal(shape)
    return W, H, mean(W, H) + deviation(mode, H) * rng.standard_normal(shape)
