"""Smooth maps of Gaussian processes: nonlinear, depending on time in drift and diffusion, and still solved exactly.

With s = 1 + t and r = sqrt(s), the linear equation dZ = (beta/r - Z/(2 s)) dt + r sigma dW is solved by
    Z(T) = (z + beta T + sigma ((1 + T) W(T) - I(T))) / sqrt(1 + T),
I the integral of W. Its drift and diffusion do not commute, so the solution is not a function of W(T) alone.

"sinh": X_i = sinh(Z_i), diagonal noise. "sheared": X_1 = Z_1 + sin(Z_2), X_2 = Z_2 + sin(X_1)/2, whose columns of
noise commute and mix the components; with one column it is scalar noise. The Ito drift has half the second derivatives.
"""

from functools import partial

import numpy as np

from suite.paths import Path
from suite.problems.problem import Params, Problem, SDEType, end


def linear(t, z, params):
    """The drift of Z."""
    s = 1 + t
    return params["beta"] * s**-0.5 - z * (0.5 / s)


def exact_linear(path: Path, z0: np.ndarray, params: Params) -> np.ndarray:
    sigma = params["sigma"]
    t, W = end(path, z0, sigma.shape[-1])
    N = (1 + t) * W - path.integral[-1]
    return (z0 + params["beta"] * t + (N @ sigma.T if sigma.ndim == 2 else N * sigma)) * (1 + t) ** -0.5


def sinh_drift(xp, t, y, params, *, ito):
    root = (1 + y * y) ** 0.5
    return root * linear(t, xp.asinh(y), params) + (0.5 * ito) * (1 + t) * params["sigma"] ** 2 * y


def sinh_diffusion(xp, t, y, params):  # noqa: ARG001
    return (1 + y * y) ** 0.5 * params["sigma"] * (1 + t) ** 0.5


def sinh_exact(path: Path, y0: np.ndarray, params: Params) -> np.ndarray:
    return np.sinh(exact_linear(path, np.arcsinh(y0), params))


def make_sinh(*, paths: int, dim: int, t1: float, seed: int, sde_type: SDEType) -> Problem:
    rng = np.random.default_rng(seed)
    params = {"beta": rng.uniform(-0.5, 0.5, dim), "sigma": rng.uniform(0.2, 0.4, dim)}
    return Problem(
        name="sinh",
        version="1",
        t1=t1,
        y0=rng.uniform(0.5, 1.5, (paths, dim)),
        params=params,
        sde_type=sde_type,
        noise_type="diagonal",
        noise_dim=dim,
        drift=partial(sinh_drift, ito=float(sde_type == "ito")),
        diffusion=sinh_diffusion,
        exact=sinh_exact,
        lipschitz=np.inf,
    )


def shear(xp, z):
    x1 = z[..., 0] + xp.sin(z[..., 1])
    return xp.stack((x1, z[..., 1] + 0.5 * xp.sin(x1)), -1)


def unshear(xp, x):
    z2 = x[..., 1] - 0.5 * xp.sin(x[..., 0])
    return xp.stack((x[..., 0] - xp.sin(z2), z2), -1)


def sheared_drift(xp, t, y, params, *, ito):
    z = unshear(xp, y)
    m = linear(t, z, params)
    sigma = params["sigma"]
    slope1, slope2 = xp.cos(z[..., 1]), 0.5 * xp.cos(y[..., 0])
    g1 = sigma[0] + slope1[..., None] * sigma[1]
    second = -0.5 * ito * (1 + t)
    f1 = m[..., 0] + slope1 * m[..., 1] + second * xp.sin(z[..., 1]) * (sigma[1] ** 2).sum()
    f2 = m[..., 1] + slope2 * f1 + second * 0.5 * xp.sin(y[..., 0]) * (g1 * g1).sum(-1)
    return xp.stack((f1, f2), -1)


def sheared_diffusion(xp, t, y, params):
    sigma = params["sigma"] * (1 + t) ** 0.5
    z2 = y[..., 1] - 0.5 * xp.sin(y[..., 0])
    g1 = sigma[0] + xp.cos(z2)[..., None] * sigma[1]
    return xp.stack((g1, sigma[1] + 0.5 * xp.cos(y[..., 0])[..., None] * g1), -2)


def sheared_exact(path: Path, y0: np.ndarray, params: Params) -> np.ndarray:
    return shear(np, exact_linear(path, unshear(np, y0), params))


def make_sheared(*, paths: int, noise_dim: int, t1: float, seed: int, sde_type: SDEType) -> Problem:
    rng = np.random.default_rng(seed)
    params = {"beta": rng.uniform(-0.5, 0.5, 2), "sigma": rng.uniform(0.2, 0.4, (2, noise_dim))}
    return Problem(
        name="sheared_scalar" if noise_dim == 1 else "sheared",
        version="1",
        t1=t1,
        y0=rng.uniform(-1, 1, (paths, 2)),
        params=params,
        sde_type=sde_type,
        noise_type="scalar" if noise_dim == 1 else "general",
        noise_dim=noise_dim,
        drift=partial(sheared_drift, ito=float(sde_type == "ito")),
        diffusion=sheared_diffusion,
        exact=sheared_exact,
        lipschitz=np.inf,
    )
