"""The one results table: its columns, its measures, and how it is written (atomically) and read (strictly).

A row is one measured value, on one line of text. Rows are only added; of two rows with the same key the later counts.
"""

import csv
import io
import os
from collections.abc import Iterable, Mapping
from numbers import Real
from pathlib import Path
from typing import Any

SCHEMA = "3"

# When and where, what was run, the work, and the value. Empty string: does not apply. Only rows of Brownian motion
# have access, the order of the queries, and brownian, the kind of object that a library has.
CONTEXT = ("schema", "run", "time", "commit", "dirty", "machine", "device", "threads", "tool")
IMPLEMENTATION = ("implementation", "version", "framework")
WORK = (
    *("problem", "problem_version", "method", "adjoint", "access", "brownian", "noise_type", "noise_source"),
    *(
        "batch",
        "dim",
        "noise_dim",
        "hidden",
        "dt",
        "steps",
        "rtol",
        "atol",
        "outputs",
        "compiled",
        "dtype",
        "seed",
        "samples",
    ),
)
VALUE = ("measure", "value", "low", "high", "unit", "status", "reason")
COLUMNS = CONTEXT + IMPLEMENTATION + WORK + VALUE

STATUSES = ("ok", "skipped", "failed")

# measure -> unit. Times, memory, errors and counts: smaller is better, all of them.
MEASURES: Mapping[str, str] = {
    "solve_time": "s",
    "gradient_time": "s",  # forward and backward
    "gradient_cpu_time": "s",  # of all threads of the process
    "compile_time": "s",  # preparation up to and with the first call
    "solve_time_ratio": "1",  # to sdegrad in the same framework, paired by round in one run
    "gradient_time_ratio": "1",
    "solve_memory": "B",  # peak above what was there before the call; in JAX as XLA has planned it
    "gradient_memory": "B",
    "nfe_drift": "1/step",
    "nfe_diffusion": "1/step",
    "nfe_drift_vjp": "1/step",
    "nfe_diffusion_vjp": "1/step",
    "operations": "1",  # of the compiled program, or those that a call sends to the framework one by one
    "gradient_error": "1",  # relative L1, adjoint against backpropagation on the same path
    "strong_error": "1",  # root mean square over paths at the end time, against the exact solution
    "strong_order": "1",
    "weak_error": "1",  # of the mean at the end time, with its sign, against the exact solution on the same paths
    "import_time": "s",
    "brownian_time": "s",  # of all queries of an access pattern, on a Brownian motion made for them
    "brownian_time_ratio": "1",
    "training_loss": "1",  # after `steps` steps of training
    "training_time": "s",  # of all `steps` of them, compilation included
    "marginal_distance": "1",  # Wasserstein, of generated marginals from the exact law, averaged over the times
    "signature_distance": "1",  # of the mean truncated signatures of generated and of real paths
    "real_fake_accuracy": "1",  # of a classifier trained to tell generated from real paths, on unseen ones
    "label_accuracy": "1",  # of a classifier trained on generated paths with their labels, on real ones
    "prediction_loss": "1",  # mean square error of the last values of real paths, predicted as in generated ones
    "step_time": "s",  # median, of a training step
    "verification_time": "s",  # of a part of the verification, by the clock
    "nfe_training": "1/step",  # evaluations of all vector fields, per training step
}

SIGNED = ("training_loss", "strong_order", "weak_error")  # of all other measures a value cannot be negative
SMALLEST, LARGEST = 1e-100, 1e100  # beyond them the axes of a figure have no limits
LONGEST, LONGEST_REASON = 200, 20_000  # characters of a cell

# Two rows with the same key are of the same measurement, made twice: with how many samples is no part of it.
_NO_KEY = ("problem_version", "samples")
KEY = ("run", "tool", "device", "implementation", *(c for c in WORK if c not in _NO_KEY), "measure")

EXACT_TO = 1e-13  # a gradient is exact below this: a change of round-off is no change of accuracy

Row = dict[str, str]


class ResultsError(ValueError):
    """A results file that cannot be used; the message says which, why, and what to do."""


def row(**values: Any) -> Row:
    """A row as it is stored: every column a printable string, floats in full precision. Unknown columns are a
    TypeError."""
    unknown = values.keys() - set(COLUMNS)
    if unknown:
        raise TypeError(f"unknown columns {sorted(unknown)}; the columns are {COLUMNS}.")
    return {"schema": SCHEMA} | {c: _text(c, values.get(c, "")) for c in COLUMNS if c != "schema"}


def _text(column: str, value: Any) -> str:
    if value is None or isinstance(value, float):
        return "" if value is None else repr(float(value))
    longest = LONGEST_REASON if column == "reason" else LONGEST
    text = printable(str(value)[: longest + 1])
    return text if len(text) <= longest else text[: longest - 1] + "…"


def wrong_value(measure: str, value: Any) -> str:
    """What was expected of a value that was measured, if it is not that: such a row would spoil the whole table."""
    if not isinstance(value, Real) or not (value == 0 or SMALLEST <= abs(float(value)) <= LARGEST):
        return f"0 or a number between {SMALLEST:g} and {LARGEST:g}"
    return "" if float(value) >= 0 or measure in SIGNED else "0 or more"


def printable(text: str) -> str:
    """The text on one line, and nothing in it that a terminal would obey: such characters as their escapes."""
    safe = (c if c.isprintable() else " " if c.isspace() else c.encode("unicode_escape").decode() for c in text)
    return "".join(safe)


def key(of: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(of[c] for c in KEY)


def latest(rows: Iterable[Mapping[str, str]]) -> list[Mapping[str, str]]:
    """The rows that count: the last of each key, in order of first appearance."""
    return list({key(r): r for r in rows}.values())


def text(rows: Iterable[Mapping[str, str]], *, header: bool) -> str:
    """The rows as they stand in a file."""
    lines = io.StringIO(newline="")
    writer = csv.DictWriter(lines, COLUMNS, lineterminator="\n")
    if header:
        writer.writeheader()
    writer.writerows(rows)
    return lines.getvalue()


def write(path: Path, rows: Iterable[Mapping[str, str]]) -> None:
    """Replace the file at once, so that a reader or an interrupt never sees half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    try:
        temporary.write_text(text(rows, header=True), encoding="utf-8")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def read(path: Path) -> list[Row]:
    """All rows. ResultsError for a file that is not there, cannot be read, is of another schema, or cut off in the
    middle."""
    remedy = f"move {path} away (nothing was changed) and run `nox -s bench` again"
    if path.is_dir():
        raise ResultsError(f"{path} is a folder, expected a file; {remedy}.")
    if not path.is_file():
        raise ResultsError(f"no results at {path}; run `nox -s bench` first, or name another file.")
    try:
        content = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ResultsError(f"{path} cannot be read as text in UTF-8 ({error}); {remedy}.") from None
    lines = content.splitlines()
    _check_schema(path, lines, remedy)
    if not lines or tuple(lines[0].split(",")) != COLUMNS:
        raise ResultsError(f"{path} does not start with the columns of schema {SCHEMA}; {remedy}.")
    if not content.endswith("\n"):
        raise ResultsError(f"{path} is cut off in line {len(lines)}: {printable(lines[-1][:60])!r}; {remedy}.")
    reader = csv.DictReader(io.StringIO(content, newline=""), strict=True)
    try:
        rows = list(reader)
    except csv.Error as error:
        where = f"{path}, line {reader.reader.line_num}"
        raise ResultsError(f"{where}: {error}, expected comma-separated values; {remedy}.") from None
    for number, r in enumerate(rows, start=2):
        if None in r or None in r.values():
            raise ResultsError(f"{path}, row {number}, has not {len(COLUMNS)} fields; {remedy}.")
        if r["schema"] != SCHEMA:
            schema = r["schema"][:20]
            raise ResultsError(f"{path}, row {number}, is of schema {schema!r}, expected {SCHEMA!r}; {remedy}.")
        if r["status"] not in STATUSES:
            raise ResultsError(
                f"{path}, row {number}, has status {r['status'][:20]!r}, expected one of {STATUSES}; {remedy}."
            )
    return rows


def _check_schema(path: Path, lines: list[str], remedy: str) -> None:
    """ResultsError if the first row is of another schema: its columns are others too."""
    schema = lines[1].partition(",")[0] if len(lines) > 1 and lines[0].startswith("schema,") else SCHEMA
    if schema != SCHEMA:
        older = schema.isdigit() and int(schema) < int(SCHEMA)
        maker = "an older version; measure again:" if older else "another version;"
        raise ResultsError(f"{path} is of schema {schema[:20]!r}, expected {SCHEMA!r}: made by {maker} {remedy}.")
