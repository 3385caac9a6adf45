"""Additive noise that depends on time under a drift that is not linear, where order 1.5 is sharp.

With s = 1 + t, r = sqrt(s), V = x + sigma W and Q the integral of c_1 V_1^2 + c_2 V_2^2, the solution is
    X_1 = r V_1 + sin(Q), X_2 = r V_2, X_3 = Q.
The square of a Brownian path has no exact integral; given W and I on the grid of the path its mean is taken, whose
error is of order h^1.5 with a small constant: in a cell the variance of what is left of W integrates to v h^2 / 15.
"""

import numpy as np

from suite.paths import Path
from suite.problems.problem import Params, Problem, SDEType, end


def drift(xp, t, y, params):
    s = 1 + t
    rv1, rv2 = y[..., 0] - xp.sin(y[..., 2]), y[..., 1]
    q = (params["c"][0] * rv1 * rv1 + params["c"][1] * rv2 * rv2) / s
    return xp.stack((0.5 / s * rv1 + xp.cos(y[..., 2]) * q, 0.5 / s * rv2, q), -1)


def diffusion(xp, t, y, params):
    sigma = params["sigma"] * (1 + t) ** 0.5
    return xp.broadcast_to(xp.stack((sigma[0], sigma[1], 0 * sigma[0])), (*y.shape, sigma.shape[-1]))


def integral_of_squares(path: Path, x: np.ndarray, sigma: np.ndarray) -> np.ndarray:
    """The mean of the integral of (x + sigma W)^2 given the path [paths, 2]."""
    h = path.dt
    B, U = path.W @ sigma.T, np.diff(path.integral, axis=0) @ sigma.T
    v, d = x + B[:-1], np.diff(B, axis=0)
    H = U / h - B[:-1] - d / 2
    inside = v * v + d * d / 3 + 1.2 * H * H + v * d + 2 * v * H + d * H
    steps = len(path.times) - 1
    return h * inside.sum(0) + steps * h * h / 15 * (sigma**2).sum(1)


def exact(path: Path, y0: np.ndarray, params: Params) -> np.ndarray:
    t, W = end(path, y0, 2)
    x, sigma = np.stack((y0[:, 0] - np.sin(y0[:, 2]), y0[:, 1]), -1), params["sigma"]
    Q = y0[:, 2] + integral_of_squares(path, x, sigma) @ params["c"]
    rv = (1 + t) ** 0.5 * (x + W @ sigma.T)
    return np.stack((rv[:, 0] + np.sin(Q), rv[:, 1], Q), -1)


def make_squares(*, paths: int, t1: float, seed: int, sde_type: SDEType) -> Problem:
    rng = np.random.default_rng(seed)
    params = {"c": rng.uniform(0.5, 1.0, 2), "sigma": rng.uniform(0.2, 0.4, (2, 2))}
    return Problem(
        name="squares",
        version="1",
        t1=t1,
        y0=rng.uniform(-0.5, 0.5, (paths, 3)),
        params=params,
        sde_type=sde_type,
        noise_type="additive",
        noise_dim=2,
        drift=drift,
        diffusion=diffusion,
        exact=exact,
        lipschitz=np.inf,
    )
