"""Nothing symmetric, nothing that commutes with time: a problem for each noise type to hold steps against steps.

dX = tanh(X A + t) dt + g dW with g, of A, B and t, of the noise type that is asked for. Diagonal noise does not mix
components. Without an exact solution: it is for comparing schemes (`suite.verify.agreement`).
"""

import numpy as np

from suite.problems.problem import Field, NoiseType, Problem, SDEType


def drift(xp, t, y, params):
    return xp.tanh(y @ params["A"] + t)


def diagonal(xp, t, y, params):
    return xp.sin(y * params["B"][:, 0] + t) + 0.5


def additive(xp, t, y, params):
    B = params["B"]
    return xp.broadcast_to((1 + t) * B, (*y.shape, B.shape[1]))


def scalar(xp, t, y, params):
    return xp.tanh(y @ params["A"] + t)[..., None]


def general(xp, t, y, params):
    return xp.sin(y[..., None] * params["B"] + (y @ params["A"])[..., None] + t)


DIFFUSION: dict[NoiseType, Field] = {
    "diagonal": diagonal,
    "additive": additive,
    "scalar": scalar,
    "general": general,
}


def make_twisted(
    noise_type: NoiseType,
    *,
    paths: int,
    dim: int,
    noise_dim: int = 1,
    t1: float,
    seed: int,
    sde_type: SDEType,
) -> Problem:
    rng = np.random.default_rng(seed)
    A, B = rng.normal(size=(dim, dim)), rng.normal(size=(dim, noise_dim))
    own, mixed = float(np.abs(B).max()), float(np.linalg.norm(A, 2))
    return Problem(
        name=f"twisted_{noise_type}",
        version="1",
        t1=t1,
        y0=rng.normal(size=(paths, dim)),
        params={"A": A, "B": B} if noise_type != "scalar" else {"A": A},
        sde_type=sde_type,
        noise_type=noise_type,
        noise_dim=dim if noise_type == "diagonal" else noise_dim,
        drift=drift,
        diffusion=DIFFUSION[noise_type],
        lipschitz=max(mixed, (mixed + own) * noise_dim**0.5),
    )
