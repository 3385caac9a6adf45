"""Exact Gaussian laws of Brownian increments, and one test of samples against them."""

from collections.abc import Sequence

import numpy as np
from scipy import stats

# (kind, a, b): for the kind "W" the increment over [a, b], for "H" its space-time Levy area.
Functional = tuple[str, float, float]

SIGNIFICANCE = 1e-4  # of each test; `p_value` corrects for how many there are inside it


def _density(of: Functional, r: np.ndarray) -> np.ndarray:
    """f with functional = integral of f dW over [a, b]: H = U/h - W/2, and U = integral of (b - r) dW_r."""
    kind, a, b = of
    return np.ones_like(r) if kind == "W" else (b - r) / (b - a) - 0.5


def covariance(functionals: Sequence[Functional]) -> np.ndarray:
    """By the isometry; Gauss's rule with two points is exact for the products of linear densities."""
    nodes = np.array([-1.0, 1.0]) / np.sqrt(3)

    def entry(x: Functional, y: Functional) -> float:
        lo, hi = max(x[1], y[1]), min(x[2], y[2])
        r = (lo + hi) / 2 + (hi - lo) / 2 * nodes
        return max(hi - lo, 0.0) / 2 * float(np.sum(_density(x, r) * _density(y, r)))

    return np.array([[entry(x, y) for y in functionals] for x in functionals])


def p_value(samples: np.ndarray, exact: np.ndarray, mean: np.ndarray | float = 0.0) -> float:
    """samples [n, m] against N(mean, exact [m, m]): the smallest p-value, Bonferroni-corrected, of the total
    chi-square, each mean and each entry of the covariance (all after whitening), and Kolmogorov-Smirnov."""
    n, m = samples.shape
    white = np.linalg.solve(np.linalg.cholesky(exact), (samples - mean).T)
    total = stats.chi2(n * m).cdf(np.sum(white**2))
    z_means = np.sqrt(n) * white.mean(axis=1)
    products = white @ white.T
    z_variances = (np.diag(products) - n) / np.sqrt(2 * n)
    z_covariances = products[np.triu_indices(m, 1)] / np.sqrt(n)
    z = np.concatenate([z_means, z_variances, z_covariances])
    p = [
        2 * min(total, 1 - total),
        stats.kstest(white.ravel(), "norm").pvalue,
        *(2 * stats.norm.sf(np.abs(z))),
    ]
    return min(1.0, len(p) * min(p))
