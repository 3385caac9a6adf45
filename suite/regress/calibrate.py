"""Recording what the gate's alarms are worth: pairs of HEAD and HEAD, also with a delay planted in the work.

A delay is a share of the time of the work when warm, spun away after each call; where something happens once in a
process, import and compilation, it is added by arithmetic. `suite.regress.power` makes error rates of the recording.
"""

import csv
import time
from collections.abc import Iterator, Mapping, Sequence, Set
from pathlib import Path
from typing import Any

from suite.provenance import context, yardstick
from suite.regress import paired
from suite.regress.builds import CACHE, build
from suite.regress.journal import Journal

DELAYS = (0.0, 0.02, 0.05, 0.10, 0.20)
COLUMNS = ("pair", "benchmark", "seconds", *(f"log_{100 * delay:g}" for delay in DELAYS), "commit", "machine")


def record(timed: Sequence[paired.Timed], minutes: float, out: Path, say: Any) -> Path:
    """Add pairs to the recording of HEAD for so many minutes, and write all of it; returns the file."""
    where = context(1)
    end = time.monotonic() + 60 * minutes
    journal = Journal(CACHE / f"{where.commit[:12]}-itself-{yardstick()}.jsonl")
    builds = [build(where.commit)] * 2
    longest, begin = 0.0, time.monotonic()
    names = {str(t) for t in timed}
    while begin + longest < end:
        number = 1 + max((line["pair"] for line in journal.lines), default=-1)
        say(f"pair {number + 1}, {(end - begin) / 60:.0f} minutes left")
        for line in list(paired.pair(number, builds, timed, CACHE / "printed.txt", DELAYS)):
            journal.add(line)
        longest, begin = max(longest, time.monotonic() - begin), time.monotonic()
    out.mkdir(parents=True, exist_ok=True)
    with (out / "pairs.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for line in whole(journal.lines, names, say):
            seconds = f"{line['seconds'][0]:.4g}"
            writer.writerow((line["pair"], line["benchmark"], seconds, *line["logs"], where.commit[:12], where.machine))
    return out / "pairs.csv"


def whole(lines: Sequence[Mapping[str, Any]], names: Set[str], say: Any) -> Iterator[Mapping[str, Any]]:
    """The lines of these benchmarks, of pairs that have them all. ValueError if there are none."""
    pairs: dict[int, list[Mapping[str, Any]]] = {}
    for line in lines:
        if line["benchmark"] in names:
            pairs.setdefault(line["pair"], []).append(line)
    good = [p for p in pairs.values() if len(p) == len(names) and all("logs" in line for line in p)]
    bad = [line for p in pairs.values() if p not in good for line in p if "logs" not in line]
    if bad:
        say(f"{len(pairs) - len(good)} of {len(pairs)} pairs are left out, something failed in them: {dict(bad[-1])}")
    if not good:
        raise ValueError("no pair has all benchmarks; mend what failed, or record for longer: more --minutes.")
    return (line for p in good for line in p)
