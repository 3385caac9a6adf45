"""Data and measures of the training experiments: exact laws, distances that are known, and what is refused."""

import numpy as np
import pytest
from scipy import stats

from suite.training.measures import marginal_distance, signature, signature_distance
from suite.training.ou import OrnsteinUhlenbeck

TS = np.array([0.0, 0.5, 3.0, 10.0])
PROCESSES = [OrnsteinUhlenbeck(), OrnsteinUhlenbeck(slope=0.0, rate=0.5, noise=1.0)]


@pytest.mark.parametrize("process", PROCESSES)
def test_the_law_solves_its_equations(process):
    """d mean/dt = slope t - rate mean; d variance/dt = noise^2 - 2 rate variance."""
    t, h = 3.0, 1e-4
    (_, mean, deviation), (_, before, narrow), (_, after, wide) = (process.law(x) for x in (t, t - h, t + h))
    np.testing.assert_allclose(
        (after - before) / (2 * h), process.slope * t - process.rate * mean, rtol=1e-6, atol=1e-9
    )
    np.testing.assert_allclose(
        (wide**2 - narrow**2) / (2 * h), process.noise**2 - 2 * process.rate * deviation**2, rtol=1e-6
    )


@pytest.mark.parametrize("process", PROCESSES)
def test_samples_have_the_marginals_and_the_correlation_of_the_law(process):
    """20000 paths; Kolmogorov-Smirnov at each time and one correlation, each at significance 1e-4."""
    ys = process.sample(np.random.default_rng(0), TS, 20000)[..., 0]
    for t, y in zip(TS, ys, strict=True):
        assert stats.kstest(y, lambda x, t=t: process.cdf(t, x)).pvalue > 1e-4
        assert stats.kstest(y + 0.1, lambda x, t=t: process.cdf(t, x)).pvalue < 1e-4
    residual = ys[2] - process.law(TS[2] - TS[1])[0] * ys[1]
    assert stats.pearsonr(residual, ys[1]).pvalue > 1e-4


def test_the_marginal_distance_of_a_shift_is_the_shift():
    process = PROCESSES[0]
    ys = process.sample(np.random.default_rng(0), TS, 20000)
    floor = marginal_distance(TS, ys, process.cdf)
    assert 0 < floor < 0.02
    assert marginal_distance(TS, ys + 0.5, process.cdf) == pytest.approx(0.5, abs=floor + 1e-3)


def test_signatures_of_a_line_and_of_a_corner():
    line = np.array([[[0.0, 0.0]], [[1.0, 2.0]], [[1.5, 3.0]]])
    found = signature(line, 3)[0]
    v = np.array([1.5, 3.0])
    expected = (v, np.multiply.outer(v, v) / 2, np.multiply.outer(np.multiply.outer(v, v), v) / 6)
    np.testing.assert_allclose(found, np.concatenate([x.ravel() for x in expected]))
    corner = np.array([[[0.0, 0.0]], [[1.0, 0.0]], [[1.0, 1.0]]])
    np.testing.assert_allclose(signature(corner, 2)[0], [1, 1, 0.5, 1, 0, 0.5])  # x first: the integral of x dy is 1


def test_signatures_obey_the_shuffle_identity():
    S = signature(np.random.default_rng(0).normal(size=(6, 4, 2)), 3)
    first, second, third = S[:, :2], S[:, 2:6].reshape(-1, 2, 2), S[:, 6:].reshape(-1, 2, 2, 2)
    np.testing.assert_allclose(first[:, 0] * first[:, 1], second[:, 0, 1] + second[:, 1, 0])
    np.testing.assert_allclose(first[:, 0] * second[:, 0, 1], 2 * third[:, 0, 0, 1] + third[:, 0, 1, 0], atol=1e-12)


def test_the_signature_distance_tells_laws_apart():
    rng = np.random.default_rng(0)
    a, b = (PROCESSES[0].sample(rng, TS, 2000) for _ in range(2))
    other = PROCESSES[1].sample(rng, TS, 2000)
    assert 5 * signature_distance(TS, a, b) < signature_distance(TS, a, other)


def test_what_is_refused():
    ys = np.zeros((len(TS), 99, 1))
    with pytest.raises(ValueError, match="99 paths are too few to tell their law; give 100 or more"):
        marginal_distance(TS, ys, PROCESSES[0].cdf)
    with pytest.raises(ValueError, match="NaN or infinite"):
        signature_distance(TS, np.full((4, 100, 1), np.nan), np.zeros((4, 100, 1)))
