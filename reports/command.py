"""The command of a module that draws from one file: `python -m reports.NAME RESULTS`, figures beside the file."""

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from reports import labels
from suite.results import ResultsError

Made = tuple[str, Mapping[Path, bytes]]  # what is printed, and the figures by file


def draw(name: str, description: str | None, make: Callable[[Path], Made], arguments: Sequence[str] | None) -> int:
    """0: the text is printed, the figures written; 2: the results cannot be used, nothing was written."""
    parser = argparse.ArgumentParser(prog=f"python -m {name}", description=description)
    parser.add_argument("results", type=Path)
    path = parser.parse_args(arguments).results
    try:
        text, figures = make(path)
    except ResultsError as error:
        labels.say(f"error: {error}", sys.stderr)
        return 2
    for file, picture in figures.items():
        file.write_bytes(picture)
    labels.say("\n".join([text, *(f"figure: {file}" for file in figures)]))
    return 0
