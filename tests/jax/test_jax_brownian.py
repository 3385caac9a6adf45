"""The law of the path, its consistency, and its independence of how it is asked."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sdegrad.jax import BrownianInterval
from sdegrad.jax.random import normal, threefry

SAMPLES = 20_000
# Whole cells, parts of cells, neighbours in one cell; the path has cells of 0.25 on [0, 1] or none.
POINTS = np.asarray([0.0, 0.1, 0.11, 0.125, 0.25, 0.5, 0.51, 0.6, 0.9, 1.0])


def increments(bm, points=POINTS):
    return jax.vmap(bm.evaluate)(jnp.asarray(points[:-1]), jnp.asarray(points[1:]))


def standardised(bm):
    """[2 x intervals, samples]: W and H over the intervals, by their standard deviations."""
    W, H = increments(bm)
    h = np.diff(POINTS)[:, None]
    return np.concatenate([W / np.sqrt(h), H / np.sqrt(h / 12)])


def is_standard_normal(z, significance=1e-3):
    """Whether mean, variance and covariance of the rows of z [variables, samples] are those of independent standard
    normals: each within its normal quantile, Bonferroni over all of them."""
    variables, samples = z.shape
    tests = variables * (variables + 3) // 2
    quantile = -_normal_quantile(significance / tests / 2)
    covariance = (z @ z.T) / samples - np.eye(variables)
    sd = np.sqrt((1 + np.eye(variables)) / samples)
    return bool(
        np.all(np.abs(np.mean(z, axis=1)) < quantile / samples**0.5) and np.all(np.abs(covariance) < quantile * sd)
    )


def _normal_quantile(p):
    from scipy.stats import norm

    return norm.ppf(p)


@pytest.mark.parametrize("dt", [0.25, None])
def test_joint_law_of_increments_and_areas(dt):
    bm = BrownianInterval(0, 1, (SAMPLES,), jax.random.key(0), dt=dt, levy_area="space-time")
    z = standardised(bm)
    assert is_standard_normal(z)
    assert not is_standard_normal(1.02 * z)  # variance 4 % too large
    assert not is_standard_normal(np.concatenate([z[:1] + 0.1 * z[1:2], z[1:]]))  # correlation 0.1


def test_the_normals_are_normal():
    """Kolmogorov-Smirnov and the fourth moment, n = 200 000, each at 1e-3 (two tests a dtype); symmetric support."""
    from scipy.stats import kstest

    for dtype in (np.float32, np.float64):
        z = np.asarray(normal(jnp.asarray([1, 2], jnp.uint32), jnp.uint32(3), (200_000,), np.dtype(dtype)), np.float64)
        assert kstest(z, "norm").pvalue > 1e-3
        assert abs(np.mean(z**4) - 3) < 3.3 * np.sqrt(96 / z.size)
        assert kstest(1.01 * z + 0.01, "norm").pvalue < 1e-3


def test_the_generator_is_threefry():
    """Known answers of Random123 for Threefry-2x32-20."""
    cases = {
        (0x0, 0x0, 0x0, 0x0): (0x6B200159, 0x99BA4EFE),
        (0xFFFFFFFF,) * 4: (0x1CB996FC, 0xBB002BE7),
        (0x13198A2E, 0x03707344, 0x243F6A88, 0x85A308D3): (0xC4923A9C, 0x483DF7A0),
    }
    for (k0, k1, c0, c1), expected in cases.items():
        words = threefry(jnp.asarray([k0, k1], jnp.uint32), jnp.uint32(c0), jnp.uint32(c1))
        assert tuple(int(w) for w in words) == expected


def test_increments_add_up():
    bm = BrownianInterval(0, 1, (5,), jax.random.key(1), dt=0.07, levy_area="space-time")
    W, H = increments(bm)
    h = np.diff(POINTS)[:, None]
    whole = bm.evaluate(0.0, 1.0)
    np.testing.assert_allclose(np.sum(W, axis=0), whole.W, atol=1e-14)
    before = np.concatenate([np.zeros((1, 5)), np.cumsum(W, axis=0)[:-1]])
    np.testing.assert_allclose(np.sum(h * (W / 2 + H) + h * before, axis=0), whole.W / 2 + whole.H, atol=1e-14)
    np.testing.assert_allclose(jnp.sum(jax.vmap(bm.cell)(jnp.arange(15)).W, axis=0), whole.W, atol=1e-15)


def test_cells_are_found_from_inexact_times():
    bm = BrownianInterval(0, 1, (3,), jax.random.key(1), dt=0.1)
    time = 0.0
    for k in range(10):
        np.testing.assert_array_equal(bm.evaluate(time, time + 0.1), bm.cell(k))
        time += 0.1
    assert np.all(np.abs(bm.evaluate(0.1, 0.1 + 1e-6)) > 0)  # not everything is snapped


def test_the_path_does_not_depend_on_levy_area_or_compilation_or_batching():
    key = jax.random.key(2)
    bm = BrownianInterval(0, 1, (3,), key, dt=0.1)
    other = BrownianInterval(0, 1, (3,), key, dt=0.1, levy_area="space-time")
    expected = bm.evaluate(0.23, 0.7)
    np.testing.assert_allclose(other.evaluate(0.23, 0.7).W, expected, atol=1e-15)
    np.testing.assert_allclose(jax.jit(lambda s, t: 1 * bm.evaluate(s, t))(0.23, 0.7), expected, atol=1e-15)
    np.testing.assert_array_equal(bm.evaluate(0.3), bm.evaluate(0.0, 0.3))
    keys = jax.random.split(key, 2)
    batch = jax.vmap(lambda k: BrownianInterval(0, 1, (3,), k, dt=0.1).cell(4))(keys)
    np.testing.assert_array_equal(batch[1], BrownianInterval(0, 1, (3,), keys[1], dt=0.1).cell(4))


def test_outside_is_refused():
    bm = BrownianInterval(0, 1, (3,), jax.random.key(1), dt=0.1)
    with pytest.raises(ValueError, match=r"time 1.1 is outside \[t0, t1\] = \[0.0, 1.0\]"):
        bm.evaluate(0.0, 1.1)
    assert np.all(np.isnan(jax.jit(lambda s, t: bm.evaluate(s, t))(jnp.asarray(0.0), jnp.asarray(1.1))))
    assert np.all(np.isfinite(bm.evaluate(0.0, np.nextafter(1.0, 2.0))))
