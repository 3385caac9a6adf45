"""The report as a site: `python -m reports.site [RESULTS.csv ...]`.

Without a file, your own results or, where there are none, the committed ones; with them what lies beside the first:
claims, history, long solves, trainings.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from reports import labels
from reports.site import build, source
from suite.results import ResultsError


def main(arguments: Sequence[str] | None = None) -> int:
    """0: the site is written; 2: an input or the folder is unusable, and nothing was written."""
    parser = argparse.ArgumentParser(prog="python -m reports.site", description=__doc__)
    parser.add_argument("results", nargs="*", type=Path, help=f"default: {source.OWN}, else {source.REFERENCE}")
    parser.add_argument("--out", type=Path, default=Path("reports/out/site"), help="default: %(default)s")
    options = parser.parse_args(arguments)
    try:
        read = source.read(options.results or [source.default()])
        index = build.build(read, options.out)
    except ResultsError as error:
        labels.say(f"error: {error!s:.1000}", sys.stderr)
        return 2
    except OSError as error:
        labels.say(f"error: cannot write {error.filename}: {error.strerror}; name another place.", sys.stderr)
        return 2
    labels.say("\n".join([*(f"read: {name}, {number} rows" for name, number in read.files), f"site: {index}"]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
