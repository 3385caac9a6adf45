"""How near generated paths are to the law of the data: functions of arrays [times, paths, channels]."""

from collections.abc import Callable

import numpy as np

_POINTS = 4000  # of the integral over y
LEAST_PATHS = 100


def marginal_distance(ts: np.ndarray, ys: np.ndarray, cdf: Callable[[float, np.ndarray], np.ndarray]) -> float:
    """The Wasserstein distance of order 1 between the marginals of ys [times, paths, 1] and the exact ones, averaged
    over the times: the integral over y of |F(y) - G(y)|. Exact paths do not have zero, as their number is finite.
    """
    _check_paths(ys)
    return float(
        np.mean([_distance(np.sort(y), lambda x, t=t: cdf(t, x)) for t, y in zip(ts, ys[..., 0], strict=True)])
    )


def _distance(ys: np.ndarray, cdf: Callable[[np.ndarray], np.ndarray]) -> float:
    low, high = ys[0], ys[-1]
    while cdf(np.asarray(low)) > 1e-6:
        low -= 1
    while cdf(np.asarray(high)) < 1 - 1e-6:
        high += 1
    x = np.linspace(low, high, _POINTS)
    return float(np.mean(np.abs(np.searchsorted(ys, x, side="right") / len(ys) - cdf(x))) * (high - low))


def signature_distance(ts: np.ndarray, a: np.ndarray, b: np.ndarray, depth: int = 5) -> float:
    """The maximum mean discrepancy of two sets of paths by the linear kernel of truncated signatures: the distance of
    their mean signatures, of the path (time over the whole time, y).
    """
    for ys in (a, b):
        _check_paths(ys)
    mean_a, mean_b = (signature(_with_time(ts, ys), depth).mean(0) for ys in (a, b))
    return float(np.linalg.norm(mean_a - mean_b))


def signature(path: np.ndarray, depth: int) -> np.ndarray:
    """The iterated integrals of paths [times, paths, channels], linear between the times, up to this depth, [paths,
    features], without the constant. By Chen's relation: each line multiplies with the exponential of its increment.
    """
    increments = np.diff(path, axis=0)
    paths = path.shape[1]
    levels = [np.ones((paths, 1))] + [np.zeros((paths, path.shape[2] ** k)) for k in range(1, depth + 1)]
    for dx in increments:
        powers = [np.ones((paths, 1))]
        for k in range(1, depth + 1):
            powers.append(_product(powers[-1], dx) / k)
        products = ([_product(levels[j], powers[k - j]) for j in range(k + 1)] for k in range(depth + 1))
        levels = [np.sum(parts, axis=0) for parts in products]
    return np.concatenate(levels[1:], axis=1)


def _product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return (a[:, :, None] * b[:, None, :]).reshape(len(a), -1)


def _with_time(ts: np.ndarray, ys: np.ndarray) -> np.ndarray:
    t = (np.asarray(ts) - ts[0]) / (ts[-1] - ts[0])
    return np.concatenate((np.broadcast_to(t[:, None, None], (*ys.shape[:2], 1)), ys), axis=-1)


def _check_paths(ys: np.ndarray) -> None:
    if ys.shape[1] < LEAST_PATHS:
        raise ValueError(f"{ys.shape[1]} paths are too few to tell their law; give {LEAST_PATHS} or more.")
    if not np.isfinite(ys).all():
        raise ValueError("paths with NaN or infinite values have no distance; see where training went wrong.")
