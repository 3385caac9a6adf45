"""Shared by all figures: colour = library, marker = method, line = adjoint or kind of Brownian motion.

Facets, legends and intervals are seaborn's.
"""

import io
import math
from base64 import b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import Any

import matplotlib
import pandas as pd
import seaborn as sns
import seaborn.objects as so
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reports import labels
from reports.data import CHOSEN, Frame, apart, groups, implementations, work_columns

# Safe for the colour-blind: PyTorch warm, JAX cool, sdegrad the darker of each pair; bounds, grey.
COLOURBLIND = sns.color_palette("colorblind").as_hex()
_BLUE, _ORANGE, _GREEN, _RED, _PINK, _BROWN, _ROSE, _GREY, _YELLOW, _SKY = COLOURBLIND
COLOURS = {"sdegrad_torch": _RED, "torchsde": _ORANGE, "sdegrad_jax": _BLUE, "diffrax": _SKY, "diffrax_sdegrad": _GREEN}
COLOURS |= {"torch_tree": _GREY, "torch_floor": _GREY, "jax_by_hand": _GREY, "numpy_by_hand": "#444444"}
MARKERS = {"reversible_heun": "o", "midpoint": "s", "heun": "^", "euler": "v", "euler_heun": "D"}
LINES = {
    "": "-",
    "reversible": "-",
    "backsolve": "--",
    "checkpoint": ":",
    "backprop": "-.",
    "interval": "-",
    "tree": "--",
}
MORE_MARKERS = ("P", "X", "<", ">", "h", "*")
_MORE = {
    "color": (_PINK, _BROWN, "#000000", _YELLOW, _ROSE, "#5e3c99"),
    "marker": MORE_MARKERS,
    "linestyle": ("-.",),
}
COST_ENDS = ("cost_low", "cost_high")
# Columns as they are named in a legend.
LIBRARY, METHOD, ADJOINT, BROWNIAN = "library", "method", "adjoint", "Brownian motion"

THEME: Any = {
    **sns.axes_style("whitegrid"),
    **sns.plotting_context("paper"),
    "figure.dpi": 180,
    "savefig.dpi": 180,
    "axes.titlelocation": "left",
    "axes.prop_cycle": cycler(color=["#444444"]),  # of a legend's entries that are not of a library
    "axes.edgecolor": "#555555",
    "axes.linewidth": 0.9,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.7,
    "xtick.bottom": True,
    "ytick.left": True,
    "xtick.major.size": 3,
    "ytick.major.size": 3,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "svg.fonttype": "path",
    "svg.hashsalt": "sdegrad",
    "text.parse_math": False,  # a dollar sign in a name is a dollar sign
}


class NoData(Exception):
    """There is nothing to draw; the message says why."""


@dataclass(frozen=True)
class Plot:
    """A figure with a sentence, made from its data, that says what is seen; and the rows that it shows."""

    figure: Figure
    caption: str
    rows: Frame = None

    def png(self) -> bytes:
        return self._save("png", {"Software": None})

    def svg(self) -> bytes:
        return self._save("svg", {"Date": None, "Creator": None})

    def _save(self, kind: str, metadata: dict[str, Any]) -> bytes:
        buffer = io.BytesIO()
        with matplotlib.rc_context(THEME):
            self.figure.savefig(buffer, format=kind, metadata=metadata, bbox_inches="tight")
        return buffer.getvalue()


def embedded(plot: Plot) -> str:
    """The picture as a page that needs nothing else holds it: SVG in base 64."""
    return b64encode(plot.svg()).decode("ascii")


def panels(frame: Frame, *along: str, chosen: Sequence[str] = CHOSEN) -> list[tuple[str, Frame]]:
    """The rows by what varies but is not shown `along` the axes or `chosen` by a library, with what sets each apart, in
    words."""
    columns = apart(frame, work_columns(*along, *chosen)) or ["method", "access"]
    return [(labels.work(part.iloc[0].to_dict(), columns), part) for _, part in groups(frame, columns)]


def shared_work(frame: Frame) -> str:
    """What all rows have in common, in words, for the caption under the figure."""
    names = ("problem", "noise_type", "method", "access", *CHOSEN)
    columns = (*names, "batch", "dim", "hidden", "dt", "steps", "dtype")
    common = [c for c in columns if frame[c].nunique(dropna=False) == 1]
    return labels.work(frame.iloc[0].to_dict(), common)


def canvas(title: str, width: float, height: float) -> Figure:
    """An empty figure of this size in inches, with its title."""
    figure = Figure(figsize=(width, height), layout="constrained", facecolor="white")
    figure.suptitle(title, x=0.01, ha="left", fontsize=11, fontweight="bold")
    return figure


def grid(title: str, number: int, *, width: float = 3.0, height: float = 2.7, columns: int = 3) -> tuple[Figure, int]:
    """A figure for `number` panels of this size, and how many of them stand in a row."""
    down = math.ceil(number / columns)
    across = math.ceil(number / down)
    return canvas(title, max(width * across, 4.6), height * down + 0.3), across


def worded(rows: Frame, context: Frame) -> Frame:
    """The rows with the columns of a legend, sorted as it is; intervals are empty where there are none."""
    order = {name: k for k, name in enumerate(implementations(context))}
    rows = rows.assign(
        **{LIBRARY: rows["implementation"], METHOD: rows["method"].map(labels.method)},
        **{ADJOINT: rows["adjoint"], BROWNIAN: rows["brownian"].map(labels.brownian)},
        low=rows["low"].fillna(rows["value"]).clip(upper=rows["value"]),
        high=rows["high"].fillna(rows["value"]).clip(lower=rows["value"]),
    )
    return rows.sort_values("implementation", key=lambda names: names.map(order), kind="stable", ignore_index=True)


def looks(rows: Frame, context: Frame, names: Sequence[str] = ()) -> dict[str, Any]:
    """The scales by which libraries, methods, adjoints and kinds of Brownian motion look alike in all figures.

    names: the libraries of the legend, by default those of the rows. Later ones are drawn smaller and thinner, so that
    those beneath are seen where they coincide.
    """
    known = implementations(context)
    names = list(names) or implementations(rows)
    methods, adjoints, kinds = (dict.fromkeys(context[c]) for c in ("method", "adjoint", "brownian"))
    colours, markers, lines = (
        _looks(values, table, _MORE[kind])
        for values, table, kind in (
            (known, COLOURS, "color"),
            (methods, MARKERS, "marker"),
            ({**adjoints, **kinds}, LINES, "linestyle"),
        )
    )
    rank = {name: known.index(name) for name in names}
    return {
        "color": so.Nominal({n: colours[n] for n in names}, order=names),
        "pointsize": so.Nominal({n: max(3.5, 7.0 - 1.0 * rank[n]) for n in names}, order=names),
        "linewidth": so.Nominal({n: max(1.0, 1.9 - 0.25 * rank[n]) for n in names}, order=names),
        "marker": so.Nominal({labels.method(m): look for m, look in markers.items()}),
        "linestyle": so.Nominal({labels.brownian(name): look for name, look in lines.items()}),
    }


def _looks(values: Any, known: dict[str, str], more: Sequence[str]) -> dict[str, str]:
    others = [v for v in values if v not in known]
    return {v: known[v] if v in known else more[others.index(v) % len(more)] for v in values}


def curves(
    rows: Frame,
    context: Frame,
    x: str,
    y: str = "value",
    names: Sequence[str] = (),
    by: Sequence[str] = (METHOD, ADJOINT, BROWNIAN),
) -> so.Plot:
    """A curve for each library, method and adjoint (or kind of Brownian motion), with the intervals of `y` and cost.

    names: of the libraries in the legend, by default those of the rows. by: what marker and line show.
    """
    shown: Any = worded(rows, context).sort_values("dt" if x == "cost" else x, kind="stable", ignore_index=True)
    if x == "cost":
        ends = {end: shown[end].fillna(shown["cost"]) if end in shown else shown["cost"] for end in COST_ENDS}
        shown = shown.assign(**ends)
    varies = {c: c for c in by if shown[c].nunique() > 1}
    varying: Any = {"marker": varies.get(METHOD), "linestyle": varies.get(ADJOINT, varies.get(BROWNIAN))}
    plot = so.Plot(shown, x=x, y=y, color=LIBRARY, pointsize=LIBRARY, linewidth=LIBRARY, **varying)
    # Intervals of one group at one place are joined: hence a group for each curve, and for each of equal errors.
    interval: Any = so.Range(linewidth=0.9)
    alone: Any = {"legend": False, **dict.fromkeys(("marker", "linestyle", "pointsize", "linewidth"))}
    dots: Any = {} if METHOD in varies else {"marker": "o"}
    plot = plot.add(so.Path(edgecolor="white", edgewidth=0.4, **dots))
    plot = plot.add(interval, **alone, group=shown[METHOD] + shown[ADJOINT] + shown[BROWNIAN], ymin="low", ymax="high")
    if x == "cost":
        ends: Any = {"xmin": COST_ENDS[0], "xmax": COST_ENDS[1]}
        plot = plot.add(interval, **alone, group=pd.Series(shown.index), orient="y", **ends)
    return plot.scale(**looks(rows, context, names)).theme(THEME)


def draw(plot: so.Plot, on: Figure | Axes, log: str = "", **labels: str) -> list[Axes]:
    """Draw, with labels for the axes, the legend at the right of the whole figure. Returns the panels.

    log: axes ("x", "y", "xy") made logarithmic once all is drawn: seaborn takes the ends of an interval to be
    logarithms already where the scale of a plot is.
    """
    plot.on(on).label(**labels).plot()
    figure: Any = on if isinstance(on, Figure) else on.get_figure(root=True)
    for legend in figure.legends:
        legend.set_alignment("left")
        legend.set_bbox_to_anchor((1.01, 0.5), figure.transFigure)
    drawn: list[Any] = figure.axes if on is figure else [on]
    for axes in drawn:
        axes.set(**{f"{axis}scale": "log" for axis in log})
    return drawn


def finish(figure: Figure, rows: Frame, sentence: str, work: str | None = None) -> Plot:
    """Put under the figure its work (by default what its rows share), and where it was measured."""
    text = f"{shared_work(rows) if work is None else work}\n{labels.place(rows)}"
    figure.text(0.01, -0.02, text, va="top", fontsize=7.5, color="#666666")
    figure.draw_without_rendering()
    figure.set_layout_engine("none")  # laid out once, so that all renderings are alike
    return Plot(figure, sentence, rows)


def in_style(draw: Callable[..., Plot]) -> Callable[..., Plot]:
    """Draw with the settings of all figures, without changing those of the process."""

    @wraps(draw)
    def drawn(*arguments: Any) -> Plot:
        with matplotlib.rc_context(THEME):
            return draw(*arguments)

    return drawn
