"""Whether verification is to be believed: `--controls` judges all controls and mutants, with many seeds.

Every control has to come out as it was made, and every mutant has to be caught by one of its checks: at the first of
the claims of its base that fails. The p-values of what is true (the statistical claims of our own libraries) are
pooled: they must not be small more often than those of exact tests, which is what the level of a row rests on.
"""

import csv
import io
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import as_completed
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from scipy import stats

from suite import mutants
from suite.harness import compared
from suite.journal import append, check_header, repair
from suite.verify import run
from suite.verify.checks import CHECKS, claims_of
from suite.verify.claims import OURS, PRESETS, Claim
from suite.verify.findings import GOOD, Effort
from suite.verify.table import known_by, place

SEEDS = 20
STRIDE = 1009  # between seeds; a check may take the next few after its own
COLUMNS: tuple[str, ...] = (
    "work",
    "implementation",
    "seed",
    "subject",
    "check",
    "kind",
    "verdict",
    "p",
    "caught_by",
    "seconds",
)

Row = dict[str, str]


class Work(NamedTuple):
    """One cell of the run. claims: those of one measurement, or of one mutant."""

    name: str
    claims: Sequence[Claim]
    seed: int

    @property
    def of_mutant(self) -> bool:
        return self.name.startswith("mutant: ")

    @property
    def rows(self) -> int:
        """How many it has when it is done."""
        return 1 if self.of_mutant else len(self.claims)


def works(present: Sequence[str], checks: Sequence[str], seed: int, seeds: int) -> Iterator[Work]:
    """Each mutant, once, if all the checks are chosen that are to catch it between them; and all measurements that have
    controls or are statistical claims of ours: with each seed, or once where nothing is random."""
    chosen = [check for check in CHECKS if not checks or check in checks]
    for name, mutant in mutants.MUTANTS.items():
        if mutant.base in present and set(mutant.checks) <= set(chosen):
            yield Work(f"mutant: {name}", held_to(name, chosen), seed)
    claims = [c for name in present for c in _default(name, chosen) if c.control or (c.statistical and name in OURS)]
    groups = [[claim for _, claim in group] for group in run.grouped(list(enumerate(claims)))]
    for k in range(seeds):
        for group in groups:
            if k == 0 or any(claim.statistical for claim in group):
                yield Work(f"{group[0].implementation}: {group[0].subject}: {group[0].claim}", group, seed + STRIDE * k)


def _default(name: str, checks: Sequence[str]) -> list[Claim]:
    default = PRESETS[: PRESETS.index("default") + 1]
    return [claim for claim in claims_of(name) if claim.check in checks and claim.preset in default]


def held_to(name: str, checks: Sequence[str] = tuple(CHECKS)) -> list[Claim]:
    """The claims of its base that a mutant is held to, those of its first check first."""
    mutant = mutants.MUTANTS[name]
    claims = [claim for claim in _default(mutant.base, [c for c in mutant.checks if c in checks]) if not claim.control]
    claims.sort(key=lambda claim: mutant.checks.index(claim.check))
    return [replace(claim, implementation=name) for claim in claims]


def judged(work: Work, effort: Effort) -> list[Row]:
    """The rows of a cell: one for each claim, or the one that says what caught a mutant."""
    effort = replace(effort, seed=work.seed)
    if work.of_mutant:
        return [_caught(work, effort)]
    return [_row(work, claim, run.verified(claim, effort)) for claim in work.claims]


def _row(work: Work, claim: Claim, found: Mapping[str, str]) -> Row:
    row = {"work": work.name, "implementation": claim.implementation, "seed": str(work.seed), "subject": claim.subject}
    return row | {
        "check": claim.check,
        "kind": claim.kind,
        **{name: found.get(name, "") for name in ("verdict", "p", "seconds")},
    }


def _caught(work: Work, effort: Effort) -> Row:
    """The first claim that is measured, and does not hold. That a measurement crashes says nothing of the mutant: its
    changes may no longer fit the library."""
    seconds, name, crashes = 0.0, work.name.removeprefix("mutant: "), 0
    for claim in work.claims:
        found = run.verified(claim, effort)
        seconds += float(found["seconds"])
        if found["verdict"] == "fails" and run.was_measured(found):
            row = _row(work, claim, found) | {"caught_by": f"{claim.check}: {claim.subject}: {claim.claim}"}
            return row | {"kind": "mutant", "seconds": f"{seconds:.1f}"}
        crashes += found["verdict"] == "fails"
    row = {
        "work": work.name,
        "implementation": name,
        "seed": str(work.seed),
        "subject": f"by {len(work.claims)} claims, of which {crashes} crashed",
    }
    return row | {"kind": "mutant", "verdict": "missed", "seconds": f"{seconds:.1f}"}


def calibrate(out: Path, todo: Sequence[Work], effort: Effort, jobs: int) -> list[Row]:
    """The rows of all cells, added as they come to a file of this code and level, whose rows are kept; the table of
    those that were asked for is calibration.csv."""
    table, header = out / "calibration.csv", _text((), header=True)
    check_header(table, header)
    own = place(out, known_by(compared()) | {"level": effort.level}, "calibration-")
    known = kept(own)
    complete = [work for work in todo if len(known.get((work.name, str(work.seed)), ())) == work.rows]
    left = [work for work in todo if work not in complete]
    rows = [row for work in complete for row in known[work.name, str(work.seed)]]
    for k, found in enumerate(_all(left, effort, jobs), start=1):
        append(own, _text(found, header=not (own.exists() and own.stat().st_size)))
        rows += found
        print(f"[{k}/{len(left)}] {found[0]['work']}, seed {found[0]['seed']}{_noted(found)}", flush=True)
    table.write_text(_text(rows, header=True), encoding="utf-8")
    return rows


def _text(rows: Sequence[Row], *, header: bool) -> str:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, COLUMNS, restval="", lineterminator="\n")
    if header:
        writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _noted(found: Sequence[Row]) -> str:
    wrong = [row["subject"] for row in found if misjudged(row)]
    caught = found[0].get("caught_by")
    return f": caught by {caught}" if caught else f"  <-- misjudged: {'; '.join(wrong)}" if any(wrong) else ""


def _all(todo: Sequence[Work], effort: Effort, jobs: int) -> Iterator[list[Row]]:
    if jobs == 1:
        yield from (judged(work, effort) for work in todo)
        return
    with run._pool(jobs) as pool:
        for done in as_completed([pool.submit(judged, work, effort) for work in todo]):
            yield done.result()


def kept(file: Path) -> dict[tuple[str, str], list[Row]]:
    """The rows that are there, by the name and the seed of their work."""
    repair(file)
    rows: defaultdict[tuple[str, str], list[Row]] = defaultdict(list)
    if file.exists():
        with file.open(encoding="utf-8", newline="") as lines:
            for row in csv.DictReader(lines):
                rows[row["work"], row["seed"]].append(row)
    return rows


def misjudged(row: Row) -> bool:
    """A control that came out otherwise than it was made, or a mutant that was missed. What a library does not support
    is not judged."""
    if row["verdict"] == "unsupported":
        return False
    expected = {"negative control": ("fails",), "positive control": GOOD, "mutant": ("fails",)}
    return row["kind"] in expected and row["verdict"] not in expected[row["kind"]]


def uniform(rows: Sequence[Row]) -> tuple[float, int]:
    """The p-value of the p-values of true claims being no smaller than uniform ones (Kolmogorov-Smirnov, one-sided:
    those of several tests together are multiplied by their number, and so are larger), and how many there are."""
    p_values = [float(row["p"]) for row in rows if row["kind"] in ("claim", "theory") and row["p"]]
    if not p_values:
        return float("nan"), 0
    return float(stats.kstest(p_values, "uniform", alternative="greater").pvalue), len(p_values)


def summary(rows: Sequence[Row]) -> list[str]:
    """The summary of the run, in lines; the last one only if all is well."""
    controls = [row for row in rows if row["kind"].endswith("control") and row["verdict"] != "unsupported"]
    mutated = [row for row in rows if row["kind"] == "mutant"]
    by_check = Counter(row["check"] for row in mutated if not misjudged(row))
    p, count = uniform(rows)
    lines = [
        f"{len(controls)} controls judged, {sum(map(misjudged, controls))} misjudged.",
        f"{len(mutated)} mutants, {len(mutated) - sum(map(misjudged, mutated))} caught: "
        + ", ".join(f"{number} by {check}" for check, number in by_check.most_common()),
        f"{count} p-values of what is true are no smaller than uniform ones with p = {p:.2g}.",
    ]
    return lines + [f"missed or misjudged: {row['implementation']}: {row['subject']}" for row in rows if misjudged(row)]
