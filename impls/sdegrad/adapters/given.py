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


def grid_index(grid: Grid, t: float, eps: float = EPS64) -> int:
    """k such that t is grid time k up to rounding in the dtype whose spacing at 1 is eps; else ValueError."""
    index = grid.index(t, eps) if math.isfinite(t) else None
    if index is not None:
        return index
    inside = grid.t0 if math.isnan(t) else min(max(t, grid.t0), grid.t1)
    near = grid.time(round((inside - grid.t0) / grid.dt))
    raise ValueError(
        f"the given Brownian path was asked at t={t!r}, which is not on its grid (nearest: {near!r}, spacing "
        f"{grid.dt!r}); use a step size that is a multiple of the spacing, or the library's own noise."
    )
