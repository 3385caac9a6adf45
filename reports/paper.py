"""The paper's claims beside what was measured: what it says, what the rows say, and the rows."""

import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
import seaborn.objects as so
from matplotlib.ticker import FuncFormatter

from reports import labels, plotting, versus
from reports.data import CHOSEN, SETTING, Frame, groups, implementations, measured, solvers, work_columns
from reports.plotting import NoData, Plot
from reports.tables import Table
from reports.versus import Ratio

PAPER = "Kidger, Foster, Li, Lyons, Efficient and Accurate Gradients for Neural SDEs, NeurIPS 2021, arXiv 2105.13493"
EXACT_METHOD = "reversible_heun"


@dataclass(frozen=True)
class Here:
    """What was measured: of whom, the number in words, the sizes; its rows; and the ratios, if it is of such."""

    who: str
    value: str
    work: str
    rows: Frame
    ratios: Sequence[Ratio] = ()


def _ratios(found: Iterable[Ratio], who: str) -> list[Here]:
    """One line: the range, with the works of its ends."""
    found = sorted(found, key=lambda ratio: ratio.value)
    if not found:
        return []
    ends = [found[0], found[-1]] if len(found) > 1 else found
    value = " to ".join(r.words for r in ends) + (f", {len(found)} works" if len(found) > 1 else "")
    return [Here(who, value, "; ".join(r.work for r in ends), pd.concat([r.rows for r in found]), found)]


def solver(frame: Frame) -> list[Here]:
    """Forward and adjoint: the midpoint method with its continuous adjoint over reversible Heun with its exact one."""
    rows = measured(frame, "gradient_time")
    on = work_columns("method", *CHOSEN)
    found = []
    for name in implementations(rows):
        own = rows[rows["implementation"] == name]
        exact = own[(own["method"] == EXACT_METHOD) & (own["adjoint"] == "reversible")]
        midpoint = own[(own["method"] == "midpoint") & (own["adjoint"] == "backsolve")]
        found += _ratios(versus.divided(exact, midpoint, on), name)
    return found


def brownian(frame: Frame) -> list[Here]:
    """A Virtual Brownian Tree over a Brownian Interval of the same framework: paired where they were timed in turn,
    else one time divided by the other."""
    rows = measured(frame, "brownian_time")
    trees, intervals = (implementations(rows[rows["brownian"] == kind]) for kind in ("tree", "interval"))
    found = []
    for tree, name in itertools.product(trees, intervals):
        if versus.framework(rows, name) != versus.framework(rows, tree):
            continue
        ratios = versus.paired(frame, "brownian_time", name, tree) if name in versus.OURS.values() else []
        who = f"{tree} over {name}"
        found += _ratios(ratios or versus.compared(frame, "brownian_time", name, tree), who)
    return found


def clipping(frame: Frame) -> list[Here]:
    """A training step of the SDE-GAN: midpoint with a gradient penalty over reversible Heun with clipping."""
    return _training(frame, "midpoint-penalty", "reversible-clipping")


def training(frame: Frame) -> list[Here]:
    """A training step of the SDE-GAN, both with clipping: midpoint over reversible Heun."""
    return _training(frame, "midpoint-clipping", "reversible-clipping")


def _training(frame: Frame, slow: str, fast: str) -> list[Here]:
    on = [*work_columns("problem", "method", "steps", *CHOSEN), "seed"]  # one may have been trained for longer
    rows = measured(frame, "step_time").sort_values("steps", kind="stable")
    rows = rows.drop_duplicates(["implementation", "problem", *on], keep="last")
    found = []
    for name in implementations(rows):
        own = rows[rows["implementation"] == name]
        ours, theirs = (own[own["problem"].str.endswith(f" {which}")] for which in (fast, slow))
        found += _ratios(versus.divided(ours, theirs, on), name)
    return found


def error(frame: Frame) -> list[Here]:
    """The largest error of the adjoint gradient against backpropagation, by method and adjoint."""
    rows = solvers(measured(frame, "gradient_error"))
    found = []
    for work, part in groups(rows, ("method", "adjoint")):
        worst = part.loc[part["value"].idxmax()]
        dts = f"dt {labels.step_size(part['dt'].max())} to {labels.step_size(part['dt'].min())}"
        sizes = labels.work(worst.to_dict(), ("problem", "noise_type", "batch", "dim", "hidden", "dtype"))
        who = f"{labels.method(work['method'])}, {work['adjoint']} adjoint ({', '.join(implementations(part))})"
        number = part["problem"].nunique()
        most = f"the largest of {number} problems: " if number > 1 else ""
        found.append(Here(who, f"at most {labels.number(worst['value'])}", f"{most}{sizes}, {dts}", part))
    return found


def evaluations(frame: Frame) -> list[Here]:
    """Evaluations of the drift in a step of the solve, by method."""
    rows = solvers(measured(frame, "nfe_drift"))
    rows = rows[(rows["adjoint"] == "") & rows["method"].isin([EXACT_METHOD, "midpoint", "heun"])]
    found = []
    for work, part in groups(rows, ("method",)):
        ends = list(dict.fromkeys([part["value"].min(), part["value"].max()]))
        value = " to ".join(f"{v:.3g}" for v in ends)
        who = f"{labels.method(work['method'])} ({', '.join(implementations(part))})"
        found.append(Here(who, f"{value} a step", ", ".join(dict.fromkeys(part["problem"])), part))
    return found


@dataclass(frozen=True)
class Claim:
    """words: the abstract's; compared: of what; measure: the lines of what was measured; reported: the ratio that the
    paper has at most, of claims that are of one."""

    words: str
    compared: str
    measure: Callable[[Frame], list[Here]]
    reported: float | None = None

    @property
    def text(self) -> str:
        return self.words if self.reported is None else f"{self.words}: up to {self.reported:g}× faster"


CLAIMS: dict[str, Claim] = {
    "solver": Claim("reversible Heun", "midpoint over reversible Heun, time of a gradient", solver, 1.98),
    "training": Claim("reversible Heun", "midpoint over reversible Heun, time of a training step", training, 1.98),
    "brownian": Claim("Brownian Interval", "Virtual Brownian Tree over Brownian Interval", brownian, 10.6),
    "clipping": Claim(
        "weight clipping in place of a gradient penalty",
        "midpoint with penalty over reversible Heun with clipping, time of a training step",
        clipping,
        1.87,
    ),
    "error": Claim("gradients with almost zero error", "relative L1 distance to backpropagation", error),
    "evaluations": Claim("half the evaluations", "evaluations of the drift, solve alone", evaluations),
}


def with_training(rows: Frame, frame: Frame) -> Frame:
    """The rows of a setting, and those of trainings on the same machine."""
    same = (frame[list(SETTING)] == rows[list(SETTING)].iloc[0]).all(axis=1)
    return pd.concat([rows, frame[(frame["tool"] == "train") & same]], ignore_index=True)


def table(rows: Frame) -> Table:
    """A row for each claim: what is compared, and what was measured, of whom."""
    body = []
    for claim in CLAIMS.values():
        here = tuple(f"{found.who}: {found.value}" for found in claim.measure(rows))
        body.append(((claim.text,), (claim.compared,), here or ("not measured",)))
    return Table(("the paper", "what is compared", "here"), tuple(body))


@plotting.in_style
def figure(rows: Frame) -> Plot:
    """The ratios, work by work, and what the paper reports at most."""
    points, behind = [], []
    for claim in CLAIMS.values():
        for here in claim.measure(rows) if claim.reported else ():
            behind.append(here.rows)
            known = {"compared": _broken(claim.compared), "who": here.who, "paper": claim.reported}
            points += [known | {"value": r.value, "low": r.low, "high": r.high} for r in here.ratios]
    if not points:
        raise NoData("nothing was measured that the paper gives a ratio for.")
    shown = pd.DataFrame(points)
    panels = list(dict.fromkeys(shown["compared"]))
    drawn, across = plotting.grid(
        "Ratios of times, and what the paper reports at most", len(panels), width=4.4, columns=2
    )
    plot = so.Plot(shown, x="value", y="who").facet(col="compared", order=panels, wrap=across).share(x=False, y=False)
    plot = plot.add(so.Range(linewidth=0.9, color="#999999"), orient="y", xmin="low", xmax="high", group=shown.index)
    plot = plot.add(so.Dot(pointsize=5, color=plotting.COLOURS["sdegrad_torch"])).theme(plotting.THEME)
    for axes, name in zip(plotting.draw(plot, drawn, x="times as long", y=""), panels, strict=True):
        _axes(axes, shown.loc[shown["compared"] == name, "paper"].iloc[0])
    return plotting.finish(drawn, pd.concat(behind), "", "a point is a work, with its interval; dashed: the paper")


def _broken(text: str) -> str:
    """On lines of their own: what is compared, with what, by what."""
    return text.replace(" over ", "\nover ").replace(", time", "\ntime", 1)


def _axes(axes: Any, reported: float) -> None:
    axes.set_xscale("log", base=2)
    low, high = axes.get_xlim()
    axes.set_xlim(min(low, 0.9), max(high, 1.2 * reported))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g}"))
    axes.axvline(1, color="#444444", linewidth=1, zorder=0.5)
    axes.axvline(reported, color="#000000", linewidth=1, linestyle="--", zorder=0.5)
    axes.annotate(f" {reported:g}", (reported, 1), xycoords=("data", "axes fraction"), va="top", fontsize=8)
