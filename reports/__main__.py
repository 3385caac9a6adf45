"""Results in, report out: `python -m reports [RESULTS.csv]`; with `--readme` the headline into a README."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from reports import claims, html, labels, readers, readme, tables
from reports.data import settings, tidy
from suite import results

OUT = Path("reports/out")


def main(arguments: Sequence[str] | None = None) -> int:
    """0: done; 1: `--check` found the README out of date; 2: an input is unusable, nothing was written."""
    options = _parser().parse_args(arguments)
    options.results = options.named or options.results
    try:
        return _readme(options) if options.readme else _report(options)
    except results.ResultsError as error:
        labels.say(f"error: {error!s:.1000}", sys.stderr)
    except OSError as error:
        remedy = "make room, or name another place"
        labels.say(f"error: cannot write {error.filename}: {error.strerror}; {remedy}.", sys.stderr)
    return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m reports", description=__doc__)
    parser.add_argument("results", nargs="?", type=Path, default=OUT / "results.csv", help="default: %(default)s")
    parser.add_argument("--results", dest="named", type=Path, metavar="RESULTS", help="the same, as an option")
    parser.add_argument("--out", type=Path, default=OUT, help="where the report goes, default: %(default)s")
    parser.add_argument("--asv", type=Path, help="add the results in this directory (.asv/results)")
    parser.add_argument("--pytest-benchmark", type=Path, help="add the results in this file (--benchmark-json)")
    parser.add_argument(
        "--verification", type=Path, help="claims to show with them, default: verification.csv beside the results"
    )
    parser.add_argument("--readme", type=Path, help="put the headline into this file, and its plot beside the results")
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if the README is out of date")
    return parser


def _report(options: argparse.Namespace) -> int:
    rows = readers.from_results(options.results)
    rows += readers.from_asv(options.asv) if options.asv else []
    rows += readers.from_pytest_benchmark(options.pytest_benchmark) if options.pytest_benchmark else []
    frame = tidy(rows)
    verification = options.verification or options.results.with_name(readme.CLAIMS)
    given = options.verification or verification.exists()
    index = html.write(frame, options.out, claims.read(verification) if given else [])
    for part in settings(frame):
        labels.say(f"\n{labels.place(part)}\n\n{tables.headline(part).text()}")
    labels.say(f"\nreport: {index}")
    return 0


def _readme(options: argparse.Namespace) -> int:
    frame = tidy(readers.from_results(options.results))
    if not options.check:
        readme.write(options.readme, frame, options.results)
        return 0
    if readme.is_current(options.readme, frame, options.results):
        return 0
    remedy = f"python -m reports --readme {options.readme} --results {options.results}"
    print(f"{options.readme} does not say what {options.results} says; run `{remedy}`.", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
