"""The paper's claims beside what was measured: what it says, what the rows say, and the rows."""

import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import pandas as pd

from reports import labels
from reports.data import CHOSEN, Frame, groups, implementations, measured, solvers, work_columns
from reports.site import versus
from reports.site.versus import Ratio

PAPER = "Kidger, Foster, Li, Lyons, Efficient and Accurate Gradients for Neural SDEs, NeurIPS 2021, arXiv 2105.13493"
EXACT_METHOD = "reversible_heun"


@dataclass(frozen=True)
class Here:
    """What was measured: of whom, the number in words, the sizes; and its rows."""

    who: str
    value: str
    work: str
    rows: Frame


def _ratios(found: Iterable[Ratio], who: str) -> list[Here]:
    """One line: the range, with the works of its ends."""
    found = sorted(found, key=lambda ratio: ratio.value)
    if not found:
        return []
    ends = [found[0], found[-1]] if len(found) > 1 else found
    value = " to ".join(r.words for r in ends) + (f", {len(found)} works" if len(found) > 1 else "")
    return [Here(who, value, "; ".join(r.work for r in ends), pd.concat([r.rows for r in found]))]


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
    for work, part in groups(rows, ("method", "adjoint", "problem", "noise_type")):
        worst = part.loc[part["value"].idxmax()]
        dts = f"dt {labels.step_size(part['dt'].max())} to {labels.step_size(part['dt'].min())}"
        sizes = labels.work(worst.to_dict(), ("problem", "noise_type", "batch", "dim", "hidden", "dtype"))
        who = f"{labels.method(work['method'])}, {work['adjoint']} adjoint ({', '.join(implementations(part))})"
        found.append(Here(who, f"at most {labels.number(worst['value'])}", f"{sizes}, {dts}", part))
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


_SOLVER = "reversible Heun: up to 1.98× faster"
# (what is claimed, in the abstract's terms; what is compared; the lines of what was measured)
CLAIMS: dict[str, tuple[str, str, Callable[[Frame], list[Here]]]] = {
    "solver": (_SOLVER, "midpoint over reversible Heun, time of a gradient", solver),
    "training": (_SOLVER, "midpoint over reversible Heun, time of a training step", training),
    "brownian": ("Brownian Interval: up to 10.6× faster", "Virtual Brownian Tree over Brownian Interval", brownian),
    "clipping": (
        "weight clipping in place of a gradient penalty: up to 1.87× faster",
        "midpoint with penalty over reversible Heun with clipping, time of a training step",
        clipping,
    ),
    "error": ("gradients with almost zero error", "relative L1 distance to backpropagation", error),
    "evaluations": ("half the evaluations", "evaluations of the drift, solve alone", evaluations),
}
