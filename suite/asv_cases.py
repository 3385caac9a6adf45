"""What the asv classes share: sdegrad's implementations on the cases of the table, prepared once in a process."""

from functools import lru_cache
from typing import Any

from suite.cases import CASES, Case

OURS = ["sdegrad_torch", "sdegrad_jax"]
SIZES = ["128x16x32", "2560x32x64"]  # smaller work takes under 15 ms, where asv's ratios are noise


def find(kind: str, size: str | None = None, **wanted: Any) -> Case:
    """The one case of the bench of this kind and size ("paths x dim x hidden") with these fields."""
    if size:
        wanted["sizes"] = dict(zip(("paths", "dim", "hidden"), map(int, size.split("x")), strict=True))
    found = [
        case
        for case in CASES
        if case.kind == kind and "bench" in case.presets and all(getattr(case, k) == v for k, v in wanted.items())
    ]
    if len(found) != 1:
        raise LookupError(f"{len(found)} cases of kind {kind!r} with {wanted}; asv follows exactly one.")
    return found[0]


@lru_cache(maxsize=4)
def _trial(name: str, case_id: int) -> Any:
    # Frameworks are imported here, so that asv can discover the benchmarks without them.
    try:
        from suite.harness import choose, why_not

        reason = why_not(name, "cpu")
        trial = choose(name, CASES[case_id], "cpu") if reason is None else reason
    except ImportError as missing:  # an old wheel, from before this was there
        reason = trial = f"this commit lacks it: {missing}"
    if isinstance(trial, str):
        raise NotImplementedError(trial)
    return trial


def trial(name: str, case: Case) -> Any:
    """The `harness.Trial` of implementation and case; NotImplementedError (asv's skip) with the reason if none."""
    return _trial(name, CASES.index(case))


@lru_cache(maxsize=4)
def _run(name: str, case_id: int) -> Any:
    run = _trial(name, case_id).implementation.prepare(_trial(name, case_id).task(CASES[case_id].dts[0]))
    run()
    return run


def prepared(name: str, case: Case) -> Any:
    """The run of the case's first step size, compiled and warm; asv calls setup before every timed call."""
    return _run(name, CASES.index(case))
