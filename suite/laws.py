"""Whether samples have the joint law that Brownian increments and space-time Levy areas must have.

Pure functions of samples. Whitened by their exact covariance they are independent standard normals in every way, so all
that can be wrong shows in one of a few tests: means, variances, the shape of the distribution, correlations over
queries, rows of the batch, entries and seeds, and noise that is used again at an offset over all of these. Each test
gives a p-value, exact for any number of samples and already multiplied by the number of comparisons in it (Bonferroni).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import numpy as np
from scipy import stats
from scipy.special import stdtr

Part = tuple[float, float, Literal["W", "H", "K"]]
"""The increment W, the space-time Levy area H or the space-time-time Levy area K over [s, t]."""

AXES = ("seeds", "queries", "rows", "entries")
TAILS = (2.0, 3.0, 4.0)  # standard deviations beyond which samples are counted


def covariance(parts: Sequence[Part]) -> np.ndarray:
    """The covariance of Gaussian integrals against one Brownian motion, [parts, parts].

    W, H and K are the integrals of P0, -P1/2 and P2/12 against dW, with Legendre's polynomials on [s, t]: covariances
    are integrals of products of them over the overlap, for which Gauss's rule of three points is exact.
    """
    nodes, weights = np.polynomial.legendre.leggauss(3)

    def weight(part: Part, u: np.ndarray) -> np.ndarray:
        s, t, what = part
        x = ((u - s) - (t - u)) / (t - s)
        return {"W": 1.0 + 0 * x, "H": -x / 2, "K": (3 * x**2 - 1) / 24}[what]

    def product(p: Part, q: Part) -> float:
        a, b = max(p[0], q[0]), min(p[1], q[1])
        u = a + (b - a) * (1 + nodes) / 2
        return max(b - a, 0.0) / 2 * float(weights @ (weight(p, u) * weight(q, u)))

    return np.array([[product(p, q) for q in parts] for p in parts])


def whiten(samples: np.ndarray, exact: np.ndarray) -> np.ndarray:
    """samples [seeds, queries, rows, entries] of covariance `exact` [queries, queries] over the queries -> standard
    normals of the same shape, if that is their law. ValueError if they are not finite."""
    if samples.ndim != len(AXES) or not np.isfinite(samples).all():
        raise ValueError(f"samples must be finite and [{', '.join(AXES)}], got shape {samples.shape}.")
    flat = np.moveaxis(samples, 1, 0).reshape(len(exact), -1)
    white = np.linalg.solve(np.linalg.cholesky(exact), flat)
    return np.moveaxis(white.reshape(len(exact), len(samples), *samples.shape[2:]), 0, 1)


def tests(white: np.ndarray) -> Mapping[str, float]:
    """The p-value of each test of `white` [seeds, queries, rows, entries] being independent standard normals."""
    by_query = np.moveaxis(white, 1, 0).reshape(white.shape[1], -1)
    found = {
        "means": _worst([mean(x) for x in (*by_query, by_query.ravel())]),
        "variances": _worst([variance(x) for x in (*by_query, by_query.ravel())]),
        "distribution": _worst([stats.kstest(x, "norm").pvalue for x in by_query]),
        "tails": _worst([tail(by_query.ravel(), size) for size in TAILS]),
    }
    for axis, name in enumerate(AXES):
        if white.shape[axis] > 1:
            vectors = np.moveaxis(white, axis, 0).reshape(white.shape[axis], -1)
            found[f"correlation of {name}"] = correlation(vectors)
            found[f"common part of {name}"] = common_part(vectors)
            if axis:
                found[f"{name} reused with an offset"] = offset(*_every_other(white, axis))
    return found


def _every_other(white: np.ndarray, axis: int) -> tuple[np.ndarray, np.ndarray]:
    first, second = (np.moveaxis(white, axis, 0)[start::2][: white.shape[axis] // 2] for start in (0, 1))
    return np.moveaxis(first, 0, axis), np.moveaxis(second, 0, axis)


def together(tests: Mapping[str, float]) -> float:
    """The p-value of all of them holding."""
    return _worst(list(tests.values()))


def _worst(p_values: Sequence[float]) -> float:
    return min(1.0, len(p_values) * min(p_values))


def mean(x: np.ndarray) -> float:
    """The p-value for the mean of standard normals [samples] being 0; exact."""
    return float(2 * stats.norm.sf(abs(x.sum()) / x.size**0.5))


def variance(x: np.ndarray) -> float:
    """The p-value for the mean square of standard normals [samples] being 1; exact (chi-squared)."""
    total = float(x @ x)
    return float(min(1.0, 2 * min(stats.chi2.cdf(total, x.size), stats.chi2.sf(total, x.size))))


def tail(x: np.ndarray, size: float) -> float:
    """The p-value for the number of samples beyond `size` standard deviations; exact (binomial)."""
    beyond = int((np.abs(x) > size).sum())
    return float(stats.binomtest(beyond, x.size, 2 * float(stats.norm.sf(size))).pvalue)


def correlation(vectors: np.ndarray) -> float:
    """The p-value for no two of these vectors [vectors, samples] being correlated; exact for each pair (Student's t).

    Sees two rows of a batch that have the same noise, and a small correlation where samples are many.
    """
    sizes = np.linalg.norm(vectors, axis=1, keepdims=True)
    if not sizes.all():
        return 0.0
    unit = vectors / sizes
    return _of_products((unit @ unit.T)[np.triu_indices(len(unit), 1)], vectors.shape[1])


def offset(first: np.ndarray, second: np.ndarray) -> float:
    """The p-value for no samples of one array [seeds, queries, rows, entries] coming again in another, each elsewhere
    by the same offset over the last three axes, which go round; exact for each offset (Student's t).

    Sees noise of a step that is that of the step before, of another row of the batch.
    """
    axes, size = (1, 2, 3), float(np.linalg.norm(first) * np.linalg.norm(second))
    spectrum = (np.fft.rfftn(first, axes=axes).conj() * np.fft.rfftn(second, axes=axes)).sum(0)
    products = np.fft.irfftn(spectrum, s=first.shape[1:], axes=(0, 1, 2)).ravel()
    return _of_products(products / size, first.size) if size else 0.0


def _of_products(r: np.ndarray, n: int) -> float:
    """The p-value of these products of unit vectors with n components, as many as there are."""
    largest = float(np.abs(r).max())
    if largest >= 1 - 1e-12:
        return 0.0
    return float(min(1.0, r.size * 2 * stdtr(n - 1, -largest * ((n - 1) / (1 - largest**2)) ** 0.5)))


def common_part(vectors: np.ndarray) -> float:
    """The p-value for the sum of these vectors [vectors, samples] having the variance of independent ones; exact.

    Sees a weak correlation that all of them share, which no pair shows.
    """
    return variance(vectors.sum(0) / len(vectors) ** 0.5)


def power_of_mean(samples: int, shift: float, level: float) -> float:
    """The probability that a shift, in standard deviations, is rejected at this level."""
    quantile, moved = stats.norm.isf(level / 2), abs(shift) * samples**0.5
    return float(stats.norm.sf(quantile - moved) + stats.norm.cdf(-quantile - moved))


def power_of_variance(samples: int, ratio: float, level: float) -> float:
    """The probability that a variance which is `ratio` times what it should be is rejected at this level."""
    low, high = stats.chi2.ppf(level / 2, samples), stats.chi2.isf(level / 2, samples)
    return float(stats.chi2.cdf(low / ratio, samples) + stats.chi2.sf(high / ratio, samples))


def power_of_correlation(samples: int, rho: float, level: float) -> float:
    """The probability that a correlation of two vectors is rejected at this level (Fisher's transform)."""
    return power_of_mean(samples - 3, float(np.arctanh(rho)), level)


def samples_for(power: Callable[[int], float], wanted: float = 0.99) -> int:
    """The fewest samples, up to a factor of 1.1, with which power(samples) is what is wanted."""
    samples = 16
    while power(samples) < wanted:
        samples = int(samples * 1.1) + 1
    return samples
