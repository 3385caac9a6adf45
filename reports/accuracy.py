"""Figures of accuracy: errors against the step size, and against what they cost.

Each draws `rows`, the values of one measure for one problem; `frame` holds all rows of the setting.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import seaborn.objects as so
from matplotlib.axes import Axes

from reports import labels, plotting, ticks
from reports.data import STEPPING, Frame, implementations, join, measured
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
    figure, across = plotting.grid("Error of the gradient against backpropagation on the same path", len(names))
    plot = plotting.curves(rows, frame, "dt", "drawn").facet(col="implementation", order=names, wrap=across)
    panels = plotting.draw(plot, figure, "xy", x="step size dt", y="relative L1 error")
    for axes in panels:
        ticks.step_axis(axes, rows["dt"])
        _floors(axes, rows, "left")
    ticks.log_axis(panels[0].yaxis)
    return plotting.finish(figure, rows, _extremes(rows, "Relative L1 error of the gradient"))


@plotting.in_style
def strong_error(rows: Frame, frame: Frame) -> Plot:
    """Strong error against the step size, with the fitted order and its interval."""
    rows = _drawn(rows)
    parts = plotting.panels(rows, *STEPPING)
    names = implementations(rows)
    aside = (rows["dt"].max() / rows["dt"].min()) ** 0.012  # side by side, so that every interval is seen
    beside = rows["implementation"].map(lambda name: aside ** (names.index(name) - (len(names) - 1) / 2))
    shown = pd.concat([part.assign(panel=what, beside=part["dt"] * beside[part.index]) for what, part in parts])
    figure, across = plotting.grid("Strong error against the step size, with the fitted order", len(parts), height=3.2)
    plot = plotting.curves(shown, frame, "beside", "drawn").facet(col="panel", order=[p for p, _ in parts], wrap=across)
    panels = plotting.draw(plot, figure, "xy", x="step size dt", y="root mean square error at the end")
    for axes, (_, part) in zip(panels, parts, strict=True):
        _slopes(axes, part)
        ticks.step_axis(axes, part["dt"])
        orders = [f"{name} {_order(frame, rows)}" for name, rows in part.groupby("implementation", sort=False)]
        head = {"transform": axes.transAxes, "va": "top", "fontsize": 7}
        axes.text(0.03, 0.98, "\n".join(["order [95 %]", *orders]), **head)
    low, high = rows["drawn"].min(), rows["drawn"].max()
    panels[0].set_ylim(low / 2, high * max(high / low, 10.0) ** 0.55)  # room for the orders above the data
    ticks.log_axis(panels[0].yaxis)
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
    shown = pd.concat([joined.assign(panel=text) for joined, text in kinds])
    order = [text for _, text in kinds]
    figure, _ = plotting.grid(title, len(kinds), width=4.0, height=3.6)
    plot = plotting.curves(shown, frame, "cost", "drawn").facet(col="panel", order=order).share(x=False)
    panels = plotting.draw(plot, figure, "xy", y=label)
    for axes, (joined, text) in zip(panels, kinds, strict=True):
        axes.set(title="", xlabel=text)
        _floors(axes, joined, "right")
        ticks.log_axis(axes.xaxis, "s" if joined is by_time else None)
    ticks.log_axis(panels[0].yaxis)
    text = f"{len(by_time)} values against time, {len(by_count)} against evaluations; lower left is better."
    return replace(plotting.finish(figure, rows, f"{label[0].upper()}{label[1:]}: {text}"), rows=shown)


def paired(rows: Frame) -> Frame:
    """Errors from pairs of paths, each with its opposite."""
    return rows[2 * rows["samples"] == rows["batch"]]


def weak_by_evaluations(rows: Frame, frame: Frame) -> Plot:
    """Weak error of every method against evaluations."""
    return _weak(_with_evaluations(rows, frame), frame, "evaluations of drift and diffusion", None)


def weak_by_time(rows: Frame, frame: Frame) -> Plot:
    """Weak error of every method against wall-clock time."""
    return _weak(join(rows, measured(frame, "solve_time")), frame, "wall-clock time", "s")


@plotting.in_style
def _weak(rows: Frame, frame: Frame, cost: str, unit: str | None) -> Plot:
    """A panel for each library, a colour for each method."""
    if rows.empty:
        raise NoData(f"no {cost} was measured for the work whose error was.")
    half = (rows["high"] - rows["low"]).fillna(0.0) / 2
    rows = rows.assign(value=rows["value"].abs(), half=half)
    shown = plotting.worded(rows.assign(low=rows["value"] - half, high=rows["value"] + half), frame)
    shown = shown.assign(low=shown["low"].clip(lower=FLOOR)).sort_values(["method", "cost"], kind="stable")
    names = implementations(rows)
    figure, across = plotting.grid(f"Weak error against {cost}", len(names), width=3.4, height=3.2, columns=2)
    methods = list(dict.fromkeys(shown[plotting.METHOD]))
    colours, markers = (
        {name: looks[k % len(looks)] for k, name in enumerate(methods)}
        for looks in (plotting.COLOURBLIND, (*plotting.MARKERS.values(), *plotting.MORE_MARKERS))
    )
    plot = so.Plot(shown, x="cost", y="value", color=plotting.METHOD, marker=plotting.METHOD)
    plot = plot.facet(col="implementation", order=names, wrap=across)
    plot = plot.add(so.Path(edgecolor="white", edgewidth=0.4, pointsize=5, linewidth=1.1))
    bar: Any = {"legend": False, "marker": None, "ymin": "low", "ymax": "high"}
    plot = plot.add(so.Range(linewidth=0.8), **bar, group=pd.Series(shown.index))
    plot = plot.scale(color=so.Nominal(colours), marker=so.Nominal(markers)).theme(plotting.THEME)
    panels = plotting.draw(plot, figure, "xy", x=cost, y="error of the mean at the end")
    resolved = rows["value"] > rows["half"]
    seen = rows.loc[resolved | ~resolved.any(), "value"]
    panels[0].set_ylim(max(seen.min(), FLOOR) / 3, max(shown["high"].max(), FLOOR) * 2)
    for axes in panels:
        ticks.log_axis(axes.xaxis, unit)
    ticks.log_axis(panels[0].yaxis)
    open_ones = f" {(~resolved).sum()} of {len(rows)} intervals reach zero: there the error is at most their upper end."
    return plotting.finish(figure, rows, _extremes(rows, "Weak error") + open_ones * bool((~resolved).any()))


def precision_panel(axes: Axes, joined: Frame, frame: Frame, names: Sequence[str]) -> None:
    """The error (`drawn`) of rows with a `cost` against it, on logarithmic axes; the libraries of the legend."""
    plot = plotting.curves(joined, frame, "cost", "drawn", names)
    plotting.draw(plot, axes, "xy", x="wall-clock time", y="relative L1 error of the gradient")
    _floors(axes, joined, "right")
    ticks.log_axis(axes.xaxis, "s")
    ticks.log_axis(axes.yaxis)


def timed(rows: Frame, frame: Frame) -> Frame:
    """Gradient errors, ready for `precision_panel`, with the time of the gradient as cost."""
    return join(_drawn(rows), measured(frame, "gradient_time"))


def _drawn(rows: Frame) -> Frame:
    return rows.assign(drawn=rows["value"].clip(lower=FLOOR))


def _with_evaluations(rows: Frame, frame: Frame) -> Frame:
    """The error rows with, as cost, the evaluations of a whole run: counts per step times number of steps.

    Counts per step are those of implementation, method, adjoint and kind of noise, whatever problem they were counted
    on; where that noise was not counted, those of the noise that was counted first.
    """
    counts, line = measured(frame, *COUNTS), list(LINE)

    def per_step(name: str, *of: str) -> Frame:
        once = counts.drop_duplicates([*line, *of, "measure"])
        if not of:
            once = once[once["noise_type"] == once.groupby(line)["noise_type"].transform("first")]
        return once.groupby([*line, *of], as_index=False).agg(**{name: ("value", "sum")})

    joined = rows.merge(per_step("usual"), on=line).merge(
        per_step("own", "noise_type"), on=[*line, "noise_type"], how="left"
    )
    return joined.assign(cost=joined["own"].fillna(joined["usual"]) * joined["steps"])


def _extremes(rows: Frame, what: str) -> str:
    ends = [rows.loc[rows["value"].idxmin()], rows.loc[rows["value"].idxmax()]]
    texts = [f"{labels.number(r['value'])} ({r['implementation']}, {labels.method(r['method'])})" for r in ends]
    return f"{what} from {texts[0]} to {texts[1]}; {len(rows)} values."


def _order(frame: Frame, rows: Frame) -> str:
    line, fits = rows.iloc[0], measured(frame, "strong_order")
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
