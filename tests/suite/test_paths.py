"""The given path and what libraries are answered of it: its law, Chen's relation, and the snapping of times.

The tests of the law use 16 cells x 80 000 paths, a fixed seed and a significance of 1e-3 for all tests of one
path together (Bonferroni). A variance that is off by 1 % is then 8 standard deviations away.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from scipy import stats

from sdegrad import contract
from sdegrad.adapters import jax_run, torch_run
from sdegrad.adapters.given import GivenPath, grid_index, path_grid
from sdegrad.grid import make_grid
from suite.paths import Path, make_path
from tests.suite.coarse import coarsen

STEPS, PATHS = 16, 80_000
EPS = 2.0**-52


@pytest.fixture(scope="module")
def path() -> Path:
    return make_path(0.5, 2.0, STEPS, PATHS, 1, seed=1)


def given(path: Path) -> GivenPath:
    """What libraries are answered, in numpy."""
    return GivenPath(path_grid(path), path.W.__getitem__, path.integral.__getitem__)


def law_holds(path: Path) -> bool:
    """Whether increments and H of all cells are independent normals of variance h and h/12."""
    h, asked = path.dt, given(path)
    W = np.array([asked.increment(k, k + 1) for k in range(asked.grid.steps)]) / h**0.5
    H = np.array([asked.levy(k, k + 1) for k in range(asked.grid.steps)]) / (h / 12) ** 0.5
    n = W.size
    p = [stats.kstest(x.ravel()[::16], "norm").pvalue for x in (W, H)]
    for x in (W, H):
        p.append(2 * stats.norm.sf(abs(x.sum()) / n**0.5))
        p.append(2 * min(stats.chi2.sf((x**2).sum(), n), stats.chi2.cdf((x**2).sum(), n)))
    for x, y in ((W, H), (W[1:], W[:-1]), (H[1:], H[:-1]), (W[1:], H[:-1]), (H[1:], W[:-1])):
        p.append(2 * stats.norm.sf(abs((x * y).sum()) / x.size**0.5))
    return min(p) > 1e-3 / len(p)


@pytest.mark.parametrize("factor", [1, 2, 8])
def test_law_of_the_path_and_of_its_coarsenings(path, factor):
    assert law_holds(coarsen(path, factor))


def test_law_rejects_wrong_paths(path):
    rough = np.zeros_like(path.W)
    np.cumsum(path.dt * (path.W[:-1] + path.W[1:]) / 2, axis=0, out=rough[1:])
    wrong = {
        "variance of W off by 1 %": Path(path.times, path.W * 1.005, path.integral * 1.005),
        "H left out": Path(path.times, path.W, rough),
        "variance of H off by 2 %": Path(path.times, path.W, rough + 1.01 * (path.integral - rough)),
        "drift": Path(path.times, path.W + 0.01 * (path.times - 0.5)[:, None, None], path.integral),
    }
    assert {name: law_holds(p) for name, p in wrong.items()} == dict.fromkeys(wrong, False)


def test_a_coarser_path_answers_the_same(path):
    fine, coarse = given(path), given(coarsen(path, 4))
    assert coarse.grid.steps == 4
    np.testing.assert_array_equal(coarse.increment(1, 3), fine.increment(4, 12))
    np.testing.assert_allclose(coarse.levy(1, 3), fine.levy(4, 12), atol=1e-15)


def test_chen(path):
    """U over [s, t] is U over [s, u] plus U over [u, t] plus (t - u) W over [s, u], U = h (W/2 + H)."""
    s, u, t = 1, 4, 15
    asked = given(path)

    def area(a, b):
        return (b - a) * path.dt * (asked.increment(a, b) / 2 + asked.levy(a, b))

    np.testing.assert_allclose(asked.increment(s, u) + asked.increment(u, t), asked.increment(s, t), atol=1e-14)
    np.testing.assert_allclose(area(s, t), asked.area(s, t), atol=1e-14)
    joined = area(s, u) + area(u, t) + (t - u) * path.dt * asked.increment(s, u)
    np.testing.assert_allclose(joined, area(s, t), atol=1e-14)
    assert np.abs(joined - (t - u) * path.dt * asked.increment(s, u) - area(s, t)).max() > 1e-2


def test_reversed_and_empty_intervals(path):
    asked = given(path)
    np.testing.assert_array_equal(asked.increment(9, 3), -asked.increment(3, 9))
    np.testing.assert_allclose(asked.levy(9, 3), asked.levy(3, 9), atol=1e-14)
    assert not asked.levy(3, 3).any()
    assert not asked.increment(3, 3).any()


@pytest.mark.parametrize("interval", [(0.0, 0.25), (0.25, 1.0), (0.875, 1.0), (0.5, 0.5)])
@pytest.mark.slow
def test_every_framework_answers_the_same(interval):
    """Traced or not, of all paths or of one, in float64."""
    path = make_path(0.0, 1.0, 8, 3, 2, seed=3)
    a, b = (round(8 * t) for t in interval)
    W, U, H = (getattr(given(path), name)(a, b) for name in ("increment", "area", "levy"))
    theirs = torch_run.GivenBrownian(path, torch.float64, "cpu", "space-time")(*interval, return_U=True)
    for answer, expected in zip(theirs, (W, U), strict=True):
        np.testing.assert_allclose(answer.numpy(), expected, rtol=0, atol=1e-15)
    with jax.enable_x64(True):
        all_paths = jax_run.GivenBrownian.of(path, "float64")
        for asked, part in ((all_paths, slice(None)), (all_paths.one(jnp.array(2)), 2)):
            evaluate = functools.partial(asked.evaluate, use_levy=True)
            for ask in (evaluate, jax.jit(lambda s, t, ask=evaluate: tuple(vars(ask(s, t)).values()))):
                answer = ask(*interval)
                values = answer if isinstance(answer, tuple) else (answer.W, answer.H)
                for value, expected in zip(values, (W, H), strict=True):
                    np.testing.assert_allclose(value, expected[part], rtol=0, atol=1e-14)


def test_integral_is_that_of_the_path():
    """The trapezium rule on the grid is off by the sum of h H, whose standard deviation is h/sqrt(12)."""
    path = make_path(0.0, 1.0, 1024, 4000, 1, seed=2)
    left = path.integral[-1] - path.dt * (path.W[:-1] + path.W[1:]).sum(0) / 2
    assert np.std(left) == pytest.approx(path.dt / 12**0.5, rel=0.05)  # 4.5 standard deviations


def test_the_same_seed_gives_the_same_path():
    one, same, other = (make_path(0.0, 1.0, 8, 3, 2, seed) for seed in (5, 5, 6))
    np.testing.assert_array_equal(one.W, same.W)
    np.testing.assert_array_equal(one.integral, same.integral)
    assert not np.isclose(one.W[1:], other.W[1:]).any()
    assert one.W.shape == one.integral.shape == (9, 3, 2)
    assert one.W.dtype == one.integral.dtype == one.times.dtype == np.float64


@pytest.mark.parametrize(("t0", "t1", "steps"), [(0.0, 1.0, 10), (0.0, 1.0, 1000), (-1.0, 2.3, 7), (5.0, 6.0, 49)])
def test_times_are_those_of_the_solvers_grid(t0, t1, steps):
    path = make_path(t0, t1, steps, 1, 1, 0)
    grid = make_grid(t0, t1, (t1 - t0) / steps)
    assert path.times.tolist() == [grid.time(k) for k in range(steps + 1)]


def test_times_snap_within_k_plus_8_ulp():
    grid = path_grid(make_path(0.0, 1.0, 100, 1, 1, 0))
    accumulated = 0.0
    for k in range(101):
        assert grid_index(grid, accumulated) == k
        accumulated += 0.01
    for k in (0, 7, 100):
        for sign in (-1, 1):
            assert grid_index(grid, grid.time(k) + sign * (k + 7) * EPS) == k
            with pytest.raises(ValueError, match="not on its grid"):
                grid_index(grid, grid.time(k) + sign * (k + 10) * EPS)


def test_times_in_single_precision_snap_only_when_said_so():
    grid = path_grid(make_path(0.0, 1.0, 10, 1, 1, 0))
    t = float(np.float32(0.7))
    assert grid_index(grid, t, eps=2.0**-23) == 7
    with pytest.raises(ValueError, match=r"nearest: 0\.7.*use a step size"):
        grid_index(grid, t)


def test_a_sixteenth_of_a_step_is_the_most_that_snaps():
    grid = path_grid(make_path(0.0, 1.0, 2**14, 1, 1, 0))
    assert grid_index(grid, grid.time(9000) + 0.06 * grid.dt, eps=2.0**-23) == 9000
    with pytest.raises(ValueError, match="not on its grid"):
        grid_index(grid, grid.time(9000) + 0.07 * grid.dt, eps=2.0**-23)


@pytest.mark.parametrize("t", [float("nan"), float("inf"), -1.0, 1.5, 0.125001])
def test_times_off_the_grid_are_errors(t):
    with pytest.raises(ValueError, match="not on its grid"):
        grid_index(path_grid(make_path(0.0, 1.0, 8, 1, 1, 0)), t)


def test_bad_input():
    with pytest.raises(ValueError, match="t0 < t1, got t0=1"):
        make_path(1.0, 1.0, 8, 1, 1, 0)
    with pytest.raises(ValueError, match="paths=0"):
        make_path(0.0, 1.0, 8, 0, 1, 0)
    path = make_path(0.0, 1.0, 8, 2, 1, 0)
    with pytest.raises(ValueError, match="got shapes"):
        Path(path.times, path.W[:-1], path.integral[:-1])
    with pytest.raises(ValueError, match="increase evenly"):
        Path(path.times**2, path.W, path.integral)
    with pytest.raises(ValueError, match=r"zero at times\[0\]"):
        Path(path.times, path.W + 1, path.integral)


def test_it_is_a_path_of_the_contract():
    path = make_path(0.0, 1.0, 8, 2, 1, 0)
    asked = [name for name in vars(contract.Path) if not name.startswith("_")]
    assert asked
    assert all(isinstance(getattr(path, name), np.ndarray) for name in asked)
