"""A nonlinear SDE that depends on time, with any noise and nothing symmetric about it, for row vectors X:

    drift sin(X A + w t),    diffusion cos(X B + v t + c) (diagonal, scalar, general),    cos(v t + c) (additive).
A and B are of spectral norm 1. There is no exact solution. Entry i of diagonal noise depends on all components.
"""

import numpy as np

from suite.problems.problem import NoiseType, Problem, SDEType


def drift(xp, t, y, params):
    return xp.sin(y @ params["A"] + t * params["w"])


def diagonal(xp, t, y, params):
    return xp.cos(y @ params["B"] + (t * params["v"] + params["c"]))


def columns(xp, t, y, params):
    return xp.reshape(diagonal(xp, t, y, params), (*y.shape, -1))


def additive(xp, t, y, params):
    sigma = xp.reshape(xp.cos(t * params["v"] + params["c"]), (y.shape[-1], -1))
    return xp.broadcast_to(sigma, (*y.shape, sigma.shape[-1]))


def make_driven(
    noise_type: NoiseType, *, paths: int, dim: int, noise_dim: int = 1, t1: float, seed: int, sde_type: SDEType
) -> Problem:
    rng = np.random.default_rng(seed)
    entries = dim if noise_type == "diagonal" else dim * noise_dim
    A, B = rng.standard_normal((dim, dim)), rng.standard_normal((dim, entries))
    params = {
        "A": A / np.linalg.norm(A, 2),
        "w": rng.uniform(1, 2, dim),
        "v": rng.uniform(1, 2, entries),
        "c": rng.uniform(-np.pi, np.pi, entries),
    }
    if noise_type != "additive":
        params["B"] = B / np.linalg.norm(B, 2)
    return Problem(
        name="driven" if noise_type == "diagonal" else f"driven_{noise_type}",
        version="1",
        t1=t1,
        y0=rng.uniform(-1, 1, (paths, dim)),
        params=params,
        sde_type=sde_type,
        noise_type=noise_type,
        noise_dim=entries if noise_type == "diagonal" else noise_dim,
        drift=drift,
        diffusion={"diagonal": diagonal, "additive": additive}.get(noise_type, columns),
        lipschitz=1.0,
    )
