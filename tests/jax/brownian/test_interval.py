"""The law of the path, its consistency, and its independence of how it is asked."""

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from sdegrad.grid import EPS64, make_grid
from sdegrad.jax import BrownianInterval, LevyIncrement
from sdegrad.jax.brownian import cells
from sdegrad.jax.brownian.positions import at_sight, locate
from sdegrad.jax.brownian.rng import normal, threefry
from sdegrad.jax.stepping.fixed import matching_cells
from sdegrad.jax.times import as_given, time_dtype
from tests.costs import first_is_quick

SAMPLES = 20_000
# Whole cells, parts of cells, neighbours in one cell; the path has cells of 0.25 on [0, 1] or none.
POINTS = np.asarray([0.0, 0.1, 0.11, 0.125, 0.25, 0.5, 0.51, 0.6, 0.9, 1.0])
VARIANCES = {"W": 1.0, "H": 1 / 12, "K": 1 / 720}  # by the length


@eqx.filter_jit
def asked(bm, s, t):
    """The increments over [s, t], of arrays of times, as diffrax's classes."""
    return lax.map(lambda query: bm.evaluate(*query, use_levy=True), (jnp.asarray(s), jnp.asarray(t)))


@eqx.filter_jit
def walked(bm, s, t):
    """The same, one after another."""

    def step(walk, query):
        increment, walk = bm.advance(walk, *query)
        return walk, increment

    return lax.scan(step, bm.start(), (jnp.asarray(s), jnp.asarray(t)))[1]


def parts(increment):
    return {name: np.asarray(getattr(increment, name)) for name in VARIANCES if hasattr(increment, name)}


def standardised(bm, points=POINTS):
    """[parts x intervals, samples]: W, H and K over the intervals, by their standard deviations."""
    h = np.diff(points)[:, None]
    made = parts(asked(bm, points[:-1], points[1:]))
    return np.concatenate([x / np.sqrt(h * VARIANCES[name]) for name, x in made.items()])


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


@pytest.mark.exhaustive(but=["None-0.25"])
@pytest.mark.usefixtures("kept")
@pytest.mark.parametrize(
    ("area", "dt"), first_is_quick([(None, 0.25), ("space-time", None), ("space-time-time", 0.25)])
)
@pytest.mark.slow
def test_joint_law_of_increments_and_areas(area, dt):
    z = standardised(BrownianInterval(0, 1, (SAMPLES,), jax.random.key(0), dt=dt, levy_area=area))
    assert len(z) == 9 * {None: 1, "space-time": 2, "space-time-time": 3}[area]
    assert is_standard_normal(z)
    assert not is_standard_normal(1.025 * z)  # variance 5 % too large
    assert not is_standard_normal(np.concatenate([z[:1] + 0.1 * z[1:2], z[1:]]))  # correlation 0.1


@pytest.mark.usefixtures("kept")
@pytest.mark.slow
def test_short_intervals_of_a_long_cell_keep_their_law_in_single_precision():
    """Were they differences of increments from the start of the cell, H and K would be round-off here. The middle of
    the cell is between the first two."""
    points = np.asarray([0.5 - 2**-15, 0.5 + 2**-15, 0.5 + 2**-14, 0.7, 0.7 + 2**-16], np.float32)
    bm = BrownianInterval(0, 1, (SAMPLES,), jax.random.key(6), dtype=jnp.float32, levy_area="space-time-time")
    z = standardised(bm, points)
    assert is_standard_normal(z)
    assert not is_standard_normal(1.025 * z)


@pytest.mark.exhaustive
@pytest.mark.usefixtures("kept")
@pytest.mark.slow
def test_with_a_tolerance_points_further_apart_keep_their_joint_law():
    bm = BrownianInterval(0, 1, (SAMPLES,), jax.random.key(9), tol=1e-3, levy_area="space-time")
    assert is_standard_normal(standardised(bm))
    inside_one_leaf = 0.5 + np.linspace(0.1, 0.9, len(POINTS)) * 2**-10  # as many: the same program
    assert not is_standard_normal(standardised(bm, inside_one_leaf))
    exact = BrownianInterval(0, 1, (SAMPLES,), jax.random.key(9), levy_area="space-time")
    assert is_standard_normal(standardised(exact, inside_one_leaf))


@pytest.mark.slow
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


def moments(made, s, t):
    """The integrals of 1, v and v^2 against dW over [s, t], from those of Legendre's polynomials."""
    h, W, H, K = t - s, made["W"], made["H"], made["K"]
    x, x2 = W / 2 - H, W / 3 - H + 2 * K  # of the time since s, by h
    return np.stack([W, s * W + h * x, s**2 * W + 2 * s * h * x + h**2 * x2])


@pytest.mark.exhaustive
@pytest.mark.usefixtures("kept")
@pytest.mark.slow
def test_increments_add_up():
    bm = BrownianInterval(0, 1, (5,), jax.random.key(1), dt=0.07, levy_area="space-time-time")
    s, t = POINTS[:-1, None], POINTS[1:, None]
    everything = parts(asked(bm, np.append(POINTS[:-1], 0.0), np.append(POINTS[1:], 1.0)))
    whole = moments({name: x[-1] for name, x in everything.items()}, 0.0, 1.0)
    made = {name: x[:-1] for name, x in everything.items()}
    np.testing.assert_allclose(np.sum(moments(made, s, t), axis=1), whole, atol=1e-14)
    cells, ends = jax.jit(jax.vmap(bm.cell))(jnp.arange(15)), np.minimum(0.07 * np.arange(16), 1)[:, None]
    np.testing.assert_allclose(np.sum(moments(parts(cells), ends[:-1], ends[1:]), axis=1), whole, atol=1e-14)
    made["K"] = made["K"] * (1 + 1e-9)
    assert np.max(np.abs(np.sum(moments(made, s, t), axis=1) - whole)) > 1e-14


@pytest.mark.slow
def test_cells_are_found_from_inexact_times():
    bm = BrownianInterval(0, 1, (3,), jax.random.key(1), dt=0.1)
    time = 0.0
    for k in range(10):
        np.testing.assert_array_equal(bm.evaluate(time, time + 0.1), bm.cell(k))
        time += 0.1
    assert np.all(np.abs(bm.evaluate(0.1, 0.1 + 1e-6)) > 0)  # not everything is snapped


@pytest.mark.exhaustive
@pytest.mark.slow
def test_the_path_does_not_depend_on_compilation_or_batching():
    key = jax.random.key(2)
    bm = BrownianInterval(0, 1, (3,), key, dt=0.1)
    expected = bm.evaluate(0.23, 0.7)
    np.testing.assert_allclose(jax.jit(lambda s, t: 1 * bm.evaluate(s, t))(0.23, 0.7), expected, atol=1e-15)
    np.testing.assert_array_equal(bm.evaluate(0.3), bm.evaluate(0.0, 0.3))
    keys = jax.random.split(key, 2)
    batch = eqx.filter_vmap(lambda key: BrownianInterval(0, 1, (3,), key, dt=0.1))(keys)
    cells = eqx.filter_vmap(lambda bm: bm.cell(4))(batch)
    pieces = eqx.filter_vmap(lambda bm: bm.evaluate(0.23, 0.7))(batch)
    for i in range(2):
        one = BrownianInterval(0, 1, (3,), keys[i], dt=0.1)
        np.testing.assert_array_equal(cells[i], one.cell(4))
        np.testing.assert_allclose(pieces[i], one.evaluate(0.23, 0.7), atol=1e-15)


@pytest.mark.slow
def test_over_cells_the_path_is_the_same_for_every_levy_area():
    plain, *others = (
        BrownianInterval(0, 1, (3,), jax.random.key(2), dt=0.1, levy_area=area)
        for area in (None, "space-time", "space-time-time", "davie", "foster")
    )
    for bm in others:
        np.testing.assert_array_equal(bm.cell(4).W, plain.cell(4))
        np.testing.assert_array_equal(bm.cell(4).H, others[0].cell(4).H)


FORWARDS = np.sort(np.random.default_rng(0).random(41))
ORDERS = {
    "forwards": (FORWARDS[:-1], FORWARDS[1:]),
    "backwards": (FORWARDS[-2::-1], FORWARDS[:0:-1]),
    "rejections": (np.repeat(FORWARDS[:-1:2], 2), np.stack([FORWARDS[2::2], FORWARDS[1::2]], 1).ravel()),
    "random, on and off the grid": (FORWARDS[:0:-1].round(1), np.random.default_rng(1).random(40)),
}


# Of few normals the ways to both ends are kept, of many the last one.
OF_TWO = [("float64", 0.25, 2, "space-time-time"), ("float32", None, 2, "space-time-time")]
OF_MANY = [("float64", None, 30, "space-time-time"), ("float32", None, 30, "space-time")]


@pytest.mark.exhaustive(but=["*-float64-0.25-2-*", "*-float32-None-30-*"])
@pytest.mark.usefixtures("kept")
@pytest.mark.slow
@pytest.mark.parametrize(("dtype", "dt", "size", "area"), [*OF_TWO, *OF_MANY])
@pytest.mark.parametrize("order", ORDERS)
def test_one_query_after_another_gives_the_same_numbers_to_the_last_bit(order, dtype, dt, size, area):
    s, t = ORDERS[order]
    bm = BrownianInterval(0, 1, (size,), jax.random.key(7), dtype=dtype, dt=dt, levy_area=area)
    single, made = parts(asked(bm, s, t)), walked(bm, s, t)
    assert isinstance(made, LevyIncrement)
    for name, values in single.items():
        assert np.all(np.isfinite(values))
        np.testing.assert_array_equal(getattr(made, name), values)


@pytest.mark.slow
def test_a_wrong_walk_is_seen():
    bm = BrownianInterval(0, 1, (2,), jax.random.key(7))
    _, walk = bm.advance(bm.start(), 0.2, 0.3)
    expected = bm.evaluate(0.3, 0.4)
    np.testing.assert_array_equal(bm.advance(walk, 0.3, 0.4)[0], expected)
    wrong = walk._replace(rows=jax.tree.map(lambda rows: 1.001 * rows, walk.rows))
    assert np.all(bm.advance(wrong, 0.3, 0.4)[0] != expected)


@pytest.mark.exhaustive
@pytest.mark.slow
def test_few_normals_are_drawn(monkeypatch):
    """On the grid one per cell and element. Inside a cell, for an interval 2^-l of its length, one for each level
    below l where the last query left off, and two otherwise; l levels are shared by both ends."""
    draws = []

    def counted(key, counter, *of):
        jax.debug.callback(lambda _: draws.append(1), counter)
        return normal(key, counter, *of)

    monkeypatch.setattr(cells, "normal", counted)

    def count(ask, bm, times, backwards=False):
        draws.clear()
        queries = (times[:-1], times[1:])
        jax.block_until_ready(ask(bm, *(q[::-1] for q in queries) if backwards else queries))
        jax.effects_barrier()
        return len(draws) / (len(times) - 1)

    bm = BrownianInterval(0, 1, (11,), jax.random.key(8), dt=1 / 64)
    grid = np.arange(65) / 64
    assert count(asked, bm, grid) == count(walked, bm, grid) == count(walked, bm, grid, backwards=True) == 1
    one_cell = BrownianInterval(0, 1, (1000,), jax.random.key(8))  # of few elements, several levels are drawn at once
    points = (np.arange(65) + np.random.default_rng(2).random(65) / 2) / 65
    assert 19 < count(walked, one_cell, points) < 21
    assert 19 < count(walked, one_cell, points, backwards=True) < 21
    assert 41 < count(asked, one_cell, points) < 46
    coarse = BrownianInterval(0, 1, (1000,), jax.random.key(8), tol=2.0**-10)
    assert 5 < count(walked, coarse, points) < 7
    # of times with few digits, however long the cell is
    assert count(walked, one_cell, grid) < 2.1
    assert count(walked, one_cell, np.arange(65) / 2**16) < 2.3


@pytest.mark.exhaustive
@pytest.mark.slow
def test_a_path_of_several_arrays():
    structs = {"a": jax.ShapeDtypeStruct((2, 3), jnp.float32), "b": jax.ShapeDtypeStruct((), jnp.float64)}
    bm = BrownianInterval(0, 2, structs, jax.random.key(0), dt=0.5, levy_area="space-time")
    assert bm.shape == {"a": (2, 3), "b": ()}
    made = bm.evaluate(0.1, 1.3, use_levy=True)
    assert jax.tree.map(lambda x: x.dtype, made.W) == bm.dtype == jax.tree.map(lambda x: x.dtype, made.dt)
    halves = [bm.evaluate(*times)["a"] for times in ((0.1, 0.7), (0.7, 1.3))]
    np.testing.assert_allclose(halves[0] + halves[1], made.W["a"], atol=1e-6)
    assert len({float(x) for x in [*made.W["a"].ravel(), made.W["b"]]}) == 7


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match=r"levy_area must be None, one of 'none', .*, got 'fosters'"):
        BrownianInterval(0, 1, (3,), jax.random.key(1), levy_area="fosters")
    with pytest.raises(ValueError, match=r"levy_area='foster' needs a last axis .* \(1,\)"):
        BrownianInterval(0, 1, (), jax.random.key(1), levy_area="foster")
    with pytest.raises(ValueError, match=r"key must be a JAX random key, got 1"):
        BrownianInterval(0, 1, (3,), 1)
    with pytest.raises(ValueError, match=r"tol must be positive and finite, got 0.0"):
        BrownianInterval(0, 1, (3,), jax.random.key(1), tol=0)
    with pytest.raises(ValueError, match=r"tol must be one number, got shape \(2,\)"):
        BrownianInterval(0, 1, (3,), jax.random.key(1), tol=jnp.ones(2))
    with pytest.raises(ValueError, match=r"shape must have no negative length, got \(3, -1\)"):
        BrownianInterval(0, 1, (3, -1), jax.random.key(1))
    with pytest.raises(TypeError, match=r"all else by name; pass e\.g\. BrownianInterval\(t0, t1, shape, key, tol="):
        BrownianInterval(0, 1, 1e-3, (3,), jax.random.key(1))
    by_class = BrownianInterval(0, 1, (3,), jax.random.key(1), levy_area=diffrax.SpaceTimeLevyArea)
    assert by_class.levy_area is diffrax.SpaceTimeLevyArea


@pytest.mark.slow
def test_outside_is_refused():
    bm = BrownianInterval(0, 1, (3,), jax.random.key(1), dt=0.1)
    with pytest.raises(ValueError, match=r"time 1.1 is outside \[t0, t1\] = \[0.0, 1.0\]"):
        bm.evaluate(0.0, 1.1)
    with pytest.raises(ValueError, match=r"a time must be one number, got shape \(2,\)"):
        bm.evaluate(jnp.zeros(2), 1.0)
    with pytest.raises(RuntimeError, match=r"outside \[t0, t1\] = \[0\.0, 1\.0\] .*; make the path longer, or ask"):
        jax.block_until_ready(jax.jit(lambda s, t: bm.evaluate(s, t))(jnp.asarray(0.0), jnp.asarray(1.1)))
    assert np.all(np.isfinite(bm.evaluate(0.0, np.nextafter(1.0, 2.0))))


@pytest.mark.exhaustive
@pytest.mark.slow
def test_the_ends_are_told_by_the_digits_of_the_time_and_not_by_the_number_of_cells():
    with jax.enable_x64(False):
        bm = BrownianInterval(0, 10, (3,), jax.random.key(1), dt=1e-3)
        with pytest.raises(ValueError, match=r"time 10\.004 is outside"):
            bm.evaluate(10.004, 10.01)
        walk = jax.jit(lambda t: bm.advance(bm.start(), 9.5, t)[0])
        assert np.all(np.isnan(walk(10.004)))
        np.testing.assert_array_equal(walk(np.nextafter(np.float32(10), np.float32(11))), walk(10.0))


@pytest.mark.parametrize("k", [-1, 20, 0.5, True, jnp.ones(1, jnp.int32)])
def test_a_cell_that_there_is_not_is_refused(k):
    bm = BrownianInterval(0, 1, (3,), jax.random.key(1), dt=0.05)
    with pytest.raises(ValueError, match=r"k must be an integer from 0 to 19, got"):
        bm.cell(k)
    traced = jax.jit(lambda k: bm.cell(k))
    if isinstance(k, int) and k is not True:
        assert np.all(np.isnan(traced(k)))
    else:
        with pytest.raises(ValueError, match="from 0 to 19"):
            traced(k)


@pytest.mark.exhaustive
@pytest.mark.slow
def test_the_ends_may_be_traced_where_there_is_one_cell():
    """An array of times is traced under jit and vmap, even one that is made inside."""
    key, ts = jax.random.key(1), jnp.linspace(0.2, 1.7, 4)
    one = lambda ts, key: BrownianInterval(ts[0], ts[-1], (3,), key, dtype=jnp.float32).evaluate(ts[1], ts[2])  # noqa: E731
    made = jax.jit(one)(ts, key)
    finer = BrownianInterval(0.2, 1.7, (3,), key, dtype=jnp.float32, tol=1.5 * 2.0**-40)  # as deep
    np.testing.assert_allclose(made, finer.evaluate(ts[1], ts[2]), rtol=1e-6)
    np.testing.assert_allclose(jax.jit(lambda key: one(jnp.linspace(0.2, 1.7, 4), key))(key), made, rtol=1e-6)
    batch = jax.vmap(one)(jnp.stack([ts, 2 * ts]), jax.random.split(key, 2))
    assert np.all(np.isfinite(batch))
    with pytest.raises(ValueError, match="the number of cells of length dt is not known; leave dt out"):
        jax.jit(lambda t: BrownianInterval(0, t, (3,), key, dt=0.1).cell(0))(1.0)
    with pytest.raises(RuntimeError, match=r"outside \[t0, t1\] of this"):
        jax.block_until_ready(jax.jit(lambda t: BrownianInterval(0, t, (3,), key).evaluate(0.0, 1.1))(1.0))


@pytest.mark.exhaustive(but=["-3.0-5.0-0.07-False"])
@pytest.mark.parametrize("double", [True, False])
@pytest.mark.parametrize(("t0", "t1", "dt"), [(0.0, 1.0, 0.01), (-3.0, 5.0, 0.07), (10.0, 11.0, 0.01)])
@pytest.mark.slow
def test_what_is_a_grid_time_at_sight_is_one_after_all(double, t0, t1, dt):
    """Times some half ulp apart around every grid time: near it they are seen at sight, and never wrongly."""
    with jax.enable_x64(double):
        grid, dtype = make_grid(t0, t1, dt), time_dtype()
        eps = float(np.finfo(dtype).eps)
        k = np.arange(grid.steps + 1).repeat(41)
        ulps = np.tile(np.arange(-20, 21) / 2, grid.steps + 1)
        at = np.asarray([grid.time(i) for i in range(grid.steps + 1)])[k]
        times = jnp.asarray(at + ulps * eps * np.maximum(np.abs(at), abs(t0)), dtype)
        seen, known = map(np.asarray, jax.vmap(lambda t: at_sight(grid, t[None], eps))(times))
        place = jax.jit(lambda t: locate(grid, 24, as_given(t), eps))(times)
        assert known[(ulps == 0) & (k < grid.steps)].all()
        assert (seen[known, 0] == k[known]).all()
        assert (np.asarray(place.cell)[known] == k[known]).all()
        assert (np.asarray(place.depth())[known] == 0).all()


@pytest.mark.parametrize("double", [True, False])
def test_the_cells_of_a_rounded_step_are_the_steps_where_times_are_rounded_too(double):
    with jax.enable_x64(double):
        bm = BrownianInterval(0.0, 1.0, (2,), jax.random.key(0), dt=np.float32(0.1))
        assert matching_cells(bm, make_grid(0.0, 1.0, 0.1), EPS64) == (None if double else 0)
