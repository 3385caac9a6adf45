"""The journal of a comparison: a line of JSON for each measurement, on the disk at once, so that it can go on."""

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from suite.journal import append, repair


class Journal:
    def __init__(self, path: Path) -> None:
        self.path = path
        repair(path)
        self.lines: list[dict[str, Any]] = []
        for line in path.read_text(errors="replace").splitlines() if path.exists() else ():
            with suppress(ValueError):  # such a line counts for nothing
                found = json.loads(line)
                self.lines += [found] if isinstance(found, dict) else []

    def add(self, line: Mapping[str, Any]) -> None:
        append(self.path, json.dumps(line) + "\n")
        self.lines.append(dict(line))
