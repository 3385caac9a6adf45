"""The rows of verification.csv: their columns, and where those of a run are kept, from which it is resumed.

OUT/verification.csv          the table of the last run
OUT/verification/RUN.csv      the rows of a run, as far as it came; RUN follows from all that its rows depend on
"""

import csv
import io
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from suite.harness import source
from suite.provenance import context, digest
from suite.verify.claims import Claim
from suite.verify.findings import Effort

COLUMNS = (
    *("implementation", "version", "subject", "claim", "source"),
    *("expected", "measured", "low", "high", "verdict", "reason", "measured_with"),
    *("number", "check", "kind", "problem", "method", "p", "samples", "seed", "seconds"),
    *("curve", "script", "reproduced"),
    *("time", "commit", "machine"),
)

HEADER = ",".join(COLUMNS[:3])  # what such a table begins with, in all versions

Row = dict[str, str]
Numbered = tuple[int, Claim]


def durations(path: Path) -> list[float]:
    """The seconds of each measurement of the run in this file."""
    seconds: defaultdict[str, float] = defaultdict(float)
    with path.open(encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines):
            seconds[row["measured_with"].removeprefix("row ") or row["number"]] += float(row["seconds"])
    return list(seconds.values())


def write(path: Path, rows: Mapping[int, Row]) -> None:
    """verification.csv, in the order of the claims, whole at every moment."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows[number] for number in sorted(rows))
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    temporary.write_text(text.getvalue(), encoding="utf-8")
    temporary.replace(path)


def identity(claims: Sequence[Claim], effort: Effort) -> dict[str, object]:
    """What a run is known by, and resumed by: its claims, code, versions and machine, and its effort."""
    asked = repr([(c.implementation, c.check, c.subject, c.claim) for c in claims])
    return known_by({claim.implementation for claim in claims}) | {"claims": digest(asked), **effort.__dict__}


def known_by(libraries: Iterable[str]) -> dict[str, object]:
    """Of code, versions and machine; of the libraries whose code is not ours, theirs too."""
    return {"run": context(1).run, "sources": {name: source(name) for name in sorted(libraries)}}


def place(out: Path, identity: Mapping[str, object], of: str = "") -> Path:
    """Where the rows of the run with this identity are kept, whatever else is asked for in this folder."""
    return out / "verification" / f"{of}{digest(json.dumps(identity, sort_keys=True))}.csv"


def kept(path: Path, claims: Sequence[Numbered]) -> dict[int, Row]:
    """The rows of an interrupted run of these claims. Of a run that was not interrupted there are none: it is made
    again."""
    try:
        with path.open(encoding="utf-8", newline="") as lines:
            rows = {int(row["number"]): row for row in csv.DictReader(lines)}
    except (OSError, ValueError, KeyError):
        return {}
    wanted = dict(claims)
    found = {number: row for number, row in rows.items() if number in wanted}
    return found if len(found) < len(wanted) else {}
