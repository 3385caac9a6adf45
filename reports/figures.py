"""The table of figures, and the one for the README. A figure without data is left out, with the reason."""

import itertools
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from reports import accuracy, cost, labels, plotting, sweeps
from reports.data import (
    CHOSEN,
    STEPPING,
    Frame,
    apart,
    groups,
    implementations,
    measured,
    number_of,
    solvers,
    standalone,
    work_columns,
)
from reports.plotting import NoData, Plot
from reports.tables import HEADLINE_METHOD


def _ratios(rows: Frame) -> Frame:
    """The ratios that say something: not those of sdegrad to itself."""
    return standalone(rows[~rows["implementation"].str.startswith("sdegrad")])


def _given(rows: Frame) -> Frame:
    """What was measured on a given path, at several steps."""
    return rows[rows["noise_source"] == "given"]


def _constant(rows: Frame) -> Frame:
    return rows[rows["rtol"].isna()]


MOST, MOST_VALUES = 8, 500  # figures of a kind, values of a figure


@dataclass(frozen=True)
class Spec:
    """A figure: how it is drawn, of which measures, by which columns it falls into several, of which rows; and the
    column along its curves, if it has curves."""

    draw: Callable[[Frame, Frame], Plot]
    measures: Sequence[str]
    split: Sequence[str]
    pick: Callable[[Frame], Frame] = lambda rows: rows
    along: str = ""


_BY_WORK = work_columns(*STEPPING, "method", *CHOSEN)
_BY_PROBLEM = ("problem", "noise_type")


def _time(measure: str, title: str) -> Spec:
    return Spec(lambda rows, frame: cost.by_size(rows, frame, title), (measure,), _BY_PROBLEM, standalone)


def _ratio(measure: str, title: str) -> Spec:
    return Spec(lambda rows, frame: cost.ratios(rows, frame, title), (measure,), _BY_PROBLEM, _ratios)


FIGURES: dict[str, Spec] = {
    "gradient_error": Spec(accuracy.gradient_error, ("gradient_error",), _BY_WORK, _given, along="dt"),
    "gradient_time": _time("gradient_time", "Time of a gradient, forward and backward, by size"),
    "gradient_time_ratio": _ratio(
        "gradient_time_ratio", "Time of a gradient relative to sdegrad in the same framework"
    ),
    "gradient_memory": Spec(cost.gradient_memory, ("gradient_memory",), _BY_PROBLEM, _constant, along="steps"),
    "long_gradients": Spec(sweeps.long_gradients, ("gradient_cpu_time",), _BY_PROBLEM, along="steps"),
    "work_precision_gradient": Spec(
        accuracy.work_precision_gradient, ("gradient_error",), _BY_WORK, _given, along="dt"
    ),
    "strong_error": Spec(accuracy.strong_error, ("strong_error",), _BY_WORK, along="dt"),
    "work_precision_strong": Spec(accuracy.work_precision_strong, ("strong_error",), _BY_WORK, along="dt"),
    "work_precision_weak": Spec(accuracy.weak_by_evaluations, ("weak_error",), _BY_WORK, accuracy.paired, along="dt"),
    "weak_error_time": Spec(accuracy.weak_by_time, ("weak_error",), _BY_WORK, accuracy.paired, along="dt"),
    "paths_per_second": Spec(
        sweeps.paths_per_second, ("solve_time",), ("dt", "steps"), sweeps.ensembles, along="batch"
    ),
    "solve_time": _time("solve_time", "Time of a solve by size"),
    "solve_time_ratio": _ratio("solve_time_ratio", "Time of a solve relative to sdegrad in the same framework"),
    "evaluations": Spec(cost.evaluations, accuracy.COUNTS, ()),
    "brownian_time": _time("brownian_time", "Time of Brownian motion by size"),
    "brownian_time_ratio": _ratio(
        "brownian_time_ratio", "Time of Brownian motion relative to sdegrad in the same framework"
    ),
}


def draw(frame: Frame) -> tuple[dict[str, Plot], dict[str, str]]:
    """All figures of one setting by name, and of those left out the reason."""
    drawn: dict[str, Plot] = {}
    left_out: dict[str, str] = {}
    for name, spec in FIGURES.items():
        rows = spec.pick(measured(frame, *spec.measures))
        if rows.empty:
            left_out[name] = f"no {', '.join(spec.measures)} was measured that belongs here."
            continue
        columns = apart(rows, spec.split)
        number = number_of(rows, columns)
        for work, part in itertools.islice(groups(rows, columns), MOST) if columns else [({}, rows)]:
            full = _name(name, work, {*drawn, *left_out})
            try:
                drawn[full] = _drawn(spec, part, frame)
            except NoData as reason:
                left_out[full] = str(reason)
        if number > MOST:
            left_out[f"{name}, {number - MOST} more"] = f"of {number} works the first {MOST} are drawn."
    return drawn, left_out


def _name(figure: str, work: Mapping[str, Any], taken: Collection[str]) -> str:
    """The name of a figure and its files, unlike all that are taken, also where capitals are the same as others."""
    full = labels.file_name("-".join([figure, *(labels.plain(v) for v in work.values())]))
    lower = {name.lower() for name in taken}
    names = itertools.chain([full], (f"{full}-{k}" for k in itertools.count(2)))
    return next(n for n in names if n.lower() not in lower)


def _drawn(spec: Spec, rows: Frame, frame: Frame) -> Plot:
    if len(rows) > MOST_VALUES:
        raise NoData(f"{len(rows)} values are too many to be told apart; at most {MOST_VALUES} are drawn.")
    if spec.along and rows[spec.along].nunique() < 2:
        raise NoData(f"a curve needs two values of {spec.along} or more, and there is one.")
    return spec.draw(rows, frame)


@plotting.in_style
def headline(frame: Frame) -> Plot:
    """How fast and how exact: gradient times relative to sdegrad, and gradient errors against their time."""
    ratios = solvers(_ratios(measured(frame, "gradient_time_ratio")))
    ratios = ratios[ratios["method"] == HEADLINE_METHOD]
    errors = accuracy.timed(measured(frame, "gradient_error"), frame)
    if ratios.empty or errors.empty:
        raise NoData("the headline needs gradient_time_ratio of reversible Heun, and timed gradient_error rows.")
    _, ratios = next(groups(ratios, _BY_PROBLEM))
    _, errors = next(groups(errors, _BY_WORK))
    names = [n for n in implementations(frame) if n in {*ratios["implementation"], *errors["implementation"]}]
    works = number_of(ratios, work_columns(*CHOSEN))
    figure = plotting.canvas("Gradients of neural SDEs: how fast, how exact", 10.0, max(3.9, 1.0 + 0.3 * works))
    left, right = figure.subplots(1, 2)
    cost.ratio_panel(left, ratios.assign(goal=float("nan")), frame, legend=False)
    left.set_title("Time of a gradient with reversible Heun")
    accuracy.precision_panel(right, errors, frame, names)
    right.set_title("Error of a gradient against its time")
    work = f"left: {plotting.shared_work(ratios)}; right: {plotting.shared_work(errors)}"
    return replace(plotting.finish(figure, ratios, "", work), rows=pd.concat([ratios, errors]))
