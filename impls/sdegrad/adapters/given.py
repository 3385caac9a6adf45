"""Where on a given path a query falls, the same for every framework."""

import numpy as np

from sdegrad.contract import Path
from sdegrad.grid import Grid


def path_grid(path: Path) -> Grid:
    """The uniform grid that a given path lives on."""
    times = np.asarray(path.times)
    steps = len(times) - 1
    return Grid(float(times[0]), float(times[-1]), float(times[-1] - times[0]) / steps, steps)


def off_grid(t: float, grid: Grid) -> ValueError:
    near = grid.time(min(max(round((t - grid.t0) / grid.dt), 0), grid.steps))
    return ValueError(
        f"the given Brownian path was asked at t={t!r}, which is not on its grid (nearest: {near!r}, spacing "
        f"{grid.dt!r}); use a step size that is a multiple of the spacing, or the library's own noise."
    )
