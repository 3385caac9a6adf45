"""Where rows are kept: a `Journal` for each run, and the table that is made from them.

FOLDER/runs/RUN.csv, RUN.done   the journal of a run
FOLDER/results.csv              the table: every measurement of the current runs once, in the order of the cases
"""

import os
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from suite import results
from suite.cases import CASES, Case
from suite.journal import Done, Journal, case_id, key_id
from suite.provenance import Context
from suite.results import ResultsError, Row


@contextmanager
def locked(folder: Path, *, wait: bool = False) -> Iterator[None]:
    """The folder for this process alone; it is free again when the process ends, however it ends. ResultsError if
    another run is at work there, unless it is waited for, or if nothing can be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / ".lock").open("a")
    except OSError as error:
        raise ResultsError(
            f"nothing can be written in {folder} ({_why(error)}); name another folder with --out."
        ) from None
    with file:
        try:
            _lock(file.fileno(), wait)
        except OSError as error:
            raise ResultsError(
                f"another run is at work in {folder} ({_why(error)}); wait for its end, or name another folder with "
                "--out."
            ) from None
        yield


if os.name == "nt":
    import msvcrt

    def _lock(file: int, wait: bool) -> None:
        msvcrt.locking(file, msvcrt.LK_LOCK if wait else msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _lock(file: int, wait: bool) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))


def _why(error: OSError) -> str:
    return error.strerror or type(error).__name__


class Place(NamedTuple):
    """A machine that measures, and the current run of each implementation there (`Context.known_by`)."""

    where: Context
    runs: Mapping[str, str]


class Store:
    """All that a folder keeps, with the current runs of one machine, or of several."""

    def __init__(self, folder: Path, *places: Place) -> None:
        self.path, self.folder, self._places = folder / "results.csv", folder / "runs", list(places)
        self._journals: dict[str, Journal] = {}
        # (run, implementation) -> keys, as they came
        self._fresh: defaultdict[tuple[str, str], dict[str, None]] = defaultdict(dict)
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
        """The implementations still to be measured: all of them where times are compared and no machine has all."""

        def lacking(place: Place) -> set[str]:
            return {name for name in names if is_missing(self._journal(place.runs[name]), name)}

        def is_missing(journal: Journal, name: str) -> bool:
            work = case_id(case), device, name
            return not journal.has(work) or (retry and journal.failed(work))

        found = list(map(lacking, self._places))
        if case.compares_times:
            return list(names) if all(found) else []
        missing = set.intersection(*found)
        return [name for name in names if name in missing]

    def add(self, row: Row, place: Place | None = None) -> Row:
        """Keep a row of this place, which may be new, or of the only one; it gets the columns of its run."""
        place = place or self._places[0]
        if place not in self._places:
            self._places.append(place)
        (c, runs), name = place, row["implementation"]
        run, now = runs[name], datetime.now(UTC).isoformat(timespec="seconds")
        shared = {"run": run, "time": now, "commit": c.commit, "dirty": c.dirty}
        shared |= {"machine": c.machine, "threads": c.threads}
        row = row | {column: str(value) for column, value in shared.items()}
        with self._kept():
            self._journal(run).add([row])
        self._fresh[run, name][key_id(row)] = None
        return row

    def finish(self, case: Case, device: str) -> None:
        """The rows added since the last call are all that there are of this case for their implementations."""
        with self._kept():
            for (run, name), keys in self._fresh.items():
                self._journal(run).finish((case_id(case), device, name), list(keys))
            self._fresh.clear()
            self.write_table()

    def write_table(self) -> None:
        rows = self.table()
        if rows or self.path.exists():
            results.write(self.path, rows)

    def table(self) -> list[Row]:
        """The rows that count, of the current runs: finished ones in the order of the cases, the rest after them."""
        order = {case_id(case): number for number, case in enumerate(CASES)}
        names = list(self._places[0].runs)
        done: list[tuple[Done, list[str]]] = []
        counting: dict[str, Row] = {}
        for run in dict.fromkeys(run for place in self._places for run in place.runs.values()):
            counting |= self._journal(run).counting()
            done += self._journal(run).done.items()

        def place(finished: tuple[Done, list[str]]) -> tuple[str, int, int]:
            (case, device, name), _ = finished
            return device, order.get(case, len(order)), names.index(name) if name in names else len(names)

        keys = [key for _, keys in sorted(done, key=place) for key in keys]
        return [counting[key] for key in dict.fromkeys((*keys, *counting)) if key in counting]
