"""What the site is made from: results, and the files beside them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reports import claims, history, long_times, marginals, power, readers, readme
from reports.claims import Claims
from reports.data import Frame, settings, tidy

OWN = Path("reports/out/results.csv")
REFERENCE = Path("reports/reference/cpu/results.csv")
CLAIMS = (readme.CLAIMS, readme.THIRD_CLAIMS)
# more rows of the same table, beside the results; of equal works theirs are older
MORE = (readme.THIRD, readme.TRAINED, readme.GRADIENTS)


@dataclass(frozen=True)
class Source:
    """files: (name, number of rows) of all that was read. Of what lies beside the results, None where it does not."""

    frame: Frame
    files: Sequence[tuple[str, int]]
    claims: Claims
    history: Frame | None
    long_times: Frame | None
    recording: Frame | None
    alarms: Frame | None
    marginals: Frame | None

    @property
    def settings(self) -> list[Frame]:
        return settings(self.frame)


def default() -> Path:
    """Your own results where there are some, else the committed ones."""
    return OWN if OWN.exists() else REFERENCE


def read(results: Sequence[Path]) -> Source:
    """From these results files, and what lies beside the first. ResultsError for a file that cannot be used."""
    read: list[tuple[str, int]] = []

    def take(path: Path, reader: Callable[[Path], Any]) -> Any:
        found = reader(path)
        read.append((path.as_posix(), len(found)))
        return found

    def beside(name: str, reader: Callable[[Path], Any]) -> Any:
        path = results[0].with_name(name)
        return take(path, reader) if path.exists() else None

    rows = [row for path in results for row in take(path, readers.from_results)]
    more = [row for name in MORE for row in beside(name, readers.from_results) or []]
    return Source(
        frame=tidy([*more, *rows]),
        files=read,
        claims=[row for name in CLAIMS for row in beside(name, claims.read) or []],
        history=beside("history.csv", lambda path: history.load(history.rows_of(path))),
        long_times=beside(readme.LONG, long_times.load),
        recording=beside(readme.PAIRS, power.load),
        alarms=beside("power.csv", power.stored),
        marginals=beside(marginals.NAME, marginals.load),
    )
