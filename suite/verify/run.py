"""From claims to rows: in what order they are measured, how often, and what each is worth.

The run as a whole raises a false alarm with a probability of at most ALPHA: each statistical row has its share of it.
Nothing fails at the first look. What is not random, or ends with an error, is measured once more, and has to fail
again; what is random is measured again with a fresh seed and as many samples as it needs to be decided with the
probability POWER, up to MOST times as many, and that second measurement decides.
"""

import json
import math
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache, partial
from multiprocessing import get_context

from scipy import stats

from suite.cluster import Cluster, Died, Task, in_process
from suite.harness import describe
from suite.provenance import context
from suite.verify import solving
from suite.verify.checks import CHECKS
from suite.verify.claims import OURS, Claim
from suite.verify.findings import GOOD, Effort, Finding, Unsupported
from suite.verify.table import Numbered, Row
from suite.worker import end_with_parent

ALPHA = 1e-3
MOST = 10.0  # times the usual samples
POWER = 0.99  # of a second look, if what the first one saw is so
FRESH = 1_000_003  # added to the seed of a second look
# Groups of claims for each process; then fresh ones take over, since compiled programs pile up. The executor's own
# max_tasks_per_child would do that, but it can wait for ever (cpython issue 115634).
GROUPS = 72

PATIENCE = 300  # seconds for a script that reproduces a failure


def level_of(claims: Sequence[Claim]) -> float:
    """The significance of each statistical row, so that all of them together have ALPHA (Bonferroni). Controls state
    nothing that could be a false alarm."""
    return ALPHA / max(1, sum(claim.statistical and not claim.control for claim in claims))


def verified(claim: Claim, effort: Effort) -> Row:
    """The row of a claim: measured, or unsupported with the reason."""
    started = time.monotonic()
    row = _head(claim, effort) | {"version": solving.implementation(claim.implementation).versions()[0]}
    try:
        found = looked_at(claim, effort)
    except Unsupported as unsupported:
        row |= {"verdict": "unsupported", "reason": str(unsupported)}
    except Exception as failure:
        row |= _crashed(claim, describe(failure))
    else:
        numbers = {name: getattr(found, name) for name in ("expected", "low", "high", "p", "samples")}
        numbers["measured"] = found.value
        known = {name: repr(float(number)) for name, number in numbers.items() if not math.isnan(number)}
        row |= known | {"verdict": found.verdict, "reason": found.reason}
        row["curve"] = json.dumps(found.curve._asdict(), default=float) if found.curve else ""
    if row["verdict"] == "fails" and not claim.control and claim.implementation not in OURS:
        row |= _reproduced(CHECKS[claim.check].script(claim))
    return row | {"seconds": f"{time.monotonic() - started:.1f}"}


def _head(claim: Claim, effort: Effort) -> Row:
    """The columns that are known before anything is measured."""
    return {
        "implementation": claim.implementation,
        "subject": claim.subject,
        "claim": claim.claim,
        "source": f"{claim.kind}: {claim.source}",
        "check": claim.check,
        "kind": claim.kind,
        "problem": str(claim.case.get("problem", "")),
        "method": str(claim.case.get("method", "")),
        "seed": str(effort.seed),
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        **_place_of_this_process(),
    }


@cache
def _place_of_this_process() -> dict[str, str]:
    here = context(1)
    return {"commit": here.commit + " with changes" * here.dirty, "machine": here.machine}


def _crashed(claim: Claim, reason: str) -> Row:
    """A claim that crashes does not hold; a control that does proves nothing."""
    return {"verdict": "inconclusive" if claim.control else "fails", "reason": reason}


def was_measured(row: Mapping[str, str]) -> bool:
    """Whether a number was found, if only that it is none, and no crash."""
    return "expected" in row or "measured" in row


def _reproduced(script: str | None) -> Row:
    """The program that shows a failure with the library alone, and whether it did: 1 is how it says so, unless it is
    how Python says that the program itself broke."""
    if script is None:
        return {}
    command = [sys.executable, "-c", script]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        return {"script": json.dumps(script), "reproduced": f"no: it took more than {PATIENCE} s"}
    said = " ".join((done.stdout + done.stderr).split())[-200:]
    shown = done.returncode == 1 and "Traceback (most recent call last)" not in done.stderr
    return {"script": json.dumps(script), "reproduced": f"{'yes' if shown else 'no'}: {said}"}


def looked_at(claim: Claim, effort: Effort) -> Finding:
    """Measured, and once more before it counts against the claim. A control is looked at once."""
    measure = CHECKS[claim.check].measure
    try:
        first = measure(claim, effort)
    except Unsupported:
        raise
    except Exception:  # whatever a library raises; once more, it is the claim's
        if claim.control:
            raise
        with solving.second_look():
            first = measure(claim, effort)
    if claim.control or first.verdict in GOOD:
        return first
    if not claim.statistical:
        with solving.second_look():
            again = measure(claim, effort)
        if again[:5] == first[:5]:
            return again
        reason = f"not deterministic: {first.value:.3g}, and {again.value:.3g} when measured once more"
        ends = min(first.low, again.low), max(first.high, again.high)
        # what fails twice fails, by whatever number: bytes of memory are not the same ones again
        verdict = first.verdict if again.verdict == first.verdict else "inconclusive"
        return Finding(verdict, first.expected, first.value, *ends, reason)
    wanted = _with_power(first.needs, effort.level) / first.samples if first.needs > first.samples else 1.0
    again = measure(claim, replace(effort, seed=effort.seed + FRESH, more=effort.more * min(MOST, wanted)))
    reason = f"{again.reason} (first, with seed {effort.seed}: {first.value:.3g}, {first.verdict})"
    if again.verdict == "inconclusive" and again.needs > again.samples:
        needs = _with_power(again.needs, effort.level)
        reason = f"it would need about {needs:.2g} samples, {again.samples:.2g} were taken. {reason}"
    return again._replace(reason=reason.strip())


def _with_power(needs: float, level: float) -> float:
    """The samples with which an interval ends before the bound with the probability POWER: with `needs` of them its end
    is there on the average, and so beyond it in half of the cases."""
    z = stats.norm.isf(level / 2)
    return needs * float((z + stats.norm.isf(1 - POWER)) / z) ** 2


def wrong(claim: Claim, row: Mapping[str, str]) -> bool:
    """Whether a row must stop the build: a claim of our own that does not hold, or is no longer supported, or a control
    that was misjudged."""
    ours = claim.implementation in OURS
    lacking = ("unsupported",) if claim.may_lack or not ours else ()
    if claim.control:
        expected = ("fails",) if claim.kind == "negative control" else GOOD
        return row["verdict"] not in (*expected, *lacking)
    return ours and row["verdict"] not in (*GOOD, *lacking)


def grouped(claims: Sequence[Numbered]) -> list[list[Numbered]]:
    """The claims that rest on one measurement, together, so that one process makes it once."""
    groups: dict[object, list[Numbered]] = defaultdict(list)
    for number, claim in claims:
        groups[claim.measurement].append((number, claim))
    return list(groups.values())


def measured(group: Sequence[Numbered], effort: Effort) -> list[tuple[int, Row]]:
    """The rows of claims of one measurement; each but the first names the number of the first."""
    return [(number, verified(claim, effort) | _place(number, group)) for number, claim in group]


def _place(number: int, group: Sequence[Numbered]) -> Row:
    first = group[0][0]
    return {"number": str(number), "measured_with": "" if number == first else f"row {first}"}


def rows_of(groups: Sequence[Sequence[Numbered]], effort: Effort, jobs: int) -> Iterator[list[tuple[int, Row]]]:
    """The rows of each group as they come. A process that dies costs its group alone, which says so."""
    if jobs == 1:
        yield from (measured(group, effort) for group in groups)
        return
    for first in range(0, len(groups), jobs * GROUPS):
        yield from _in_processes(groups[first : first + jobs * GROUPS], effort, jobs)


def _in_processes(groups: Sequence[Sequence[Numbered]], effort: Effort, jobs: int) -> Iterator[list[tuple[int, Row]]]:
    lost: list[Sequence[Numbered]] = []
    with _pool(jobs) as pool:
        running: dict[Future[list[tuple[int, Row]]], Sequence[Numbered]] = {
            pool.submit(measured, group, effort): group for group in groups
        }
        for done in as_completed(running):
            try:
                yield done.result()
            except BrokenProcessPool:
                lost.append(running[done])
    for group in lost:  # the one that killed the pool is among them: each alone
        with _pool(1) as pool:
            try:
                yield pool.submit(measured, group, effort).result()
            except BrokenProcessPool:
                yield _died(group, effort, "the process that measured it died")


def _died(group: Sequence[Numbered], effort: Effort, reason: str) -> list[tuple[int, Row]]:
    return [(n, _head(c, effort) | _crashed(c, reason) | _place(n, group)) for n, c in group]


def rows_on(cluster: Cluster, groups: Sequence[Sequence[Numbered]], effort: Effort) -> Iterator[list[tuple[int, Row]]]:
    """The rows of each group as they come from the workers, each of which measures in a process of its own."""
    function = partial(in_process, measured, fresh_after=GROUPS)
    for number, answer in cluster.answers([Task(function, (group, effort)) for group in groups]):
        yield _died(groups[number], effort, answer.reason) if isinstance(answer, Died) else answer


def _pool(jobs: int) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(jobs, get_context("spawn"), end_with_parent)
