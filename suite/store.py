"""Where rows are kept: they are only ever added, each in one write that has reached the disk.

FOLDER/runs/RUN.csv    all rows of a run, as they came
FOLDER/runs/RUN.done   a line for each work that is finished, with the keys of its rows
FOLDER/results.csv     the table: every measurement of the current runs once, in the order of the cases

The two files of a run are the truth, results.csv is made from them. A half line, of a write that was cut short, does
not count; a work whose rows are not all there is not finished.
"""

import hashlib
import json
import os
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from suite import results
from suite.cases import CASES, Case
from suite.provenance import Context
from suite.results import ResultsError, Row

Done = tuple[str, str, str]  # id of the case, device, implementation


def case_id(case: Case) -> str:
    return _digest(repr(case))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def key_id(row: Mapping[str, str]) -> str:
    return _digest("\0".join(results.key(row)))


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """The folder for this process alone; it is free again when the process ends, however it ends. ValueError if another
    bench is at work there, ResultsError if nothing can be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / ".lock").open("a")
    except OSError as error:
        raise ResultsError(
            f"nothing can be written in {folder} ({_why(error)}); name another folder with --out."
        ) from None
    with file:
        try:
            _lock(file.fileno())
        except OSError as error:
            raise ValueError(
                f"another bench is at work in {folder} ({_why(error)}); wait for its end, or name another folder with "
                "--out."
            ) from None
        yield


if os.name == "nt":
    import msvcrt

    def _lock(file: int) -> None:
        msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _lock(file: int) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _why(error: OSError) -> str:
    return error.strerror or type(error).__name__


def repair(path: Path) -> None:
    """Take away half a line at the end."""
    if path.exists():
        content = path.read_bytes()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            os.truncate(path, whole)


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
        name = run if re.fullmatch(r"[0-9a-f]{12}", run) else _digest(run)
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


class Store:
    """All that a folder keeps. `runs` names the current run of each implementation (`Context.known_by`)."""

    def __init__(self, folder: Path, where: Context, runs: Mapping[str, str]) -> None:
        self.path, self.folder, self._where, self._runs = folder / "results.csv", folder / "runs", where, runs
        self._journals: dict[str, Journal] = {}
        self._fresh: defaultdict[str, dict[str, None]] = defaultdict(dict)  # implementation -> keys, as they came
        with self._kept():
            self.adopted = self._adopt()
            self.write_table()

    def printed(self) -> Path:
        """The file for what libraries print while they are measured, emptied."""
        path = self.path.with_name("printed.txt")
        with self._kept():
            path.write_text("")
        return path

    def _journal(self, run: str) -> Journal:
        if run not in self._journals:
            self._journals[run] = Journal(self.folder, run)
        return self._journals[run]

    def _adopt(self) -> int:
        """Keep the rows of results.csv that no run has, and say how many: of an older bench, or made elsewhere."""
        parts: defaultdict[str, list[Row]] = defaultdict(list)
        for row in results.read(self.path) if self.path.exists() else ():
            parts[row["run"]].append(row)
        adopted = 0
        for run, rows in parts.items():
            there = {tuple(row.values()) for row in self._journal(run).rows}
            new = [row for row in rows if tuple(row.values()) not in there]
            if new:
                self._journal(run).add(new)
            adopted += len(new)
        return adopted

    @contextmanager
    def _kept(self) -> Iterator[None]:
        """A write that fails is an error that says what is kept, and where."""
        try:
            yield
        except OSError as error:
            rows = sum(len(journal.rows) for journal in self._journals.values())
            raise ResultsError(
                f"{self.folder.parent} cannot be written ({_why(error)}); {rows} rows are kept in {self.folder}, "
                "perhaps not the last that was measured. Make room or name another folder with --out; the same command "
                "goes on."
            ) from None

    def missing(self, case: Case, device: str, names: Sequence[str], retry: bool = False) -> list[str]:
        """The implementations still to be measured: all of them where times are compared and one is missing."""

        def is_missing(name: str) -> bool:
            journal, work = self._journal(self._runs[name]), (case_id(case), device, name)
            return not journal.has(work) or (retry and journal.failed(work))

        missing = [name for name in names if is_missing(name)]
        return list(names) if missing and case.compares_times else missing

    def add(self, row: Row) -> Row:
        """Keep a row, which gets the columns of its run."""
        c, name = self._where, row["implementation"]
        now = datetime.now(UTC).isoformat(timespec="seconds")
        shared = {"run": self._runs[name], "time": now, "commit": c.commit, "dirty": c.dirty}
        shared |= {"machine": c.machine, "threads": c.threads}
        row = row | {column: str(value) for column, value in shared.items()}
        with self._kept():
            self._journal(self._runs[name]).add([row])
        self._fresh[name][key_id(row)] = None
        return row

    def finish(self, case: Case, device: str) -> None:
        """The rows added since the last call are all that there are of this case for their implementations."""
        with self._kept():
            for name, keys in self._fresh.items():
                self._journal(self._runs[name]).finish((case_id(case), device, name), list(keys))
            self._fresh.clear()
            self.write_table()

    def write_table(self) -> None:
        rows = self.table()
        if rows or self.path.exists():
            results.write(self.path, rows)

    def table(self) -> list[Row]:
        """The rows that count, of the current runs: finished ones in the order of the cases, the rest after them."""
        order = {case_id(case): number for number, case in enumerate(CASES)}
        names = list(self._runs)
        done: list[tuple[Done, list[str]]] = []
        counting: dict[str, Row] = {}
        for run in dict.fromkeys(self._runs.values()):
            counting |= self._journal(run).counting()
            done += self._journal(run).done.items()

        def place(finished: tuple[Done, list[str]]) -> tuple[str, int, int]:
            (case, device, name), _ = finished
            return device, order.get(case, len(order)), names.index(name) if name in names else len(names)

        keys = [key for _, keys in sorted(done, key=place) for key in keys]
        return [counting[key] for key in dict.fromkeys((*keys, *counting)) if key in counting]
