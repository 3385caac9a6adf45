"""Neural SDEs trained by each experiment and library: how good, after how long, at what cost; and the paper's table.

    python -m reports.training reports/out/train.csv

The rows are those of `nox -s train`; the figures are put beside the file.
"""

import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import seaborn.objects as so

from reports import command, labels, marginals, plotting, readers, ticks
from reports.data import Frame, groups, implementations, measured, tidy
from reports.plotting import Plot
from reports.tables import Cell, Table
from suite import results
from suite.statistics import Estimate, weak_error
from suite.training import REAL

QUALITY, TIME = "marginal_distance", "training_time"
GOOD = 2.0  # within this times the distance of real paths from the law
# measure -> its heading; of the end of a training
HEADS = {
    QUALITY: "distance of marginals",
    "signature_distance": "distance of signatures",
    "step_time": "a step",
    "compile_time": "compilation",
    "nfe_training": "evaluations a step",
    "gradient_memory": "memory",
}
# Experiment -> what the paper reports of it: real/fake accuracy in %, prediction loss, MMD, hours. Kidger, Foster, Li,
# Lyons (2021), arXiv 2105.13493, table 3.
REPORTED: Mapping[str, tuple[float, float, float, float]] = {
    "midpoint-penalty": (98.2, 2.71, 0.0258, 55.0),
    "midpoint-clipping": (93.9, 1.65, 0.0103, 32.5),
    "reversible-clipping": (67.7, 1.38, 0.0045, 29.4),
}


class Reached(NamedTuple):
    """seconds: of training until the quality was good, of the seeds where it was. without: how long others trained."""

    seconds: list[float]
    without: list[float]


def load(path: Path) -> Frame:
    """The rows of trainings: of the last run, with its sizes. ResultsError for a file that has none."""
    found = of_last_run(tidy(readers.from_results(path)))
    if found is None:
        raise results.ResultsError(f"{path} has no rows of a training; name a file written by `nox -s train`.")
    return found


def of_last_run(frame: Frame) -> Frame | None:
    """The rows of the last run of trainings, with its sizes; None where there is none."""
    trained = frame[(frame["tool"] == "train") & frame["problem"].str.startswith("ou ")]
    if trained.empty:
        return None
    same = ("run", "device", "batch", "hidden", "outputs", "samples")
    return trained[(trained[list(same)] == trained[list(same)].iloc[-1]).all(axis=1)]


def mean(values: Sequence[float]) -> Estimate:
    """With Student's interval of 95 %, from two values on."""
    if len(values) < 2:
        return Estimate(values[0], float("nan"), float("nan"))
    return weak_error(np.asarray(values, dtype=float), 0.0)


def geometric_mean(values: Sequence[float]) -> Estimate:
    """With the same interval of the logarithms: of distances and costs, which are positive."""
    return Estimate(*np.exp(mean(np.log(values).tolist())).tolist())


def floor(frame: Frame, measure: str = QUALITY) -> Estimate:
    """The distance of real paths: one value a seed, whatever experiment it was written with."""
    rows = measured(frame[frame["implementation"] == REAL], measure)
    return geometric_mean(rows.drop_duplicates("seed")["value"].tolist())


def reached(rows: Frame, limit: float) -> Reached:
    """When the marginals of one experiment and implementation were first within the limit, by seed."""
    found = Reached([], [])
    for _, curve in curves(rows).groupby("seed", sort=False):
        good = curve[curve["value"] <= limit]
        (found.without if good.empty else found.seconds).append(
            float(curve["seconds"].iloc[-1] if good.empty else good["seconds"].iloc[0])
        )
    return found


def curves(rows: Frame) -> Frame:
    """The distances of the marginals with the `seconds` of training until then."""
    on = ["problem", "implementation", "seed", "steps"]
    times = measured(rows, TIME)[[*on, "value"]].rename(columns={"value": "seconds"})
    return measured(rows, QUALITY).merge(times, on=on).sort_values("steps", kind="stable", ignore_index=True)


def table(frame: Frame) -> Table:
    """A row for each experiment and library, and one for real paths."""
    limit = GOOD * floor(frame).value
    real = [_value(floor(frame, measure), "1") for measure in (QUALITY, "signature_distance")]
    body: list[tuple[Cell, ...]] = [((REAL,), ("",), *real, *[("",)] * len(HEADS))]
    for work, rows in trainings(frame):
        steps = rows["steps"].max()
        cells = [of_seeds(measured(rows[rows["steps"] == steps], measure)) for measure in HEADS]
        untrained = of_seeds(measured(rows[rows["steps"] == 0], QUALITY))
        name = f"{experiment(work)}, {work['implementation']}"
        body.append(((name,), (f"{steps:.0f}",), *cells, untrained, (words(reached(rows, limit)),)))
    note = (
        f"Geometric means over {_seeds(frame)} at the end of training; [ ]: 95 % interval. Time to quality: "
        f"seconds of training, compilation included, until the marginals are nearer than {labels.number(limit)}, "
        f"{GOOD:g} times the distance of real paths."
    )
    return Table(("training", "steps", *HEADS.values(), "untrained: marginals", "time to quality"), tuple(body), note)


def paper(frame: Frame) -> Table:
    """The rows of the paper's table of this experiment: what it reports, and what was measured here."""
    body = []
    for name, (accuracy, prediction, distance, hours) in REPORTED.items():
        own = [(work, rows) for work, rows in trainings(frame) if experiment(work) == name]
        reported = (f"{accuracy:g} %", f"{prediction:g}", f"{distance:g}", f"{hours:g} h")
        here = [_here(work, rows) for work, rows in own] or [("not measured", "not measured")]
        cells = [tuple(line[k] for line in here) for k in range(2)]
        body.append(((name,), *((cell,) for cell in reported), *cells))
    heads = ("real/fake accuracy", "prediction", "MMD", "time")
    note = (
        "Reported: what the paper says of its training on a GPU, with larger networks and more steps, as we remember "
        "it (recalled, not looked up). Real/fake "
        "accuracy and prediction are not measured here. MMD: distance of mean signatures, here with signatures to "
        f"depth 5. Geometric means over {_seeds(frame)}."
    )
    return Table(
        ("experiment", *(f"{h} (reported, recalled)" for h in heads), "MMD here", "time here"), tuple(body), note
    )


def _here(work: Mapping[str, Any], rows: Frame) -> tuple[str, str]:
    last = rows[rows["steps"] == rows["steps"].max()]
    cells = (of_seeds(measured(last, measure)) for measure in ("signature_distance", TIME))
    distance, time = (f"{work['implementation']}: {' '.join(cell)}" for cell in cells)
    return distance, f"{time}, {last['steps'].iloc[0]:.0f} steps"


def trainings(frame: Frame) -> Iterator[tuple[dict, Frame]]:
    """The rows of each experiment and implementation."""
    own = frame[frame["implementation"] != REAL]
    order = {name: k for k, name in enumerate(implementations(own))}
    own = own.sort_values("implementation", key=lambda names: names.map(order), kind="stable")
    return groups(own.sort_values("problem", kind="stable"), ("problem", "implementation"))


def experiment(work: Mapping[str, Any]) -> str:
    return work["problem"].removeprefix("ou ")


def words(found: Reached) -> str:
    """The time to quality, and of how many seeds it was not reached."""
    number = len(found.seconds) + len(found.without)
    if not found.seconds:
        return f"not in {min(found.without):.0f} s" if found.without else ""
    text = " ".join(_value(geometric_mean(found.seconds), "s"))
    missed = f", {len(found.without)} of {number} not in {min(found.without):.0f} s" if found.without else ""
    return text + missed


def _seeds(frame: Frame) -> str:
    number = frame["seed"].nunique()
    return f"{number} seed{'s' * (number > 1)}"


def of_seeds(rows: Frame) -> Cell:
    return _value(geometric_mean(rows["value"].tolist()), rows["unit"].iloc[0]) if len(rows) else ("–",)


def _value(value: Estimate, unit: str) -> Cell:
    if math.isclose(value.low, value.high):  # of logarithms the ends differ by rounding
        return (labels.quantity(value.value, unit),)
    return tuple(labels.quantity(value.value, unit, *value[1:]).replace(" [", "\n[").split("\n"))


@plotting.in_style
def figure(frame: Frame) -> Plot:
    """Distance of the marginals against seconds of training, by experiment: geometric means over the seeds."""
    shown = curves(frame[frame["implementation"] != REAL])
    points = [_point(work, rows) for work, rows in groups(shown, ["problem", "implementation", "steps"])]
    present, names = sorted(set(shown["problem"])), implementations(shown)
    drawn, across = plotting.grid(
        "Neural SDEs trained: distance from the law against time", len(present), width=3.6, height=2.9
    )
    plot = so.Plot(pd.DataFrame(points), x="seconds", y="value", color="library")
    plot = plot.facet(col="problem", order=present, wrap=min(across, 2))
    plot = plot.add(so.Band(alpha=0.2), ymin="low", ymax="high").add(so.Line(linewidth=1.5))
    plot = plot.scale(color=plotting.looks(shown, shown, names)["color"]).theme(plotting.THEME)
    panels = plotting.draw(plot, drawn, "xy", x="seconds of training, compilation included", y="marginal distance")
    for axes, problem in zip(panels, present, strict=True):
        axes.set_title(problem.removeprefix("ou "))
        for level, text in ((floor(frame).value, "real paths"), (GOOD * floor(frame).value, f"{GOOD:g} × real paths")):
            axes.axhline(level, color="#777777", linewidth=0.9, linestyle=(0, (1, 1.5)), zorder=1)
            place = {"xycoords": ("axes fraction", "data"), "xytext": (0, 2), "textcoords": "offset points"}
            axes.annotate(text, (0.01, level), fontsize=7, color="#666666", **place)
        ticks.log_axis(axes.xaxis)
    ticks.log_axis(panels[0].yaxis)
    work = f"geometric mean and 95 % interval over {_seeds(frame)}, {labels.work(frame.iloc[0].to_dict(), _SIZES)}"
    return plotting.finish(drawn, shown, _seen(frame), work)


_SIZES = ("batch", "hidden", "outputs", "dtype")


def _point(work: Mapping[str, Any], rows: Frame) -> dict[str, Any]:
    """The mean over the seeds at one step of training."""
    distance = geometric_mean(rows["value"].tolist())
    value, low, high = np.where(np.isnan(distance), distance[0], distance)
    seconds = rows["seconds"].mean()
    return {**work, "library": work["implementation"], "seconds": seconds, "value": value, "low": low, "high": high}


def _seen(frame: Frame) -> str:
    """How near each came at best, of all trainings."""
    ends = [
        (geometric_mean(measured(rows[rows["steps"] == rows["steps"].max()], QUALITY)["value"].tolist()).value, work)
        for work, rows in trainings(frame)
    ]
    (least, best), (most, worst) = min(ends, key=lambda e: e[0]), max(ends, key=lambda e: e[0])
    texts = [f"{labels.number(v)} ({experiment(w)}, {w['implementation']})" for v, w in ((least, best), (most, worst))]
    real = labels.number(floor(frame).value)
    return f"Distance of the marginals at the end from {texts[0]} to {texts[1]}; of real paths {real}."


def _made(path: Path) -> command.Made:
    frame = load(path)
    drawn = {path.with_suffix(".png"): figure(frame).png()}
    kept = path.with_name(marginals.NAME)
    if kept.exists():
        drawn[kept.with_suffix(".png")] = marginals.figure(marginals.load(kept), frame).png()
    return f"{table(frame).text()}\n\n{paper(frame).text()}\n", drawn


def main(arguments: Sequence[str] | None = None) -> int:
    return command.draw("reports.training", __doc__, _made, arguments)


if __name__ == "__main__":
    sys.exit(main())
