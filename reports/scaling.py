"""What a second process is worth: a table and a figure from the rows of `python -m tests.programs.scaling`.

    python -m reports.scaling reports/reference/cpu/scaling.csv

The figure is put beside the file; the table stands in `reports/docs/devices.md`.
"""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import seaborn.objects as so
from matplotlib.ticker import FixedLocator, NullLocator

from reports import command, labels, plotting, readers
from reports.data import Frame, groups, measured, tidy
from reports.plotting import Plot
from reports.programs import geometric_mean, mean
from reports.tables import Table
from suite import results

TRAINING = "sde_gan_processes"
WORK = ["measure", "problem", "batch"]


def load(path: Path) -> Frame:
    """The rows. ResultsError unless each work was run by one process, and as often by several."""
    frame = measured(tidy(readers.from_results(path)), "step_time", "verification_time")
    for work, rows in groups(frame, WORK):
        counts = rows.groupby("threads").size()
        if 1 not in counts.index or len(counts) < 2 or counts.nunique() > 1 or counts.min() < 2:
            raise results.ResultsError(
                f"{path}: {name(work)} has {counts.to_dict()} runs by number of processes, expected two or more by one "
                "process and as many by others; run `python -m tests.programs.scaling` with this file to the end."
            )
    if frame.empty:
        raise results.ResultsError(f"{path} has no times of processes; run `python -m tests.programs.scaling`.")
    return frame


def name(work: dict[str, Any]) -> str:
    return f"SDE-GAN, batch {work['batch']:.0f}" if work["problem"] == TRAINING else "verification"


def speedups(frame: Frame) -> Iterator[dict[str, Any]]:
    """By work and number of processes: how often the work of one is done in its time, paired by repetition."""
    for work, rows in groups(frame, WORK):
        times = rows.pivot(index="seed", columns="threads", values="value")
        for processes in times.columns:
            known = {"work": name(work), "processes": int(processes), "seconds": mean(times[processes])}
            yield known | geometric_mean(times[1] / times[processes])._asdict()


def table(frame: Frame) -> Table:
    """A row for each work and number of processes: seconds, and how they are to those of one."""
    body = []
    for found in speedups(frame):
        seconds, ratio = found["seconds"], ""
        if found["processes"] > 1:
            ratio = f"{labels.number(found['value'])}{labels.interval(found['low'], found['high'])}"
        time = labels.quantity(seconds.value, "s", *seconds[1:])
        body.append(((found["work"],), (str(found["processes"]),), (time,), (ratio,)))
    repetitions = frame["seed"].nunique()
    note = (
        "Seconds by the clock of a training step, and of a part of the verification; times the work of one process in "
        f"its time; of {repetitions} runs of each, paired; [ ]: 95 % interval. On two cores 2 would be all there is."
    )
    return Table(("work", "processes", "time", "times one process"), tuple(body), note)


def block(path: Path) -> str:
    frame = load(path)
    where = f"Measured on {labels.markdown(labels.place(frame.assign(threads=0)))}; all rows: `{path.as_posix()}`."
    return f"{table(frame).markdown()}\n\n{where}"


@plotting.in_style
def figure(frame: Frame) -> Plot:
    """Work done in the time of one process, against the number of processes."""
    drawn = plotting.canvas("What several processes are worth on one machine", 4.6, 3.2)
    shown = pd.DataFrame(speedups(frame))
    most, works = max(frame["threads"]), list(dict.fromkeys(shown["work"]))
    aside = shown["work"].map(lambda work: 0.03 * (works.index(work) - (len(works) - 1) / 2))
    plot = so.Plot(shown.assign(place=shown["processes"] + aside), x="place", y="value", color="work", marker="work")
    plot = plot.add(so.Path(edgecolor="white", edgewidth=0.4, pointsize=6))
    plot = plot.add(so.Range(linewidth=0.9), legend=False, marker=None, ymin="low", ymax="high")
    plot = plot.scale(color=so.Nominal(list(plotting.COLOURBLIND[: len(works)]))).theme(plotting.THEME)
    (axes,) = plotting.draw(plot, drawn, x="processes, of one thread each", y="work in the time of one process")
    axes.plot([1, most], [1, most], color="#888888", linestyle=":", linewidth=1.2, zorder=0)
    axes.xaxis.set_major_locator(FixedLocator(sorted(shown["processes"].unique())))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_ylim(bottom=0)
    work = f"geometric mean and 95 % interval of {frame['seed'].nunique()} runs, paired; dotted: all that there is"
    return plotting.finish(drawn, frame.assign(threads=0), "", work)


def _made(path: Path) -> command.Made:
    return block(path), {path.with_suffix(".png"): figure(load(path)).png()}


def main(arguments: Sequence[str] | None = None) -> int:
    return command.draw("reports.scaling", __doc__, _made, arguments)


if __name__ == "__main__":
    sys.exit(main())
