"""Figures of cost: time by size, ratios of times, memory against steps, evaluations per step.

Each draws `rows`, the values of one measure for one problem; `frame` holds all rows of the setting.
"""

from matplotlib.axes import Axes
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter

from reports import plotting, ticks, words
from reports.frame import SIZE, Frame, Row, groups, implementations, varying, work_columns
from reports.plotting import Plot


def _by_size(rows: Frame, frame: Frame, title: str) -> Plot:
    columns = varying(rows, ("batch", "dim", "hidden")) or ["batch"]
    rows = rows.assign(size=[_size(row, columns) for _, row in rows.iterrows()])
    sizes = list(dict.fromkeys(rows.sort_values(list(SIZE))["size"]))
    parts = plotting.panels(rows, *SIZE)
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
def gradient_time(rows: Frame, frame: Frame) -> Plot:
    """Time of a gradient by size."""
    return _by_size(rows, frame, "Time of a gradient, forward and backward, by size")


@plotting.in_style
def solve_time(rows: Frame, frame: Frame) -> Plot:
    """Time of a solve by size."""
    return _by_size(rows, frame, "Time of a solve by size")


@plotting.in_style
def brownian_time(rows: Frame, frame: Frame) -> Plot:
    """Time of Brownian motion by size."""
    return _by_size(rows, frame, "Time of Brownian motion by size")


@plotting.in_style
def gradient_time_ratio(rows: Frame, frame: Frame) -> Plot:
    """Gradient times divided by those of sdegrad in the same framework."""
    number = len(list(groups(rows, work_columns("adjoint"))))
    title = "Time of a gradient relative to sdegrad in the same framework"
    figure, (axes,) = plotting.canvas(title, 1, width=7.5, height=0.5 + 0.28 * number)
    ratio_panel(axes, rows, frame)
    plotting.legend(figure, rows, frame, by="implementation method")
    low, high = words.number(rows["value"].min()), words.number(rows["value"].max())
    return plotting.finish(figure, rows, f"Ratios from {low} to {high}, paired by round; {len(rows)} values.")


def ratio_panel(axes: Axes, rows: Frame, frame: Frame) -> None:
    """A line for each work, on it a point with interval for each implementation; 1 is as fast as sdegrad."""
    works = list(groups(rows, work_columns("adjoint")))
    columns = varying(rows, work_columns("adjoint", "noise_dim")) or ["method"]
    names, all_names = implementations(rows), implementations(frame)
    for y, (_, part) in enumerate(works):
        for (name,), mine in part.groupby(["implementation"], sort=False):
            at = y + 0.24 * (names.index(name) - (len(names) - 1) / 2)
            axes.errorbar(
                mine["value"],
                [at] * len(mine),
                xerr=plotting.bounds(mine, "value"),
                linestyle="none",
                elinewidth=1.2,
                color=plotting.colour(name, all_names),
                marker=plotting.marker(mine["method"].iloc[0], frame),
            )
    axes.axvline(1, color="#444444", linewidth=1)
    axes.set_yticks(range(len(works)), [words.work(work, columns) for work, _ in works], fontsize=8)
    axes.set_ylim(len(works) - 0.5, -0.5)
    axes.grid(axis="y", visible=False)
    if rows["value"].max() > 8:
        axes.set_xscale("log", base=2)
        axes.xaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g}"))
    else:
        axes.set_xlim(left=0)
    axes.set_xlabel("time relative to sdegrad, 1: as fast, right of it: slower")


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
    panels[0].set_yticks(range(len(methods)), [words.method(m) for m in methods])
    panels[0].invert_yaxis()
    vjps = Patch(facecolor="#bbbbbb", edgecolor="white", hatch="////", label="vector-Jacobian products")
    plotting.legend(figure, rows, frame, by="implementation", extra=[vjps])
    least, most = rows["value"].min(), rows["value"].max()
    sentence = f"Each count per step lies between {least:.3g} and {most:.3g}; {len(rows)} values."
    return plotting.finish(figure, rows, sentence)


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
