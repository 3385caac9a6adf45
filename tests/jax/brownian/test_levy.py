"""Levy areas: how increments are made of those of their parts, and the laws of H, K and A."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sdegrad.jax import BrownianInterval
from sdegrad.jax.brownian.levy import Span, cut, halve, join
from tests.jax.brownian.test_interval import POINTS, SAMPLES, VARIANCES, asked, is_standard_normal

LENGTH = 0.3


def parts_of(standard, h):
    return tuple(np.sqrt(h * v) * x for v, x in zip(VARIANCES.values(), standard, strict=False))


def standard_of(span):
    return [np.asarray(x) / np.sqrt(span.h * v) for v, x in zip(VARIANCES.values(), span.parts, strict=False)]


def matrix(split, count):
    """Of the linear map from (whole, normals) to (left, right), all in units of their standard deviations."""
    units = jnp.eye(2 * count)
    left, right = split(Span(jnp.asarray(LENGTH), parts_of(units[:count], LENGTH)), tuple(units[count:]))
    np.testing.assert_allclose(left.h + right.h, LENGTH, rtol=1e-14)
    return np.stack([*standard_of(left), *standard_of(right)]), join(left, right)


SPLITS = {"halves": halve, **{p: lambda w, X, p=p: cut(w, jnp.asarray(p), X) for p in (1e-3, 0.2, 0.5, 0.9)}}


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("at", SPLITS)
@pytest.mark.slow
def test_both_parts_have_their_law_and_make_the_whole(at, count):
    """Independent standard normals must become independent standard normals: an orthogonal matrix."""
    made, joined = matrix(SPLITS[at], count)
    np.testing.assert_allclose(made @ made.T, np.eye(2 * count), atol=1e-9)
    np.testing.assert_allclose(np.stack(standard_of(joined)), np.eye(2 * count)[:count], atol=1e-12)


@pytest.mark.parametrize("fault", ["signs", "variance"])
def test_a_wrong_split_is_seen(fault):
    def wrong(whole, X):
        if fault == "variance":
            return halve(whole, (1.01 * X[0], *X[1:]))
        left, right = halve(whole, X)
        return left, right._replace(parts=(*right.parts[:2], -right.parts[2]))

    made, joined = matrix(wrong, 3)
    lawful = np.allclose(made @ made.T, np.eye(6), atol=1e-3)
    whole = np.allclose(np.stack(standard_of(joined)), np.eye(6)[:3], atol=1e-3)
    assert (lawful, whole) == {"signs": (True, False), "variance": (False, True)}[fault]


def test_a_cut_at_an_end_leaves_the_whole():
    units = jnp.eye(6)
    whole = Span(jnp.asarray(LENGTH), parts_of(units[:3], LENGTH))
    for p in (0.0, 1.0):
        left, right = cut(whole, jnp.asarray(p), tuple(units[3:]))
        empty, full = (left, right) if p == 0 else (right, left)
        np.testing.assert_allclose(empty.parts, np.zeros((3, 6)), atol=1e-15)
        np.testing.assert_allclose(full.parts, whole.parts, atol=1e-15)


@pytest.mark.exhaustive
@pytest.mark.usefixtures("kept")
@pytest.mark.slow
def test_areas_are_those_of_the_path():
    """H and K of [0, 1] against their defining integrals, by the trapezoidal rule on 512 points of the path, which is
    wrong by 1e-3 of the standard deviation; 200 paths."""
    bm = BrownianInterval(0, 1, (200,), jax.random.key(0), dt=1 / 512, levy_area="space-time-time")
    v = np.arange(513)[:, None] / 512
    cells, whole = jax.jit(lambda: (jax.vmap(bm.cell)(jnp.arange(512)), bm.evaluate(0.0, 1.0, use_levy=True)))()
    W = np.concatenate([np.zeros((1, 200)), np.cumsum(cells.W, axis=0)])
    bridge = W - v * W[-1]
    H, K = np.mean(bridge[1:], axis=0), np.mean(((0.5 - v) * bridge)[1:], axis=0)
    for made, expected, variance in ((whole.H, H, 1 / 12), (whole.K, K, 1 / 720)):
        miss, wrong = (np.sqrt(np.mean((np.asarray(sign * made) - expected) ** 2) / variance) for sign in (1, -1))
        assert miss < 0.02 < wrong


AREA_SAMPLES = 20_000
# A cell, two pieces of cells; both cells, and a piece of each.
S, T = np.asarray([0.0, 0.5, 0.7, 0.0, 0.3]), np.asarray([0.5, 0.6, 1.0, 1.0, 0.6])


def area_path(kind):
    return BrownianInterval(0, 1, (AREA_SAMPLES, 3), jax.random.key(1), dt=0.5, levy_area=kind)


@pytest.mark.exhaustive
@pytest.mark.usefixtures("kept")
@pytest.mark.slow
@pytest.mark.parametrize("kind", ["davie", "foster"])
def test_law_of_levy_area(kind):
    """Of a cell and of pieces of cells, 20 000 samples: A less its mean given (W, H) has the right variance given H
    and does not depend on W and H. Means and covariances at 1e-3, Bonferroni over all of them in one test. Unions of
    cells obey Chen's relation."""
    bm = area_path(kind)
    everything = asked(bm, S, T)
    made, whole = (jax.tree.map(lambda x, i=i: x[i], everything) for i in (slice(3), 3))
    h = (T - S)[:3, None, None]
    W, H, A = (np.asarray(x) for x in (made.W, made.H, made.A))
    np.testing.assert_allclose(A, -np.swapaxes(A, -1, -2), atol=1e-15)
    rest = A - (H[..., :, None] * W[..., None, :] - W[..., :, None] * H[..., None, :])
    squares = H[..., :, None] ** 2 + H[..., None, :] ** 2
    variance = h[..., None] ** 2 / 12 if kind == "davie" else h[..., None] ** 2 / 20 + h[..., None] / 5 * squares
    i, j = np.triu_indices(3, 1)
    N = (rest / np.sqrt(variance))[..., i, j]
    z = np.concatenate([np.moveaxis(x, -1, 1).reshape(9, -1) for x in (W / np.sqrt(h), H / np.sqrt(h / 12), N)])
    assert is_standard_normal(z)
    assert not is_standard_normal(np.concatenate([z[:18], 1.025 * z[18:]]))
    exact = np.mean(A[..., 0, 1] ** 2, axis=1) / (h[:, 0, 0] ** 2 / 4)
    assert np.all(np.abs(exact - 1) < 0.06)  # 3.3 standard deviations of this mean, of kurtosis below 9

    first, second = bm.cell(0), bm.cell(1)  # not compiled: to the last bit those of above
    chen = first.W[..., :, None] * second.W[..., None, :]
    expected = first.A + second.A + (chen - jnp.swapaxes(chen, -1, -2)) / 2
    np.testing.assert_allclose(whole.A, expected, atol=1e-14)
    np.testing.assert_array_equal(first.A, A[0])


@pytest.mark.exhaustive
@pytest.mark.slow
def test_increments_of_the_reversed_path():
    """Backwards in time W, K and A change their signs, and H does not."""
    by_moments = BrownianInterval(0, 1, (SAMPLES,), jax.random.key(3), dt=0.25, levy_area="space-time-time")
    for bm, s, t in ((by_moments, POINTS[:-1], POINTS[1:]), (area_path("foster"), S, T)):
        forwards, backwards = asked(bm, s, t), asked(bm, t, s)
        for name, sign in {"dt": -1, "W": -1, "H": 1, "K": -1, "A": -1}.items():
            if hasattr(forwards, name):
                np.testing.assert_array_equal(getattr(backwards, name), sign * getattr(forwards, name))
