"""Do the three tools measure the same? Harness, asv and pytest-benchmark side by side where their work is the same.

The rule. What is counted is equal to rounding. Of a time each tool has the hull of its intervals over all processes
that measured it, widened by SPREAD, as the same work takes that much longer in some processes than in others; the tools
agree if these hulls share a point.
"""

from collections.abc import Iterator

import pandas as pd
import seaborn.objects as so

from reports import labels, plotting, ticks
from reports.data import CHOSEN, Frame, groups, measured, work_columns
from reports.plotting import NoData, Plot

TIMES = ("solve_time", "gradient_time", "brownian_time")
COUNTED = ("nfe_drift", "nfe_diffusion", "nfe_drift_vjp", "nfe_diffusion_vjp", "strong_order")
SPREAD = 1.5  # between the medians of two processes
ROUNDING = 1e-9
MOST = 30  # works in the figure
_SAME = ["device", "implementation", "measure", *work_columns(*CHOSEN)]  # the tools see one machine each in own words


def shared(frame: Frame) -> Frame:
    """A row for each tool and work that two tools or more measured: the hull, and the median of the values."""
    rows = measured(frame, *TIMES, *COUNTED)
    rows = rows.assign(low=rows["low"].fillna(rows["value"]), high=rows["high"].fillna(rows["value"]))
    found = []
    for work, part in groups(rows, _SAME):
        if part["tool"].nunique() > 1:
            for tool, of_tool in part.groupby("tool", sort=False):
                hull = {"low": of_tool["low"].min(), "high": of_tool["high"].max()}
                found.append({**work, "tool": tool, "value": of_tool["value"].median(), **hull})
    return pd.DataFrame(found, columns=[*_SAME, "tool", "value", "low", "high"])


def disagreements(rows: Frame) -> Iterator[str]:
    """A sentence for each work on which the tools, rows of `shared`, do not agree."""
    for work, part in groups(rows, _SAME):
        factor = SPREAD if work["measure"] in TIMES else 1 + ROUNDING
        if part["low"].max() > factor**2 * part["high"].min():
            told = ", ".join(f"{r['tool']} {labels.number(r['value'])}" for _, r in part.iterrows())
            yield f"{_words(work)}: {told}"


def _words(work: dict) -> str:
    details = labels.work(work, ("problem", "method", "access", "batch", "steps", "noise_source", "compiled"))
    return f"{work['measure'].replace('_', ' ')} of {work['implementation']}, {details}"


@plotting.in_style
def figure(frame: Frame) -> Plot:
    """The times of the tools in units of the median of them, a line for each work. NoData if there are none."""
    rows = shared(frame)
    times = rows[rows["measure"].isin(TIMES)]
    if times.empty:
        raise NoData("no time was measured by two tools.")
    drawn, differing, number = [], list(disagreements(rows)), 0
    for number, (work, part) in enumerate(groups(times, _SAME), start=1):
        unit = part["value"].median()
        part = part.assign(work=_words(work), **{c: part[c] / unit for c in ("value", "low", "high")})
        drawn += [part] if number <= MOST else []
    shown = pd.concat(drawn)
    canvas = plotting.canvas("The same work by three tools", 9.0, 0.9 + 0.27 * min(number, MOST))
    plot = so.Plot(shown, x="value", y="work", color="tool", marker="tool").add(so.Dot(pointsize=5), so.Dodge())
    plot = plot.add(so.Range(linewidth=1.2), so.Dodge(), xmin="low", xmax="high", legend=False)
    plot = plot.scale(color=so.Nominal(plotting.COLOURBLIND[: len(shown["tool"].unique())]))
    (axes,) = plotting.draw(plot.theme(plotting.THEME), canvas, "x", x="time, in units of the median tool's", y="")
    axes.set_xlim(0.9 * min(0.45, *shown["low"]), 1.1 * max(2.3, *shown["high"]))
    ticks.log_axis(axes.xaxis)
    counted = len(rows.drop_duplicates(_SAME)) - number
    agreed = f"the tools agree in all: counts are equal, and intervals of times, widened by {SPREAD:g}, meet"
    caption = f"{number} times and {counted} counts by two tools or more; "
    caption += f"they differ in {'; '.join(differing)}." if differing else f"{agreed}."
    canvas.text(0.01, -0.02, labels.place(measured(frame, *TIMES)), va="top", fontsize=7.5, color="#666666")
    canvas.draw_without_rendering()
    canvas.set_layout_engine("none")
    return Plot(canvas, caption, shown)
