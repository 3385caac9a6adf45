"""Levy areas: their laws, that they join by Chen's relation, and that they are those of the same path."""

import math

import numpy as np
import pytest
import torch
from scipy import stats

from sdegrad.torch.brownian.interval import BrownianInterval
from sdegrad.torch.brownian.levy import Increment, join
from tests.torch.laws import SIGNIFICANCE, covariance, p_value

PATHS = 40_000
QUERIES = [(0.1, 0.2), (0.2, 0.5), (0.31, 0.317), (0.95, 1.0), (0.05, 0.55)]


def interval(kind="space-time", **changes) -> BrownianInterval:
    options = {
        "size": (PATHS,),
        "dtype": torch.float64,
        "entropy": 11,
        "dt": 0.1,
        "levy_area_approximation": kind,
    }
    return BrownianInterval(**options | changes)


def w_and_h(bm, queries) -> np.ndarray:
    """[n, 2 queries]: W, H of each query in turn."""
    columns = []
    for a, b in queries:
        W, U = bm(a, b, return_U=True)
        columns += [W.numpy(), (U / (b - a) - W / 2).numpy()]
    return np.stack(columns, axis=1)


def functionals(queries):
    return [(kind, a, b) for a, b in queries for kind in "WH"]


@pytest.mark.parametrize(
    ("options", "queries"),
    [
        ({}, QUERIES),
        ({"dt": 0.07}, QUERIES),
        ({"dt": None}, QUERIES),
        ({"dt": None, "halfway_tree": True, "tol": 1e-9}, [(0.1, 0.2), (0.15, 0.9)]),
        ({"dt": None}, [(0.3, 0.3 + 1e-7), (0.1, 0.9), (0.0, 1e-3)]),
        ({"dt": 0.25, "t0": -1.0}, [(-1.0, 1.0), (-0.6, -0.5)]),
    ],
)
@pytest.mark.slow
def test_joint_law_of_w_and_h(options, queries):
    samples, exact = w_and_h(interval(**options), queries), covariance(functionals(queries))
    assert p_value(samples, exact) > SIGNIFICANCE
    assert p_value(samples * 1.02, exact) < SIGNIFICANCE  # variance 4 % too large
    samples[:, 1] *= -1
    assert len(queries) < 4 or p_value(samples, exact) < SIGNIFICANCE  # H of (0.1, 0.2) with the wrong sign


@pytest.mark.parametrize("dt", [None, 0.3])
@pytest.mark.parametrize("given", ["W", "H", "WH"])
@pytest.mark.slow
def test_law_given_the_whole(dt, given):
    queries = [(0.0, 0.3), (0.1, 0.2), (0.55, 0.9)]
    values = {"W": 1.5, "H": -0.4}
    totals = {name: torch.full((PATHS,), values[name], dtype=torch.float64) for name in given}
    bm = interval(dt=dt, **totals)
    full = covariance([*functionals(queries), *((name, 0.0, 1.0) for name in given)])
    m = 2 * len(queries)
    gain = full[:m, m:] @ np.linalg.inv(full[m:, m:])
    exact, mean = full[:m, :m] - gain @ full[m:, :m], (gain @ [values[name] for name in given])
    samples = w_and_h(bm, queries)
    assert p_value(samples, exact, mean) > SIGNIFICANCE
    assert p_value(samples, full[:m, :m], mean) < SIGNIFICANCE
    assert p_value(samples, exact, 0.9 * mean) < SIGNIFICANCE
    W, H = w_and_h(bm, [(0.0, 1.0)]).T
    for name, value in zip("WH", (W, H), strict=True):
        assert name not in given or np.allclose(value, values[name], rtol=0.0, atol=1e-14)


def test_h_without_an_area_still_shapes_the_path():
    H = torch.full((PATHS,), 2.0, dtype=torch.float64)
    assert abs(float(interval("none", H=H)(0.0, 0.5).mean()) - 3.0) < 0.02  # E[W_half | H] = 3/2 H
    assert interval("none", H=H)(0.0, 0.5, return_U=True)[1] is None


@pytest.mark.parametrize("dt", [None, 0.1])
def test_chens_relation_for_w_and_u(dt):
    bm, (a, b, c) = interval(dt=dt, size=(100,)), (0.137, 0.45, 0.9)
    W1, U1 = bm(a, b, return_U=True)
    W2, U2 = bm(b, c, return_U=True)
    W, U = bm(a, c, return_U=True)
    torch.testing.assert_close(W1 + W2, W, rtol=0.0, atol=1e-14)
    torch.testing.assert_close(U1 + (c - b) * W1 + U2, U, rtol=0.0, atol=1e-14)


@pytest.mark.parametrize("kind", ["davie", "foster"])
def test_chens_relation_for_a_over_cells(kind):
    bm = interval(kind, size=(50, 3))
    W1, A1 = bm(0.1, 0.3, return_A=True)
    W2, A2 = bm(0.3, 0.8, return_A=True)
    _, A = bm(0.1, 0.8, return_A=True)
    cross = W1.unsqueeze(-1) * W2.unsqueeze(-2)
    torch.testing.assert_close(A1 + A2 + (cross - cross.mT) / 2, A, rtol=0.0, atol=1e-14)
    assert torch.equal(bm(0.2, 0.3, return_A=True)[1], bm.cell(2, return_A=True)[1])
    assert torch.equal(A, -A.mT)


def deviation(values: torch.Tensor, expected: float) -> float:
    """Two-sided p-value of the mean."""
    return 2 * float(stats.norm.sf(abs(values.mean() - expected) / (values.std() / math.sqrt(len(values)))))


@pytest.mark.parametrize("kind", ["davie", "foster"])
@pytest.mark.parametrize(("query", "cell"), [((0.0, 0.1), True), ((0.03, 0.07), True), ((0.0, 0.5), False)])
@pytest.mark.slow
def test_law_of_a(kind, query, cell):
    """Variance h^2/4, uncorrelated entries; over one piece the conditional mean and variance given (W, H).

    Seven tests for each of six cases, at 1e-4 together. The 600 000 noises (three entries a path, independent given W
    and H) have their variance to 0.18 %, so that noise 1 % too large, a variance 2 % too large, is 11 sigma off; by
    less than 0.5 % it may be wrong unseen."""
    level, h = 1e-4 / 42, query[1] - query[0]
    W, U, A = interval(kind, size=(200_000, 3))(*query, return_U=True, return_A=True)
    H = U / h - W / 2
    assert deviation(A[:, 0, 1] ** 2, h**2 / 4) > level
    assert deviation(A[:, 0, 1] ** 2, 1.03 * h**2 / 4) < level
    assert deviation(A[:, 0, 1] * A[:, 0, 2], 0.0) > level
    assert deviation(A[:, 0, 1], 0.0) > level
    mean = H[:, 0] * W[:, 1] - W[:, 0] * H[:, 1]
    assert deviation((A[:, 0, 1] - mean) * mean, 0.0) > level
    assert deviation((A[:, 0, 1] + mean) * mean, 0.0) < level  # the wrong sign
    if cell:
        i, j = torch.triu_indices(3, 3, 1)
        squares = H[:, i] ** 2 + H[:, j] ** 2
        variance = h**2 / 12 if kind == "davie" else h**2 / 20 + h / 5 * squares
        noise = ((A[:, i, j] - (H[:, i] * W[:, j] - W[:, i] * H[:, j])) / variance**0.5).ravel()
        assert stats.kstest(noise.numpy(), "norm").pvalue > level
        assert deviation(noise**2, 1.0) > level
        for wrong in (0.99, 1.01):
            assert deviation((wrong * noise) ** 2, 1.0) < level
        assert deviation(noise**2 * squares.ravel(), float(squares.mean())) > level


@pytest.mark.parametrize("kind", ["davie", "foster"])
def test_a_is_reproducible_and_zero_for_scalar_motion(kind):
    first, second = interval(kind, size=(20, 2)), interval(kind, size=(20, 2))
    second(0.2, 0.9, return_A=True)
    for query in [(0.1, 0.2), (0.1, 0.6), (0.12, 0.14), (0.25, 0.75)]:
        assert torch.equal(first(*query, return_A=True)[1], second(*query, return_A=True)[1])
    assert torch.count_nonzero(interval(kind, size=(20,))(0.1, 0.6, return_A=True)[1]) == 0
    empty = first(0.5, 0.5, return_U=True, return_A=True)
    assert [x.shape for x in empty] == [(20, 2), (20, 2), (20, 2, 2)]
    assert all(torch.count_nonzero(x) == 0 for x in empty)


def test_join_is_associative():
    generator = torch.Generator().manual_seed(0)

    def piece(h):
        W, H = torch.randn(2, 5, 3, generator=generator, dtype=torch.float64)
        A = torch.randn(5, 3, 3, generator=generator, dtype=torch.float64)
        return Increment(h, W, H, A - A.mT)

    x, y, z = piece(0.3), piece(1.1), piece(0.02)
    for one, other in zip(join(join(x, y), z), join(x, join(y, z)), strict=True):
        torch.testing.assert_close(one, other, rtol=0.0, atol=1e-14)
