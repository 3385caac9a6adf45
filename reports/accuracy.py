"""Figures of accuracy: errors against the step size, and against what they cost.

Each draws `rows`, the values of one measure for one problem; `frame` holds all rows of the setting.
"""

import numpy as np
from matplotlib.axes import Axes

from reports import plotting, ticks, words
from reports.frame import STEPPING, Frame, Row, groups, implementations, join, measured
from reports.plotting import NoData, Plot

FLOOR = 1e-18  # where an exact zero is drawn on a logarithmic axis
ROUND_OFF = {"float64": 2.0**-52, "float32": 2.0**-23}
COUNTS = ("nfe_drift", "nfe_diffusion", "nfe_drift_vjp", "nfe_diffusion_vjp")
LINE = ("implementation", "method", "adjoint")


@plotting.in_style
def gradient_error(rows: Frame, frame: Frame) -> Plot:
    """The paper's figure 2, for each implementation: error of the adjoint gradient against the step size."""
    rows = _drawn(rows)
    names = implementations(rows)
    title = "Error of the gradient against backpropagation on the same path"
    figure, panels = plotting.canvas(title, len(names), columns=4, width=2.5, sharex=True, sharey=True)
    for axes, name in zip(panels, names, strict=True):
        for _, line in groups(rows[rows["implementation"] == name], LINE):
            plotting.series(axes, line, "dt", "drawn", context=frame)
        ticks.step_axis(axes, rows["dt"])
        axes.set_yscale("log")
        axes.set_title(name, loc="left")
        _floors(axes, rows, "left")
    panels[0].set_ylabel("relative L1 error")
    plotting.legend(figure, rows, frame, by="method adjoint")
    return plotting.finish(figure, rows, _extremes(rows, "Relative L1 error of the gradient"))


@plotting.in_style
def strong_error(rows: Frame, frame: Frame) -> Plot:
    """Strong error against the step size, with the fitted order and its interval."""
    rows = _drawn(rows)
    parts = plotting.panels(rows, *STEPPING)
    title = "Strong error against the step size, with the fitted order"
    figure, panels = plotting.canvas(title, len(parts), sharex=True, sharey=True)
    for axes, (what, part) in zip(panels, parts, strict=True):
        names = implementations(part)
        aside = (part["dt"].max() / part["dt"].min()) ** 0.012  # side by side, so that every interval is seen
        for k, name in enumerate(names):
            line = part[part["implementation"] == name].copy()
            line["dt"] *= aside ** (k - (len(names) - 1) / 2)
            label = f"{name} {_order(frame, line.iloc[0])}"
            plotting.series(axes, line, "dt", "drawn", context=frame, label=label)
        axes.set_yscale("log")
        _slopes(axes, part)
        ticks.step_axis(axes, part["dt"])
        axes.set_title(what, loc="left")
        axes.legend(loc="upper left", fontsize=7.5, title="order [95 %]", title_fontsize=7.5, alignment="left")
    low, high = rows["drawn"].min(), rows["drawn"].max()
    panels[0].set_ylim(low / 2, high * max(high / low, 10.0) ** 0.55)  # room for the legend above the data
    ticks.log_axis(panels[0].yaxis)
    panels[0].set_ylabel("root mean square error at the end")
    return plotting.finish(figure, rows, _extremes(rows, "Strong error"))


@plotting.in_style
def work_precision_strong(rows: Frame, frame: Frame) -> Plot:
    """Strong error against wall-clock time and against evaluations."""
    title = "Work and precision: strong error against the cost of a solve"
    return _work_precision(rows, frame, "solve_time", title, "root mean square error at the end")


@plotting.in_style
def work_precision_gradient(rows: Frame, frame: Frame) -> Plot:
    """Gradient error against wall-clock time and against evaluations."""
    title = "Work and precision: gradient error against the cost of a gradient"
    return _work_precision(rows, frame, "gradient_time", title, "relative L1 error of the gradient")


def _work_precision(rows: Frame, frame: Frame, time: str, title: str, label: str) -> Plot:
    rows = _drawn(rows)
    by_time, by_count = join(rows, measured(frame, time)), _with_evaluations(rows, frame)
    by_count = by_count[:0] if len(by_count) < len(rows) else by_count  # some lines alone would mislead
    kinds = [(by_time, "wall-clock time"), (by_count, "evaluations of drift and diffusion, vjps included")]
    kinds = [(joined, text) for joined, text in kinds if len(joined)]
    if not kinds:
        raise NoData(f"neither {time} nor all evaluations were measured for the work whose error was.")
    figure, panels = plotting.canvas(title, len(kinds), width=4.4, height=3.6, sharey=True)
    for axes, (joined, text) in zip(panels, kinds, strict=True):
        precision_panel(axes, joined, frame)
        axes.set_xlabel(text)
        ticks.log_axis(axes.xaxis, "s" if joined is by_time else None)
    ticks.log_axis(panels[0].yaxis)
    panels[0].set_ylabel(label)
    plotting.legend(figure, rows, frame, by="implementation method adjoint")
    told = f"{len(by_time)} values against time, {len(by_count)} against evaluations; lower left is better."
    return plotting.finish(figure, rows, f"{label[0].upper()}{label[1:]}: {told}")


def precision_panel(axes: Axes, joined: Frame, frame: Frame) -> None:
    """The error (`drawn`) of rows with a `cost` against it, on logarithmic axes."""
    for _, line in groups(joined, LINE):
        plotting.series(axes, line, "cost", "drawn", context=frame)
    axes.set(xscale="log", yscale="log")
    _floors(axes, joined, "right")


def timed(rows: Frame, frame: Frame) -> Frame:
    """Gradient errors, ready for `precision_panel`, with the time of the gradient as cost."""
    return join(_drawn(rows), measured(frame, "gradient_time"))


def _drawn(rows: Frame) -> Frame:
    return rows.assign(drawn=rows["value"].clip(lower=FLOOR))


def _with_evaluations(rows: Frame, frame: Frame) -> Frame:
    """The error rows with, as cost, the evaluations of a whole run: counts per step times number of steps.

    Counts per step are those of implementation, method and adjoint, whatever problem they were counted on.
    """
    counts = measured(frame, *COUNTS).drop_duplicates([*LINE, "measure"], keep="last")
    per_step = counts.groupby(list(LINE), as_index=False).agg(per_step=("value", "sum"))
    joined = rows.merge(per_step, on=list(LINE))
    return joined.assign(cost=joined["per_step"] * joined["steps"])


def _extremes(rows: Frame, what: str) -> str:
    ends = [rows.loc[rows["value"].idxmin()], rows.loc[rows["value"].idxmax()]]
    told = [f"{words.number(r['value'])} ({r['implementation']}, {words.method(r['method'])})" for r in ends]
    return f"{what} from {told[0]} to {told[1]}; {len(rows)} values."


def _order(frame: Frame, line: Row) -> str:
    fits = measured(frame, "strong_order")
    for column in ("implementation", "problem", "method", "noise_type", "dtype"):
        fits = fits[fits[column] == line[column]]
    if fits.empty:
        return ""
    value, low, high = fits.iloc[-1][["value", "low", "high"]]
    return f"{value:.2f}" + (f" [{low:.2f}, {high:.2f}]" if low == low else "")


def _slopes(axes: Axes, rows: Frame) -> None:
    """Reference lines of order 1/2 and 1, meeting just below the data at the largest step."""
    dts = np.array([rows["dt"].min(), rows["dt"].max()])
    top = rows.loc[rows["dt"] == dts[1], "drawn"].min() * 0.7
    for order, text in ((0.5, "1/2"), (1.0, "1")):
        values = top * (dts / dts[1]) ** order
        axes.plot(dts, values, color="#aaaaaa", linewidth=0.9, linestyle=(0, (4, 2)), zorder=1)
        left = dts[0], values[0]
        axes.annotate(text, left, xytext=(10, -6), textcoords="offset points", fontsize=7.5, color="#777777")


def _floors(axes: Axes, rows: Frame, side: str) -> None:
    """Mark the round-off of the dtype, and the place where exact zeros are drawn."""
    at = 0.015 if side == "left" else 0.985
    text = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points", "fontsize": 7, "ha": side}
    for dtype in rows["dtype"].unique():
        level = ROUND_OFF.get(dtype)
        if level is not None and rows["drawn"].min() < 1e3 * level:
            axes.axhline(level, color="#777777", linewidth=0.9, linestyle=(0, (1, 1.5)), zorder=1)
            axes.annotate(f"round-off of {dtype}", (at, level), xytext=(0, -10), color="#666666", **text)
    if (rows["value"] < FLOOR).any():
        axes.annotate("exact zero", (at, FLOOR), xytext=(0, -3), color="#666666", **text)
