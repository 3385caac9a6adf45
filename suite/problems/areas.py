"""General noise that does not commute, with a solution that is known but for the Levy areas inside the cells of a path.

With s = 1 + t, r = sqrt(s), Z_1 = z_1 + W_1, Z_2 = z_2 + W_2 and dZ_3 = Z_1 dW_2, the solution is
    X_1 = r Z_1 + k sin(Z_3 / r), X_2 = Z_2 + b sin(X_1), X_3 = Z_3 / r.
Given W and I on the grid of the path the mean of Z_3 is taken; the variance of what is left is T h / 12, where a scheme
that knows W alone, with steps dt, leaves T dt / 4.
"""

from functools import partial

import numpy as np

from suite.paths import Path
from suite.problems.problem import Params, Problem, SDEType, end


def drift(xp, t, y, params, *, ito):
    s, k, b = 1 + t, params["k"], params["b"]
    rz = y[..., 0] - k * xp.sin(y[..., 2])
    f3 = -0.5 / s * y[..., 2]
    slope, turn = k * xp.cos(y[..., 2]), b * xp.cos(y[..., 0])
    across = rz / s
    f1 = 0.5 / s * rz + slope * f3 - (0.5 * ito) * k * xp.sin(y[..., 2]) * across * across
    size = s + slope * slope * across * across
    f2 = turn * f1 - (0.5 * ito) * b * xp.sin(y[..., 0]) * size
    return xp.stack((f1, f2, f3), -1)


def diffusion(xp, t, y, params):
    s, k, b = 1 + t, params["k"], params["b"]
    across = (y[..., 0] - k * xp.sin(y[..., 2])) / s
    slope, turn = k * xp.cos(y[..., 2]), b * xp.cos(y[..., 0])
    zero = 0 * across
    first = xp.stack((s**0.5 + zero, slope * across), -1)
    second = turn[..., None] * first + xp.stack((zero, 1 + zero), -1)
    return xp.stack((first, second, xp.stack((zero, across), -1)), -2)


def iterated(path: Path, z1: np.ndarray) -> np.ndarray:
    """The mean of the integral of (z1 + W_1) dW_2 given the path [paths]."""
    W, h = path.W, path.dt
    d = np.diff(W, axis=0)
    H = np.diff(path.integral, axis=0) / h - W[:-1] - d / 2
    cells = (z1 + W[:-1, :, 0] + d[..., 0] / 2 + H[..., 0]) * d[..., 1] - d[..., 0] * H[..., 1]
    return cells.sum(0)


def exact(path: Path, y0: np.ndarray, params: Params) -> np.ndarray:
    t, W = end(path, y0, 2)
    r, k, b = (1 + t) ** 0.5, params["k"], params["b"]
    z1 = y0[:, 0] - k * np.sin(y0[:, 2])
    z2 = y0[:, 1] - b * np.sin(y0[:, 0])
    x3 = (y0[:, 2] + iterated(path, z1)) / r
    x1 = r * (z1 + W[:, 0]) + k * np.sin(x3)
    return np.stack((x1, z2 + W[:, 1] + b * np.sin(x1), x3), -1)


def make_areas(*, paths: int, t1: float, seed: int, sde_type: SDEType) -> Problem:
    rng = np.random.default_rng(seed)
    params = {"k": np.array(rng.uniform(0.3, 0.6)), "b": np.array(rng.uniform(0.3, 0.6))}
    return Problem(
        name="areas",
        version="1",
        t1=t1,
        y0=rng.uniform(-0.5, 0.5, (paths, 3)),
        params=params,
        sde_type=sde_type,
        noise_type="general",
        noise_dim=2,
        drift=partial(drift, ito=float(sde_type == "ito")),
        diffusion=diffusion,
        exact=exact,
        lipschitz=np.inf,
    )
