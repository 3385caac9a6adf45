"""Where the times of a query lie on the grid of a Brownian motion."""

import math
from typing import NamedTuple

from sdegrad.grid import EPS64, Grid, covers
from sdegrad.torch.brownian.base import QueryOrderError, TimeLike, number, relative_spacing
from sdegrad.torch.warn import warn


class Place(NamedTuple):
    """A query time t: grid time k if on_grid, else a time inside cell k."""

    t: float
    k: int
    on_grid: bool


def located(grid: Grid, ta: TimeLike, tb: TimeLike, outside: str) -> tuple[Place, Place]:
    """Both ends of a query. QueryOrderError if they are in the wrong order; outside the grid, ValueError or a warning,
    as `outside` says."""
    floats = type(ta) is float and type(tb) is float
    eps = EPS64 if floats else max(relative_spacing(ta), relative_spacing(tb))
    start, end = _place(grid, number("ta", ta), eps, outside), _place(grid, number("tb", tb), eps, outside)
    if start.t > end.t and not (start.on_grid and end.on_grid and start.k == end.k):
        raise QueryOrderError(f"a query needs ta <= tb, got ta={start.t}, tb={end.t}; exchange them and negate W.")
    return start, end


def _place(grid: Grid, t: float, eps: float, outside: str) -> Place:
    if not (grid.t0 <= t <= grid.t1 or covers(grid.t0, grid.t1, t, eps)):
        if math.isnan(t):
            raise ValueError("a query time is NaN; pass finite times.")
        sentence = f"the query at {t} is outside [t0, t1] = [{grid.t0}, {grid.t1}]"
        if outside == "error":
            raise ValueError(f'{sentence}; make a BrownianInterval that covers it, or pass outside="clamp".')
        warn(f"{sentence}, and taken to be the end.")
    return Place(t, *grid.locate(t, eps))
