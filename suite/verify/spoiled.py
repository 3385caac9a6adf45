"""Brownian samples made wrong on purpose, as those of a library may well be: the controls of the law test.

Each takes samples [seeds, queries, rows, entries] and returns others of the same shape.
"""

from collections.abc import Callable, Mapping

import numpy as np

Spoil = Callable[[np.ndarray], np.ndarray]


def _same_noise_in_two_rows(x: np.ndarray) -> np.ndarray:
    x = x.copy()
    x[:, :, 1] = x[:, :, 0]
    return x


def _second_half_copied(x: np.ndarray) -> np.ndarray:
    x, half = x.copy(), x.shape[2] // 2
    x[:, :, half : 2 * half] = x[:, :, :half]
    return x


def _spread(x: np.ndarray) -> np.ndarray:
    """The standard deviation of each query."""
    return x.std((0, 2, 3), keepdims=True)


def _correlated_entries(x: np.ndarray) -> np.ndarray:
    """By 0.1, through a part that all entries of a row share."""
    shared = x.mean(3, keepdims=True) * x.shape[3] ** 0.5
    return 0.9**0.5 * x + 0.1**0.5 * shared


def _correlated_areas(x: np.ndarray) -> np.ndarray:
    """By 0.02, of each H (the second half of the queries) with the W of its interval (the first)."""
    W, H = np.split(x, 2, axis=1)
    mixed = (1 - 0.02**2) ** 0.5 * H + 0.02 * W * _spread(H) / _spread(W)
    return np.concatenate([W, mixed], axis=1)


DEFECTS: Mapping[str, Spoil] = {
    "scaled by 1.01": lambda x: 1.01 * x,
    "mean of 0.05 standard deviations": lambda x: x + 0.05 * _spread(x),
    "signs in place of normals": lambda x: np.sign(x) * _spread(x),
    "all entries equal": lambda x: np.broadcast_to(x[..., :1], x.shape),
    "the same path for every seed": lambda x: np.broadcast_to(x[:1], x.shape),
    "the same noise in two rows": _same_noise_in_two_rows,
    "the second half of the batch a copy of the first": _second_half_copied,
    "entries correlated by 0.1": _correlated_entries,
    "H correlated with W by 0.02": _correlated_areas,
}
