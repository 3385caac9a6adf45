"""For how long is a mild SDE solved right? A table and a figure from the rows of `python -m suite.long_times`.

    python -m reports.long_times reports/reference/cpu/long_times.csv

The figure is put beside the file; the table is what the README says between its marks `long-times`.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import seaborn.objects as so
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter

from reports import command, labels, plotting, ticks
from reports.data import Frame, settings, tidy
from reports.plotting import Plot
from reports.tables import Table
from suite import results

RATE = 0.3  # L, of dy = -0.3 y dt + 0.1 dW
WORSE, LOST = 2.0, 1e-3  # than Heun's error of the same step, and what is too much of a gradient
# measure -> the label of its axis
ERRORS = {
    "strong_error": "error of the solution, root mean square",
    "gradient_error": "relative error of the gradient",
}
# method -> colour, marker, width of the line, size of the marker; Heun beneath and wide, seen where others cover it.
LOOKS = {
    "heun": ("#000000", "^", 2.6, 8.0),
    "reversible_heun": (plotting.COLOURS["sdegrad_torch"], "o", 1.4, 5.0),
    "mccallum_foster": (plotting.COLOURS["torchsde"], "P", 1.4, 5.0),
    "ees25": (plotting.COLOURS["sdegrad_jax"], "X", 1.4, 5.0),
}
LINES = ("-", (4, 2))


def load(path: Path) -> Frame:
    """The rows, with the time of each; those that are not finite have the value NaN."""
    frame = settings(tidy(results.read(path)))[0]
    return frame.assign(time_solved=(frame["dt"] * frame["steps"]).round(9))


def until(rows: Frame, limit: float | Frame) -> str:
    """The longest time up to which every value is below the limit, in words."""
    right = (rows["value"] < limit).to_numpy()
    times = rows["time_solved"].to_numpy()
    count = len(right) if right.all() else int(right.argmin())
    if count == 0:
        return "–"
    beyond = ", all that was tried" if count == len(right) else ""
    return f"{times[count - 1]:g} (L T = {RATE * times[count - 1]:.3g}){beyond}"


def table(frame: Frame) -> Table:
    """By method: up to which T is the solution right at each step, and the gradient."""
    solved, graded = _curves(frame, "strong_error"), _curves(frame, "gradient_error")
    dts = sorted(frame["dt"].unique(), reverse=True)
    (graded_dt,) = {dt for _, dt in graded}
    body = []
    for method in dict.fromkeys(frame["method"]):
        heun = [solved["heun", dt]["value"].to_numpy() for dt in dts]
        cells = [(until(solved[method, dt], WORSE * right),) for dt, right in zip(dts, heun, strict=True)]
        gradient = graded[method, graded_dt]
        adjoint = gradient["adjoint"].iloc[0]
        body.append(((f"{method}, {adjoint} adjoint",), *cells, (until(gradient, LOST),)))
    heads = (*(f"solution right up to T, dt = {dt:g}" for dt in dts), "gradient right up to T")
    note = (
        f"dy = -{RATE:g} y dt + 0.1 dW from 0.5, float32. A solution is right where its error is less than {WORSE:g} "
        f"times that of Heun's method, a gradient (dt = {graded_dt:g}, ten outputs) where it is less than {LOST:g} off."
    )
    return Table(("method", *heads), tuple(body), note)


def block(path: Path) -> str:
    return f"{table(load(path)).markdown()} All rows: `{path.as_posix()}`."


def _curves(frame: Frame, measure: str) -> dict[tuple[str, float], Frame]:
    rows = frame[frame["measure"] == measure]
    return {key: part.sort_values("time_solved") for key, part in rows.groupby(["method", "dt"], sort=False)}


@plotting.in_style
def figure(frame: Frame) -> Plot:
    """Error of the solution and of the gradient against T."""
    drawn, _ = plotting.grid("A mild SDE for a long time: where each method is right", 2, width=3.9, height=3.2)
    lines = {f"{dt:g}": line for dt, line in zip(sorted(frame["dt"].unique(), reverse=True), LINES, strict=True)}
    looks = {labels.method(name): look for name, look in LOOKS.items()}
    colours, markers, widths, sizes = zip(*looks.values(), strict=True)
    shown = frame.assign(method=frame["method"].map(labels.method), dt=frame["dt"].map("{:g}".format))
    plot = so.Plot(shown, x="time_solved", y="value", color="method", marker="method", linestyle="dt")
    plot = plot.facet(col="measure", order=list(ERRORS)).share(x=False, y=False)
    plot = plot.add(so.Path(edgecolor="white", edgewidth=0.4), linewidth="method", pointsize="method")
    scales = {"color": colours, "marker": markers, "linewidth": widths, "pointsize": sizes}
    order = list(looks)
    nominal = {kind: so.Nominal(dict(zip(order, values, strict=True)), order=order) for kind, values in scales.items()}
    plot = plot.scale(**nominal, linestyle=so.Nominal(lines, order=list(lines))).theme(plotting.THEME)
    panels = plotting.draw(plot, drawn, "xy", x="T", y="")
    for axes, label in zip(panels, ERRORS.values(), strict=True):
        _axes(axes, label)
    panels[0].set_ylim(3e-5, 1e2)
    work = f"dy = -{RATE:g} y dt + 0.1 dW, float32; a line ends where the result is not finite (a lost gradient is NaN)"
    return plotting.finish(drawn, frame, "", work)


def _axes(axes: Axes, label: str) -> None:
    """T below, L T above."""
    axes.set(title="", ylabel=label)
    axes.yaxis.label.set_visible(True)  # of inner panels seaborn hides it
    ticks.log_axis(axes.xaxis)
    ticks.log_axis(axes.yaxis)
    above = axes.secondary_xaxis("top", functions=(lambda t: np.multiply(t, RATE), lambda x: np.divide(x, RATE)))
    above.set_xlabel("L T")
    above.xaxis.set_major_formatter(FuncFormatter(lambda product, _: f"{product:g}"))


def _made(path: Path) -> command.Made:
    return block(path), {path.with_suffix(".png"): figure(load(path)).png()}


def main(arguments: Sequence[str] | None = None) -> int:
    return command.draw("reports.long_times", __doc__, _made, arguments)


if __name__ == "__main__":
    sys.exit(main())
