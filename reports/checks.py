"""Checks of files made elsewhere: text in UTF-8, numbers that can be drawn, names that can be read.

Every error is one sentence that names the file, the place, what was expected and what to do.
"""

import csv
import io
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from suite import results
from suite.results import LARGEST, LONGEST, LONGEST_REASON, SIGNED, SMALLEST, ResultsError, Row

MOST = {("implementation",): 50, ("machine", "device", "threads"): 20}  # different ones in a file
_MAGIC = {b"\x1f\x8b": "gzip", b"PK\x03\x04": "zip", b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"\x28\xb5\x2f\xfd": "zstd"}
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")

Where = Callable[[int], str]  # the name of a row


def text(file: Path) -> str:
    """The content of a file. ResultsError for one that is not there, cannot be read, is packed or is not UTF-8."""
    try:
        content = file.read_bytes()
    except OSError as error:
        raise ResultsError(f"cannot read {file}: {error.strerror}; name a file that can be read.") from None
    for magic, packed in _MAGIC.items():
        if content.startswith(magic):
            raise ResultsError(f"{file} is packed with {packed}, expected text; unpack it and name what was in it.")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        found = "UTF-16" if content.startswith(_UTF_16) else f"not UTF-8 in line {line}"
        raise ResultsError(f"{file} is {found}, expected text in UTF-8; save it in that encoding.") from None


def table(file: Path, columns: Sequence[str], remedy: str) -> list[Row]:
    """The rows of a CSV file with at least these columns, each cell plain. ResultsError for another file."""
    reader = csv.reader(io.StringIO(text(file), newline=""))
    try:
        head, *rows = list(reader) or [[]]
    except csv.Error as error:
        raise ResultsError(f"{file}, line {reader.line_num}: {error}, expected a table (CSV); {remedy}.") from None
    missing = [c for c in columns if c not in head]
    if missing or not rows:
        found = f"has no column {missing[0]!r}" if missing else "has a header but no rows"
        raise ResultsError(f"{file} {found}, expected a row for each value, with {', '.join(columns)}; {remedy}.")
    for number, row in enumerate(rows, start=2):
        if len(row) != len(head):
            raise ResultsError(f"{file}, row {number}: {len(row)} fields, expected {len(head)}; {remedy}.")
    return [{c: plain(v) for c, v in zip(head, row, strict=True)} for row in rows]


def plain(cell: str) -> str:
    """The cell without what is not seen: control characters, terminal escapes, line ends and marks of direction are
    written out, as \\x1b."""
    return cell if cell.isprintable() else "".join(map(_visible, cell))


def _visible(character: str) -> str:
    return character if character.isprintable() else character.encode("unicode_escape").decode("ascii")


def number(cell: str) -> float:
    """The number in a cell. ValueError unless it is written as in results files: no underscores, no other digits."""
    if not cell.isascii() or "_" in cell:
        raise ValueError(cell)
    return float(cell)


def _whole(cell: str) -> bool:
    return number(cell) >= 0 and number(cell).is_integer()


def _drawable(cell: str) -> bool:
    value = number(cell)
    return value == 0 or math.isnan(value) or SMALLEST <= abs(value) <= LARGEST


def _positive(cell: str) -> bool:
    return number(cell) > 0 and _drawable(cell)


def _at_least_0(cell: str) -> bool:
    return not number(cell) < 0 and _drawable(cell)


_WHOLE = (_whole, "a whole number, 0 or more, or nothing")
_NOT_NEGATIVE = (_at_least_0, f"a number from 0 to {LARGEST:g}, or nothing")
_NUMBER = (_drawable, f"a number of at most {LARGEST:g}, or nothing")
_POSITIVE = (_positive, f"a number above 0, up to {LARGEST:g}, or nothing")
_NUMBERS: dict[str, tuple[Callable[[str], bool], str]] = dict.fromkeys(
    ("threads", "batch", "dim", "noise_dim", "hidden", "steps", "outputs", "seed", "samples"), _WHOLE
)
_NUMBERS |= {
    "dt": _POSITIVE,
    "rtol": _NOT_NEGATIVE,
    "atol": _NOT_NEGATIVE,
    **dict.fromkeys(("value", "low", "high"), _NUMBER),
}


def checked(rows: Sequence[Row], file: Path, where: Where = lambda k: f"row {k + 2}") -> list[Row]:
    """The rows of `file`, each cell plain. ResultsError, with `where` it stands, for a cell that cannot be shown."""
    found = rows
    for column in results.COLUMNS:
        plainly = {}
        for cell in {row[column] for row in rows}:
            plainly[cell] = plain(cell)
            wrong = _wrong(column, cell)
            if wrong:
                place = where(next(k for k, row in enumerate(rows) if row[column] == cell))
                raise _refused(file, place, column, cell, wrong)
        if any(a != b for a, b in plainly.items()):
            found = [row | {column: plainly[row[column]]} for row in found]
    for place, column, cell, wrong in _misfits(rows):
        raise _refused(file, where(place), column, cell, wrong)
    for columns, most in MOST.items():
        number_of = len({tuple(row[c] for c in columns) for row in rows})
        if number_of > most:
            message = f"{file} has {number_of} different values of {', '.join(columns)}, expected at most {most}"
            raise ResultsError(f"{message}; split the file.")
    return list(found)


def _wrong(column: str, cell: str) -> str:
    """What was expected of the cell, if it is not that."""
    longest = LONGEST_REASON if column == "reason" else LONGEST
    if len(cell) > longest:
        return f"at most {longest} characters"
    if column == "measure":
        return "" if cell in results.MEASURES else f"one of {', '.join(results.MEASURES)}"
    if column not in _NUMBERS or not cell:
        return ""
    fits, expected = _NUMBERS[column]
    try:
        return "" if fits(cell) else expected
    except ValueError:
        return expected


def _misfits(rows: Sequence[Row]) -> Iterator[tuple[int, str, str, str]]:
    """Cells that do not go with the measure of their row: place, column, cell, what was expected."""
    for place, row in enumerate(rows):
        measure, unit = row["measure"], results.MEASURES[row["measure"]]
        if row["unit"] not in ("", unit):
            yield place, "unit", row["unit"], f"the unit of {measure}, {unit!r}"
        for column in ("value", "low", "high"):
            if measure not in SIGNED and row[column].startswith("-"):
                yield place, column, row[column], f"a number from 0 on, as {measure} is one"
            if measure.endswith(("_time", "_ratio")) and row[column] and number(row[column]) == 0:
                yield place, column, row[column], f"a number above 0, as {measure} is one"


def _refused(file: Path, place: str, column: str, cell: str, expected: str) -> ResultsError:
    shown = plain(cell[:60]) + ("…" if len(cell) > 60 else "")
    return ResultsError(
        f"{file}, {place}, column {column}: '{shown}', expected {expected}; correct or leave out the row."
    )
