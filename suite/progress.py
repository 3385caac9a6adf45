"""What a run says of itself while it is at work."""

import sys
import time

from suite.results import Row, printable


class Progress:
    """One line a case; on a terminal, what is being done is shown in place."""

    def __init__(self, total: int) -> None:
        self._total, self._begin, self._live = total, time.monotonic(), sys.stderr.isatty()
        self._head = ""

    def case(self, number: int, name: str, device: str, left: float | None = None) -> None:
        minutes, seconds = divmod(int(time.monotonic() - self._begin), 60)
        where = f" on {device}" if device != "cpu" else ""
        ahead = "" if left is None else f", about {max(1, round(left / 60))} min left"
        self._head = f"[{number}/{self._total} {minutes:02d}:{seconds:02d}{ahead}] {name}{where}"
        self._show(self._head, "\n" if not self._live else "")

    def doing(self, name: str, what: str) -> None:
        if self._live:
            self._show(f"{self._head}: {name}, {what}", "")

    def failed(self, row: Row) -> None:
        if row["status"] == "failed":
            self.note(f"  failed: {row['implementation']}: {row['reason']}")

    def note(self, text: str) -> None:
        self._show(text, "\n")

    def end(self) -> None:
        if self._live:
            self._show("", "\n")

    def _show(self, text: str, end: str) -> None:
        erase = "\r\x1b[2K" if self._live else ""
        print(f"{erase}{printable(text)}", end=end, file=sys.stderr, flush=True)
