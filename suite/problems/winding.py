"""Scalar noise that gives itself away: dX_1 = dW, so that a solution tells on which path it was made.

X_2 = r sin(k X_1) with r = sqrt(1 + t): a function of the first component and of time, though every scheme makes an
error in it. So the error of a solve on noise of its own, with steps of its own choice, is known.
"""

from functools import partial

import numpy as np

from suite.paths import Path
from suite.problems.problem import Params, Problem, SDEType, end


def drift(xp, t, y, params, *, ito):
    slope = 0.5 / (1 + t) - (0.5 * ito) * params["k"] ** 2
    return xp.stack((0 * y[..., 0], slope * y[..., 1]), -1)


def diffusion(xp, t, y, params):
    k = params["k"]
    turn = k * (1 + t) ** 0.5 * xp.cos(k * y[..., 0])
    return xp.stack((1 + 0 * turn, turn), -1)[..., None]


def told(y: np.ndarray, t: float, k: float) -> np.ndarray:
    """The exact X_2 where the state at t is y [paths, 2]."""
    return (1 + t) ** 0.5 * np.sin(k * y[..., 0])


def exact(path: Path, y0: np.ndarray, params: Params) -> np.ndarray:
    t, W = end(path, y0, 1)
    x = y0 + np.concatenate((W, 0 * W), 1)
    return np.stack((x[:, 0], told(x, t, float(params["k"]))), -1)


def make_winding(*, paths: int, t1: float, seed: int, sde_type: SDEType) -> Problem:
    rng = np.random.default_rng(seed)
    k = rng.uniform(2.5, 3.5)
    x1 = rng.uniform(-1, 1, paths)
    return Problem(
        name="winding",
        version="1",
        t1=t1,
        y0=np.stack((x1, np.sin(k * x1)), -1),
        params={"k": np.array(k)},
        sde_type=sde_type,
        noise_type="scalar",
        noise_dim=1,
        drift=partial(drift, ito=float(sde_type == "ito")),
        diffusion=diffusion,
        exact=exact,
        lipschitz=k * k * (1 + t1) ** 0.5,
    )
