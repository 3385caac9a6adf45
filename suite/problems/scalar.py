"""A linear SDE with scalar noise, dX = X A dt + X B dW for row vectors X, in either calculus.

A and B commute, turn as well as stretch, and are neither symmetric nor normal. The solution is
X(T) = x exp(M T + B W(T)) with M = A (Stratonovich) or A - B^2/2 (Ito). Its derivatives by A and B have no
closed form: if one changes alone, they no longer commute.
"""
# ruff: noqa: ARG001 (all vector fields have the same arguments)

from functools import partial

import numpy as np

from suite.paths import Path
from suite.problems.problem import Params, Problem, SDEType, end


def drift(xp, t, y, params):
    return y @ params["A"]


def diffusion(xp, t, y, params):
    return (y @ params["B"])[..., None]


def flow(path: Path, y0: np.ndarray, params: Params, ito: bool) -> np.ndarray:
    """exp(M T + B W(T)) [paths, dim, dim], through the eigenvectors that A and B share."""
    t, W = end(path, y0, 1)
    b, V = np.linalg.eig(params["B"])
    V_inv = np.linalg.inv(V)
    a = np.diag(V_inv @ params["A"] @ V)
    factors = np.exp((a - ito * b**2 / 2) * t + b * W)  # [paths, dim]
    return (V * factors[:, None, :] @ V_inv).real


def exact(path: Path, y0: np.ndarray, params: Params, *, ito: bool) -> np.ndarray:
    return np.einsum("pi,pij->pj", y0, flow(path, y0, params, ito))


def exact_gradient(path: Path, y0: np.ndarray, params: Params, *, ito: bool) -> dict[str, np.ndarray]:
    E = flow(path, y0, params, ito)
    return {"y0": 2 * np.einsum("pk,pkj,pij->pi", y0, E, E)}


def make_scalar(*, paths: int, dim: int, t1: float, seed: int, sde_type: SDEType) -> Problem:
    if dim < 2:
        raise ValueError(f"the scalar problem turns in a plane, so dim must be 2 or more, got dim={dim}.")
    rng = np.random.default_rng(seed)
    basis = np.eye(dim) + rng.uniform(-0.2, 0.2, (dim, dim)) / dim**0.5
    A, B = (basis @ _blocks(rng, dim) @ np.linalg.inv(basis) for _ in range(2))
    ito = sde_type == "ito"
    return Problem(
        name="scalar",
        version="1",
        t1=t1,
        y0=rng.uniform(0.5, 1.5, (paths, dim)),
        params={"A": A, "B": B},
        sde_type=sde_type,
        noise_type="scalar",
        noise_dim=1,
        drift=drift,
        diffusion=diffusion,
        exact=partial(exact, ito=ito),
        exact_gradient=partial(exact_gradient, ito=ito),
        lipschitz=float(max(np.linalg.norm(A, 2), np.linalg.norm(B, 2))),
    )


def _blocks(rng: np.random.Generator, dim: int) -> np.ndarray:
    """Block diagonal [dim, dim]: different blocks [[a, b], [-b, a]], and a single [a] last if dim is odd."""
    out = np.diag(np.repeat(rng.uniform(-0.5, 0.5, (dim + 1) // 2), 2)[:dim])
    for i in range(0, dim - 1, 2):
        out[i, i + 1] = rng.uniform(0.25, 0.5)
        out[i + 1, i] = -out[i, i + 1]
    return out
