"""One Brownian path on a fine grid in numpy, given to every library; every second point is the same path, coarser.

Over [s, t] of length h, W is the increment and H the space-time Levy area: H ~ N(0, h/12), independent of W,
and the integral of W(u) - W(s) over [s, t] is h (W/2 + H) (Foster, Lyons, Oberhauser 2020). What a library asks of the
path is answered by `sdegrad.adapters.given`.
"""

import math
from dataclasses import dataclass

import numpy as np

_UNEVEN = 16 * 2.0**-52  # by which steps may differ, in units of the largest time


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
        if not (steps.min() > 0 and np.ptp(steps) <= _UNEVEN * np.abs(self.times).max()):
            raise ValueError(
                f"times must increase evenly, got steps from {steps.min()} to {steps.max()}; use make_path."
            )
        if self.W[0].any() or self.integral[0].any():
            raise ValueError("W and integral must be zero at times[0]; subtract their first values.")

    @property
    def dt(self) -> float:
        return float(self.times[-1] - self.times[0]) / (len(self.times) - 1)


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
