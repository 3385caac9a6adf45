"""Where on a given path a query falls, the same for every framework."""

from typing import Any

import numpy as np

from sdegrad.contract import Path
from sdegrad.grid import Grid


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


def off_grid(t: float, grid: Grid) -> ValueError:
    near = grid.time(grid.nearest(t))
    return ValueError(
        f"the given Brownian path was asked at t={t!r}, which is not on its grid (nearest: {near!r}, spacing "
        f"{grid.dt!r}); use a step size that is a multiple of the spacing, or the library's own noise."
    )
