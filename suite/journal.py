"""The rows of one run, which are only ever added, each in one write that has reached the disk.

RUN.csv    all rows, as they came
RUN.done   a line for each work that is finished, with the keys of its rows

A half line, of a write that was cut short, does not count; a work whose rows are not all there is not finished.
"""

import json
import os
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from suite import results
from suite.case import Case
from suite.provenance import digest
from suite.results import Row

Done = tuple[str, str, str]  # id of the case, device, implementation


def case_id(case: Case) -> str:
    return digest(repr(case))


def key_id(row: Mapping[str, str]) -> str:
    return digest("\0".join(results.key(row)))


def repair(path: Path) -> None:
    """Take away half a line at the end."""
    if path.exists():
        content = path.read_bytes()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            os.truncate(path, whole)


def check_header(path: Path, header: str) -> None:
    """ResultsError if there is a file that does not begin with this line, or with as much of it as was written."""
    try:
        with path.open("rb") as file:
            found = file.read(len(header.encode()))
    except FileNotFoundError:
        return
    except OSError as error:
        raise results.ResultsError(f"cannot read {path}: {error.strerror}; name another folder with --out.") from None
    if not header.encode().startswith(found):
        raise results.ResultsError(
            f"{path} is not a table of this command, which begins with {header.split(',', 1)[0]!r}; move it away, or "
            "name another folder with --out (nothing was changed)."
        )


def append(path: Path, text: str) -> None:
    """Add lines in one write, on the disk when this returns; all or, at an OSError, none of them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        before, content = os.fstat(file).st_size, text.encode()
        try:
            if os.write(file, content) < len(content):
                raise OSError("the disk is full")
            os.fsync(file)
        except OSError:
            os.ftruncate(file, before)
            raise
    finally:
        os.close(file)


class Journal:
    """One run: its rows, and what is finished."""

    def __init__(self, folder: Path, run: str) -> None:
        # The column may hold anything in a file that was made elsewhere; as a name it stays in the folder.
        name = run if re.fullmatch(r"[0-9a-f]{12}", run) else digest(run)
        self.path, self._done_path = folder / f"{name}.csv", folder / f"{name}.done"
        for path in (self.path, self._done_path):
            repair(path)
        self._empty = not self.path.exists() or self.path.stat().st_size == 0
        self.rows: list[Row] = [] if self._empty else results.read(self.path)
        self._keys = set(map(key_id, self.rows))
        self.done: dict[Done, list[str]] = {}
        self._superseded: set[str] = set()
        marks = self._done_path.read_text(errors="replace") if self._done_path.exists() else ""
        for line in marks.splitlines():
            with suppress(ValueError, TypeError, LookupError):  # such a line finishes nothing
                work, keys = json.loads(line)
                self._finished((work[0], work[1], work[2]), list(map(str, keys)))

    def add(self, rows: Sequence[Row]) -> None:
        append(self.path, results.text(rows, header=self._empty))
        self._empty = False
        self.rows += rows
        self._keys.update(map(key_id, rows))

    def finish(self, work: Done, keys: list[str]) -> None:
        append(self._done_path, json.dumps([work, keys]) + "\n")
        self._finished(work, keys)

    def _finished(self, work: Done, keys: list[str]) -> None:
        self._superseded |= set(self.done.get(work, ()))
        self.done[work] = keys

    def has(self, work: Done) -> bool:
        return work in self.done and self._keys.issuperset(self.done[work])

    def failed(self, work: Done) -> bool:
        return any(row["status"] == "failed" for row in self.rows if key_id(row) in self.done[work])

    def counting(self) -> dict[str, Row]:
        """key -> the row that counts: the last with its key, unless its work was measured again without it."""
        gone = self._superseded.difference(*self.done.values())
        return {key: row for row in self.rows if (key := key_id(row)) not in gone}
