"""Identities of increments, whatever their law: those of the parts of an interval join to that of the whole, and there
are none beyond the end of a motion. Nothing is random but the intervals.
"""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import reduce
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from suite.harness import BrownianTask, describe
from suite.verify import quotations, solving
from suite.verify.claims import AREAS, CONSTRUCTED, LEVY_AREAS, NEGATIVE, POSITIVE, Claim, said
from suite.verify.findings import NAN, Effort, Finding, Unsupported, at_most
from suite.verify.intervals import SITUATIONS, Queries, Situation

PARTS = 24  # that the whole is cut into, twice over
EPS = 2.0**-52
# Additions that lead to a value: a term for each level of a tree, of which float64 has room for 52, and one for each
# part that is joined.
ADDITIONS = 52 + PARTS
SHAPE = (64, 4)
CELL = 1 / 64
WITHIN = 0.05  # of the variance of 98 304 samples: eleven of its standard deviations

# name -> (power of span / h, factor): what an addition leaves of rounding, in standard deviations over the length h.
# Values at times are of the size span^(1/2), their integrals span^(3/2), the integrals of these span^(5/2). Of their
# differences, W has the standard deviation h^(1/2), h H has h^(3/2) / 12^(1/2), h^2 K has h^(5/2) / 720^(1/2); A has
# h / 2, and is made of products of H and increments, two for each pair.
ROUNDING: Mapping[str, tuple[float, float]] = {
    "W": (0.5, 1.0),
    "H": (1.5, 12**0.5),
    "K": (2.5, 720**0.5),
    "A": (1.5, 4 * 12**0.5),
}

ADD_UP = "W and its areas over the parts of an interval join to those over the whole, but for rounding"
CHEN = "the Levy area over a union of cells is that of the cells, joined by Chen's relation"
HORIZON = "an increment to beyond the end is an error, or has the variance of its length"
_DYADIC = "that does not depend on the queries"
_SITUATIONS = (
    "on and off a grid of 1/8",
    "without a grid",
    "over intervals at random, its last cell clipped",
    "run backwards",
    "with K",
    _DYADIC,
)


class Piece(NamedTuple):
    """An increment over the length h, with its areas."""

    h: float
    W: np.ndarray
    H: np.ndarray
    A: np.ndarray | None = None
    K: np.ndarray | None = None


def join(left: Piece, right: Piece) -> Piece:
    """Chen's relation; for K that of Legendre's polynomials P2 / 12, moved from the parts to the whole."""
    h = left.h + right.h
    H = (left.h * left.H + right.h * right.H + (right.h * left.W - left.h * right.W) / 2) / h
    A = None
    if left.A is not None and right.A is not None:
        product = left.W[..., :, None] * right.W[..., None, :]
        A = left.A + right.A + (product - np.swapaxes(product, -1, -2)) / 2
    K = None
    if left.K is not None and right.K is not None:
        a, b = left.h / h, right.h / h
        K = _moved(left, left.K, a, -b) + _moved(right, right.K, b, a)
    return Piece(h, left.W + right.W, H, A, K)


def _moved(part: Piece, K: np.ndarray, p: float, q: float) -> np.ndarray:
    """What a part adds to K of the whole, in whose coordinate its own x in [-1, 1] is p x + q."""
    return p**2 * K - p * q / 2 * part.H + (p**2 + 3 * q**2 - 1) / 24 * part.W


def claims(name: str) -> Iterator[Claim]:
    claim: dict[str, Any] = {"check": "increments", "implementation": name}
    for situation in _SITUATIONS:
        known = SITUATIONS[situation]
        about: dict[str, Any] = {"subject": f"Brownian motion {situation}", "claim": ADD_UP, "expected": 1.0}
        about |= {"case": {"what": "parts", "situation": situation}, "may_lack": name in known.lacking}
        yield Claim(**claim, **about, **said(quotations.brownian_laws(name, known.kind), AREAS))
    beyond: dict[str, Any] = {"subject": "Brownian motion beyond its end", "claim": HORIZON}
    yield Claim(**claim, **beyond, kind="theory", source=AREAS, case={"what": "horizon"})
    yield from _controls(claim)
    if name != "diffrax":
        areas = said(quotations.levy_areas(name), LEVY_AREAS)
        for mode in ("davie", "foster"):
            case = {"what": "areas", "mode": mode}
            yield Claim(**claim, **areas, subject=f"Levy area, {mode}", claim=CHEN, expected=1.0, case=case)


def _controls(claim: dict[str, Any]) -> Iterator[Claim]:
    first = {"what": "parts", "situation": _SITUATIONS[0]}
    for kind, change, subject, words, case in (
        (NEGATIVE, {"part": 1e-9}, "one part off by 1e-9", ADD_UP, first),
        (POSITIVE, {"joined": True}, "the whole joined of its parts", ADD_UP, first),
        (NEGATIVE, {"instead": "no more"}, "constant beyond its end", HORIZON, {"what": "horizon"}),
        (POSITIVE, {"instead": "an error"}, "an error beyond its end", HORIZON, {"what": "horizon"}),
    ):
        yield Claim(
            **claim,
            kind=kind,  # pyright: ignore[reportArgumentType]
            source=CONSTRUCTED[kind],
            subject=f"Brownian motion, {subject}",
            claim=words,
            expected=1.0,
            case=case,
            spoil=change,
        )


def measure(claim: Claim, effort: Effort) -> Finding:
    if claim.case["what"] == "horizon":
        return _beyond(claim, effort)
    pieces = _pieces(claim.implementation, claim.case.get("situation", ""), claim.case.get("mode", ""), effort.seed)
    far, near, whole = pieces[:PARTS], pieces[PARTS:-2], pieces[-2:]
    if "part" in claim.spoil:
        far = [far[0]._replace(W=far[0].W + claim.spoil["part"]), *far[1:]]
    joined = [reduce(join, far), reduce(join, near)]
    if "joined" in claim.spoil:
        whole = joined
    span = SITUATIONS[claim.case["situation"]].span if "situation" in claim.case else 1.0
    worst, what, h = max(_apart(*pair, span) for pair in zip(joined, whole, strict=True))
    return at_most(claim.expected, worst, f"the worst is {what} over {h:.2g}")


def anywhere(rng: np.random.Generator) -> Queries:
    """A chain of intervals with ends at random, one on a smaller scale, and the wholes of both."""
    ends = np.sort([rng.permutation(np.arange(1, 128))[: PARTS + 1] / 128 for _ in range(2)])
    return chained(ends[0].tolist(), (0.6 + 1e-3 * ends[1]).tolist())


def on_grid(rng: np.random.Generator) -> Queries:
    """Two chains of cells, and their wholes."""
    first, second = (int(k) for k in rng.integers(0, round(1 / CELL) - PARTS, 2))
    return chained(*([(start + k) * CELL for k in range(PARTS + 1)] for start in (first, second)))


def chained(*chains: Sequence[float]) -> Queries:
    parts = [interval for chain in chains for interval in pairwise(chain)]
    return (*parts, *((chain[0], chain[-1]) for chain in chains))


@solving.remembered
def _pieces(name: str, situation: str, mode: str, seed: int) -> list[Piece]:
    if mode:
        asked = Situation(on_grid, {"dt": CELL, "levy_area": mode})
    else:
        queries = on_grid if situation == _DYADIC else anywhere
        asked = Situation(queries, SITUATIONS[situation].given)
    task = asked.task(name, seed, 0, SHAPE)
    outcome = solving.outcome(name, task)
    none = [None] * len(task.queries)
    parts = outcome.ys, outcome.H, *(none if area is None else area for area in (outcome.A, outcome.K))
    lengths = (t - s for s, t in task.queries)
    return [Piece(*piece) for piece in zip(lengths, *parts, strict=True)]


def _apart(joined: Piece, whole: Piece, span: float) -> tuple[float, str, float]:
    """The largest difference in units of its bound, of which part, and the length."""
    h, errors = whole.h, []
    deviations = {"W": h**0.5, "H": (h / 12) ** 0.5, "K": (h / 720) ** 0.5, "A": h / 2}
    for what, (power, factor) in ROUNDING.items():
        if getattr(whole, what) is not None:
            bound = ADDITIONS * EPS * factor * (span / h) ** power
            apart = np.abs(getattr(joined, what) - getattr(whole, what)).max() / deviations[what]
            errors.append((float(apart / bound), what, h))
    return max(errors)


def _beyond(claim: Claim, effort: Effort) -> Finding:
    """The variance of the increment from 1/2 to one beyond t1 = 1, by its length; NaN where it is an error."""
    situation = Situation(lambda rng: ((0.5, 1.0),), {"levy_area": "none", "dt": 0.125})
    task = situation.task(claim.implementation, effort.seed, 0, (128, 768))
    inside = solving.outcome(claim.implementation, task).ys
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            W = _outside(claim, replace(task, queries=((0.5, 1.5),)), inside)
    except Unsupported:
        raise
    except Exception as error:
        return Finding("holds", 1.0, NAN, NAN, NAN, describe(error))
    variance = float(np.square(W).mean())
    return Finding("holds" if abs(variance - 1) < WITHIN else "fails", 1.0, variance, variance, variance)


def _outside(claim: Claim, task: BrownianTask, inside: np.ndarray) -> np.ndarray:
    if claim.spoil.get("instead") == "an error":
        raise ValueError("there is nothing beyond the end.")
    return inside if claim.spoil else solving.outcome(claim.implementation, task).ys
