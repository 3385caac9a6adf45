"""Two implementations at the same work: how many times as much the one takes as the other, row by row."""

from dataclasses import dataclass

import pandas as pd

from reports import labels
from reports.data import BOUNDS, CHOSEN, Frame, implementations, keys, measured, varying, work_columns

INSIDE = "diffrax_sdegrad"  # diffrax with our parts in it: neither ours nor a rival
OURS = {"torch": "sdegrad_torch", "jax": "sdegrad_jax"}  # by the first word of `framework`
_WORK, _SIZE = work_columns(*CHOSEN), ["batch", "dim", "hidden"]


@dataclass(frozen=True)
class Ratio:
    """value: the rival's in units of ours; low, high: its interval, or NaN; work: in words; rows: those behind it."""

    ours: str
    rival: str
    value: float
    low: float
    high: float
    work: str
    rows: Frame

    @property
    def words(self) -> str:
        return f"{labels.number(self.value)}×{labels.interval(self.low, self.high)}"

    @property
    def is_loss(self) -> bool:
        """Whether the rival may be as good: its ratio, or the lower end of that, is not above one."""
        return not (self.low if self.low == self.low else self.value) > 1


def framework(frame: Frame, implementation: str) -> str:
    return frame.loc[frame["implementation"] == implementation, "framework"].iloc[0].partition(" ")[0]


def pairs(frame: Frame, *, bounds: bool = False) -> list[tuple[str, str]]:
    """(ours, rival) of one framework: other libraries, or the bounds to compare with."""
    found = []
    for name in implementations(frame):
        ours = OURS.get(framework(frame, name))
        if ours and name not in (*OURS.values(), INSIDE) and (name in BOUNDS) == bounds:
            found.append((ours, name))
    return found


def paired(frame: Frame, measure: str, ours: str, rival: str) -> list[Ratio]:
    """From the rows of `measure`_ratio: times of one run, round by round."""
    rows = measured(frame, f"{measure}_ratio")
    rows = rows[rows["implementation"] == rival]
    times = measured(frame, measure)
    times = times[times["implementation"].isin([ours, rival])]
    at: dict[tuple, list[int]] = {}
    for place, work in enumerate(keys(times, _WORK)):
        at.setdefault(work, []).append(place)
    told, found = _told(rows), []
    for work, (label, row) in zip(keys(rows, _WORK), rows.iterrows(), strict=True):
        behind = pd.concat([rows.loc[[label]], times.iloc[at.get(work, [])]])
        found.append(Ratio(ours, rival, row["value"], row["low"], row["high"], _words(row, told), behind))
    return found


def divided(mine: Frame, others: Frame, on: list[str] | None = None) -> list[Ratio]:
    """Rows of two implementations, or of two ways of one, divided where all columns `on` are equal (default: the
    work). Intervals are as wide as the ends allow."""
    on = _WORK if on is None else on
    mine, others = (rows.drop_duplicates(on, keep="last") for rows in (mine, others))
    known = dict(zip(keys(mine, on), range(len(mine)), strict=True))
    told, found = _told(others), []
    for work, (place, row) in zip(keys(others, on), others.iterrows(), strict=True):
        if work in known and mine.iloc[known[work]]["value"] > 0:
            base = mine.iloc[known[work]]
            ends = (row["value"] / base["value"], row["low"] / base["high"], row["high"] / base["low"])
            rows = pd.concat([mine.iloc[[known[work]]], others.loc[[place]]])
            found.append(Ratio(base["implementation"], row["implementation"], *ends, _words(row, told), rows))
    return found


def compared(frame: Frame, measure: str, ours: str, rival: str) -> list[Ratio]:
    """Values of two implementations divided, whatever adjoint or Brownian motion each chose."""
    rows = measured(frame, measure)
    return divided(*(rows[rows["implementation"] == name] for name in (ours, rival)))


def _told(rows: Frame) -> list[str]:
    """The columns that say which of these works one is."""
    sizes = varying(rows, _SIZE) or _SIZE
    rest = varying(rows, ("problem", "noise_type", "access", "steps", "dt", "rtol", "noise_source", "compiled"))
    return [*rest[:2], *sizes, *rest[2:]]


def _words(row: Frame, columns: list[str]) -> str:
    return labels.work(row.to_dict(), columns)
