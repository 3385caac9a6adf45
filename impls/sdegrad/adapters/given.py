"""A given path: where on it a query falls and what it answers, one definition for every framework.

Over [s, t] of length h, W is the increment, U the integral of W(u) - W(s), and H = U/h - W/2 the space-time Levy area.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from sdegrad.contract import Path
from sdegrad.grid import EPS64, Grid

At = Callable[[Any], Any]
"""The values at the grid time of this index, in a framework's own arrays; the index may be traced."""


@dataclass(frozen=True)
class GivenPath:
    """W(t) and the integral of W up to t, on a grid, in arrays of any framework. Intervals are pairs (a, b) of grid
    indices, in either order."""

    grid: Grid
    W: At
    integral: At

    def increment(self, a: Any, b: Any) -> Any:
        return self.W(b) - self.W(a)

    def area(self, a: Any, b: Any) -> Any:
        """U over [a, b]."""
        return self.integral(b) - self.integral(a) - (b - a) * self.grid.dt * self.W(a)

    def levy(self, a: Any, b: Any) -> Any:
        """H over [a, b]; zero where a = b."""
        cells = (b - a) + (a == b)
        return self.area(a, b) / (cells * self.grid.dt) - self.increment(a, b) / 2


def path_grid(path: Path) -> Grid:
    """The uniform grid that a given path lives on."""
    times = np.asarray(path.times)
    steps = len(times) - 1
    return Grid(float(times[0]), float(times[-1]), float(times[-1] - times[0]) / steps, steps)


def is_time(grid: Grid, t: Any, k: Any, at: Any, eps: float) -> Any:
    """Whether a library that adds up its steps means by `t` the grid time k, which is `at`: within (k + 8) ulp, and
    1/16 of a step. Numbers or arrays.
    """
    apart = abs(t - at)
    return (apart <= (k + 8) * eps * max(abs(grid.t0), abs(grid.t1))) & (apart <= grid.dt / 16)


def grid_index(grid: Grid, t: float, eps: float = EPS64) -> int:
    """k such that t means grid time k (`is_time`) in the dtype whose spacing at 1 is eps; else ValueError."""
    k = grid.nearest(t) if math.isfinite(t) else 0
    near = grid.time(k)
    if is_time(grid, t, k, near, eps):
        return k
    raise ValueError(
        f"the given Brownian path was asked at t={t!r}, which is not on its grid (nearest: {near!r}, spacing "
        f"{grid.dt!r}); use a step size that is a multiple of the spacing, or the library's own noise."
    )
