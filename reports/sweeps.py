"""Figures of what is taken far: many steps, many paths.

Each draws `rows`, the values of one measure for one problem; `frame` holds all rows of the setting.
"""

from typing import Any

import numpy as np
import pandas as pd
import seaborn.objects as so

from reports import labels, plotting, ticks
from reports.accuracy import FLOOR
from reports.data import Frame, groups, join, measured
from reports.plotting import Plot

LONG = {
    "gradient_memory": "peak memory",
    "gradient_cpu_time": "processor time",
    "gradient_error": "error of the gradient",
}
# Where exact zeros are drawn: one byte, what a clock tells apart, and as in the other figures of errors.
LEAST = {"gradient_memory": 1.0, "gradient_cpu_time": 1e-9, "gradient_error": FLOOR}
STEPS = "steps are"
MARKERS = {"reversible": "o", "checkpoint": "s"}


@plotting.in_style
def long_gradients(rows: Frame, frame: Frame) -> Plot:
    """Memory, time and error of very long solves and their gradients against the number of steps."""
    parts = {measure: _of_these(measured(frame, measure), rows) for measure in LONG}
    # peers alone have no error
    drawn = {m: part.assign(value=part["value"].clip(lower=LEAST[m])) for m, part in parts.items() if len(part)}
    shown = pd.concat([part.assign(panel=LONG[measure]) for measure, part in drawn.items()])
    shown = shown.assign(**{STEPS: np.where(shown["rtol"].isna(), "constant", "adaptive")})
    shown = plotting.worded(shown, frame).sort_values("steps", kind="stable")
    figure, _ = plotting.grid("Very long gradients, and what they cost", len(drawn), height=3.0)
    plot = so.Plot(shown, x="steps", y="value", color=plotting.LIBRARY, linestyle=STEPS, marker=plotting.ADJOINT)
    plot = plot.facet(col="panel", order=[LONG[measure] for measure in drawn]).share(y=False)
    plot = plot.add(so.Path(edgecolor="white", edgewidth=0.4, pointsize=5))
    lines = so.Nominal({"constant": "-", "adaptive": "--"})
    markers = so.Nominal({name: MARKERS.get(name, "D") for name in dict.fromkeys(shown["adjoint"])})
    plot = plot.scale(color=plotting.looks(rows, frame)["color"], linestyle=lines, marker=markers)
    plot = plot.theme(plotting.THEME)
    panels = plotting.draw(plot, figure, "xy", x="steps", y="")
    for axes, (measure, part) in zip(panels, drawn.items(), strict=True):
        ticks.log_axis(axes.xaxis)
        if measure == "gradient_memory":
            ticks.bytes_axis(axes.yaxis, part["value"])
        else:
            ticks.log_axis(axes.yaxis, "s" if measure == "gradient_cpu_time" else None)
    return plotting.finish(figure, rows, _long_sentence(parts))


def _of_these(rows: Frame, works: Frame) -> Frame:
    """The rows of the same work."""
    return join(rows, works.assign(low=np.nan, high=np.nan))


def _long_sentence(parts: dict[str, Frame]) -> str:
    """What these figures are to show: memory that is flat, time that is linear, gradients that are exact."""
    errors = parts["gradient_error"]["value"]
    said = [f"The largest error of a gradient is {labels.number(errors.max())}."] if len(errors) else []
    constant = {measure: part[part["rtol"].isna()] for measure, part in parts.items()}
    for name, memory in constant["gradient_memory"].groupby("implementation", sort=False):
        time = constant["gradient_cpu_time"]
        time = time[time["implementation"] == name]
        steps = f"from {memory['steps'].min():.0f} to {memory['steps'].max():.0f} constant steps"
        rises, differs = _spread(memory["value"]), _spread(time["value"] / time["steps"])
        flat = f"within {rises:.1%}" if rises < 1 else f"times {1 + rises:.1f}"
        said.append(f"{name}, {steps}: memory {flat}, time a step within {differs:.1%}.")
    said += _side_by_side(constant["gradient_cpu_time"], constant["gradient_memory"])
    adaptive = parts["gradient_memory"][parts["gradient_memory"]["rtol"].notna()]
    for name, memory in adaptive.groupby("implementation", sort=False):
        if len(memory) > 1:
            memory = memory.sort_values("steps")
            a_step = np.diff(memory["value"]).sum() / np.diff(memory["steps"]).sum()
            said.append(f"{name}, to {memory['steps'].max():.0f} adaptive steps: {a_step:.1f} bytes a step.")
    return " ".join(said)


def _side_by_side(time: Frame, memory: Frame) -> list[str]:
    """What each takes at the most steps that all have taken."""
    taken = [set(part["steps"]) for _, part in time.groupby("implementation")]
    shared = set.intersection(*taken) if len(taken) > 1 else None
    if not shared:
        return []
    both = time.merge(memory, on=["implementation", "adjoint", "steps"], suffixes=("", "_memory"))
    told = [
        f"{row['implementation']} ({row['adjoint']}) {labels.quantity(row['value'], 's')} and "
        f"{labels.quantity(row['value_memory'], 'B')}"
        for _, row in both[both["steps"] == max(shared)].iterrows()
    ]
    return [f"{max(shared):.0f} constant steps take: {'; '.join(told)}."]


def _spread(values: Frame) -> float:
    least = values.min()
    return values.max() / least - 1 if least > 0 else np.inf


def ensembles(rows: Frame) -> Frame:
    """Those of paths of one linear equation each, which every library can solve."""
    return rows[(rows["problem"] == "gbm") & (rows["dim"] == 1) & (rows["noise_source"] == "own")]


@plotting.in_style
def paths_per_second(rows: Frame, frame: Frame) -> Plot:
    """Paths of a plain ensemble solved in a second, against their number."""
    shown = rows.assign(
        value=rows["batch"] / rows["value"], low=rows["batch"] / rows["high"], high=rows["batch"] / rows["low"]
    )
    figure, _ = plotting.grid("Paths per second of an ensemble of scalar paths", 1, width=5.6, height=3.6)
    panels = plotting.draw(plotting.curves(shown, frame, "batch"), figure, "xy", x="paths", y="paths per second")
    ticks.log_axis(panels[0].xaxis)
    ticks.log_axis(panels[0].yaxis)
    fastest = [part.loc[part["value"].idxmax()] for _, part in groups(shown, ["implementation"])]
    best: list[Any] = sorted(fastest, key=lambda row: -row["value"])
    told = [f"{row['implementation']} {labels.number(row['value'] / 1e6)} million" for row in best]
    return plotting.finish(figure, rows, f"Most paths in a second: {'; '.join(told)}.")
