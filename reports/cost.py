"""Figures of cost: time by size, ratios of times, memory against steps, evaluations per step.

Each draws `rows`, the values of one measure for one problem; `frame` holds all rows of the setting.
"""

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MaxNLocator

from reports import plotting, ticks, words
from reports.frame import SIZE, Frame, Row, groups, implementations, varying, work_columns
from reports.plotting import NoData, Plot
from suite.goals import goal

_GOAL: Any = {"color": "#222222", "marker": "|", "markersize": 9, "markeredgewidth": 1.6, "linestyle": "none"}


@plotting.in_style
def by_size(rows: Frame, frame: Frame, title: str) -> Plot:
    """Times by size."""
    columns = varying(rows, ("batch", "dim", "hidden")) or ["batch"]
    rows = rows.assign(size=[_size(row, columns) for _, row in rows.iterrows()])
    parts = [(what, part) for what, part in plotting.panels(rows, *SIZE) if part["size"].nunique() > 1]
    if not parts:
        raise NoData("no work was measured at two sizes or more.")
    rows = rows.loc[[i for _, part in parts for i in part.index]]
    sizes = list(dict.fromkeys(rows.sort_values(list(SIZE))["size"]))
    figure, panels = plotting.canvas(title, len(parts), sharex=True, sharey=True, height=3.0)
    for axes, (what, part) in zip(panels, parts, strict=True):
        names = implementations(part)
        for work, line in groups(part, ["implementation", "adjoint"]):
            aside = 0.09 * (names.index(work["implementation"]) - (len(names) - 1) / 2)
            line = line.assign(place=line["size"].map(sizes.index) + aside)
            plotting.series(axes, line, "place", "value", context=frame)
        axes.set_yscale("log")
        axes.set_title(what, loc="left")
        axes.set_xticks(range(len(sizes)), sizes, fontsize=7.5)
        axes.grid(axis="x", visible=False)
        axes.set_xlim(-0.5, len(sizes) - 0.5)
    ticks.log_axis(panels[0].yaxis, "s")
    panels[0].set_ylabel("median time")
    plotting.legend(figure, rows, frame, by="implementation adjoint")
    return plotting.finish(figure, rows, _range(rows))


def _size(row: Row, columns: list[str]) -> str:
    return "\n".join(f"{c} {row[c]:g}" for c in columns if row[c] == row[c])


def _range(rows: Frame) -> str:
    ends = [rows.loc[rows["value"].idxmin()], rows.loc[rows["value"].idxmax()]]
    told = [f"{words.quantity(r['value'], r['unit'])} ({r['implementation']})" for r in ends]
    return f"Medians from {told[0]} to {told[1]}; {len(rows)} values."


@plotting.in_style
def ratios(rows: Frame, frame: Frame, title: str) -> Plot:
    """Times divided by those of sdegrad in the same framework, with the goals for them."""
    goals = [goal(row) for _, row in rows.iterrows()]
    figure, (axes,) = plotting.canvas(title, 1, width=8.2, height=0.45 + 0.16 * _lines(rows))
    ratio_panel(axes, rows, frame, goals)
    extra = [Line2D([], [], **_GOAL, label="goal")] if any(goals) else []
    plotting.legend(figure, rows, frame, by="implementation", extra=extra)
    low, high = words.number(rows["value"].min()), words.number(rows["value"].max())
    reached = [value >= wanted for value, wanted in zip(rows["value"], goals, strict=True) if wanted]
    told = f"; {sum(reached)} of {len(reached)} goals reached" if reached else ""
    return plotting.finish(figure, rows, f"Ratios from {low} to {high}, paired by round; {len(rows)} values{told}.")


def _works(rows: Frame) -> list[Frame]:
    """The rows by work, alike beside alike."""
    order = ["method", "noise_source", "compiled", "rtol", "dt", *SIZE]
    rows = rows.sort_values(order, kind="stable", na_position="first")
    return [part for _, part in groups(rows, work_columns("adjoint"))]


def _lines(rows: Frame) -> int:
    """How many lines the ratios take: one for each, and a gap after each work."""
    return len(rows) + len(_works(rows))


def ratio_panel(axes: Axes, rows: Frame, frame: Frame, goals: Sequence[float | None] = ()) -> None:
    """A line for each ratio, with its interval and number, by work; 1 is as fast as sdegrad.

    goals: what the ratios are meant to be at least, in the order of the rows; marked, if any.
    """
    wanted = dict(zip(rows.index, goals, strict=True)) if goals else {}
    columns = varying(rows, work_columns("adjoint", "noise_dim")) or ["method"]
    columns += ["steps"] if "dt" in columns and "steps" not in columns else []
    names, y, middles = implementations(frame), 0, []
    for part in _works(rows):
        middles.append((y + (len(part) - 1) / 2, words.work(part.iloc[0].to_dict(), columns)))
        for index, row in part.iterrows():
            _ratio(axes, row, y, plotting.colour(row["implementation"], names), wanted.get(index))
            y += 1
        axes.axhline(y, color="#e4e4e4", linewidth=0.6)
        y += 1
    axes.axvline(1, color="#444444", linewidth=1)
    axes.set_yticks(*zip(*middles, strict=True), fontsize=8)
    axes.set_ylim(y - 1, -1)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="y", visible=False)
    shown = [*rows["low"].fillna(rows["value"]), *rows["high"].fillna(rows["value"]), *(w for w in goals if w)]
    low, high = min(0.9, *shown), max(2.0, *shown)
    axes.set_xscale("log", base=2)
    axes.set_xlim(low / 1.15, high * max(1.25, (high / low) ** 0.14))  # room for the numbers
    axes.xaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g}"))
    axes.set_xlabel("time relative to sdegrad (1: as fast, right of it: slower)")


def _ratio(axes: Axes, row: Row, y: float, tint: str, wanted: float | None) -> None:
    """One ratio with its interval and number, and its goal."""
    line = row.to_frame().T.infer_objects()
    axes.errorbar(
        row["value"], y, xerr=plotting.bounds(line, "value"), color=tint, marker="o", markersize=5, elinewidth=1.4
    )
    if wanted:
        axes.plot(wanted, y, **_GOAL)
    end = row["value"] if row["high"] != row["high"] else row["high"]
    end = wanted if wanted and end < wanted < 1.25 * end else end  # past a goal that the number would cover
    text: Any = {"xytext": (6, 0), "textcoords": "offset points", "va": "center", "fontsize": 7, "color": "#444444"}
    behind = {"facecolor": "white", "edgecolor": "none", "pad": 0.6}
    axes.annotate(f"{words.number(row['value'])}×", (end, y), bbox=behind, **text)


@plotting.in_style
def gradient_memory(rows: Frame, frame: Frame) -> Plot:
    """Peak memory of a gradient against the number of steps."""
    parts = plotting.panels(rows, "dt", "steps")
    title = "Peak memory of a gradient against the number of steps"
    figure, panels = plotting.canvas(title, len(parts), sharex=True, sharey=True)
    for axes, (what, part) in zip(panels, parts, strict=True):
        for _, line in groups(part, ["implementation", "adjoint"]):
            plotting.series(axes, line, "steps", "value", context=frame)
        axes.set(xscale="log", yscale="log", xlabel="steps")
        axes.set_title(what, loc="left")
    ticks.bytes_axis(panels[0].yaxis, rows["value"].min(), rows["value"].max())
    panels[0].set_ylabel("peak above what was there before")
    plotting.legend(figure, rows, frame, by="implementation method adjoint")
    told = [words.quantity(v, "B") for v in (rows["value"].min(), rows["value"].max())]
    steps = f"{rows['steps'].min():g} to {rows['steps'].max():g} steps"
    return plotting.finish(figure, rows, f"Peak memory over {steps}: from {told[0]} to {told[1]}; {len(rows)} values.")


@plotting.in_style
def evaluations(rows: Frame, frame: Frame) -> Plot:
    """Evaluations per step, of drift and diffusion and of their vector-Jacobian products."""
    columns = ["implementation", "method", "adjoint", "measure"]
    rows = rows.drop_duplicates(columns)
    kinds = [("a solve", rows[rows["adjoint"] == ""]), ("a gradient", rows[rows["adjoint"] != ""])]
    kinds = [(what, part) for what, part in kinds if len(part)]
    methods, names = list(dict.fromkeys(rows["method"])), implementations(rows)
    height = 0.5 + 0.21 * len(methods) * len(names)
    title = "Evaluations of drift and diffusion per step"
    figure, panels = plotting.canvas(title, len(kinds), width=4.2, height=height, sharey=True)
    for axes, (what, part) in zip(panels, kinds, strict=True):
        _bars(axes, part, methods, names, [plotting.colour(n, implementations(frame)) for n in names])
        axes.set_title(f"of {what}", loc="left")
        axes.set_xlabel("drift + diffusion, per step")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    panels[0].set_yticks(range(len(methods)), [words.method(m) for m in methods])
    panels[0].invert_yaxis()
    vjps = Patch(facecolor="#bbbbbb", edgecolor="white", hatch="////", label="vector-Jacobian products")
    plotting.legend(figure, rows, frame, by="implementation", extra=[vjps])
    least, most = rows["value"].min(), rows["value"].max()
    sentence = f"Each count per step lies between {least:.3g} and {most:.3g}; {len(rows)} values."
    return plotting.finish(figure, rows, sentence, "by method and adjoint, whatever the problem")


def _bars(axes: Axes, rows: Frame, methods: list[str], names: list[str], tints: list[str]) -> None:
    """Evaluations solid, vjps hatched behind it; of several adjoints the one with the fewest, named."""
    height = 0.8 / len(names)
    for (name, method), part in rows.groupby(["implementation", "method"], sort=False):
        is_vjp = part["measure"].str.endswith("_vjp")
        totals = part.groupby("adjoint")["value"].sum()
        adjoint = totals.idxmin()
        fields = part.loc[~is_vjp & (part["adjoint"] == adjoint), "value"].sum()
        k = names.index(name)
        y = methods.index(method) + height * (k - (len(names) - 1) / 2)
        axes.barh(y, fields, height * 0.85, color=tints[k])
        behind = {"left": fields, "alpha": 0.55, "hatch": "////", "edgecolor": "white", "linewidth": 0}
        axes.barh(y, totals[adjoint] - fields, height * 0.85, color=tints[k], **behind)
        axes.text(totals[adjoint], y, f" {totals[adjoint]:.3g} {adjoint}", va="center", fontsize=7)
    axes.margins(x=0.22 if (rows["adjoint"] != "").any() else 0.08)
    axes.grid(axis="y", visible=False)
