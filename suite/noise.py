"""One Brownian path on a fine grid in numpy, given to every library; coarsened by leaving out points.

Over [s, t] of length h, W is the increment and H the space-time Levy area: H ~ N(0, h/12), independent of W,
and the integral of W(u) - W(s) over [s, t] is h (W/2 + H) (Foster, Lyons, Oberhauser 2020).
"""

import math
from dataclasses import dataclass

import numpy as np

EPS64 = 2.0**-52
_SLACK = 8  # ulps that a query may be off a grid time, beside one per step


@dataclass(frozen=True)
class Path:
    """W(t) and the integral of W up to t, at evenly spaced `times` [points], both zero at times[0].

    W, integral: [points, paths, noise], float64. ValueError if the arrays do not fit one another.
    """

    times: np.ndarray
    W: np.ndarray
    integral: np.ndarray

    def __post_init__(self) -> None:
        points = len(self.times) if self.times.ndim == 1 else 0
        if points < 2 or self.W.ndim != 3 or self.W.shape != self.integral.shape or len(self.W) != points:
            raise ValueError(
                "a path needs times [points >= 2], W and integral [points, paths, noise], got shapes "
                f"{self.times.shape}, {self.W.shape}, {self.integral.shape}; use make_path."
            )
        steps = np.diff(self.times)
        if not (steps.min() > 0 and np.ptp(steps) <= 2 * _SLACK * EPS64 * np.abs(self.times).max()):
            raise ValueError(
                f"times must increase evenly, got steps from {steps.min()} to {steps.max()}; use make_path."
            )
        if self.W[0].any() or self.integral[0].any():
            raise ValueError("W and integral must be zero at times[0]; subtract their first values.")

    @property
    def steps(self) -> int:
        return len(self.times) - 1

    @property
    def dt(self) -> float:
        return float(self.times[-1] - self.times[0]) / self.steps

    def index(self, t: float, eps: float = EPS64) -> int:
        """k such that `t` is grid time k within (k + 8) ulp and 1/16 of a step; else ValueError.

        One ulp is eps max(|t0|, |t1|), with eps of the dtype that `t` was computed in (float32: 2^-23).
        """
        t0, t1 = float(self.times[0]), float(self.times[-1])
        k = min(max(round((t - t0) / self.dt), 0), self.steps) if math.isfinite(t) else 0
        nearest = float(self.times[k])
        if abs(t - nearest) <= min((k + _SLACK) * eps * max(abs(t0), abs(t1)), self.dt / 16):
            return k
        raise ValueError(
            f"the path is not known at time {t}; its nearest grid time is {nearest} (number {k} of "
            f"{self.steps} steps on [{t0}, {t1}]). Query grid times, or make a path whose grid holds {t}."
        )

    def increment(self, s: float, t: float) -> np.ndarray:
        """W(t) - W(s) [paths, noise]."""
        return self.W[self.index(t)] - self.W[self.index(s)]

    def levy(self, s: float, t: float) -> np.ndarray:
        """H over [s, t] [paths, noise]: the mean of W over it less the mean of its ends. Zero for s = t."""
        i, j = self.index(s), self.index(t)
        if i == j:
            return np.zeros_like(self.W[i])
        mean = (self.integral[j] - self.integral[i]) / (self.times[j] - self.times[i])
        return mean - (self.W[i] + self.W[j]) / 2

    def coarsen(self, factor: int) -> "Path":
        """The same path at every `factor`-th grid time, bit for bit. `factor` must divide the steps."""
        if factor < 1 or self.steps % factor:
            raise ValueError(f"factor must divide the {self.steps} steps of the path, got factor={factor}.")
        return Path(self.times[::factor], self.W[::factor], self.integral[::factor])


def make_path(t0: float, t1: float, steps: int, paths: int, noise: int, seed: int) -> Path:
    """A path with the exact joint law of W and its integral on `steps` equal cells of [t0, t1].

    Grid time k is t0 + k (t1 - t0)/steps, the last one t1. Memory: 16 (steps + 1) paths noise bytes, three
    times that while it is made. ValueError for times out of order or sizes below 1.
    """
    if not (math.isfinite(t0) and math.isfinite(t1) and t0 < t1):
        raise ValueError(f"a path needs finite times t0 < t1, got t0={t0}, t1={t1}.")
    if min(steps, paths, noise) < 1:
        raise ValueError(f"steps, paths and noise must be 1 or more, got steps={steps}, paths={paths}, noise={noise}.")
    h = (t1 - t0) / steps
    times = t0 + np.arange(steps + 1) * h
    times[-1] = t1
    rng = np.random.Generator(np.random.Philox(seed))
    dW = rng.standard_normal((steps, paths, noise)) * h**0.5
    H = rng.standard_normal((steps, paths, noise)) * (h / 12) ** 0.5
    W = _running_sum(dW)
    return Path(times, W, _running_sum(h * (W[:-1] + dW / 2 + H)))


def _running_sum(cells: np.ndarray) -> np.ndarray:
    out = np.zeros((len(cells) + 1, *cells.shape[1:]))
    np.cumsum(cells, axis=0, out=out[1:])
    return out
