"""Figures over the commits, from asv's results, with the steps in them: a page that needs nothing else.

    python -m reports.history .asv/results --out reports/out/history

The page stands beside history.csv, the values in the columns of the results table, from which it can be drawn again.
"""

import argparse
import html
import itertools
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import seaborn.objects as so

from reports import labels, plotting, readers
from reports.data import Frame, groups, measured, work_columns
from reports.plotting import Plot
from suite import results
from suite.regress.rules import RULES, Rule
from suite.results import ResultsError

_HASH = re.compile("[0-9a-f]{4,64}")
SMALLEST = 0.05  # of a step of a time, relative
HEADS = ("commit", "what it says", "figure", "before", "after", "ratio")  # of the words of a step
SERIES = ["machine", "device", "implementation", "measure", *work_columns("adjoint", "brownian")]


@dataclass(frozen=True)
class Step:
    """A change of a series at `commit`, or at one after `since`, the commit that was measured before; error: how far
    values lie from their level."""

    series: str
    since: str
    commit: str
    before: float
    after: float
    error: float
    unit: str

    @property
    def ratio(self) -> float:
        return self.after / self.before if self.before else float("inf")

    @property
    def spread(self) -> float:
        return self.error / abs(self.before) if self.before else 0.0

    def words(self) -> tuple[str, ...]:
        """As in HEADS."""
        between = _git("rev-list", "--count", "--first-parent", of=(self.since, self.commit), paths=("impls",))
        others = f"one of {between} commits after {self.since[:8]}, the last: " if between not in ("", "0", "1") else ""
        ratio = f"{self.ratio:.4g}x" + f" ± {self.spread:.1g}" * (self.spread > 0)
        values = (f"{self.before:.6g} {self.unit}", f"{self.after:.6g} {self.unit}", ratio)
        return self.commit[:8], others + _git("log", "-1", "--format=%s", of=(self.commit,)), self.series, *values


def rows_of(path: Path) -> list[results.Row]:
    """All rows with a value, of a folder of asv or of a history.csv."""
    rows = readers.from_results(path) if path.is_file() else readers.from_asv(path)
    return [row for row in rows if row["status"] == "ok"]


def load(rows: Sequence[results.Row]) -> Frame:
    """The rows with a value, the oldest commit first. ResultsError if there are none."""
    frame: Any = pd.DataFrame(rows, columns=list(results.COLUMNS), dtype=str)
    frame["value"] = pd.to_numeric(frame["value"], errors="coerce")
    frame = measured(frame, *results.MEASURES)
    if frame.empty:
        raise ResultsError("there is no value; run `nox -s history` first.")
    ancestors = {commit: int(_git("rev-list", "--count", of=(commit,)) or 0) for commit in frame["commit"].unique()}
    frame["ancestors"] = frame["commit"].map(ancestors)  # merges may be of the same second
    return frame.sort_values(["time", "ancestors"], kind="stable", ignore_index=True)


def name(series: dict[str, str]) -> str:
    """The words of a series."""
    work = [labels.plain(series[c]) for c in ("problem", "noise_type", "method") if series[c]]
    size = "x".join(str(series[c]) for c in ("batch", "dim", "hidden") if series[c])
    return f"{series['measure']} {series['implementation']} {' '.join([*work, size]).strip()}"


def steps(series: str, values: Frame) -> Iterator[Step]:
    """The steps of one series [commits], found by asv.step_detect."""
    from asv import step_detect

    y, commits = values["value"].tolist(), values["commit"].tolist()
    measure, unit = values["measure"].iloc[0], values["unit"].iloc[0]
    rule = RULES.get(measure, Rule(relative=SMALLEST))
    found = step_detect.detect_steps(y)
    for (_, _, before, _, error), (left, _, after, _, error_after) in itertools.pairwise(found):
        if rule.verdict(before, after) != "same":
            yield Step(series, commits[left - 1], commits[left], before, after, max(error, error_after), unit)


def _git(*command: str, of: Sequence[str], paths: Sequence[str] = ()) -> str:
    """What git says of these commits, from the first to the last; empty where it does not know them. What is no hash
    is not handed to git, which would take it for an option."""
    if not all(_HASH.fullmatch(commit) for commit in of):
        return ""
    return subprocess.run(["git", *command, "..".join(of), "--", *paths], capture_output=True, text=True).stdout.strip()


@plotting.in_style
def figure(series: str, values: Frame, changes: Sequence[Step]) -> Plot:
    """One series over the commits, its steps as lines."""
    canvas = plotting.canvas(series, 7.0, 2.2)
    shown = values.assign(commit=values["commit"].str[:8])
    order = list(dict.fromkeys(shown["commit"]))
    plot = so.Plot(shown, x="commit", y="value").add(so.Path(marker="o", pointsize=4, color=plotting.COLOURBLIND[0]))
    plot = plot.scale(x=so.Nominal(order=order)).theme(plotting.THEME)
    (axes,) = plotting.draw(plot, canvas, x="", y=values["unit"].iloc[0])
    for step in changes:
        axes.axvline(order.index(step.commit[:8]) - 0.5, color=plotting.COLOURBLIND[3], linewidth=1)
    axes.tick_params(axis="x", rotation=90, labelsize=6)
    return Plot(canvas, series, values)


def walked(frame: Frame) -> Iterator[tuple[str, Frame, list[Step]]]:
    """Each series: its name, its values commit by commit, and the steps in them."""
    for key, values in groups(frame, SERIES):
        values = values.drop_duplicates("commit", keep="last")
        yield name(key), values, list(steps(name(key), values))


def said(frame: Frame, found: Sequence[Step]) -> str:
    """How many steps there are, in how much."""
    return (
        f"Steps: {len(found)}, in {len(list(groups(frame, SERIES)))} series over {frame['commit'].nunique()} commits."
    )


def page(frame: Frame) -> str:
    """The steps as a table, then a figure of each series that has some."""
    found, drawn = [], []
    for series, values, stepped in walked(frame):
        found += stepped
        if stepped:
            svg = plotting.embedded(figure(series, values, stepped))
            drawn.append(f'<img alt="{html.escape(series)}" src="data:image/svg+xml;base64,{svg}">')
    rows = "".join(f"<tr>{''.join(f'<td>{html.escape(c)}</td>' for c in step.words())}</tr>" for step in found)
    head = "".join(f"<th>{h}</th>" for h in HEADS)
    return (
        "<!doctype html><meta charset=utf-8><title>History</title><style>body{font:14px sans-serif;margin:2em}"
        "td,th{padding:2px 10px;text-align:left}img{display:block;margin:1em 0}</style>"
        f"<h1>History</h1><p>{said(frame, found)}</p><table><tr>{head}</tr>{rows}</table>{''.join(drawn)}"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """0: the page is written; 2: asv's results cannot be used."""
    parser = argparse.ArgumentParser(prog="python -m reports.history", description=__doc__)
    parser.add_argument("results", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args(arguments)
    try:
        rows = rows_of(options.results)
        text = page(load(rows))
        options.out.mkdir(parents=True, exist_ok=True)
        results.write(options.out / "history.csv", rows)
        (options.out / "index.html").write_text(text, encoding="utf-8")
    except ResultsError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"error: {error.filename} cannot be written ({error.strerror}); make room.", file=sys.stderr)
        return 2
    print(f"page: {options.out / 'index.html'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
