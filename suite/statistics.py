"""Errors, orders, intervals and laws, as pure functions of arrays. Each interval is two-sided, of confidence 0.95
unless asked.

Intervals of errors and orders are over independent paths, by the jackknife (Efron 1982); those of times are
over rounds, by order statistics. Errors have heavy tails, and with few paths their intervals cover less than
they say: take 1000 or more.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import bdtr, ndtr, ndtri, stdtrit

CONFIDENCE = 0.95


class Estimate(NamedTuple):
    """A value and the ends of its confidence interval."""

    value: float
    low: float
    high: float


def relative_l1(a: Mapping[str, np.ndarray], b: Mapping[str, np.ndarray]) -> float:
    """sum |a - b| / max(sum |a|, sum |b|) over all entries of all arrays; 0 if every entry is zero.

    The gradient error of Kidger et al. (2021), figure 2: a from the adjoint, b by backpropagation.
    ValueError unless both have the same names and shapes and are finite.
    """
    shapes_a, shapes_b = ({name: np.shape(x) for name, x in arrays.items()} for arrays in (a, b))
    if shapes_a != shapes_b:
        raise ValueError(f"gradients to compare need the same names and shapes, got {shapes_a} and {shapes_b}.")
    for name in a:
        _check_finite(f"gradient of {name!r}", np.stack([a[name], b[name]]))
    size = max(sum(np.abs(x).sum() for x in arrays.values()) for arrays in (a, b))
    difference = sum(np.abs(a[name] - b[name]).sum() for name in a)
    return float(difference / size) if size else 0.0


def squared_errors(x: np.ndarray, exact: np.ndarray) -> np.ndarray:
    """|x - exact|^2 of each path, [paths], for finite states [paths, dim]; else ValueError."""
    if x.shape != exact.shape or x.ndim != 2 or len(x) < 2:
        raise ValueError(f"x and exact must both be [paths >= 2, dim], got shapes {x.shape} and {exact.shape}.")
    _check_finite("solution", x)
    return np.square(np.subtract(x, exact, dtype=np.float64)).sum(1)


def strong_error(x: np.ndarray, exact: np.ndarray, *, confidence: float = CONFIDENCE) -> Estimate:
    """Root mean square over paths of |x - exact|, both [paths, dim], on the same Brownian paths."""
    squares = squared_errors(x, exact)
    if not squares.any():
        return Estimate(0.0, 0.0, 0.0)
    log = _jackknife(np.log(squares.mean()) / 2, np.log(_leave_one_out(squares)) / 2, confidence)
    return Estimate(*np.exp(log).tolist())


def weak_error(values: np.ndarray, expected: np.ndarray | float, *, confidence: float = CONFIDENCE) -> Estimate:
    """E[values - expected], signed, for values f(X) [paths] of any f.

    expected: the exact mean, or f(exact solution) [paths] on the same Brownian paths (a narrower interval).
    """
    if values.ndim != 1 or len(values) < 2:
        raise ValueError(f"values must be [paths >= 2], one number a path, got shape {values.shape}.")
    _check_finite("values", values)
    differences = np.broadcast_to(values - expected, values.shape)
    return _jackknife(differences.mean(), _leave_one_out(differences), confidence)


def slope(dts: Sequence[float] | np.ndarray, errors: Sequence[float] | np.ndarray) -> np.ndarray:
    """Least-squares slope of log(error) by log(dt). errors: [dts] or [dts, samples]; slope [] or [samples].

    ValueError unless there are two different step sizes or more, and all of them and all errors are positive.
    """
    steps, sizes = np.asarray(dts, dtype=float), np.asarray(errors, dtype=float)
    if len(sizes) != len(steps) or len(set(dts)) < 2 or not (steps > 0).all() or not (sizes > 0).all():
        raise ValueError(
            "a slope needs an error for each of two or more step sizes, all positive, "
            f"got dts={list(dts)} and errors of shape {sizes.shape}, smallest {sizes.min(initial=np.inf)}."
        )
    logs = np.log(steps) - np.log(steps).mean()
    return logs @ np.log(sizes) / (logs @ logs)


def order(dts: Sequence[float] | np.ndarray, squares: np.ndarray, *, confidence: float = CONFIDENCE) -> Estimate:
    """Strong order: the slope of the root mean square error, from `squared_errors` at each dt, [dts, paths].

    Every dt must have used the same Brownian paths: the jackknife leaves out whole paths, which accounts for
    the dependence of the errors. The interval is of the slope over these dts, not of its limit for dt to 0.
    """
    if squares.ndim != 2 or squares.shape[1] < 2:
        raise ValueError(f"squares must be [dts, paths >= 2], got shape {squares.shape}.")
    _check_finite("squared errors", squares)
    rms, others = np.sqrt(squares.mean(1)), np.sqrt(_leave_one_out(squares))
    return _jackknife(float(slope(dts, rms)), slope(dts, others), confidence)


def weak_order(
    dts: Sequence[float] | np.ndarray, differences: np.ndarray, *, confidence: float = CONFIDENCE
) -> Estimate:
    """Weak order: the slope of the size of the bias, from f(X_dt) - f(X) at each dt, [dts, paths], on the same paths.

    ValueError unless the bias is clearly not zero, so that no path changes its sign.
    """
    others = np.abs(_leave_one_out(differences))
    return _jackknife(float(slope(dts, np.abs(differences.mean(1)))), slope(dts, others), confidence)


def bend(dts: Sequence[float] | np.ndarray, squares: np.ndarray, *, confidence: float = CONFIDENCE) -> Estimate:
    """The slope between the two finest step sizes less that over all of them: 0 if the curve of log error
    by log dt is straight. Arguments as for `order`."""
    finest = np.argsort(dts)[:2]

    def excess(errors: np.ndarray) -> np.ndarray:
        return slope(np.asarray(dts)[finest], errors[finest]) - slope(dts, errors)

    rms, others = np.sqrt(squares.mean(1)), np.sqrt(_leave_one_out(squares))
    return _jackknife(float(excess(rms)), excess(others), confidence)


def limit(
    dts: Sequence[float] | np.ndarray, squares: np.ndarray, order: float, *, confidence: float = CONFIDENCE
) -> Estimate:
    """The mean square error extrapolated to dt = 0 from the two finest step sizes, for a method of this order
    (Richardson), in units of that at the finest. Arguments else as for `order`."""
    fine, coarse = np.argsort(dts)[:2]
    q = (dts[fine] / dts[coarse]) ** (2 * order)

    def extrapolated(means: np.ndarray) -> np.ndarray:
        return (1 - q * means[coarse] / means[fine]) / (1 - q)

    return _jackknife(float(extrapolated(squares.mean(1))), extrapolated(_leave_one_out(squares)), confidence)


def power_of_order(dts: Sequence[float], samples: int, gap: float, level: float) -> float:
    """The probability that an order which is `gap` below the bound is rejected at this two-sided level, for independent
    normal errors, `samples` at each step size: the log of their root mean square has variance 1 / (2 samples)."""
    logs = np.log(dts) - np.log(dts).mean()
    deviation = (2 * samples * logs @ logs) ** -0.5
    return float(ndtr(gap / deviation - ndtri(1 - level / 2)))


def median(samples: Sequence[float] | np.ndarray, *, confidence: float = CONFIDENCE) -> Estimate:
    """Median of independent samples [samples] from any distribution; the interval ends are order statistics.

    Its coverage is the confidence or more. ValueError for too few samples (0.95 needs 6).
    """
    x = np.sort(np.asarray(samples, dtype=float))
    _check_finite("samples", x)
    tail = (1 - confidence) / 2
    rank = int(np.sum(bdtr(np.arange(len(x)), len(x), 0.5) <= tail))  # of both ends, from below and above
    if rank == 0:
        raise ValueError(
            f"a median with confidence {confidence} needs {np.ceil(-np.log2(tail)):.0f} samples or more, "
            f"got {len(x)}; take more rounds."
        )
    return Estimate(float(np.median(x)), float(x[rank - 1]), float(x[-rank]))


def paired_ratio(times: np.ndarray, reference: np.ndarray, *, confidence: float = CONFIDENCE) -> Estimate:
    """Median over rounds of times / reference, both [rounds] and positive, entry k of both from round k.

    Pairing takes out what slows the whole machine in a round.
    """
    if times.shape != reference.shape or times.ndim != 1 or not (times > 0).all() or not (reference > 0).all():
        raise ValueError(
            f"paired times must be positive and of the same rounds, got {times.tolist()} and {reference.tolist()}."
        )
    return median(times / reference, confidence=confidence)


def _leave_one_out(x: np.ndarray) -> np.ndarray:
    """Means over the last axis (paths) without each of its entries in turn; shape of x."""
    return (x.sum(-1, keepdims=True) - x) / (x.shape[-1] - 1)


def _jackknife(value: float, others: np.ndarray, confidence: float) -> Estimate:
    """Student's interval about `value`; `others` [paths] are its values without each path in turn."""
    n = len(others)
    half = stdtrit(n - 1, (1 + confidence) / 2) * np.std(others) * (n - 1) ** 0.5
    return Estimate(float(value), float(value - half), float(value + half))


def _check_finite(what: str, x: np.ndarray) -> None:
    bad = x.size - np.isfinite(x).sum()
    if bad:
        raise ValueError(f"{what}: {bad} of {x.size} entries are not finite; the run diverged, record it as failed.")
