"""The integer grid of constant steps, shared by every solver: times are computed from the index, never accumulated.

Grid time k is t0 + k dt, the last step clipped to t1. An output between grid times k - 1 and k is
(1 - w) z_{k-1} + w z_k. All arithmetic is in float64 on the host, so that the forward and the backward pass
visit bitwise the same times; `eps` is the spacing of the dtype that the times were given in: an ulp of t is eps |t|.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

EPS64 = 2.0**-52
_ULPS = 4  # how far apart times may be to be one: roundings of their dtype,
_PART = 1 / 64  # and of a cell no more than this


def resolution(t0: float, t1: float, eps: float = EPS64) -> float:
    """Four ulp of the larger end, in units of time: times of [t0, t1] that are further apart are different times."""
    return _ULPS * eps * max(abs(t0), abs(t1))


def same(t: Any, at: Any, t0: Any, eps: float) -> Any:
    """True if two times on a grid from t0 count as one: within four ulp of |at| or |t0|. Numbers or arrays."""
    return _few_ulps(abs(t - at), at, t0, eps)


def _few_ulps(apart: Any, at: Any, t0: Any, eps: float) -> Any:
    return (apart <= _ULPS * eps * abs(at)) | (apart <= _ULPS * eps * abs(t0))


def is_near(grid: Any, apart: Any, k: Any, at: Any, eps: float) -> Any:
    """True if a time at the distance `apart` from `at`, the grid time k, counts as it: within four ulp, and within 1/64
    of either cell beside it. Every other time is inside a cell. Numbers or arrays.
    """
    last = grid.step(grid.steps - 1)
    small = (apart <= _PART * grid.dt) & ((k < grid.steps - 1) | (apart <= _PART * last))
    return small & _few_ulps(apart, at, grid.t0, eps)


def covers(t0: Any, t1: Any, t: Any, eps: float = EPS64) -> Any:
    """True if `t` is in [t0, t1], or counts as one of the ends. Numbers or arrays."""
    return ((t0 <= t) & (t <= t1)) | same(t, t0, t0, eps) | same(t, t1, t0, eps)


@dataclass(frozen=True)
class Grid:
    t0: float
    t1: float
    dt: float
    steps: int

    def time(self, k: int) -> float:
        """Grid time k, for 0 <= k <= steps."""
        return self.t1 if k == self.steps else self.t0 + k * self.dt

    def step(self, k: int) -> float:
        """Length of the step from grid time k to k + 1; `dt` for all but the last."""
        return self.dt if k < self.steps - 1 else self.last

    @cached_property
    def last(self) -> float:
        """Length of the last step."""
        return self.t1 - (self.t0 + (self.steps - 1) * self.dt)

    def is_time(self, t: Any, k: Any, at: Any, eps: float = EPS64) -> Any:
        """True if `t` counts as `at`, the grid time k. Numbers or arrays."""
        return is_near(self, abs(t - at), k, at, eps)

    def is_coarse(self, eps: float = EPS64) -> bool:
        """Whether four ulp of its times are no more than 1/64 of each of its cells."""
        return resolution(self.t0, self.t1, eps) <= _PART * min(self.dt, self.last)

    def is_like(self, other: "Grid", eps: float = EPS64) -> bool:
        """Whether the times of a grid of other cells, counted from the same start, all count as times of this one."""
        apart = abs(self.dt - other.dt)
        return apart <= eps * self.dt and apart * other.steps <= _PART * self.dt

    @property
    def surely(self) -> float:
        """A relative distance from a grid time within which a float64 time always counts as it. So one comparison
        replaces `is_time` where it holds.
        """
        least = _PART * min(self.dt, self.last)
        return min(_ULPS * EPS64, least / (max(abs(self.t0), abs(self.t1)) or 1.0))

    def nearest(self, t: float) -> int:
        """k of the grid time nearest to `t`."""
        k = round((t - self.t0) / self.dt)
        if k < self.steps - 1:
            return k if k > 0 else 0
        return self.steps if t > self.t1 - self.last / 2 else self.steps - 1

    def locate(self, t: float, eps: float = EPS64) -> tuple[int, bool]:
        """(k, True) if `t` is grid time k, (k, False) if it is in the cell from grid time k to k + 1. Beyond an end it
        is that end: ask `covers` first.
        """
        if not self.t0 < t < self.t1:
            return (0 if t <= self.t0 else self.steps), True
        k = self.nearest(t)
        at = self.time(k)
        if t == at or self.is_time(t, k, at, eps):
            return k, True
        return (k if t > at else k - 1), False

    def outputs(self, ts: Sequence[float], eps: float = EPS64) -> tuple[tuple[int, float], ...]:
        """The pair (k, w) of each output time: the output is (1 - w) z_{k-1} + w z_k; (0, 1.0) at t0."""
        return tuple(self._output(t, eps) for t in ts)

    def _output(self, t: float, eps: float) -> tuple[int, float]:
        k, on_grid = self.locate(t, eps)
        return (k, 1.0) if on_grid else (k + 1, (t - self.time(k)) / self.step(k))


def make_grid(t0: float, t1: float, dt: float, eps: float = EPS64) -> Grid:
    """The grid on [t0, t1]: ceil((t1 - t0) / dt) steps, after an excess of four ulp, or 1/64 of a step if that is less,
    is rounded away.

    So dt = 0.1 on [0, 1] gives 10 steps in any dtype, and 0.07 gives 15.
    """
    excess = min(resolution(t0, t1, eps) / dt, _PART)
    return Grid(t0, t1, dt, max(1, math.ceil((t1 - t0) / dt - excess)))


def check_times(ts: Sequence[float], dt: float) -> None:
    """Raise ValueError unless `ts` has two finite strictly increasing times or more, and dt > 0 is finite, and
    so is the number of steps."""
    if not (math.isfinite(dt) and dt > 0):
        raise ValueError(f"dt must be a positive finite number, got dt={dt}; pass the step size, e.g. dt=0.01.")
    if len(ts) < 2:
        raise ValueError(f"ts must hold at least two times (start and end), got {len(ts)}: {list(ts)}.")
    for a, b in pairwise(ts):
        if not (math.isfinite(a) and math.isfinite(b) and a < b):
            raise ValueError(
                f"ts must be finite and strictly increasing, but {b} follows {a}; sort the times and drop repeats."
            )
    if not math.isfinite((ts[-1] - ts[0]) / dt):
        raise ValueError(f"dt={dt} makes more steps of [{ts[0]}, {ts[-1]}] than there are numbers; make dt larger.")
