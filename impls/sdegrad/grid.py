"""The integer grid of constant steps, shared by every solver: times are computed from the index, never accumulated.

Grid time k is t0 + k dt, the last step clipped to t1. An output between grid times k - 1 and k is
(1 - w) z_{k-1} + w z_k. All arithmetic is in float64 on the host, so that the forward and the backward pass
visit bitwise the same times; `eps` is the spacing of the dtype that the times were given in.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

EPS64 = 2.0**-52
_SLACK = 8  # ulps of the given dtype, beside one per step


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
        return self.dt if k < self.steps - 1 else self.t1 - (self.t0 + k * self.dt)

    def index(self, t: float, eps: float = EPS64) -> int | None:
        """k if `t` is grid time k within (k + 8) ulp, else None."""
        k = min(max(round((t - self.t0) / self.dt), 0), self.steps)
        if self.steps and abs(t - self.t1) < abs(t - self.time(k)):
            k = self.steps
        return k if abs(t - self.time(k)) <= self.tolerance(k, eps) else None

    def tolerance(self, k: Any, eps: float) -> Any:
        """How far from grid time k a time is still taken for it: (k + 8) ulp. k may be traced."""
        return (k + _SLACK) * eps * max(abs(self.t0), abs(self.t1))

    def outputs(self, ts: Sequence[float], eps: float = EPS64) -> tuple[tuple[int, float], ...]:
        """For each output time the pair (k, w): the output is (1 - w) z_{k-1} + w z_k; (0, 1.0) at t0."""
        return tuple(self._output(t, eps) for t in ts)

    def _output(self, t: float, eps: float) -> tuple[int, float]:
        on_grid = self.index(t, eps)
        if on_grid is not None:
            return on_grid, 1.0
        k = min(math.floor((t - self.t0) / self.dt) + 1, self.steps)
        return k, (t - self.time(k - 1)) / self.step(k - 1)


def make_grid(t0: float, t1: float, dt: float, eps: float = EPS64) -> Grid:
    """The grid on [t0, t1]: ceil((t1 - t0) / dt) steps, after an excess of a few ulp is rounded away.

    So dt = 0.1 on [0, 1] gives 10 steps in any dtype, and 0.07 gives 15.
    """
    ratio = (t1 - t0) / dt
    excess = (ratio + _SLACK) * eps * max(abs(t0), abs(t1)) / dt
    steps = max(1, math.ceil(ratio - min(excess, 0.5)))
    return Grid(t0, t1, dt, steps)


def check_times(ts: Sequence[float], dt: float) -> None:
    """Raise ValueError unless `ts` has two finite strictly increasing times or more, and dt > 0 is finite."""
    if not (math.isfinite(dt) and dt > 0):
        raise ValueError(f"dt must be a positive finite number, got dt={dt}; pass the step size, e.g. dt=0.01.")
    if len(ts) < 2:
        raise ValueError(f"ts must hold at least two times (start and end), got {len(ts)}: {list(ts)}.")
    for a, b in pairwise(ts):
        if not (math.isfinite(a) and math.isfinite(b) and a < b):
            raise ValueError(
                f"ts must be finite and strictly increasing, but {b} follows {a}; sort the times and drop repeats."
            )
