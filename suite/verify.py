"""`python -m suite.verify` checks what libraries claim and theory says, and writes reports/out/verification.csv.

How each is checked stands in `suite.checks`. The run as a whole raises a false alarm with a probability of at most
ALPHA: each statistical row has its share of it.
"""

import argparse
import csv
import io
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from suite import checks
from suite.checks import CHECKS, Effort, Unsupported
from suite.claims import OURS, Claim, claims_of
from suite.harness import compared, describe, load, names, why_not
from suite.run import OUT

COLUMNS = (
    *("implementation", "version", "subject", "claim", "source"),
    *("expected", "measured", "low", "high", "verdict", "reason", "measured_with"),
)
ALPHA = 1e-3

Row = dict[str, str]


def level_of(claims: Sequence[Claim]) -> float:
    """The significance of each statistical row, so that all of them together have ALPHA (Bonferroni)."""
    return ALPHA / max(1, sum(claim.statistical for claim in claims))


def verify(claim: Claim, effort: Effort) -> Row:
    """The row of a claim: measured, or unsupported with the reason. A control that crashes proves nothing."""
    row = {
        "implementation": claim.implementation,
        "version": load(claim.implementation).versions()[0],
        "subject": claim.subject,
        "claim": claim.claim,
        "source": f"{claim.kind}: {claim.source}",
    }
    try:
        found = CHECKS[claim.check](claim, effort)
    except Unsupported as unsupported:
        return row | {"verdict": "unsupported", "reason": str(unsupported)}
    except Exception as failure:
        verdict = "inconclusive" if claim.kind == "control" else "fails"
        return row | {"verdict": verdict, "reason": describe(failure)}
    numbers = {name: repr(float(getattr(found, name))) for name in ("expected", "low", "high")}
    return row | numbers | {"measured": repr(float(found.value)), "verdict": found.verdict, "reason": found.reason}


def write(path: Path, rows: Sequence[Mapping[str, str]]) -> None:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    temporary.write_text(text.getvalue(), encoding="utf-8")
    temporary.replace(path)


def wrong(claim: Claim, row: Mapping[str, str]) -> bool:
    """Whether a row must stop the build: a claim of our own that does not hold, or is no longer supported, or a control
    that was not rejected by what was measured."""
    ours = claim.implementation in OURS
    if claim.kind == "control":
        return row["verdict"] != "fails" and (ours or row["verdict"] != "unsupported")
    return ours and row["verdict"] != "holds"


def _summary(row: Mapping[str, str]) -> str:
    measured = f" measured {float(row['measured']):.3g}" if row.get("measured") else ""
    return f"{row['implementation']}: {row['subject']}: {row['claim']};{measured} {row.get('reason', '')}"


def _unknown(chosen: Sequence[str]) -> str | None:
    """Why this selection cannot be verified here."""
    for name in chosen:
        if name not in names():
            return f"unknown implementation {name!r}; known are: {', '.join(names())}."
        reason = why_not(name, "cpu")
        if reason is not None:
            return f"{name} cannot be verified here: {reason}"
    return None


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="nox -s verify --", description="Check what SDE libraries claim.")
    parser.add_argument("--implementation", action="append", default=[], metavar="NAME")
    parser.add_argument("--quick", action="store_true", help="the strongest checks of sdegrad, or of those named")
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args(arguments)
    error = _unknown(options.implementation)
    if error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    chosen = options.implementation or (OURS if options.quick else compared())
    present = [name for name in chosen if why_not(name, "cpu") is None]
    for name in set(chosen) - set(present):
        print(f"not verified: {name}: {why_not(name, 'cpu')}", flush=True)
    claims = [claim for name in present for claim in claims_of(name) if claim.quick or not options.quick]
    effort = Effort(level_of(claims), checks.QUICK_PATHS if options.quick else checks.PATHS)
    rows = _verify_all(claims, effort, options.out / "verification.csv")
    stop = sum(wrong(claim, row) for claim, row in zip(claims, rows, strict=True))
    unmeasured = [name for name in present if not any(r.get("measured") for r in rows if r["implementation"] == name)]
    for name in unmeasured:
        print(f"error: nothing of {name} could be measured; its rows say why.", file=sys.stderr)
    if not rows:
        print("error: no library is installed that could be verified; see pyproject.toml's extras.", file=sys.stderr)
        return 1
    print(
        f"{options.out / 'verification.csv'}: {len(rows)} rows, {stop} of ours or of the controls not as they must be."
    )
    return 1 if stop or unmeasured else 0


def _verify_all(claims: Sequence[Claim], effort: Effort, file: Path) -> list[Row]:
    """The rows of the claims, written as they come; one that rests on the measurement of an earlier row names it."""
    rows: list[Row] = []
    first: dict[tuple[str, str, str], int] = {}
    for number, claim in enumerate(claims, start=1):
        row = verify(claim, effort)
        shared = first.setdefault(claim.measurement, number)
        row["measured_with"] = f"row {shared}" if shared < number else ""
        rows.append(row)
        write(file, rows)
        mark = " (control)" if claim.kind == "control" else ""
        bad = "  <-- must not be" if wrong(claim, row) else ""
        print(f"[{number}/{len(claims)}] {row['verdict']:>12}  {_summary(row)}{mark}{bad}", flush=True)
    return rows


if __name__ == "__main__":
    sys.exit(main())
