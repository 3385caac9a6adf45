"""Geometric Brownian motion, dX_i = mu_i X_i dt + sigma_i X_i dW_i, in either calculus: diagonal noise.

X_i(T) = x_i exp(m_i T + sigma_i W_i(T)) with m = mu (Stratonovich) or mu - sigma^2/2 (Ito).
"""
# ruff: noqa: ARG001 (all vector fields have the same arguments)

from functools import partial

import numpy as np

from suite.paths import Path
from suite.problems.problem import Params, Problem, SDEType, end


def drift(xp, t, y, params):
    return y * params["mu"]


def diffusion(xp, t, y, params):
    return y * params["sigma"]


def growth(path: Path, y0: np.ndarray, params: Params, ito: bool) -> np.ndarray:
    """X(T) / X(0) [paths, dim]."""
    t, W = end(path, y0, y0.shape[1])
    mu, sigma = params["mu"], params["sigma"]
    return np.exp((mu - ito * sigma**2 / 2) * t + sigma * W)


def exact(path: Path, y0: np.ndarray, params: Params, *, ito: bool) -> np.ndarray:
    return y0 * growth(path, y0, params, ito)


def exact_gradient(path: Path, y0: np.ndarray, params: Params, *, ito: bool) -> dict[str, np.ndarray]:
    t, W = end(path, y0, y0.shape[1])
    E = growth(path, y0, params, ito)
    squares = (y0 * E) ** 2
    return {
        "y0": 2 * y0 * E**2,
        "mu": 2 * t * squares.sum(0),
        "sigma": 2 * (squares * (W - ito * params["sigma"] * t)).sum(0),
    }


def moments(t: float, params: Params, *, ito: bool) -> tuple[np.ndarray, np.ndarray]:
    """The mean and the mean square of X(t) / X(0), [dim] each."""
    mu, square = params["mu"], params["sigma"] ** 2
    log_mean = (mu + (not ito) * square / 2) * t
    return np.exp(log_mean), np.exp(2 * log_mean + square * t)


def make_gbm(*, paths: int, dim: int, t1: float, seed: int, sde_type: SDEType) -> Problem:
    rng = np.random.default_rng(seed)
    params = {"mu": rng.uniform(-0.5, 0.5, dim), "sigma": rng.uniform(0.2, 0.4, dim)}
    ito = sde_type == "ito"
    return Problem(
        name="gbm",
        version="1",
        t1=t1,
        y0=rng.uniform(0.5, 1.5, (paths, dim)),
        params=params,
        sde_type=sde_type,
        noise_type="diagonal",
        noise_dim=dim,
        drift=drift,
        diffusion=diffusion,
        exact=partial(exact, ito=ito),
        exact_gradient=partial(exact_gradient, ito=ito),
        growth=partial(moments, ito=ito),
        lipschitz=float(max(np.abs(p).max() for p in params.values())),
    )
