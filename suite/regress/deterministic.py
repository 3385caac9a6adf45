"""Figures that are the same at every run: errors, orders, evaluations, operations, memory. HEAD must not be worse.

Each has a tolerance of rounding, stated in `rules.RULES`, and nothing more: what goes beyond it is a change.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from suite.cases import CASES, Case, Preset, select
from suite.harness import main_measure, taking_part
from suite.journal import case_id
from suite.provenance import yardstick
from suite.regress.builds import CACHE
from suite.regress.journal import Journal
from suite.regress.process import Lost, NoAnswer, Process, kept_programs
from suite.regress.rules import RULES
from suite.regress.verdicts import Finding
from suite.results import Row

OURS = ("sdegrad_torch", "sdegrad_jax", "diffrax_sdegrad")
NO_ANSWER = "no answer"  # the status of what nothing is known of
_NFE = ("nfe_drift", "nfe_diffusion")
# kind of a case -> what is gated of it
GATED: Mapping[str, Sequence[str]] = {
    "memory": ("gradient_memory", "solve_memory"),
    "nfe": (*_NFE, "nfe_drift_vjp", "nfe_diffusion_vjp", "operations"),
    "gradient_error": ("gradient_error",),
    "strong_error": ("strong_error", "strong_order", "weak_error", *_NFE),
}

Key = tuple[str, str]  # implementation, id of the case
Rows = Mapping[str, Row]  # name of the benchmark -> row


def works(preset: Preset, pattern: re.Pattern[str]) -> list[tuple[str, Case]]:
    """Each implementation of ours with each case that has such a figure, if any name in it can match."""
    cases = [case for case in select(preset) if not case.compares_times]
    found = [(name, case) for name in OURS for case in cases if name in taking_part(case)]
    return [(n, case) for n, case in found if any(pattern.search(_name(n, m, case)) for m in GATED[case.kind])]


def _name(implementation: str, measure: str, case: Case) -> str:
    return f"{measure} {implementation}, {case}"


def measure(
    commit: str, build: Path, work: Sequence[tuple[str, Case]], say: Callable[[str], None], cache: Path = CACHE
) -> Rows:
    """The figures of a commit. What was measured before is not measured again; one process for each implementation."""
    journal = Journal(cache / f"{commit[:12]}-{yardstick()}.jsonl")
    known = {tuple(line["work"]): line["rows"] for line in journal.lines}
    steady = {"PYTHONMALLOC": "malloc", **kept_programs(cache)}
    for name in dict.fromkeys(name for name, _ in work):
        todo = [case for n, case in work if n == name and (name, case_id(case)) not in known]
        process = None
        for case in todo:
            say(f"{commit[:8]} {name}: {case}")
            try:
                if process is None:
                    process = Process(build, cache / "printed.txt", more=steady)
                    process.ask("start", name)
                rows = process.ask("rows", name, CASES.index(case))
            except Lost as lost:
                process = _ended(process)
                status = NO_ANSWER if isinstance(lost, NoAnswer) else "failed"
                rows = [{"measure": "", "dt": "", "status": status, "reason": str(lost)}]
            if rows[0]["status"] != NO_ANSWER:  # else the next comparison asks again
                journal.add({"work": [name, case_id(case)], "rows": rows})
            known[name, case_id(case)] = rows
        _ended(process)
    return dict(_named(work, known))


def _ended(process: Process | None) -> None:
    if process is not None:
        process.close()


def _named(work: Iterable[tuple[str, Case]], known: Mapping[Key, Sequence[Row]]) -> Iterator[tuple[str, Row]]:
    for name, case in work:
        for row in known[name, case_id(case)]:
            measure = row["measure"] or main_measure(case)  # nothing of the case was measured, if it has none
            if measure in RULES:
                yield _name(name, measure, case) + (f", dt {row['dt']}" if row["dt"] else ""), row


def both(
    commits: Sequence[str], builds: Sequence[Path], work: Sequence[tuple[str, Case]], say: Callable[[str], None]
) -> tuple[Rows, Rows]:
    """The figures of base and HEAD, at the same time: no time is measured."""
    with ThreadPoolExecutor(2) as pool:
        base, head = pool.map(lambda commit, build: measure(commit, build, work, say), commits, builds)
    return base, head


def compare(base: Rows, head: Rows) -> Iterator[Finding]:
    """A finding for each benchmark of either commit."""
    for name in dict.fromkeys((*base, *head)):
        yield _compared(name, base.get(name), head.get(name))


def _compared(name: str, base: Row | None, head: Row | None) -> Finding:
    values = [_value(row) for row in (base, head)]
    reasons = [row["reason"] if row else "no such figure" for row in (base, head)]
    status = [row["status"] if row else "skipped" for row in (base, head)]
    a, b = values
    if a is not None and b is not None:
        verdict = RULES[name.partition(" ")[0]].verdict(a, b) if a == a and b == b else "measures nothing"
        return Finding(benchmark=name, verdict=verdict, base=a, head=b)
    if a is not None:
        return Finding(benchmark=name, verdict="lost", base=a, reason=f"HEAD: {reasons[1]}")
    if b is not None:
        verdict = "failed" if status[0] == NO_ANSWER else "new"
        return Finding(benchmark=name, verdict=verdict, head=b, reason=f"base: {reasons[0]}")
    verdict = "failed" if {"failed", NO_ANSWER} & set(status) else "not compared"
    return Finding(benchmark=name, verdict=verdict, reason=reasons[1])


def _value(row: Row | None) -> float | None:
    if row is None or row["status"] != "ok":
        return None
    return float(row["value"] or "nan")
