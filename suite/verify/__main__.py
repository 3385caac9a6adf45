"""`python -m suite.verify` checks what libraries claim and theory says, and writes reports/out/verification.csv."""

import argparse
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from suite import provenance
from suite.cluster import ClusterError, connected
from suite.harness import compared, names, why_not
from suite.journal import check_header
from suite.results import ResultsError, printable
from suite.run import OUT
from suite.store import locked
from suite.verify import calibration, run, table
from suite.verify.checks import CHECKS, claims_of
from suite.verify.claims import OURS, PRESETS, Claim, Preset
from suite.verify.findings import Effort
from suite.verify.table import Numbered, Row

SEED, MOST = 20211, 2**31 - 1
JOBS = 2
REFERENCE = provenance.ROOT / "reports" / "reference" / "cpu" / "verification.csv"


def parser() -> argparse.ArgumentParser:
    asked = argparse.ArgumentParser(prog="nox -s verify --", description="Check what SDE libraries claim.")
    asked.add_argument("--implementation", action="append", default=[], metavar="NAME")
    asked.add_argument("--check", action="append", default=[], metavar="NAME", help=", ".join(CHECKS))
    asked.add_argument("--method", action="append", default=[], metavar="NAME")
    asked.add_argument("--problem", action="append", default=[], metavar="NAME")
    size = asked.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="the strongest checks of sdegrad, or of those named")
    size.add_argument("--full", action="store_true", help="every combination, not one of each claim")
    size.add_argument("--controls", action="store_true", help="judge all controls and mutants, with --seeds")
    asked.add_argument(
        "--seeds", type=int, default=calibration.SEEDS, help=f"of --controls (default: {calibration.SEEDS})"
    )
    asked.add_argument("--seed", type=int, default=SEED, help=f"of all that is random (default: {SEED})")
    asked.add_argument("--jobs", type=int, default=JOBS, help=f"processes at work (default: {JOBS})")
    asked.add_argument("--scheduler", metavar="ADDRESS", help="measure at the workers of a Dask scheduler; or: local")
    asked.add_argument("--out", type=Path, default=OUT)
    return asked


def selected(options: argparse.Namespace, present: Sequence[str]) -> list[Numbered]:
    """The claims that are asked for, each with its number among all that there are."""
    preset: Preset = "quick" if options.quick else "full" if options.full else "default"
    filters = {"check": options.check, "method": options.method, "problem": options.problem}

    def fits(claim: Claim) -> bool:
        known = {**claim.case, "check": claim.check}
        asked = all(not chosen or known.get(name) in chosen for name, chosen in filters.items())
        return asked and PRESETS.index(claim.preset) <= PRESETS.index(preset)

    numbered = enumerate((claim for name in present for claim in claims_of(name)), start=1)
    return [(number, claim) for number, claim in numbered if fits(claim)]


def _wrong_names(options: argparse.Namespace) -> str | None:
    """Why this selection cannot be verified here."""
    for name in options.check:
        if name not in CHECKS:
            return f"unknown check {name!r}; known are: {', '.join(CHECKS)}."
    if not 0 <= options.seed <= MOST:
        return f"--seed is {options.seed}, expected a whole number from 0 to {MOST}."
    for count in ("jobs", "seeds"):
        if getattr(options, count) < 1:
            return f"--{count} is {getattr(options, count)}, expected 1 or more."
    for name in options.implementation:
        if name not in names():
            return f"unknown implementation {name!r}; known are: {', '.join(names())}."
        reason = why_not(name, "cpu")
        if reason is not None:
            return f"{name} cannot be verified here: {reason}"
    return None


def _unknown(options: argparse.Namespace, present: Sequence[str]) -> str | None:
    """Which method or problem there is no claim about."""
    for name in ("method", "problem"):
        asked = getattr(options, name)
        known = {c.case.get(name): None for library in present for c in claims_of(library)} if asked else {}
        for value in asked:
            if value not in known:
                return f"unknown {name} {value!r}; there are claims about: {', '.join(sorted(filter(None, known)))}."
    return None


def _refused(error: str) -> int:
    print(f"error: {error}", file=sys.stderr)
    return 2


def main(arguments: Sequence[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    options.out = options.out.resolve()
    error = _wrong_names(options)
    if error:
        return _refused(error)
    chosen = options.implementation or (OURS if options.quick else compared())
    present = [name for name in chosen if why_not(name, "cpu") is None]
    for name in set(chosen) - set(present):
        print(f"not verified: {name}: {why_not(name, 'cpu')}", flush=True)
    error = _unknown(options, present)
    if error:
        return _refused(error)
    claims = selected(options, present)
    if not (options.controls or claims):
        return _refused("no claim fits; leave out --method, --problem or --check, or name others.")
    try:
        with locked(options.out / "verification"):
            if options.controls:
                return _calibrated(options, present)
            rows = _verify_all(claims, options)
            return _verdict(claims, rows, options.out / "verification.csv")
    except (ClusterError, ResultsError) as error:
        return _refused(str(error))
    except OSError as error:
        where = error.filename2 or error.filename or options.out
        return _refused(f"{where} cannot be written ({error.strerror}); what was measured before is kept.")


def _calibrated(options: argparse.Namespace, present: Sequence[str]) -> int:
    """All controls and mutants judged, at the level of a run of all libraries."""
    every = [claim for name in compared() if why_not(name, "cpu") is None for claim in claims_of(name)]
    effort = Effort(run.level_of(every), options.seed)
    todo = list(calibration.works(present, options.check, options.seed, options.seeds))
    if not todo:
        return _refused("no control and no mutant fits; name other checks or implementations, or none.")
    rows = calibration.calibrate(options.out, todo, effort, options.jobs)
    print("\n".join(calibration.summary(rows)))
    return 1 if any(map(calibration.misjudged, rows)) or calibration.uniform(rows)[0] < run.ALPHA else 0


def _verify_all(claims: Sequence[Numbered], options: argparse.Namespace) -> dict[int, Row]:
    """The rows of the claims, written as they come; those of an interrupted run are kept."""
    file = options.out / "verification.csv"
    effort = Effort(run.level_of([claim for _, claim in claims]), options.seed, quick=options.quick)
    own = table.place(options.out, table.identity([claim for _, claim in claims], effort))
    check_header(file, table.HEADER)
    rows = table.kept(own, claims)
    if rows:
        print(f"{len(rows)} of {len(claims)} rows are there from an interrupted run.", flush=True)
    by_number, started, before = dict(claims), time.monotonic(), len(rows)
    left = [numbered for numbered in claims if numbered[0] not in rows]
    for found in _measured(run.grouped(left), effort, options):
        rows |= dict(found)
        table.write(own, rows)
        table.write(file, rows)
        spent = time.monotonic() - started
        minutes = spent / (len(rows) - before) * (len(claims) - len(rows)) / 60
        for number, row in found:
            bad = "  <-- must not be" if run.wrong(by_number[number], row) else ""
            progress = f"[{len(rows)}/{len(claims)}, {minutes:.0f} min left]"
            print(f"{progress} {row['verdict']:>12}  {_summary(row)}{bad}", flush=True)
    return rows


def _measured(
    groups: Sequence[Sequence[Numbered]], effort: Effort, options: argparse.Namespace
) -> Iterator[list[tuple[int, Row]]]:
    if options.scheduler is None:
        yield from run.rows_of(groups, effort, options.jobs)
        return
    with connected(options.scheduler) as cluster:
        workers = len(cluster.places)
        print(f"To be measured: {len(groups)}, by workers: {workers}. {_plan(workers)}", flush=True)
        yield from run.rows_on(cluster, groups, effort)


def _plan(workers: int) -> str:
    """What the committed run tells of so many workers."""
    took = table.durations(REFERENCE)
    least = max(max(took), sum(took) / workers) / 60
    return (
        f"The {len(took)} of the committed run took {sum(took) / 60:.0f} min, the longest {max(took) / 60:.1f} min: "
        f"so many workers need {least:.0f} min for them, and {sum(took) / max(took):.0f} or more what the longest does."
    )


def _summary(row: Row) -> str:
    measured = f" measured {float(row['measured']):.3g}" if row.get("measured") else ""
    mark = f" ({row['kind']})" if row["kind"].endswith("control") else ""
    told = f"{row['implementation']}: {row['subject']}: {row['claim']};{measured} {row.get('reason', '')}{mark}"
    return printable(told)  # reasons are words of libraries


def _verdict(claims: Sequence[Numbered], rows: dict[int, Row], file: Path) -> int:
    stop = sum(run.wrong(claim, rows[number]) for number, claim in claims)
    stated = [(number, claim) for number, claim in claims if not claim.control]
    measured = {claim.implementation for number, claim in stated if rows[number].get("measured")}
    broken = {claim.implementation for number, claim in stated if rows[number]["verdict"] != "unsupported"} - measured
    for name in sorted({claim.implementation for _, claim in stated} - measured):
        what = "error: nothing of {} could be measured" if name in broken else "{} can do nothing that is checked here"
        print(f"{what.format(name)}; its rows say why.", file=sys.stderr)
    print(f"{file}: {len(rows)} rows, {stop} of ours or of the controls not as they must be.", flush=True)
    drawn = subprocess.run([sys.executable, "-m", "reports.verification", str(file)], cwd=provenance.ROOT)
    return 1 if stop or broken or drawn.returncode else 0


if __name__ == "__main__":
    sys.exit(main())
