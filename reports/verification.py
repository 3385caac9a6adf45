"""What became of the claims: a page with the matrix of claims by library, and a page for each failure.

python -m reports.verification [reports/out/verification.csv] [--out FOLDER]
"""

import argparse
import json
import math
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.patches import Patch
from matplotlib.ticker import PercentFormatter

from reports import labels, pages, plotting, ticks
from reports.claims import UNDECIDED, Claims, Row, is_control, measured, misjudged, read, summary
from reports.plotting import Plot
from suite.results import ResultsError

DEFAULT = Path("reports/out/verification.csv")
PAGE, PAGES = "verification.html", "verification"  # the matrix, and the folder of the failures

SHADES = {"inconclusive": "#e8a33d", "unsupported": "#dedede"}  # of what is neither held nor failed
# verdict -> its sign, the worst last
SIGNS = {"unsupported": "–", "measured": "∿", "exceeds": "↑", "holds": "✓", "inconclusive": "?", "fails": "✗"}


@dataclass(frozen=True)
class Cell:
    """What is said of one claim and one library. page: of its failure; empty where there is none."""

    verdict: str
    sign: str
    measured: str
    page: str


def check_of(row: Row) -> str:
    return row["check"] or "claims"


def page_of(row: Row) -> str:
    return f"{row['place']}-{labels.file_name(row['implementation'])}.html"


def _counts(row: Row) -> bool:
    return not is_control(row) and row["verdict"] not in UNDECIDED


def matrix(claims: Claims) -> list[tuple[tuple[str, str, str], dict[str, list[Cell]]]]:
    """((check, subject, claim), {implementation: cells}) in the order of the file. A claim may be stated twice."""
    lines: dict[tuple[str, str, str], dict[str, list[Cell]]] = {}
    for row in claims:
        if is_control(row):
            continue
        line = lines.setdefault((check_of(row), row["subject"], row["claim"]), {})
        page = page_of(row) if row["verdict"] == "fails" else ""
        cell = Cell(row["verdict"], SIGNS.get(row["verdict"], row["verdict"]), measured(row), page)
        line.setdefault(row["implementation"], []).append(cell)
    return list(lines.items())


@plotting.in_style
def overview(claims: Claims) -> Plot:
    """By check and library: how many of the claims that are decided hold, coloured by their share. What is inconclusive
    and what a library does not support take their part of a cell, each in a shade of its own."""
    stated = [row for row in claims if not is_control(row)]
    checks = list(dict.fromkeys(map(check_of, stated)))
    names = list(dict.fromkeys(row["implementation"] for row in stated))
    counts = Counter((check_of(row), row["implementation"], row["verdict"]) for row in stated)
    figure = plotting.canvas("Claims that hold, by check and library", 2.6 + 1.25 * len(names), 1.4 + 0.3 * len(checks))
    axes, colours = figure.subplots(), sns.color_palette("cividis", as_cmap=True)
    for (y, check), (x, name) in product(enumerate(checks), enumerate(names)):
        _cell(axes, colours, x, y, {verdict: counts[check, name, verdict] for verdict in SIGNS})
    axes.set(xlim=(0, len(names)), ylim=(len(checks) - 0.5, -0.5))
    axes.set_xticks(np.arange(len(names)) + 0.5, names)
    axes.set_yticks(range(len(checks)), checks)
    axes.tick_params(left=False, bottom=False)
    axes.grid(False)
    sns.despine(ax=axes, left=True, bottom=True)
    bar = figure.colorbar(ScalarMappable(cmap=colours), ax=axes, label="share that holds of what is decided")
    bar.ax.yaxis.set_major_formatter(PercentFormatter(1.0))
    figure.legend(
        handles=[Patch(color=shade, label=word) for word, shade in SHADES.items()], loc="outside lower left", ncols=2
    )
    return Plot(figure, f"{summary(claims)} What a library does not support is not counted.")


def _cell(axes: Axes, colours: Any, x: float, y: int, of: Mapping[str, int]) -> None:
    """The cell from x to x + 1, divided in proportion to what is decided, inconclusive and unsupported."""
    held = of["holds"] + of["exceeds"]
    decided = held + of["fails"]
    total = decided + sum(of[verdict] for verdict in SHADES)
    if not total:
        return
    parts = [(decided, colours(held / max(decided, 1))), *((of[verdict], shade) for verdict, shade in SHADES.items())]
    left = x
    for count, shade in parts:
        axes.barh(y, 0.98 * count / total, left=left, height=0.94, color=shade, linewidth=0)
        left += 0.98 * count / total
    words = f"{held} of {decided}" + f", {of['inconclusive']}?" * bool(of["inconclusive"])
    dark = decided / total > 0.4 and held < 0.6 * decided
    axes.text(
        x + 0.49,
        y,
        words if held + of["fails"] + of["inconclusive"] else "–",
        ha="center",
        va="center",
        color="white" if dark else "#222222",
    )


@plotting.in_style
def evidence(row: Row) -> Plot:
    """The curve that a verdict was read from, with the slope that is claimed. NoData where it has no point to show."""
    found = json.loads(row["curve"])
    x, y, low, high = (np.array(found[name], dtype=float) for name in ("x", "y", "low", "high"))
    figure = plotting.canvas(f"{row['implementation']}: {row['subject']}", 5.0, 3.4)
    axes = figure.subplots()
    shown = (x > 0) & (y > 0) & np.isfinite(x * y)
    if not shown.any():
        raise plotting.NoData("nothing that a logarithmic axis can show")
    colour = plotting.COLOURS.get(row["implementation"], "#444444")
    sns.lineplot(x=x[shown], y=y[shown], ax=axes, color=colour, marker="o", label="measured")
    if (low < high).any():
        axes.fill_between(x[shown], np.maximum(low[shown], 1e-300), high[shown], color=colour, alpha=0.2, linewidth=0)
    slope = float(found["slope"])
    if not math.isnan(slope):
        ends = np.array([x[shown].min(), x[shown].max()])
        axes.plot(ends, y[shown].max() * (ends / ends.max()) ** slope, "k--", label=f"claimed: order {slope:g}")
    axes.set(xscale="log", yscale="log", xlabel=found["x_label"], ylabel=found["y_label"])
    if min(y[shown].max() / y[shown].min(), x[shown].max() / x[shown].min()) > 1:
        ticks.log_axis(axes.xaxis)
        ticks.log_axis(axes.yaxis)
    axes.legend()
    return Plot(figure, f"{found['y_label']} against {found['x_label']}: measured {measured(row)}.")


def write(claims: Claims, out: Path, **around: Any) -> Path:
    """The page of the matrix and a page for each failure, in place of earlier ones. Returns the path of the first.

    around: the layout of the pages, and what it needs; from a page the root is where its `root` says.
    """
    failures = [row for row in claims if row["verdict"] == "fails" and not is_control(row)]
    libraries = list(dict.fromkeys(row["implementation"] for row in claims if not is_control(row)))
    controls = [row for row in claims if is_control(row) and row["verdict"] != "unsupported"]
    folder = out / PAGES
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.html"):
        old.unlink()
    for row in failures:
        text = pages.render("failure.html", root="../", row=_shown(row), plot=_evidence(row), back=PAGE, **around)
        (folder / page_of(row)).write_text(text, encoding="utf-8")
    counted = Counter(row["verdict"] for row in claims if not is_control(row))
    page = pages.render(
        "verification.html",
        root="",
        counted={verdict: counted[verdict] for verdict in SIGNS if counted[verdict]},
        signs=SIGNS,
        plot=_svg(overview(claims)) if any(map(_counts, claims)) else None,
        libraries=libraries,
        lines=matrix(claims),
        failures=[(row, page_of(row), measured(row)) for row in failures],
        figures=[(row, measured(row), _evidence(row)) for row in claims if row["verdict"] == "measured"],
        folder=PAGES,
        controls=len(controls),
        misjudged=[row for row in controls if misjudged(row)],
        **around,
    )
    index = out / PAGE
    index.write_text(page, encoding="utf-8")
    return index


def _evidence(row: Row) -> Mapping[str, str] | None:
    try:
        return _svg(evidence(row)) if row["curve"] else None
    except plotting.NoData:
        return None


def _svg(plot: Plot) -> Mapping[str, str]:
    return {"image": plotting.embedded(plot), "caption": plot.caption}


def _shown(row: Row) -> Mapping[str, str]:
    return {**row, "script": json.loads(row["script"]) if row["script"] else "", "shown": measured(row)}


def main(arguments: Sequence[str] | None = None) -> int:
    """0: the pages are written; 2: the file cannot be used, and nothing was written."""
    parser = argparse.ArgumentParser(prog="python -m reports.verification", description=__doc__)
    parser.add_argument("verification", nargs="?", type=Path, default=DEFAULT, help="default: %(default)s")
    parser.add_argument("--out", type=Path, help="default: the folder of the file")
    options = parser.parse_args(arguments)
    try:
        page = write(read(options.verification), options.out or options.verification.parent)
    except ResultsError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"report: {page}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
