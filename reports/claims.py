"""The rows of verification.csv: read and checked, or refused, and what they say."""

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path

from reports import checks, labels
from suite.results import ResultsError

CLAIM_NUMBERS = ("expected", "measured", "low", "high")
CLAIM = ("implementation", "version", "subject", "claim", "source", *CLAIM_NUMBERS, "verdict", "reason")
# Columns that files of older runs lack.
LATER = ("measured_with", "number", "check", "p", "samples", "seed", "curve", "script", "reproduced")

Row = Mapping[str, str]
Claims = list[dict[str, str]]


def read(file: Path) -> Claims:
    """The claims in verification.csv, each cell plain, with its `place` in the file. ResultsError for a file of another
    form."""
    rows = checks.table(file, CLAIM, "delete it and run `nox -s verify` again")
    rows = [dict.fromkeys(LATER, "") | row | {"place": str(k)} for k, row in enumerate(rows, start=2)]
    for row in rows:
        for column, (fits, expected) in _CLAIM_CELLS.items():
            if row[column] and not fits(row[column]):
                place = f"{file}, row {row['place']}, column {column}"
                raise ResultsError(f"{place}: {row[column][:60]!r}, expected {expected}; run `nox -s verify` again.")
    return rows


def _is_number(cell: str) -> bool:
    try:
        checks.number(cell)
    except ValueError:
        return False
    return True


def _is_curve(cell: str) -> bool:
    """Labels, a slope, and lists of one length of numbers; those that are finite can be drawn."""
    try:
        found = json.loads(cell)
        lists = [[float(x) for x in found[name]] for name in ("x", "y", "low", "high")]
        float(found["slope"])
        labelled = all(isinstance(found[name], str) and len(found[name]) < 100 for name in ("x_label", "y_label"))
    except (ValueError, KeyError, TypeError, RecursionError):
        return False
    drawable = all(not math.isfinite(x) or x == 0 or 1e-100 < abs(x) < 1e100 for values in lists for x in values)
    return labelled and drawable and len({len(values) for values in lists}) == 1 and len(lists[0]) < 1000


def _is_text(cell: str) -> bool:
    try:
        return isinstance(json.loads(cell), str)
    except (ValueError, RecursionError):
        return False


_NUMBER = (_is_number, "a number or nothing")
_CLAIM_CELLS: dict[str, tuple[Callable[[str], bool], str]] = {
    **dict.fromkeys((*CLAIM_NUMBERS, "p", "samples"), _NUMBER),
    "curve": (_is_curve, "a curve as the verification writes it"),
    "script": (_is_text, "a text in JSON"),
}


# Of these nothing is said to hold: what a library has not, and figures without a verdict.
UNDECIDED = ("unsupported", "measured")
CONTROLS = ("control", "negative control", "positive control")


def kind(row: Row) -> str:
    return row["source"].partition(":")[0]


def is_control(row: Row) -> bool:
    return kind(row) in CONTROLS


def misjudged(row: Row) -> bool:
    """Whether a control was not judged as it is built: a negative one has to fail, a positive one to hold."""
    expected = ("holds", "exceeds") if kind(row) == "positive control" else ("fails",)
    return row["verdict"] not in (*expected, "unsupported")


def measured(row: Row) -> str:
    """The number with its interval, as a probability where it is one, or why there is none."""
    if not row["measured"]:
        return row["reason"]
    if row["p"] and row["p"] == row["measured"]:
        return f"p = {labels.number(float(row['p']))}"
    value, low, high = (float(row[column] or "nan") for column in ("measured", "low", "high"))
    return labels.number(value) + ("" if low == high else labels.interval(low, high))


def first_words(row: Row) -> str:
    """The first line of the program that reproduces a failure, which says what is wrong; empty if there is none."""
    parts = json.loads(row["script"]).split('"""') if row["script"] else []
    return parts[1].strip().partition("\n")[0] if len(parts) > 1 else ""


def summary(claims: Claims) -> str:
    """How many claims hold, in a sentence."""
    verdicts = [row["verdict"] for row in claims if not is_control(row) and row["verdict"] not in UNDECIDED]
    return f"{sum(verdict in ('holds', 'exceeds') for verdict in verdicts)} of {len(verdicts)} claims hold."
