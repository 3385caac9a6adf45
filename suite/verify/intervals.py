"""Situations in which Brownian motions are asked: which object, on which times, over which intervals."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from suite.harness import BrownianTask

Queries = tuple[tuple[float, float], ...]


def eighths(rng: np.random.Generator) -> Queries:  # noqa: ARG001 (the same ones always)
    """Overlapping, nested, on and off the grid of 1/8, in no order."""
    return (0.5, 1.0), (0.0, 0.3), (0.25, 0.375), (0.1, 0.9), (0.31, 0.32), (0.0, 1.0)


def anywhere(rng: np.random.Generator) -> Queries:
    """Nested, overlapping, tiny and far apart, with ends at random, 1/64 or more from each other; and the ends of
    [0, 1], which a last cell is clipped by."""
    a, b, c, d, e, f, g = np.sort(rng.permutation(np.arange(2, 62))[:7] + rng.uniform(0.0, 0.5, 7)).tolist()
    a, b, c, d, e, f, g = (x / 64 for x in (a, b, c, d, e, f, g))
    return (a, f), (b, d), (c, g), (e, e + 1e-6), (0.0, b), (0.98, 1.0), (0.0, 1.0)


def dyadic(rng: np.random.Generator) -> Queries:
    """As `anywhere`, but for the tiny one, at multiples of 2^-12, which single precision knows."""
    return tuple((round(s * 2**12) / 2**12, round(t * 2**12) / 2**12) for s, t in anywhere(rng) if t - s > 1e-3)


def dyadic_and_tiny(rng: np.random.Generator) -> Queries:
    """As `dyadic`, and a tiny one of 2^-12: too short for areas in single precision."""
    known = dyadic(rng)
    start = known[2][0] + 2.0**-9  # inside of the third
    return (*known, (start, start + 2.0**-12))


def cells(count: int) -> Callable[[np.random.Generator], Queries]:
    """Intervals on a grid of [0, 1]: single cells and neighbours, the first and the last, several, pieces of some."""

    def made(rng: np.random.Generator) -> Queries:
        j, k, m = (int(x) for x in np.sort(rng.permutation(np.arange(1, count // 16 - 1))[:3]) * 16)
        ends = (
            (0, 1),
            (j, j + 1),
            (j + 1, j + 2),
            (k, k + 12),
            (k + 5.25, k + 6.75),
            (m + 0.5, m + 1),
            (count - 1, count),
        )
        return tuple((s / count, t / count) for s, t in ends)

    return made


def apart(rng: np.random.Generator) -> Queries:  # noqa: ARG001 (the same ones always)
    """Disjoint."""
    return tuple((i / 8, (i + 1) / 8) for i in range(8))


@dataclass(frozen=True)
class Situation:
    """queries(generator): of [0, 1], to be scaled to [t0, t1]. given: what else a `BrownianTask` needs, with "exact"
    for the exact object of a library, whatever it calls it. lacking: those of our own that have no such object."""

    queries: Callable[[np.random.Generator], Queries]
    given: Mapping[str, Any]
    lacking: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        return self.given.get("kind", "exact")

    @property
    def span(self) -> float:
        return self.given.get("t1", 1.0) - self.given.get("t0", 0.0)

    def task(self, name: str, seed: int, path: int, shape: tuple[int, ...]) -> BrownianTask:
        """For the library `name`: the queries of this seed, of path number `path`."""
        given = {"kind": "exact", "levy_area": "space-time", "dtype": "float64", "t0": 0.0, "t1": 1.0, **self.given}
        if given["kind"] == "exact":
            given["kind"] = "tree" if name == "diffrax" else "interval"
        t0, span = given["t0"], given["t1"] - given["t0"]
        queries = self.queries(np.random.default_rng(seed))
        scaled = tuple((t0 + span * s, t0 + span * t) for s, t in queries)
        return BrownianTask(queries=scaled, shape=shape, seed=seed + path, **given)


def _situation(queries: Callable[[np.random.Generator], Queries], *lacking: str, **given: Any) -> Situation:
    return Situation(queries, given, lacking)


_FINE = 2.0**-24  # of trees; times nearer than this need not be told apart
_JAX = ("sdegrad_jax",)
SITUATIONS: Mapping[str, Situation] = {
    "on and off a grid of 1/8": _situation(eighths, dt=0.125, tol=_FINE),
    "without a grid": _situation(eighths, tol=_FINE),
    "over intervals at random, its last cell clipped": _situation(anywhere, dt=0.07, tol=_FINE),
    "of 100 cells": _situation(cells(100), dt=0.01, tol=0.01 * _FINE),
    "of a million cells": _situation(cells(10**6), dt=1e-6, tol=2.0**-40),
    "far from zero, by a million cells": _situation(eighths, t0=125000.0, t1=125001.0, dt=0.125, tol=_FINE),
    "over a span of 1e-6": _situation(anywhere, t1=1e-6, dt=7e-8, tol=1e-6 * _FINE),
    "over a span of a million": _situation(anywhere, t1=1e6, dt=7e4, tol=1e6 * _FINE),
    "in single precision": _situation(dyadic, dt=2.0**-5, tol=2.0**-20, dtype="float32"),
    "with K": _situation(anywhere, "sdegrad_torch", dt=0.07, tol=_FINE, levy_area="space-time-time"),
    "of the portable generator": _situation(anywhere, kind="portable", dt=0.07, tol=_FINE),
    "without a Levy area": _situation(anywhere, dt=0.07, tol=_FINE, levy_area="none"),
    "that does not depend on the queries": _situation(dyadic_and_tiny, *_JAX, kind="dyadic", tol=1e-6),
    "known by its values at times": _situation(dyadic_and_tiny, *_JAX, kind="points", levy_area="none"),
    "to a tolerance": _situation(dyadic, *_JAX, kind="tree", tol=2.0**-14, levy_area="none"),
    "without an end": _situation(apart, *_JAX, kind="path", t1=4.0, levy_area="none"),
    "run backwards": _situation(anywhere, *_JAX, kind="reversed", dt=0.07),
    "given its increment and area over all": _situation(anywhere, *_JAX, kind="given", dt=0.07),
}
