"""Results as a tidy pandas frame: numbers as numbers, the rows that count, and which columns tell work apart.

Figures and tables show one setting (machine, device, threads) at a time and never mix rows of different work.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from suite import results

# What pandas infers is a union of everything it might return, which no checker can follow.
Frame = Any  # pandas.DataFrame with the columns of suite.results
Row = Any  # pandas.Series, one row of it

SETTING = ("machine", "device", "threads")
SIZE = ("batch", "dim", "noise_dim", "hidden")
STEPPING = ("dt", "steps", "rtol", "atol")
# What each library chose of what the work allows; side by side they may differ.
CHOSEN = ("adjoint", "brownian")
# How a row was obtained, not what was measured: two works never differ in these alone.
PROVENANCE = ("problem_version", "seed", "samples")
NUMBERS = ("threads", *SIZE, *STEPPING, "outputs", "seed", "samples", "value", "low", "high")

# The order in which implementations are shown; others follow in order of appearance.
ORDER = ("sdegrad_torch", "torchsde", "sdegrad_jax", "diffrax", "diffrax_sdegrad")
# Bounds to compare the solvers with: in the figures and the page, not in the headline.
BOUNDS = ("torch_floor", "jax_by_hand", "numpy_by_hand", "torch_tree")


def tidy(rows: Iterable[Mapping[str, str]]) -> Frame:
    """The latest of each checked row, with the columns of `suite.results`; numeric columns as float, NaN where empty.

    ResultsError where there are no rows.
    """
    frame = pd.DataFrame(results.latest(rows), columns=list(results.COLUMNS), dtype=str)
    if frame.empty:
        raise results.ResultsError("the results file has a header but no rows; run `nox -s bench` again.")
    return frame.assign(**{column: frame[column].map(lambda cell: float(cell or "nan")) for column in NUMBERS})


def settings(frame: Frame) -> list[Frame]:
    """The rows to be shown, by machine, device and number of threads: of several runs the last one counts.

    The suite's own runner speaks where it has run; rows of other tools stand in only where it has not.
    """
    own = frame[frame["tool"] == "harness"]
    shown = own if len(own) else frame
    key = [*(c for c in results.KEY if c not in ("run", "samples")), *SETTING]
    shown = shown.drop_duplicates(key, keep="last")
    return [part for _, part in shown.groupby(list(SETTING), dropna=False, sort=False)]


def measured(frame: Frame, *measures: str) -> Frame:
    """The rows of these measures that have a value."""
    return frame[frame["measure"].isin(measures) & (frame["status"] == "ok") & frame["value"].notna()]


def implementations(frame: Frame) -> list[str]:
    present = list(dict.fromkeys(frame["implementation"]))
    return [i for i in ORDER if i in present] + [i for i in present if i not in ORDER]


def solvers(frame: Frame) -> Frame:
    return frame[~frame["implementation"].isin(BOUNDS)]


def groups(frame: Frame, columns: Sequence[str]) -> Iterator[tuple[dict, Frame]]:
    """Each combination of these columns, in order of appearance, and its rows. Empty matches empty."""
    places: dict[tuple, list[int]] = {}
    for place, values in enumerate(keys(frame, columns)):
        places.setdefault(values, []).append(place)
    for values, where in places.items():
        yield dict(zip(columns, values, strict=True)), frame.iloc[where]


def keys(frame: Frame, columns: Sequence[str]) -> Iterator[tuple]:
    """The values of these columns, row by row; all that are missing are the one `math.nan`, and so alike."""
    return zip(*([v if v == v else math.nan for v in frame[c].tolist()] for c in columns), strict=True)


def varying(frame: Frame, columns: Iterable[str]) -> list[str]:
    return [c for c in columns if frame[c].nunique(dropna=False) > 1]


def apart(frame: Frame, columns: Iterable[str]) -> list[str]:
    """The first few of these columns that vary, as many as tell the same groups apart as all of them."""
    candidates = varying(frame, columns)
    number = number_of(frame, candidates)
    return next(candidates[:n] for n in range(len(candidates) + 1) if number_of(frame, candidates[:n]) == number)


def number_of(frame: Frame, columns: list[str]) -> int:
    """How many combinations of these columns there are."""
    return len(frame[columns].drop_duplicates()) if columns else 1


def work_columns(*without: str) -> list[str]:
    """The columns that tell work apart, less these."""
    return [c for c in results.WORK if c not in without and c not in PROVENANCE]


def standalone(frame: Frame) -> Frame:
    """Without what was measured beside an error, on the path given for it, and drawn against that error."""
    return frame[frame["noise_source"] != "given"]


def join(errors: Frame, costs: Frame) -> Frame:
    """The error rows with the `cost` (and its bounds) of the same implementation at the same work."""
    columns = ["implementation", *work_columns()]
    costs = costs.drop_duplicates(columns, keep="last")[[*columns, "value", "low", "high"]]
    costs = costs.rename(columns={"value": "cost", "low": "cost_low", "high": "cost_high"})
    return errors.merge(costs, on=columns)
