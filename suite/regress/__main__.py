"""`python -m suite.regress [BASE]`: is HEAD slower or less accurate than a base commit?

Exit code 0: all was compared, nothing is worse; 1: something is; 2: something could not be compared, or the input is
wrong. What was measured is kept in .asv/regress, and the same command goes on from there.
"""

import argparse
import re
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from suite.provenance import git, yardstick
from suite.regress import calibrate, deterministic, paired, report, verdicts
from suite.regress.builds import CACHE, NoBase, Unusable, build, check_clean, resolve
from suite.regress.journal import Journal
from suite.regress.rules import RULES
from suite.regress.verdicts import Finding
from suite.results import ResultsError, printable
from suite.run import OUT
from suite.store import locked

MINUTES = 15.0
PRINTED = CACHE / "printed.txt"
_MEASURES = dict.fromkeys([*RULES, *(str(t).partition(" ")[0] for t in paired.TIMED)])
TRAILER = "Accept-regression"


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="nox -s regress --", description=__doc__)
    parser.add_argument("base", nargs="?", default="HEAD~1", help="the commit to compare HEAD with (default: HEAD~1)")
    parser.add_argument("--bench", default=".", metavar="REGEX", help="only the benchmarks whose name it matches")
    part = parser.add_mutually_exclusive_group()
    part.add_argument("--deterministic", action="store_true", help="only errors, orders, evaluations, memory")
    part.add_argument("--times", action="store_true", help="only times")
    part.add_argument("--calibrate", action="store_true", help="record pairs of HEAD and HEAD, with planted delays")
    parser.add_argument("--quick", action="store_true", help="deterministic figures of a few cases")
    parser.add_argument("--minutes", type=float, default=MINUTES, help="for everything (default: 15)")
    parser.add_argument("--allow-missing-base", action="store_true", help="exit 0 where the clone lacks the base")
    parser.add_argument("--out", type=Path, default=OUT / "regress", help="folder of regress.md and regress.json")
    return parser.parse_args(arguments)


def say(what: str) -> None:
    print(printable(what), file=sys.stderr, flush=True)


def compare(options: argparse.Namespace) -> int:
    end = time.monotonic() + 60 * _minutes(options)
    pattern = pattern_of(options.bench)
    work = [] if options.times else deterministic.works("smoke" if options.quick else "bench", pattern)
    timed = [] if options.deterministic else paired.chosen(pattern)
    if not work and not timed:
        raise Unusable(f"no benchmark matches --bench {options.bench!r}; try --bench {' or '.join(_MEASURES)}.")
    commits = resolve(options.base)
    with locked(CACHE):
        say(f"building {commits[0][:8]} and {commits[1][:8]}")
        builds = [build(commit) for commit in commits]
        findings: list[Finding] = []
        if work:
            rows = deterministic.both(commits, builds, work, say)
            findings += [f for f in deterministic.compare(*rows) if pattern.search(f.benchmark)]
        if timed:
            findings += times(commits, builds, timed, end)
    accepted = [pattern_of(line) for line in _accepted(*commits)]
    findings = [replace(f, accepted=f.red and any(a.search(f.benchmark) for a in accepted)) for f in findings]
    page = report.write(options.out, options.base, findings)
    print(report.text(options.base, findings))
    print(f"page: {page}")
    return verdicts.exit_code(findings)


def _accepted(base: str, head: str) -> list[str]:
    """The expressions for benchmarks that may be worse, as the messages of the commits between say."""
    lines = git("log", f"--format=%(trailers:key={TRAILER},valueonly)", f"{base}..{head}").splitlines()
    return [line.strip() for line in lines if line.strip()]


def _minutes(options: argparse.Namespace) -> float:
    if not 0 < options.minutes < float("inf"):
        raise Unusable(f"--minutes must be a positive number, got {options.minutes:g}.")
    return options.minutes


def pattern_of(text: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except re.error as error:
        raise Unusable(f"{text!r} is no regular expression ({error}); escape it.") from None


def times(commits: tuple[str, str], builds: Sequence[Path], timed: Sequence[paired.Timed], end: float) -> list[Finding]:
    """Pairs until all is told at one of the looks, the last look is reached, or the time is over."""
    journal = Journal(CACHE / f"{commits[0][:12]}-{commits[1][:12]}-{yardstick()}.jsonl")
    names, longest, begin = [str(t) for t in timed], 0.0, time.monotonic()
    while True:
        number = 1 + max((line["pair"] for line in journal.lines), default=-1)
        findings = verdicts.judge(names, journal.lines)
        open_ones = {f.benchmark for f in findings if f.verdict == verdicts.CANNOT_TELL}
        left = end - time.monotonic() - longest
        if not open_ones or number >= verdicts.LOOKS[-1] or left < 0:
            return findings
        say(f"pair {number + 1} of {verdicts.LOOKS[0]} to {verdicts.LOOKS[-1]}; at most {left / 60:.0f} minutes more")
        failing = {line["benchmark"] for line in journal.lines if "logs" not in line}
        begin = time.monotonic()
        for line in list(paired.pair(number, builds, [t for t in timed if str(t) not in failing], PRINTED)):
            journal.add(line)
        longest = max(longest, time.monotonic() - begin)


def record(options: argparse.Namespace) -> int:
    timed = paired.chosen(pattern_of(options.bench))
    if not timed:
        raise Unusable(
            f"no benchmark of times matches --bench {options.bench!r}; there are: {', '.join(map(str, paired.TIMED))}."
        )
    check_clean()
    with locked(CACHE):
        say("quiet machines tell more; a hundred pairs take about an hour, and the same command adds more.")
        print(f"recording: {calibrate.record(timed, _minutes(options), options.out, say)}")
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse(arguments)
    try:
        return record(options) if options.calibrate else compare(options)
    except NoBase as missing:
        if options.allow_missing_base:
            print(f"not compared: {missing}")
            return 0
        say(f"error: {missing}")
    except (Unusable, ResultsError, ValueError) as error:
        say(f"error: {error}")
    except OSError as error:
        where = error.filename or CACHE
        say(f"error: {where} cannot be written ({error.strerror}); make room, the same command goes on from here.")
    except KeyboardInterrupt:
        say("interrupted; what was measured is kept, the same command goes on from here.")
    return 2


if __name__ == "__main__":
    sys.exit(main())
