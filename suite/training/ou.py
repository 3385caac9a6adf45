"""The Ornstein-Uhlenbeck process of the SDE-GAN experiment, by its exact law.

dy = (slope t - rate y) dt + noise dW from y0 ~ U[-1, 1]; Kidger, Foster, Li, Lyons (2021), arXiv 2105.13493, section 5.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr


@dataclass(frozen=True)
class OrnsteinUhlenbeck:
    """slope = 0 is the process with a constant mean."""

    slope: float = 0.02
    rate: float = 0.1
    noise: float = 0.4

    def law(self, t: np.ndarray | float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(factor of y0, mean from y0 = 0, standard deviation) at time t."""
        decay = np.exp(-self.rate * np.asarray(t))
        mean = self.slope * (t / self.rate - (1 - decay) / self.rate**2)
        return decay, mean, self.noise * np.sqrt((1 - decay**2) / (2 * self.rate))

    def sample(self, rng: np.random.Generator, ts: np.ndarray, paths: int) -> np.ndarray:
        """Paths from the time 0 at increasing ts, [times, paths, 1]."""
        y, mean, last = rng.uniform(-1, 1, paths), 0.0, 0.0
        ys = np.empty((len(ts), paths, 1))
        for k, t in enumerate(ts):
            decay, _, deviation = self.law(t - last)
            later = self.law(t)[1]
            y = later + decay * (y - mean) + deviation * rng.standard_normal(paths)
            mean, last, ys[k, :, 0] = later, t, y
        return ys

    def cdf(self, t: float, y: np.ndarray) -> np.ndarray:
        """P(y(t) <= y). y(t) is uniform with half-width a around m, plus a normal of deviation s: the mean over the
        uniform of the normal distribution function Phi, whose integral is x Phi(x) + phi(x).
        """
        a, m, s = (float(x) for x in self.law(t))
        if s == 0:
            return np.clip((y - m + a) / (2 * a), 0, 1)

        def integral(x: np.ndarray) -> np.ndarray:
            return x * ndtr(x) + np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi)

        return s / (2 * a) * (integral((y - m + a) / s) - integral((y - m - a) / s))
