"""The given path: its law, exact coarsening, Chen's relation, and the snapping of times.

The tests of the law use 16 cells x 80 000 paths, a fixed seed and a significance of 1e-3 for all tests of one
path together (Bonferroni). A variance that is off by 1 % is then 8 standard deviations away.
"""

import numpy as np
import pytest
from scipy import stats

from sdegrad import contract
from sdegrad.grid import make_grid
from suite.noise import Path, make_path

STEPS, PATHS = 16, 80_000
EPS = 2.0**-52


@pytest.fixture(scope="module")
def path() -> Path:
    return make_path(0.5, 2.0, STEPS, PATHS, 1, seed=1)


def law_holds(path: Path) -> bool:
    """Whether increments and H of all cells are independent normals of variance h and h/12."""
    h = path.dt
    cells = list(zip(path.times, path.times[1:], strict=False))
    W = np.array([path.increment(s, t) for s, t in cells]) / h**0.5
    H = np.array([path.levy(s, t) for s, t in cells]) / (h / 12) ** 0.5
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
    assert law_holds(path.coarsen(factor))


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


def test_coarsening_keeps_every_bit(path):
    coarse = path.coarsen(4)
    assert coarse.steps == 4
    for name in ("times", "W", "integral"):
        np.testing.assert_array_equal(getattr(coarse, name), getattr(path, name)[::4])
    s, t = path.times[4], path.times[12]
    np.testing.assert_array_equal(coarse.increment(s, t), path.increment(s, t))
    np.testing.assert_array_equal(coarse.levy(s, t), path.levy(s, t))


def test_chen(path):
    """U over [s, t] is U over [s, u] plus U over [u, t] plus (t - u) W over [s, u], U = h (W/2 + H)."""
    s, u, t = path.times[[1, 4, 15]]

    def area(a, b):
        return (b - a) * (path.increment(a, b) / 2 + path.levy(a, b))

    np.testing.assert_allclose(path.increment(s, u) + path.increment(u, t), path.increment(s, t), atol=1e-14)
    joined = area(s, u) + area(u, t) + (t - u) * path.increment(s, u)
    np.testing.assert_allclose(joined, area(s, t), atol=1e-14)
    assert np.abs(joined - (t - u) * path.increment(s, u) - area(s, t)).max() > 1e-2


def test_reversed_and_empty_intervals(path):
    s, t = path.times[[3, 9]]
    np.testing.assert_array_equal(path.increment(t, s), -path.increment(s, t))
    np.testing.assert_allclose(path.levy(t, s), path.levy(s, t), atol=1e-15)
    assert not path.levy(s, s).any()
    assert not path.increment(s, s).any()


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
    path = make_path(0.0, 1.0, 100, 1, 1, 0)
    accumulated = 0.0
    for k in range(101):
        assert path.index(accumulated) == k
        accumulated += 0.01
    for k in (0, 7, 100):
        t = float(path.times[k])
        for sign in (-1, 1):
            assert path.index(t + sign * (k + 7) * EPS) == k
            with pytest.raises(ValueError, match="is not known at time"):
                path.index(t + sign * (k + 10) * EPS)


def test_times_in_single_precision_snap_only_when_said_so():
    path = make_path(0.0, 1.0, 10, 1, 1, 0)
    t = float(np.float32(0.7))
    assert path.index(t, eps=2.0**-23) == 7
    with pytest.raises(ValueError, match=r"nearest grid time is 0\.7.*number 7 of 10 steps.*make a path"):
        path.index(t)


def test_a_sixteenth_of_a_step_is_the_most_that_snaps():
    path = make_path(0.0, 1.0, 2**14, 1, 1, 0)
    assert path.index(float(path.times[9000]) + 0.06 * path.dt, eps=2.0**-23) == 9000
    with pytest.raises(ValueError, match="is not known"):
        path.index(float(path.times[9000]) + 0.07 * path.dt, eps=2.0**-23)


@pytest.mark.parametrize("t", [float("nan"), float("inf"), -1.0, 1.5, 0.125001])
def test_times_off_the_grid_are_errors(t):
    with pytest.raises(ValueError, match="is not known at time"):
        make_path(0.0, 1.0, 8, 1, 1, 0).increment(0.0, t)


def test_bad_input():
    with pytest.raises(ValueError, match="t0 < t1, got t0=1"):
        make_path(1.0, 1.0, 8, 1, 1, 0)
    with pytest.raises(ValueError, match="paths=0"):
        make_path(0.0, 1.0, 8, 0, 1, 0)
    path = make_path(0.0, 1.0, 8, 2, 1, 0)
    for factor in (0, 3):
        with pytest.raises(ValueError, match=f"divide the 8 steps.*factor={factor}"):
            path.coarsen(factor)
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
