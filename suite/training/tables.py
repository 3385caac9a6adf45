"""Tables of numbers in CSV files, read with errors that name file, line and column."""

import csv
import gzip
import math
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

Record = Mapping[str, str | float | None]


class DataError(ValueError):
    """Data that cannot be used; the message says which, and what to do."""


def read(
    path: Path, numbers: Sequence[str], texts: Sequence[str] = (), missing: str = "NA"
) -> Iterator[tuple[str, Record]]:
    """(file and line, what it says) of each line below the header, of these columns only; None for a number that is
    `missing` or empty."""
    open_text = gzip.open if path.suffix == ".gz" else Path.open
    line = 1
    try:
        with open_text(path, "rt", encoding="utf-8", newline="") as file:
            rows = csv.reader(file, strict=True)
            heads = next(rows, [])
            absent = [name for name in (*numbers, *texts) if name not in heads]
            if absent:
                raise DataError(f"{path}, line 1: there is no column {absent[0]!r}, only {', '.join(heads) or 'none'}.")
            for cells in rows:
                line = rows.line_num
                if len(cells) != len(heads):
                    raise DataError(
                        f"{path}, line {line}: {len(cells)} columns, where the header has {len(heads)}; mend the line."
                    )
                found = dict(zip(heads, cells, strict=True))
                place = f"{path}, line {line}"
                values = {k: None if found[k] in (missing, "") else _number(found[k], place, k) for k in numbers}
                yield place, {k: found[k] for k in texts} | values
    except (UnicodeDecodeError, csv.Error, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path}, after line {line}: it cannot be read ({error}); get the file anew.") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror or error}); name another file.") from error


def _number(text: str, place: str, column: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise DataError(f"{place}, column {column!r}: {text!r} is no number; mend the line.")
    return value
