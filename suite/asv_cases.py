"""The parts that the asv classes share: implementations, devices and works of the table of cases, prepared once in a
process.

asv's parameters are fixed strings: an implementation, a device, and the words of a case of the bench.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, ClassVar

from suite.cases import CASES, Case

IMPLEMENTATIONS = ["sdegrad_torch", "torchsde", "sdegrad_jax", "diffrax", "diffrax_sdegrad"]
DEVICES = ["cpu", "cuda"]
# the words of a case -> the case; no two cases of the bench have the same
WORKS: Mapping[str, Case] = {str(case): case for case in CASES if "bench" in case.presets}


def works(kind: str, *, gradient: bool | None = None) -> list[str]:
    """The words of the cases of a kind, with a gradient or without, or both."""
    of_kind = {words: case for words, case in WORKS.items() if case.kind == kind}
    return [words for words, case in of_kind.items() if gradient is None or (case.adjoints != (None,)) == gradient]


def find(kind: str, size: str | None = None, **wanted: Any) -> Case:
    """The one case of the bench of this kind and size ("paths x dim x hidden") with these fields."""
    if size:
        wanted["sizes"] = dict(zip(("paths", "dim", "hidden"), map(int, size.split("x")), strict=True))
    found = [c for c in WORKS.values() if c.kind == kind and all(getattr(c, k) == v for k, v in wanted.items())]
    if len(found) != 1:
        raise LookupError(f"{len(found)} cases of kind {kind!r} with {wanted}; exactly one is wanted.")
    return found[0]


class OfCases:
    """Parameters of an asv class; a subclass says which works. Nothing is prepared where an implementation takes no
    part or cannot run: asv skips it."""

    param_names: ClassVar = ["implementation", "device", "work"]
    version = "3"
    timeout = 900

    def setup(self, implementation: str, device: str, work: str) -> None:
        self.trial: Any = _trial(implementation, device, work)


def params(kind: str, *, gradient: bool | None = None) -> list[list[str]]:
    return [IMPLEMENTATIONS, DEVICES, works(kind, gradient=gradient)]


@lru_cache(maxsize=4)
def _trial(name: str, device: str, work: str) -> Any:
    """The `harness.Trial`; NotImplementedError (asv's skip) with the reason if there is none."""
    # Frameworks are imported here, so that asv can discover the benchmarks without them.
    case = WORKS[work]
    try:
        from suite.harness import choose, taking_part, why_not

        reason = None if name in taking_part(case) else f"{name} takes no part in this comparison."
        reason = reason or why_not(name, device)
        trial = choose(name, case, device) if reason is None else reason
    except ImportError as missing:  # an old wheel, from before this was there
        trial = f"this commit lacks it: {missing}"
    if isinstance(trial, str):
        raise NotImplementedError(trial)
    return trial


@lru_cache(maxsize=4)
def prepared(name: str, device: str, work: str) -> Callable[[], Any]:
    """The run of the work's first step size, compiled and warm; asv calls setup before every timed call."""
    trial = _trial(name, device, work)
    run = trial.implementation.prepare(trial.task(trial.case.dts[0]))
    run()
    return run
