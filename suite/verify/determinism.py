"""What must come out the same, bit for bit: in another order of asking, with another cache, asked and solved again, in
another process, with another number of threads. And what must not: what is made with another seed, or with none.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from suite import mutants
from suite.harness import Task, names
from suite.problems import make
from suite.verify import quotations, solving
from suite.verify.claims import CONSTRUCTED, KIDGER, NEGATIVE, POSITIVE, Claim, said
from suite.verify.findings import Effort, Finding, Unsupported, at_most
from suite.verify.intervals import Queries, Situation

CELLS = 400  # more than the caches of the libraries hold
SHAPE = (8, 3)
SUMS = 1e-12  # relative, of solutions between numbers of threads: sums may be taken in another order
SECONDS = 300  # until a process is given up
_UNKNOWN = 3  # the exit code of a process that does not know the implementation

Arrays = Mapping[str, np.ndarray]


def cells(rng: np.random.Generator) -> Queries:  # noqa: ARG001 (the same ones always)
    return tuple(pairwise(k / CELLS for k in range(CELLS + 1)))


def anywhere(rng: np.random.Generator) -> Queries:
    return tuple((float(s), float(t)) for s, t in np.sort(rng.uniform(size=(40, 2))))


def brownian(
    name: str,
    seed: int | None,
    order: str = "forwards",
    off: bool = False,
    dtype: str = "float64",
    **options: Any,
) -> Arrays:
    """W and H of all cells of a grid (off: over intervals at random), asked forwards or in another order; the last
    answer of each."""
    given: dict[str, Any] = {"tol": 2.0**-30, "dt": 1 / CELLS, "dtype": dtype}
    if off:
        given = {"kind": "exact" if name in _OFF_THE_GRID else "dyadic", "tol": 1e-6, "dtype": dtype}
    task = Situation(anywhere if off else cells, given).task(name, seed or 0, 0, SHAPE)
    count = len(task.queries)
    forwards = np.arange(count)
    places = {
        "forwards": forwards,
        "there and back": np.concatenate([forwards, forwards[::-1]]),
        "in another order": np.random.default_rng(count).permutation(count),
    }[order]
    asked = tuple(task.queries[k] for k in places)
    outcome = solving.outcome(name, replace(task, queries=asked, seed=seed, options=options))
    back = np.argsort(places[-count:])
    return {"W": outcome.ys[-count:][back], "H": outcome.H[-count:][back]}


_OFF_THE_GRID = ("sdegrad_jax", "diffrax")  # whose exact object does not depend on the queries there


def solved(name: str, seed: int) -> Arrays:
    """A solution and its gradients."""
    problem = make("mlp_general", paths=4, dim=3, hidden=4, seed=seed)
    tasks = [
        Task(
            problem=problem,
            method="reversible_heun",
            dt=1 / 16,
            ts=(0.0, 0.4, 1.0),
            adjoint=adjoint,
            seed=seed,
            dtype="float64",
        )
        for adjoint in ("reversible", "backprop")
    ]
    task = next((task for task in tasks if solving.implementation(name).unsupported(task) is None), tasks[-1])
    outcome = solving.outcome(name, task)
    return {"ys": outcome.ys, **outcome.gradients}


@solving.remembered
def elsewhere(name: str, seed: int, threads: int) -> Arrays:
    """The numbers of `brownian` and of `solved`, in a process of its own that has so many cores and threads."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "numbers.npz"
        arguments = [sys.executable, "-m", "suite.verify.determinism", name, str(seed), str(threads), str(file)]
        environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
        done = subprocess.run(arguments, env=environment, capture_output=True, text=True, timeout=SECONDS, check=False)
        if done.returncode == _UNKNOWN:
            raise Unsupported("it is known to this process alone.")
        if done.returncode:
            raise RuntimeError(done.stderr[-300:])
        with np.load(file) as numbers:
            return dict(numbers)


def main(name: str, seed: int, threads: int, file: str) -> int:
    if name not in names() and name not in mutants.MUTANTS:
        return _UNKNOWN
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    numbers: dict[str, Any] = {**brownian(name, seed), **solved(name, seed)}
    np.savez(file, **numbers)
    return 0


Numbers = Callable[[str, int], Arrays]


class Pair(NamedTuple):
    """Two ways to the same numbers, or (same: False) to others. bound: of their relative difference. lacking: those
    among the libraries that do not have it, or do not promise it."""

    subject: str
    first: Numbers
    second: Numbers
    bound: float = 0.0
    same: bool = True
    lacking: tuple[str, ...] = ()


_IN_JAX = ("sdegrad_jax", "diffrax")
PAIRS = (
    Pair("increments asked there and back", brownian, lambda name, seed: brownian(name, seed, "there and back")),
    Pair(
        "increments asked in another order",
        brownian,
        lambda name, seed: brownian(name, seed, "in another order"),
        lacking=("torchsde",),  # whose interval depends on the queries, as it says
    ),
    Pair(
        "increments off the grid asked in another order",
        lambda name, seed: brownian(name, seed, off=True),
        lambda name, seed: brownian(name, seed, "in another order", off=True),
    ),
    Pair(
        "increments with a cache of one",
        brownian,
        lambda name, seed: brownian(name, seed, "there and back", cache_size=1),
        lacking=_IN_JAX,
    ),
    Pair(
        "increments in single precision, asked there and back",
        lambda name, seed: brownian(name, seed, dtype="float32"),
        lambda name, seed: brownian(name, seed, "there and back", dtype="float32"),
    ),
    Pair("increments of a motion made again", brownian, brownian),
    Pair("increments of another seed", brownian, lambda name, seed: brownian(name, seed + 1), same=False),
    Pair(
        "increments without a seed",
        lambda name, seed: brownian(name, None),
        lambda name, seed: brownian(name, None),
        same=False,
        lacking=_IN_JAX,
    ),
    Pair("solution and gradients, solved again", solved, solved),
    Pair("increments in another process, of one thread", brownian, lambda name, seed: elsewhere(name, seed, 1)),
    Pair("increments in another process, of two threads", brownian, lambda name, seed: elsewhere(name, seed, 2)),
    Pair("solution in another process, of one thread", solved, lambda name, seed: elsewhere(name, seed, 1), SUMS),
    Pair("solution in another process, of two threads", solved, lambda name, seed: elsewhere(name, seed, 2), SUMS),
)


def claims(name: str) -> Iterator[Claim]:
    stated = said(quotations.determined(name), KIDGER)
    claim: dict[str, Any] = {"check": "determinism", "implementation": name}
    for pair in PAIRS:
        if name in pair.lacking:
            continue
        words = "the same numbers" if pair.same else "other numbers"
        yield Claim(
            **claim, **stated, subject=pair.subject, claim=words, expected=pair.bound, case={"pair": pair.subject}
        )
    first = {"claim": "the same numbers", "expected": 0.0, "case": {"pair": PAIRS[0].subject}}
    for kind, defect in ((NEGATIVE, "of another seed"), (POSITIVE, "the first ones again")):
        subject = f"{PAIRS[0].subject}, {defect}"
        yield Claim(**claim, **first, kind=kind, source=CONSTRUCTED[kind], subject=subject, spoil={"second": defect})


def measure(claim: Claim, effort: Effort) -> Finding:
    """The largest relative difference; where there must be one, the part of the numbers that are equal."""
    (pair,) = (pair for pair in PAIRS if pair.subject == claim.case["pair"])
    name, seed = claim.implementation, effort.seed
    first = pair.first(name, seed)
    if claim.spoil.get("second") == "the first ones again":
        second = first
    else:
        second = pair.second(name, seed + bool(claim.spoil))
    if pair.same:
        return at_most(claim.expected, max(_apart(first[key], second[key]) for key in first))
    return at_most(0.0, max(float((first[key] == second[key]).mean()) for key in first))


def _apart(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.abs(a - b).max() / max(np.abs(a).max(), np.finfo(a.dtype).tiny))


if __name__ == "__main__":
    name, seed, threads, file = sys.argv[1:]
    sys.exit(main(name, int(seed), int(threads), file))
