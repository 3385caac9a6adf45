"""The marginals of trained neural SDEs beside the exact law, drawn from the quantiles that `nox -s train` keeps."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import seaborn.objects as so

from reports import checks, plotting
from reports.data import Frame, implementations
from reports.plotting import Plot
from suite.results import ResultsError
from suite.training.marginals import COLUMNS
from suite.training.ou import OrnsteinUhlenbeck

NAME = "marginals.csv"  # beside the rows of the trainings
NUMBERS = ("seed", "t", "probability", "value")
REMEDY = "delete it and run `nox -s train` again"


def load(file: Path) -> Frame:
    """The quantiles of the last run, of the first seed. ResultsError for a file of another form."""
    frame: Any = pd.DataFrame(checks.table(file, COLUMNS, REMEDY))
    frame = frame.assign(**{column: list(_numbers(file, column, frame[column])) for column in NUMBERS})
    last = frame[(frame["run"] == frame["run"].iloc[-1]) & (frame["seed"] == frame["seed"].min())]
    return last.drop_duplicates([c for c in COLUMNS if c != "value"], keep="last")


def _numbers(file: Path, column: str, cells: Iterable[str]) -> Iterator[float]:
    for row, cell in enumerate(cells, start=2):
        try:
            yield checks.number(cell)
        except ValueError:
            place = f"{file}, row {row}, column {column}"
            raise ResultsError(f"{place}: {cell[:60]!r}, expected a number; {REMEDY}.") from None


@plotting.in_style
def figure(frame: Frame, trained: Frame) -> Plot:
    """How much of the paths is below y, by experiment and time, against the exact law. trained: the rows of the
    trainings, which say where."""
    shown = frame.assign(
        library=frame["implementation"],
        experiment=frame["problem"].str.removeprefix("ou "),
        time=frame["t"].map("t = {:g}".format),
    ).sort_values(["t", "probability"], kind="stable", ignore_index=True)
    experiments, times = sorted(set(shown["experiment"])), list(dict.fromkeys(shown["time"]))
    names = implementations(shown)
    size = max(4.6, 2.4 * len(experiments)), 2.1 * len(times) + 0.4
    drawn = plotting.canvas("Marginals of trained neural SDEs, and of the law they learned", *size)
    plot = so.Plot(shown, x="value", y="probability", color="library").facet(
        col="experiment", row="time", order={"col": experiments, "row": times}
    )
    plot = plot.share(x="row").add(so.Path(marker="", linewidth=1.3))
    plot = plot.scale(color=plotting.looks(trained, trained, names)["color"]).theme(plotting.THEME)
    panels = plotting.draw(plot, drawn, x="y", y="share of the paths below y")
    law, cells = OrnsteinUhlenbeck(), [(t, e) for t in times for e in experiments]
    for axes, (time, experiment) in zip(panels, cells, strict=True):
        t = float(time.removeprefix("t = "))
        y = np.linspace(*axes.get_xlim(), 200)
        axes.plot(y, law.cdf(t, y), color="#000000", linewidth=1, linestyle=":")
        axes.set_title(f"{experiment}, {time}")
    work = f"seed {shown['seed'].iloc[0]:.0f}; dotted, black: the exact law"
    return plotting.finish(
        drawn, trained, f"How much of the paths is below y, of {len(names)} libraries; dotted is the exact law.", work
    )
