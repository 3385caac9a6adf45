"""Shared by all figures: colour = implementation, marker = method, line = adjoint; legend and caption."""

import io
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import Any

import matplotlib
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from reports import words
from reports.frame import Frame, apart, groups, implementations, work_columns

# Okabe and Ito's palette, safe for the colour-blind: PyTorch warm, JAX cool, sdegrad the darker of each pair.
COLOURS = {
    "sdegrad_torch": "#D55E00",
    "torchsde": "#E69F00",
    "sdegrad_jax": "#0072B2",
    "diffrax": "#56B4E9",
    "diffrax_sdegrad": "#009E73",
    "torch_tree": "#666666",
    "torch_floor": "#999999",
    "jax_by_hand": "#999999",
}
_MORE_COLOURS = ("#CC79A7", "#000000", "#F0E442")
MARKERS = {"reversible_heun": "o", "midpoint": "s", "heun": "^", "euler": "v", "euler_heun": "D"}
MARKERS |= dict.fromkeys(("", "sequential", "doubly_sequential", "random"), "o")
_MORE_MARKERS = ("P", "X", "<", ">", "h", "*")
LINES = {"": "-", "reversible": "-", "backsolve": (0, (5, 2)), "checkpoint": (0, (1, 1.2)), "backprop": "-."}
LINES["tree"] = LINES["backsolve"]
_STRIP = 0.36  # inches under the figure for two lines of caption

RC: Any = {
    "figure.dpi": 180,
    "savefig.dpi": 180,
    "font.size": 9,
    "axes.titlesize": 9.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#555555",
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "svg.fonttype": "path",
    "text.parse_math": False,  # a dollar sign in a name is a dollar sign
    "svg.hashsalt": "sdegrad",
}


class NoData(Exception):
    """There is nothing to draw; the message says why."""


@dataclass(frozen=True)
class Plot:
    """A figure with a sentence, made from its data, that says what is seen."""

    figure: Figure
    caption: str

    def png(self) -> bytes:
        return self._save("png", {"Software": None})

    def svg(self) -> bytes:
        return self._save("svg", {"Date": None, "Creator": None})

    def _save(self, kind: str, metadata: dict[str, Any]) -> bytes:
        buffer = io.BytesIO()
        with matplotlib.rc_context(RC):
            self.figure.savefig(buffer, format=kind, metadata=metadata)
        return buffer.getvalue()


def colour(name: str, names: Sequence[str]) -> str:
    others = [n for n in names if n not in COLOURS]
    return COLOURS[name] if name in COLOURS else _MORE_COLOURS[others.index(name) % len(_MORE_COLOURS)]


def marker(method: str, context: Frame) -> str:
    others = [m for m in dict.fromkeys(context["method"]) if m not in MARKERS]
    return MARKERS[method] if method in MARKERS else _MORE_MARKERS[others.index(method) % len(_MORE_MARKERS)]


def panels(frame: Frame, *along: str) -> list[tuple[str, Frame]]:
    """The rows by what varies but is not shown `along` the axes, with what sets each apart, in words."""
    columns = apart(frame, work_columns(*along, "adjoint")) or ["method"]
    return [(words.work(part.iloc[0].to_dict(), columns), part) for _, part in groups(frame, columns)]


def shared_work(frame: Frame) -> str:
    """What all rows have in common, in words, for the caption under the figure."""
    columns = ("problem", "noise_type", "method", "batch", "dim", "hidden", "dt", "steps", "dtype")
    common = [c for c in columns if frame[c].nunique(dropna=False) == 1]
    return words.work(frame.iloc[0].to_dict(), common)


def canvas(
    title: str, number: int, *, width: float = 3.1, height: float = 2.9, columns: int = 3, **share: Any
) -> tuple[Figure, list[Axes]]:
    """A figure of `number` panels, at most `columns` in a row; sizes in inches of one panel."""
    down = math.ceil(number / columns)
    across = math.ceil(number / down)
    size = (max(width * across, 6.6), height * down + 1.1)  # wide enough for title and caption
    figure = Figure(figsize=size, layout="constrained", facecolor="white")
    axes = figure.subplots(down, across, squeeze=False, **share).ravel().tolist()
    for unused in axes[number:]:
        unused.remove()
    for lowest in axes[max(0, number - across) : number]:  # of its column: the axis shared with it is labelled here
        lowest.tick_params(labelbottom=True)
    figure.suptitle(title, x=0.01, ha="left", fontsize=11, fontweight="bold")
    _keep_free(figure, _STRIP)
    return figure, axes[:number]


def series(axes: Axes, rows: Frame, x: str, y: str, *, context: Frame, label: str | None = None) -> None:
    """One line: one implementation, method and adjoint, with its intervals where it has them.

    Later implementations are drawn smaller and thinner, so that those beneath are seen where they coincide.
    """
    rows = rows.sort_values("dt" if x == "cost" else x)  # along the sweep, also where the cost does not grow
    first = rows.iloc[0]
    names = implementations(context)
    rank = names.index(first["implementation"])
    axes.errorbar(
        rows[x],
        rows[y],
        xerr=bounds(rows, x) if x == "cost" else None,
        yerr=bounds(rows, y),
        label=label,
        color=colour(first["implementation"], names),
        marker=marker(first["method"], context),
        markersize=max(4.0, 7.5 - 1.1 * rank),
        linewidth=max(1.1, 1.9 - 0.25 * rank),
        linestyle=LINES.get(first["adjoint"], "-"),
        elinewidth=0.9,
        markeredgecolor="white",
        markeredgewidth=0.4,
    )


def bounds(rows: Frame, of: str) -> np.ndarray | None:
    """Distances of `of` ("cost", or a value) down and up to its interval, [2, rows]; zero for none."""
    low, high = ("cost_low", "cost_high") if of == "cost" else ("low", "high")
    if low not in rows:
        return None
    down, up = rows[of] - rows[low], rows[high] - rows[of]
    return np.stack([down.clip(lower=0).fillna(0), up.clip(lower=0).fillna(0)])


def legend(figure: Figure, rows: Frame, context: Frame, *, by: str, extra: Sequence[Artist] = ()) -> None:
    """One legend under the panels, `by` "implementation" (colour), "method" (marker), "adjoint" (line)."""
    methods = [m for m in dict.fromkeys(rows["method"]) if m]
    adjoints = [a for a in dict.fromkeys(rows["adjoint"]) if a]
    names = implementations(context)
    grey = "#444444"
    handles: list[Artist] = []
    if "implementation" in by:
        handles += [Line2D([], [], color=colour(n, names), linewidth=4, label=n) for n in implementations(rows)]
    if "method" in by and len(methods) > 1:
        markers = [(words.method(m), marker(m, context)) for m in methods]
        handles += [Line2D([], [], color=grey, marker=m, markersize=6, linestyle="none", label=t) for t, m in markers]
    if "adjoint" in by and adjoints:
        handles += [Line2D([], [], color=grey, linestyle=LINES.get(a, "-"), label=words.adjoint(a)) for a in adjoints]
    handles += extra
    down = math.ceil(len(handles) / (figure.get_figwidth() / 1.5))
    across = math.ceil(len(handles) / down)
    figure.legend(
        handles=handles,
        ncols=across,
        handlelength=1.9,
        loc="lower center",
        bbox_to_anchor=(0.5, _STRIP / figure.get_figheight()),
    )
    _keep_free(figure, _STRIP + 0.1 + 0.19 * down)


def _keep_free(figure: Figure, inches: float) -> None:
    """Lay the panels out above a strip of this height."""
    share = inches / figure.get_figheight()
    figure.get_layout_engine().set(rect=(0, share, 1, 1 - share))  # pyright: ignore


def finish(figure: Figure, rows: Frame, sentence: str, work: str | None = None) -> Plot:
    """Put under the figure its work (by default what its rows share), and where it was measured."""
    for axes in figure.axes:
        if not axes.xaxis.get_tick_params()["labelbottom"]:  # a panel below has the axis
            axes.set_xlabel("")
    text = f"{shared_work(rows) if work is None else work}\n{words.place(rows)}"
    figure.text(0.01, 0.04 / figure.get_figheight(), text, va="bottom", fontsize=7.5, color="#666666")
    figure.draw_without_rendering()
    figure.set_layout_engine("none")  # laid out once, so that all renderings are alike
    return Plot(figure, sentence)


def in_style(draw: Callable[..., Plot]) -> Callable[..., Plot]:
    """Draw with the settings of all figures, without changing those of the process."""

    @wraps(draw)
    def drawn(*arguments: Any) -> Plot:
        with matplotlib.rc_context(RC):
            return draw(*arguments)

    return drawn
