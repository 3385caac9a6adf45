"""The class of test problems: written once for all frameworks, with the exact solution where it is known."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np

from suite.paths import Path

SDEType = Literal["ito", "stratonovich"]
NoiseType = Literal["diagonal", "additive", "scalar", "general"]
Params = Mapping[str, np.ndarray]


class Field(Protocol):
    """A vector field of (t, y): t a scalar, y [..., dim] with any leading axes, usually `paths`.

    xp: an array namespace that also has `sigmoid` and `silu`. params: the problem's, as arrays of xp.
    """

    def __call__(self, xp: Any, t: Any, y: Any, params: Mapping[str, Any]) -> Any: ...


@dataclass(frozen=True, kw_only=True)
class Problem:
    """An SDE dX = drift dt + diffusion dW on [t0, t1], in the calculus `sde_type`. Arrays are float64.

    y0, drift: [paths, dim]. diffusion: [paths, dim] for diagonal noise, else [paths, dim, noise].
    hidden: the width of the networks, 0 if there are none.
    exact(path, y0, params): the solution at the end of `path`, [paths, dim], as a function of that path.
    exact_gradient(path, y0, params): the derivatives of the sum of its squares by "y0" and by each parameter
    for which there is a closed form, in arrays of their shapes.
    growth(t, params): the mean and the mean square of the solution at t in units of its start, [dim] each, where they
    are known.
    lipschitz: bounds the Lipschitz constants in y of drift and diffusion (Euclidean and Frobenius norm); infinite
    where nothing does.
    version: changed by hand together with anything that changes a number.
    """

    name: str
    version: str
    t0: float = 0.0
    t1: float
    y0: np.ndarray
    params: Params
    sde_type: SDEType
    noise_type: NoiseType
    noise_dim: int
    hidden: int = 0
    drift: Field
    diffusion: Field
    exact: Callable[[Path, np.ndarray, Params], np.ndarray] | None = None
    exact_gradient: Callable[[Path, np.ndarray, Params], dict[str, np.ndarray]] | None = None
    growth: Callable[[float, Params], tuple[np.ndarray, np.ndarray]] | None = None
    lipschitz: float


def end(path: Path, y0: np.ndarray, noise: int) -> tuple[float, np.ndarray]:
    """(T, W(T) [paths, noise]) of a path that starts at 0 and fits y0 [paths, dim]; else ValueError."""
    expected = (len(path.times), len(y0), noise)
    if path.times[0] != 0.0 or path.W.shape != expected:
        raise ValueError(
            f"the exact solution needs a path from time 0 with W of shape {expected} [points, paths, noise], "
            f"got start {path.times[0]} and shape {path.W.shape}; "
            f"use make_path(0.0, t1, steps, paths={len(y0)}, noise={noise}, seed=...)."
        )
    return float(path.times[-1]), path.W[-1]
