"""How often does the gate raise an alarm? A figure from the recording that `nox -s regress -- --calibrate` makes.

    python -m reports.power reports/reference/cpu/pairs.csv

The figure and its numbers, power.png and power.csv, are put beside the file; `python -m reports --readme README.md` has
them from there.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import seaborn.objects as so
from matplotlib.ticker import PercentFormatter

from reports import checks, labels, plotting
from reports.data import Frame
from reports.plotting import Plot
from suite.regress import power
from suite.regress.calibrate import COLUMNS, DELAYS
from suite.regress.verdicts import ALPHA, LOOKS
from suite.results import ResultsError

RUNS = 1000  # comparisons drawn from the recording
TARGET = 0.95
REMEDY = "record it again: nox -s regress -- --calibrate"
FOUND = (*power.Alarms._fields, "pairs")  # the columns of power.csv
_LOGS = [column for column in COLUMNS if column.startswith("log_")]


def load(path: Path) -> Frame:
    """The recording: pair, benchmark, machine and, for each planted delay, the logarithm of the ratio of the times.
    ResultsError for another file, or one with a benchmark that some pair lacks."""
    frame: Any = pd.DataFrame(checks.table(path, COLUMNS, REMEDY))
    for column in ("pair", "seconds", *_LOGS):
        frame[column] = pd.to_numeric(frame[column], errors="coerce")
        bad = frame.index[~np.isfinite(frame[column])]
        if len(bad):
            raise ResultsError(f"{path}, row {bad[0] + 2}, column {column}: expected a number; {REMEDY}.")
    sizes = frame.groupby("benchmark")["pair"].nunique()
    if sizes.nunique() > 1 or len(frame) != sizes.sum():
        raise ResultsError(
            f"{path}: its benchmarks have {sizes.min()} to {sizes.max()} pairs, expected one each; {REMEDY}."
        )
    return frame


def alarms(frame: Frame, most: int) -> Frame:
    """A row for each benchmark and delay, and for the whole run: how many of RUNS comparisons called it slower."""
    names = list(dict.fromkeys(frame["benchmark"]))
    parts = [frame[frame["benchmark"] == name].sort_values("pair")[_LOGS].to_numpy() for name in names]
    found = power.alarms(np.stack(parts, axis=1), names, DELAYS, most, RUNS)
    return _shared(pd.DataFrame(found).assign(pairs=most))


def _shared(found: Frame) -> Frame:
    return found.assign(share=found["alarms"] / found["runs"])


def stored(file: Path) -> Frame:
    """The alarms in power.csv. ResultsError if it cannot be used."""
    remedy = f"make it again: python -m reports.power {file.with_name('pairs.csv')}"
    found: Any = pd.DataFrame(checks.table(file, FOUND, remedy))
    for column in FOUND[1:]:
        found[column] = pd.to_numeric(found[column], errors="coerce")
        if found[column].isna().any():
            raise ResultsError(f"{file}, column {column}: expected numbers; {remedy}.")
    return _shared(found)


def shares(found: Frame) -> Frame:
    """The share of comparisons with an alarm: a row for each benchmark, a column for each planted delay."""
    table = found.pivot(index="benchmark", columns="delay", values="share")
    return table.loc[list(dict.fromkeys(found["benchmark"]))]


def block(recording: Path) -> str:
    """For the README: figure, table and sentences, as they are beside the recording."""
    frame, found = load(recording), stored(recording.with_name("power.csv"))
    table = shares(found)
    lines = [f"| called slower | {' | '.join(f'{100 * d:g} % planted' if d else 'nothing' for d in table)} |"]
    lines += [f"| --- |{' --- |' * table.shape[1]}"]
    lines += [f"| {name} | {' | '.join(f'{100 * x:.1f} %' for x in row)} |" for name, row in table.iterrows()]
    address = recording.with_name("power.png").as_posix()
    image = f"![Alarms of the gate against the slowdown that was planted]({address})"
    return "\n".join([image, "", *lines, "", *map(labels.markdown, sentences(frame, found))])


def sentences(frame: Frame, found: Frame) -> list[str]:
    """What was recorded, and what it supports."""
    pairs, most = frame["pair"].nunique(), int(found["pairs"].iloc[0])
    whole = found[found["benchmark"] == power.WHOLE].set_index("delay")
    windows, machine = pairs // most, frame["machine"].iloc[0]
    noun = "window" if windows == 1 else "windows"
    false = int(whole["alarms"].iloc[0])
    least = found[found["benchmark"] != power.WHOLE].groupby("delay")["share"].min()
    drawn = "drawn as windows of consecutive pairs with the sides of each swapped by lot"
    return [
        f"{pairs} pairs of processes of one commit on {machine}; {RUNS} comparisons of {most}, {drawn}.",
        f"False alarms: {false} of {RUNS} whole runs; the test promises at most {100 * ALPHA:g} % whatever the noise, "
        f"and {windows} {noun} without overlap, if none of them had one, bound the rate at "
        f"{100 * power.bound(0, max(windows, 1)):.0f} % by themselves.",
        *(
            f"{100 * delay:g} % planted: {100 * whole['share'][delay]:.1f} % of runs raise the alarm, and the least "
            f"sensitive benchmark alone in {100 * least[delay]:.1f} %."
            for delay in DELAYS[1:]
        ),
    ]


@plotting.in_style
def figure(found: Frame, caption: Sequence[str]) -> Plot:
    """The share of comparisons with an alarm against the planted delay."""
    canvas = plotting.canvas("How often the gate calls HEAD slower, by the slowdown that was planted", 7.2, 3.6)
    shown = found.assign(delay=100 * found["delay"])
    names = list(dict.fromkeys(shown["benchmark"]))
    widths = {name: 3.0 if name == power.WHOLE else 1.2 for name in names}
    plot = so.Plot(shown, x="delay", y="share", color="benchmark", linewidth="benchmark", marker="benchmark")
    plot = plot.add(so.Path(edgecolor="white", edgewidth=0.4, pointsize=5))
    palette: Any = dict(zip(names, (*plotting.COLOURBLIND, "#222222"), strict=False)) | {power.WHOLE: "#222222"}
    plot = plot.scale(color=so.Nominal(palette, order=names), linewidth=so.Nominal(widths, order=names))
    (axes,) = plotting.draw(
        plot.theme(plotting.THEME), canvas, x="slowdown planted in HEAD, %", y="comparisons with an alarm"
    )
    axes.set_xticks(sorted(shown["delay"].unique()))
    axes.axhline(TARGET, color="#888888", linewidth=0.8, linestyle=":")
    axes.axhline(ALPHA, color="#888888", linewidth=0.8, linestyle=":")
    axes.set_ylim(-0.02, 1.04)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    canvas.text(0.01, -0.02, "\n".join(caption[:2]), va="top", fontsize=6.5, color="#666666", wrap=True)
    canvas.draw_without_rendering()
    canvas.set_layout_engine("none")
    return Plot(canvas, " ".join(caption))


def main(arguments: Sequence[str] | None = None) -> int:
    """0: the sentences are printed, the figure written; 2: the recording cannot be used, nothing was written."""
    parser = argparse.ArgumentParser(prog="python -m reports.power", description=__doc__)
    parser.add_argument("recording", type=Path)
    parser.add_argument("--pairs", type=int, default=LOOKS[-1], help="pairs of a comparison at most (default: all)")
    options = parser.parse_args(arguments)
    try:
        frame = load(options.recording)
        pairs = frame["pair"].nunique()
        if not LOOKS[0] <= options.pairs <= pairs:
            raise ResultsError(
                f"--pairs must be from {LOOKS[0]} to the {pairs} that were recorded, got {options.pairs}."
            )
    except ResultsError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    found = alarms(frame, options.pairs)
    caption = sentences(frame, found)
    target = options.recording.with_name("power.png")
    target.write_bytes(figure(found, caption).png())
    found.to_csv(target.with_suffix(".csv"), columns=FOUND, index=False, lineterminator="\n")
    print("\n".join([*caption, f"figure: {target}"]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
