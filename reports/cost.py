"""Figures of cost: time by size, ratios of times, memory against steps, evaluations per step.

Each draws `rows`, the values of one measure for one problem; `frame` holds all rows of the setting.
"""

from typing import Any

import numpy as np
import pandas as pd
import seaborn.objects as so
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from reports import labels, plotting, ticks
from reports.data import CHOSEN, SIZE, Frame, Row, groups, implementations, varying, work_columns
from reports.plotting import NoData, Plot
from suite.goals import goal


@plotting.in_style
def by_size(rows: Frame, frame: Frame, title: str) -> Plot:
    """Times by size."""
    columns = varying(rows, ("batch", "dim", "hidden")) or ["batch"]
    rows = rows.assign(size=[_size(row, columns) for _, row in rows.iterrows()])
    parts = [(what, part) for what, part in plotting.panels(rows, *SIZE) if part["size"].nunique() > 1]
    if not parts:
        raise NoData("no work was measured at two sizes or more.")
    parts = plotting.panels(pd.concat([part for _, part in parts]), *SIZE)  # named by what is left
    rows = pd.concat([part.assign(panel=what) for what, part in parts])
    sizes, names = list(dict.fromkeys(rows.sort_values(list(SIZE))["size"])), implementations(rows)
    aside = rows["implementation"].map(lambda name: 0.09 * (names.index(name) - (len(names) - 1) / 2))
    rows = rows.assign(place=rows["size"].map(sizes.index) + aside)
    figure, across = plotting.grid(title, len(parts), width=0.9 + 0.7 * len(sizes))
    plot = plotting.curves(rows, frame, "place", by=(plotting.ADJOINT, plotting.BROWNIAN)).facet(
        col="panel", order=[what for what, _ in parts], wrap=across
    )
    panels = plotting.draw(plot, figure, "y", x="", y="median time")
    for axes in panels:
        axes.set_xticks(range(len(sizes)), sizes, fontsize=7)
        axes.grid(axis="x", visible=False)
        axes.set_xlim(-0.5, len(sizes) - 0.5)
    ticks.log_axis(panels[0].yaxis, "s")
    return plotting.finish(figure, rows, _range(rows))


def _size(row: Row, columns: list[str]) -> str:
    return "\n".join(f"{c} {row[c]:g}" for c in columns if row[c] == row[c])


def _range(rows: Frame) -> str:
    ends = [rows.loc[rows["value"].idxmin()], rows.loc[rows["value"].idxmax()]]
    texts = [f"{labels.quantity(r['value'], r['unit'])} ({r['implementation']})" for r in ends]
    return f"Medians from {texts[0]} to {texts[1]}; {len(rows)} values."


@plotting.in_style
def ratios(rows: Frame, frame: Frame, title: str) -> Plot:
    """Times divided by those of sdegrad in the same framework, with the goals for them."""
    goals = [goal(row) for _, row in rows.iterrows()]
    works, names = rows[work_columns(*CHOSEN)].drop_duplicates(), implementations(rows)
    figure = plotting.canvas(title, 7.6, 1.2 + len(works) * (0.1 + 0.12 * len(names)))
    ratio_panel(figure, rows.assign(goal=pd.Series(goals, rows.index, dtype=float)), frame)
    low, high = labels.number(rows["value"].min()), labels.number(rows["value"].max())
    reached = [value >= wanted for value, wanted in zip(rows["value"], goals, strict=True) if wanted]
    reached_text = f"; {sum(reached)} of {len(reached)} goals reached" if reached else ""
    return plotting.finish(
        figure, rows, f"Ratios from {low} to {high}, paired by round; {len(rows)} values{reached_text}."
    )


def ratio_panel(on: Figure | Axes, rows: Frame, frame: Frame, *, legend: bool = True) -> None:
    """A line for each work, in it each ratio with its interval and number, and the `goal` if there is one.

    1 is as fast as sdegrad; alike works are beside alike.
    """
    order = ["method", "access", "noise_source", "compiled", "rtol", "dt", *SIZE]
    rows = rows.sort_values(order, kind="stable", na_position="first")
    columns = varying(rows, work_columns(*CHOSEN, "noise_dim")) or ["method", "access"]
    columns += ["steps"] if "dt" in columns and "steps" not in columns else []
    rows = rows.assign(work=[labels.work(row, columns) for row in rows.to_dict("records")])
    shown = plotting.worded(rows, frame)
    numbers = [f"{labels.number(v)}×" for v in shown["value"]]
    end = shown["high"].where(~shown["goal"].between(shown["high"], 1.6 * shown["high"]), shown["goal"])
    plot = so.Plot(
        shown.assign(text=numbers, end=end), y="work", x="value", color=plotting.LIBRARY, group=plotting.LIBRARY
    )
    aside: Any = so.Dodge(empty="drop", by=["group"])
    plot = plot.add(so.Dot(pointsize=5), aside, orient="y", legend=legend)
    plot = plot.add(so.Range(linewidth=1.4), aside, orient="y", xmin="low", xmax="high", legend=False)
    number = so.Text(halign="left", offset=5, color="#444444", fontsize=7)
    plot = plot.add(number, aside, orient="y", x="end", text="text", legend=False)
    if shown["goal"].notna().any():
        mark: Any = {"marker": "|", "color": "#222222", "pointsize": 8, "stroke": 1.6}
        plot = plot.add(so.Dot(**mark), aside, orient="y", x="goal", color=None, label="goal", legend=legend)
    looks = plotting.looks(rows, frame)
    plot = plot.scale(color=looks["color"], y=so.Nominal(order=list(dict.fromkeys(rows["work"])))).theme(plotting.THEME)
    label = "time relative to sdegrad (right of 1: slower)"
    _relative(plotting.draw(plot, on, x=label, y="")[0], shown)


def _relative(axes: Axes, rows: Frame) -> None:
    """The axis of ratios: powers of two around 1, with room for the numbers."""
    low, high = min(0.9, rows[["low", "goal"]].min().min()), max(2.0, rows[["high", "goal"]].max().max())
    axes.set_xscale("log", base=2)
    axes.set_xlim(low / 1.15, high * max(1.5, (high / low) ** 0.22))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g}"))
    axes.axvline(1, color="#444444", linewidth=1, zorder=0.5)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="y", visible=False)
    for line in range(1, rows["work"].nunique()):
        axes.axhline(line - 0.5, color="#e4e4e4", linewidth=0.7)


@plotting.in_style
def gradient_memory(rows: Frame, frame: Frame) -> Plot:
    """Peak memory of a gradient against the number of steps, and how it grows where there are many numbers of steps. A
    panel for each adjoint where a library was measured with several."""
    several = rows.groupby("implementation")["adjoint"].nunique().max() > 1
    parts = plotting.panels(rows, "dt", "steps", chosen=("brownian",) if several else CHOSEN)
    figure, across = plotting.grid("Peak memory of a gradient against the number of steps", len(parts), height=3.0)
    shown = pd.concat([part.assign(panel=what) for what, part in parts])
    shown = shown.assign(value=shown["value"].clip(lower=1))  # byte: an exact zero has no place on the axis
    plot = plotting.curves(shown, frame, "steps").facet(col="panel", order=[what for what, _ in parts], wrap=across)
    panels = plotting.draw(plot, figure, "xy", x="steps", y="peak above what was there before")
    ticks.log_axis(panels[0].xaxis)
    for axes, (_, part) in zip(panels, parts, strict=True):
        head = {"transform": axes.transAxes, "va": "top", "fontsize": 7}
        axes.text(0.03, 0.98, "\n".join(_growth(part)), **head)
    low, high = panels[0].get_ylim()
    panels[0].set_ylim(low, high * (high / low) ** 0.35)  # room for the words above the data
    ticks.bytes_axis(panels[0].yaxis, shown["value"])
    texts = [labels.quantity(v, "B") for v in (rows["value"].min(), rows["value"].max())]
    steps = f"{rows['steps'].min():g} to {rows['steps'].max():g} steps"
    return plotting.finish(
        figure, rows, f"Peak memory over {steps}: from {texts[0]} to {texts[1]}; {len(rows)} values."
    )


LAST = 3  # numbers of steps by which growth is judged: what is needed once counts least there


def _growth(rows: Frame) -> list[str]:
    """The power of the number of steps that the memory of each library grows with."""
    powers = []
    for name, part in rows.groupby("implementation", sort=False):
        if part["steps"].nunique() > LAST:
            last = part.sort_values("steps")[-LAST:]
            power = np.polyfit(np.log(last["steps"]), np.log(last["value"].clip(lower=1)), 1)[0]
            powers.append(f"{name} {abs(power) if abs(power) < 0.005 else power:.2f}")
    return [f"power of the steps, by the last {LAST}", *powers] if powers else []


@plotting.in_style
def evaluations(rows: Frame, frame: Frame) -> Plot:
    """Evaluations per step, of drift and diffusion and of their vector-Jacobian products."""
    rows = rows.drop_duplicates(["implementation", "method", "adjoint", "measure"])
    shown = plotting.worded(_fewest(rows), frame)
    kinds = [kind for kind in ("of a solve", "of a gradient") if kind in set(shown["panel"])]
    methods, names = shown[plotting.METHOD].nunique(), shown[plotting.LIBRARY].nunique()
    figure = plotting.canvas("Evaluations of drift and diffusion per step", 7.6, 1.0 + 0.17 * methods * names)
    aside: Any = so.Dodge(by=["color"], gap=0.1)
    plot = so.Plot(shown, y=plotting.METHOD, x="value", color=plotting.LIBRARY).facet(col="panel", order=kinds)
    plot = plot.add(so.Bar(edgewidth=0, alpha=0.5), aside, orient="y", x="total", legend=False)
    plot = plot.add(so.Bar(edgewidth=0, alpha=1), aside, orient="y")
    text = so.Text(halign="left", color="#222222", fontsize=7)
    plot = plot.add(text, aside, orient="y", x="total", text="text", legend=False)
    plot = plot.scale(color=plotting.looks(rows, frame)["color"]).share(x=False).theme(plotting.THEME)
    panels = plotting.draw(plot, figure, x="evaluations per step (light: vjps)", y="")
    for axes, kind in zip(panels, kinds, strict=True):
        axes.set_xlim(0, shown.loc[shown["panel"] == kind, "total"].max() * (1.12 if kind == kinds[0] else 1.4))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(axis="y", visible=False)
    least, most = rows["value"].min(), rows["value"].max()
    sentence = f"Each count per step lies between {least:.3g} and {most:.3g}; {len(rows)} values."
    return plotting.finish(figure, rows, sentence, "by method and adjoint, whatever the problem")


def _fewest(rows: Frame) -> Frame:
    """A row of each implementation and method: evaluations, the `total` with vjps, the adjoint that has the fewest."""
    found = []
    rows = rows.assign(panel=(rows["adjoint"] == "").map({True: "of a solve", False: "of a gradient"}))
    for _, part in groups(rows, ["panel", "implementation", "method"]):
        totals = part.groupby("adjoint")["value"].sum()
        adjoint, total = totals.idxmin(), totals.min()
        part = part[part["adjoint"] == adjoint]
        fields = part.loc[~part["measure"].str.endswith("_vjp"), "value"].sum()
        found.append(part[:1].assign(value=fields, total=total, text=f"{total:.3g} {adjoint}"))
    return pd.concat(found)
