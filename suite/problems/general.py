"""General noise that does not commute: dX = sin(X A) dt + sum_j cos(X B_j + c_j) dW_j for row vectors X.

Everything is bounded and smooth. There is no closed form: the reference is a fine solve on the same path.
B is stored as [dim, dim * noise]: column i * noise + j is for component i and Brownian motion j. So is c.
"""
# ruff: noqa: ARG001 (all vector fields have the same arguments)

import numpy as np

from suite.problems.problem import Problem, SDEType


def drift(xp, t, y, params):
    return xp.sin(y @ params["A"])


def diffusion(xp, t, y, params):
    return xp.reshape(xp.cos(y @ params["B"] + params["c"]), (*y.shape, -1))


def make_general(*, paths: int, dim: int, noise_dim: int, t1: float, seed: int, sde_type: SDEType) -> Problem:
    if noise_dim < 2:
        raise ValueError(
            f"noise_dim must be 2 or more (a single column always commutes), got noise_dim={noise_dim}; "
            "take the problem 'scalar' for 1."
        )
    rng = np.random.default_rng(seed)
    A, B = rng.standard_normal((dim, dim)), rng.standard_normal((dim, dim * noise_dim))
    params = {
        "A": A / np.linalg.norm(A, 2),
        "B": B / np.linalg.norm(B, 2),
        "c": rng.uniform(-np.pi, np.pi, dim * noise_dim),
    }
    return Problem(
        name="general",
        version="1",
        t1=t1,
        y0=rng.uniform(-1, 1, (paths, dim)),
        params=params,
        sde_type=sde_type,
        noise_type="general",
        noise_dim=noise_dim,
        drift=drift,
        diffusion=diffusion,
        lipschitz=1.0,
    )
