"""Additive noise that depends on time, in either calculus: with r = sqrt(1 + t),

    dX_i = (beta_i / r - X_i / (2 r^2)) dt + r sum_j sigma_ij dW_j.
By parts, with I the integral of W, it is solved by
    X_i(T) = (x_i + beta_i T + sum_j sigma_ij ((1 + T) W_j(T) - I_j(T))) / sqrt(1 + T).
"""
# ruff: noqa: ARG001 (all vector fields have the same arguments)

import numpy as np

from suite.paths import Path
from suite.problems.problem import Params, Problem, SDEType, end


def drift(xp, t, y, params):
    s = 1 + t
    return params["beta"] * s**-0.5 - y * (0.5 / s)


def diffusion(xp, t, y, params):
    sigma = params["sigma"] * (1 + t) ** 0.5
    return xp.broadcast_to(sigma, (*y.shape, sigma.shape[-1]))


def noise_integral(path: Path, y0: np.ndarray, params: Params) -> tuple[float, np.ndarray]:
    """T and the integral of (1 + t) dW over [0, T], [paths, noise]."""
    t, W = end(path, y0, params["sigma"].shape[1])
    return t, (1 + t) * W - path.integral[-1]


def exact(path: Path, y0: np.ndarray, params: Params) -> np.ndarray:
    t, N = noise_integral(path, y0, params)
    return (y0 + params["beta"] * t + N @ params["sigma"].T) * (1 + t) ** -0.5


def exact_gradient(path: Path, y0: np.ndarray, params: Params) -> dict[str, np.ndarray]:
    t, N = noise_integral(path, y0, params)
    a = 2 * exact(path, y0, params) * (1 + t) ** -0.5
    return {"y0": a, "beta": t * a.sum(0), "sigma": a.T @ N}


def make_additive(*, paths: int, dim: int, noise_dim: int, t1: float, seed: int, sde_type: SDEType) -> Problem:
    rng = np.random.default_rng(seed)
    params = {"beta": rng.uniform(-1, 1, dim), "sigma": rng.uniform(-1, 1, (dim, noise_dim))}
    return Problem(
        name="additive",
        version="1",
        t1=t1,
        y0=rng.uniform(0.5, 1.5, (paths, dim)),
        params=params,
        sde_type=sde_type,
        noise_type="additive",
        noise_dim=noise_dim,
        drift=drift,
        diffusion=diffusion,
        exact=exact,
        exact_gradient=exact_gradient,
        lipschitz=0.5,
    )
