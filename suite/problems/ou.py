"""Ornstein-Uhlenbeck, dX_i = theta_i (m_i - X_i) dt + sum_j sigma_ij dW_j: additive noise, either calculus.

With e_i(s) = exp(-theta_i (T - s)), and N_ij the integral of e_i dW_j over [0, T]:
    X_i(T) = m_i + (x_i - m_i) e_i(0) + sum_j sigma_ij N_ij.
By parts, twice, with I the integral of W:
    N = W(T) - theta I(T) + theta^2 J,  J the integral of e(s) I(s) ds.
J is a trapezium rule with end correction on the grid of the path, where I and its derivative W are known.
Given these the mean of I inside a cell is a cubic, so the error is random, of standard deviation
theta^2 h^2 sqrt(T/720) for small theta h: 2e-9 at h = 2^-12.
"""
# ruff: noqa: ARG001 (all vector fields have the same arguments)

import numpy as np

from suite.paths import Path
from suite.problems.problem import Params, Problem, SDEType, end


def drift(xp, t, y, params):
    return params["theta"] * (params["mean"] - y)


def diffusion(xp, t, y, params):
    return xp.broadcast_to(params["sigma"], (*y.shape, params["sigma"].shape[-1]))


def noise_integrals(path: Path, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """N and its derivative by theta, both [dim, paths, noise], for theta [dim]."""
    h, WT, IT = path.dt, path.W[-1], path.integral[-1]
    left = path.times[-1] - path.times  # T - s
    weights = h * np.exp(-theta[:, None] * left)  # [dim, points]
    weights[:, [0, -1]] /= 2
    theta = theta[:, None, None]
    J = np.tensordot(weights, path.integral, 1) - h**2 / 12 * (theta * IT + WT)
    dJ = -np.tensordot(weights * left, path.integral, 1) - h**2 / 12 * IT
    return WT - theta * IT + theta**2 * J, -IT + 2 * theta * J + theta**2 * dJ


def exact(path: Path, y0: np.ndarray, params: Params) -> np.ndarray:
    theta, mean, sigma = params["theta"], params["mean"], params["sigma"]
    t, _ = end(path, y0, sigma.shape[1])
    N, _ = noise_integrals(path, theta)
    return mean + (y0 - mean) * np.exp(-theta * t) + np.einsum("dn,dpn->pd", sigma, N)


def exact_gradient(path: Path, y0: np.ndarray, params: Params) -> dict[str, np.ndarray]:
    theta, mean, sigma = params["theta"], params["mean"], params["sigma"]
    t, _ = end(path, y0, sigma.shape[1])
    N, dN = noise_integrals(path, theta)
    decay = np.exp(-theta * t)
    a = 2 * exact(path, y0, params)
    return {
        "y0": a * decay,
        "theta": (a * (np.einsum("dn,dpn->pd", sigma, dN) - t * (y0 - mean) * decay)).sum(0),
        "mean": (a * (1 - decay)).sum(0),
        "sigma": np.einsum("pd,dpn->dn", a, N),
    }


def make_ou(*, paths: int, dim: int, noise_dim: int, t1: float, seed: int, sde_type: SDEType) -> Problem:
    rng = np.random.default_rng(seed)
    theta = rng.uniform(0.5, 1.0, dim)
    params = {
        "theta": theta,
        "mean": rng.uniform(-0.5, 0.5, dim),
        "sigma": rng.uniform(-0.8, 0.8, (dim, noise_dim)),
    }
    return Problem(
        name="ou",
        version="1",
        t1=t1,
        y0=rng.uniform(-1, 1, (paths, dim)),
        params=params,
        sde_type=sde_type,
        noise_type="additive",
        noise_dim=noise_dim,
        drift=drift,
        diffusion=diffusion,
        exact=exact,
        exact_gradient=exact_gradient,
        lipschitz=float(theta.max()),
    )
