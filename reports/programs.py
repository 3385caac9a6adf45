"""Three programs trained with two libraries: their losses and times, as a table and as a figure.

    python -m reports.programs reports/reference/cpu/programs.csv

The results file is written by `python -m tests.programs.compare`; the figure is put beside it.
"""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import seaborn.objects as so
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from reports import command, labels, plotting, readers
from reports.data import Frame, groups, implementations, measured, settings, tidy
from reports.plotting import Plot
from reports.tables import Cell, Table
from suite import results
from suite.statistics import Estimate, weak_error

OURS, THEIRS = "sdegrad_torch", "torchsde"
CONTROL = "wrong_library"  # sdegrad.torch with a fault, which must be seen
LINES = {OURS: "-", THEIRS: "--", CONTROL: ":"}
# program -> (title, what its loss is)
PROGRAMS = {
    "sde_gan": ("SDE-GAN", "marginal Wasserstein distance"),
    "latent_sde": ("Latent SDE", "negative evidence bound / number"),
    "lorenz": ("Lorenz latent SDE", "negative evidence bound / number"),
}


def _of_programs(rows: list[results.Row], file: Path) -> list[results.Row]:
    """The rows. ResultsError unless they are losses and times of the programs, of sdegrad among others."""
    for k, row in enumerate(rows, start=2):
        for column, known in (("problem", PROGRAMS), ("measure", ("training_loss", "training_time"))):
            if row[column] not in known:
                message = f"{file}, row {k}, column {column}: {row[column]!r}, expected one of {', '.join(known)}"
                raise results.ResultsError(f"{message}; name a file written by `python -m tests.programs.compare`.")
        if row["value"].startswith(("-", "0.0")) and float(row["value"]) <= 0:
            message = (
                f"{file}, row {k}, column value: {row['value']!r}, expected a number above 0 to take the mean of logs"
            )
            raise results.ResultsError(f"{message}; correct the file.")
    if rows and OURS not in {row["implementation"] for row in rows}:
        raise results.ResultsError(f"{file} has no rows of {OURS}, to which all others are compared; run the programs.")
    return rows


def mean(values: Sequence[float] | np.ndarray) -> Estimate:
    """Mean of [seeds] with Student's interval of 95 %. ResultsError for less than two."""
    if len(values) < 2:
        raise results.ResultsError(
            "an interval needs two seeds or more of each program and library, and there is one of them with "
            f"{len(values)}; run `python -m tests.programs.compare --out` with this file to the end."
        )
    return weak_error(np.asarray(values, dtype=float), 0.0)


def final(rows: Frame, measure: str) -> Frame:
    """The values at the end from the rows of one program, [seeds, implementations]."""
    rows = measured(rows, measure)
    last = rows[rows["steps"] == rows["steps"].max()].drop_duplicates(["seed", "implementation"], keep="last")
    return last.pivot(index="seed", columns="implementation", values="value")


def overlap(a: Estimate, b: Estimate) -> bool:
    return a.low <= b.high and b.low <= a.high


def geometric_mean(values: Sequence[float] | np.ndarray) -> Estimate:
    """The geometric mean of values [seeds], with the interval of the logarithm."""
    return Estimate(*np.exp(mean(np.log(values))).tolist())


def ratio(rows: Frame, measure: str, library: str) -> Estimate:
    """To sdegrad, paired by seed: the weights at the start and the data are the same, or nearly so, for both."""
    values = final(rows, measure)
    return geometric_mean((values[library] / values[OURS]).dropna())


def table(frame: Frame) -> Table:
    """A row for each program: final loss, training time, and how these are to sdegrad's."""
    libraries = implementations(frame)
    body = [
        ((PROGRAMS[program][0],), *(_cell(frame[frame["problem"] == program], library) for library in libraries))
        for program in dict.fromkeys(frame["problem"])
    ]
    note = "Loss and time: mean over the seeds; ×: relative to sdegrad, paired by seed; [ ]: 95 % interval."
    return Table(("program", *libraries), tuple(body), note)


def _cell(rows: Frame, library: str) -> Cell:
    losses = final(rows, "training_loss")
    loss = mean(losses[library].dropna())
    lines = [f"loss {labels.quantity(loss.value, '', *loss[1:])}"]
    if timed(rows):
        seconds = mean(final(rows, "training_time")[library].dropna())
        lines.append(f"time {labels.quantity(seconds.value, 's', *seconds[1:])}")
    if library == OURS:
        return tuple(lines)
    against = ratio(rows, "training_loss", library)
    apart = "overlap" if overlap(loss, mean(losses[OURS].dropna())) else "lie apart"
    paired = "alike" if against.low <= 1 <= against.high else "different"
    lines.append(f"loss {_times(against)}, {paired}")
    if timed(rows):
        lines.append(f"time {_times(ratio(rows, 'training_time', library))}")
    return (*lines, f"loss intervals {apart}")


def _times(value: Estimate) -> str:
    return f"{labels.number(value.value)}×{labels.interval(*value[1:])}"


def timed(rows: Frame) -> bool:
    """Whether there are times: on a machine that was busy otherwise they are worth nothing, and left out."""
    return "training_time" in set(rows["measure"])


def _time(rows: Frame) -> str:
    """The time of torchsde, for a title."""
    theirs = THEIRS in set(rows["implementation"]) and timed(rows)
    return f"\n{THEIRS}: {_times(ratio(rows, 'training_time', THEIRS))} the time" if theirs else ""


@plotting.in_style
def figure(frame: Frame) -> Plot:
    """Loss against training steps for each program: geometric means over the seeds, with their intervals."""
    losses = measured(frame, "training_loss")
    curves = [_curve(work, part) for work, part in groups(losses, ["problem", "implementation", "steps"])]
    present, names = list(dict.fromkeys(frame["problem"])), implementations(frame)
    title = "Three programs written for torchsde: only the import differs"
    drawn, across = plotting.grid(title, len(present), width=3.4, height=3.0)
    plot = so.Plot(pd.DataFrame(curves), x="steps", y="value", color="library", linestyle="library")
    plot = plot.facet(col="problem", order=present, wrap=across).share(x=False, y=False)
    plot = plot.add(so.Band(alpha=0.25), ymin="low", ymax="high").add(so.Line(linewidth=1.6))
    lines = so.Nominal({name: LINES.get(name, "-") for name in names}, order=names)
    plot = plot.scale(color=plotting.looks(frame, frame)["color"], linestyle=lines).theme(plotting.THEME)
    for axes, program in zip(plotting.draw(plot, drawn, "y", x="training steps", y=""), present, strict=True):
        axes.set_title(f"{PROGRAMS[program][0]}{_time(frame[frame['problem'] == program])}")
        axes.set_ylabel(PROGRAMS[program][1], visible=True)  # of each panel its own, where seaborn shows the first
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())
    work = f"geometric mean and 95 % interval over {frame['seed'].nunique()} seeds, {frame['dtype'].iloc[0]}"
    return plotting.finish(drawn, frame, "", work)


def _curve(work: Mapping[str, Any], rows: Frame) -> dict[str, Any]:
    """One step of training: the mean over the seeds, and its interval."""
    return {**work, "library": work["implementation"], **geometric_mean(rows["value"])._asdict()}


def _made(path: Path) -> command.Made:
    frame = settings(tidy(_of_programs(readers.from_results(path), path)))[0]
    return table(frame).text(), {path.with_suffix(".png"): figure(frame).png()}


def main(arguments: Sequence[str] | None = None) -> int:
    return command.draw("reports.programs", __doc__, _made, arguments)


if __name__ == "__main__":
    sys.exit(main())
