"""Axes of figures: logarithms, bytes and step sizes, labelled as they are read."""

import math
from collections.abc import Iterable
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullFormatter, NullLocator

from reports import labels


def log_axis(axis: Any, unit: str | None = None) -> None:
    """Label an axis with logarithmic scale: each decade, and 2 and 5 between them where there are few."""
    axis.set_minor_formatter(NullFormatter())
    low, high = axis.get_view_interval()
    if high < 50 * low:
        axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.set_major_formatter(FuncFormatter(lambda v, _: unit_text(v, unit) if unit else _decimal(v)))


def _decimal(v: float) -> str:
    exponent = math.floor(math.log10(v) + 1e-9)
    factor = round(v / 10.0**exponent)
    power = f"10{_raised(exponent)}"
    return f"{v:g}" if 0 <= exponent < 5 else power if factor == 1 else f"{factor} × {power}"


def bytes_axis(axis: Any, values: Iterable[float]) -> None:
    """Ticks at powers of two around the values, at most eight of them."""
    exponents = [math.log2(v) for v in values]
    first, last = math.floor(min(exponents)), math.ceil(max(exponents))
    stride = max(1, math.ceil((last - first) / 7))
    axis.set_major_locator(FixedLocator([2.0**k for k in range(first, last + 1, stride)]))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda v, _: unit_text(v, "B")))


def step_axis(axes: Axes, dts: Iterable[float]) -> None:
    """Step sizes on a log axis: powers of two as such if they all are."""
    values = sorted(set(dts))
    axes.set_xscale("log", base=2)
    axes.set_xlabel("step size dt")
    if len(values) > 8:
        values = values[::2]
    axes.xaxis.set_major_locator(FixedLocator(values))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda v, _: _power(v)))


def _power(v: float) -> str:
    k = math.log2(v)
    return f"2{_raised(round(k))}" if abs(k - round(k)) < 1e-9 else f"{v:g}"


def _raised(exponent: int) -> str:
    return f"{exponent}".translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))


def unit_text(value: float, unit: str) -> str:
    divisor, name = labels.scale(value * (1 + 1e-9), unit)
    return f"{value / divisor:g} {name}"
