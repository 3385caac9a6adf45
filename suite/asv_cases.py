"""The parts that the asv classes share: implementations, devices and works of the table of cases, prepared once in a
process.

asv's parameters are fixed strings: an implementation, a device, and the words of a case of the bench.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, ClassVar

from suite.cases import CASES, Case

LIBRARIES = ["sdegrad_torch", "torchsde", "sdegrad_jax", "diffrax"]
DEVICES = ["cpu", "cuda"]
# the words of a case -> the case; no two cases of the bench have the same
WORKS: Mapping[str, Case] = {str(case): case for case in CASES if "bench" in case.presets}


def works(kind: str, *, gradient: bool | None = None) -> list[str]:
    """The words of the cases of a kind, with a gradient or without, or both."""
    of_kind = {words: case for words, case in WORKS.items() if case.kind == kind}
    return [words for words, case in of_kind.items() if gradient is None or (case.adjoints != (None,)) == gradient]


def params(kind: str, *, gradient: bool | None = None) -> list[list[str]]:
    """Implementations (the libraries, and the yardsticks that the cases name), devices, works."""
    of_kind = works(kind, gradient=gradient)
    yardsticks = dict.fromkeys(name for words in of_kind for name in WORKS[words].yardsticks)
    return [[*LIBRARIES, *yardsticks], DEVICES, of_kind]


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
    version = "4"
    timeout = 900

    def setup(self, implementation: str, device: str, work: str) -> None:
        self.trial: Any = _trial(implementation, device, work)


class OfTimes(OfCases):
    """Those whose run is timed, many times."""

    repeat = (6, 30, 3.0)
    rounds = 2

    def setup(self, implementation: str, device: str, work: str) -> None:
        self.run: Any = _prepared(implementation, device, work)


@lru_cache(maxsize=4)
def _trial(name: str, device: str, work: str) -> Any:
    """The `harness.Trial`; NotImplementedError (asv's skip) with the reason if there is none."""
    check_here(name, device)
    from suite.harness import choose, taking_part

    case = WORKS[work]
    trial = choose(name, case, device) if name in taking_part(case) else f"{name} takes no part in this comparison."
    if isinstance(trial, str):
        raise NotImplementedError(trial)
    return trial


def check_here(name: str, device: str) -> None:
    """NotImplementedError (asv's skip) with the reason if an implementation cannot run here."""
    # Frameworks are imported here, so that asv can discover the benchmarks without them.
    try:
        from suite.harness import why_not

        reason = why_not(name, device)
    except (ImportError, ValueError) as missing:  # an old wheel, from before this was there
        reason = f"this commit lacks it: {missing}"
    if reason:
        raise NotImplementedError(reason)


@lru_cache(maxsize=4)
def _prepared(name: str, device: str, work: str) -> Callable[[], Any]:
    """The run of the work's first step size, compiled and warm; asv calls setup before every timed call."""
    trial = _trial(name, device, work)  # first: it tells an old wheel, with which the next line cannot be read
    from suite.measuring import prepare

    return prepare(trial, quiet)[0]


def quiet(implementation: str, what: str) -> None:
    """No one listens to the progress of a benchmark."""
