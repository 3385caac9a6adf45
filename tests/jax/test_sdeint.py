"""Solutions: the same as another library's on a given path, and of the order that METHODS says."""

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sdegrad.jax import BrownianInterval, Stats, sdeint
from sdegrad.methods import METHODS
from tests.jax.sdes import DIFFUSION, DIM, NOISE, PATHS, TablePath, drift, initial, parameters

PEERS = {
    "euler": diffrax.Euler,
    "euler_heun": diffrax.EulerHeun,
    "heun": diffrax.Heun,
    "midpoint": diffrax.Midpoint,
    "reversible_heun": diffrax.ReversibleHeun,
}


def own(method, noise_type, y0, ts, dt, bm, **options):
    return sdeint(
        drift,
        DIFFUSION[noise_type],
        y0,
        ts,
        bm=bm,
        dt=dt,
        args=parameters(),
        method=method,
        sde_type=METHODS[method].sde_type,
        noise_type=noise_type,
        **options,
    )


@pytest.mark.exhaustive(but=["reversible_heun", "euler_heun"])
@pytest.mark.usefixtures("kept")
@pytest.mark.parametrize("method", PEERS)
@pytest.mark.slow
def test_agrees_with_diffrax_on_a_given_path(method):
    class Path(TablePath, diffrax.AbstractPath):
        t0 = 0.0
        t1 = 1.0

    path, y0, dt = TablePath.sample((NOISE,)), initial()[0], 2.0**-4
    terms = diffrax.MultiTerm(diffrax.ODETerm(drift), diffrax.ControlTerm(DIFFUSION["general"], Path(path.W)))
    ts = np.linspace(0, 1, 9)
    theirs = diffrax.diffeqsolve(
        terms, PEERS[method](), 0.0, 1.0, dt, y0, args=parameters(), saveat=diffrax.SaveAt(ts=jnp.asarray(ts))
    ).ys
    solve = jax.jit(lambda W: own(method, "general", y0, ts, dt, TablePath(W)))
    np.testing.assert_allclose(solve(path.W), theirs, rtol=0, atol=1e-12)
    with pytest.raises(AssertionError):
        np.testing.assert_allclose(solve(path.W * (1 + 1e-9)), theirs, rtol=0, atol=1e-12)


@pytest.mark.parametrize("ts", [(0, 0.25, 0.3, 1), (0, 0.1, 0.9, 1)])
@pytest.mark.slow
def test_an_output_is_interpolated_whatever_the_other_outputs_are(ts):
    """Of the first ts the grid times before and after 0.3 are those of other outputs."""
    path, grid = TablePath.sample((PATHS, DIM)), np.linspace(0, 1, 5)

    def solve(ts):
        return own("reversible_heun", "diagonal", initial(), ts, 0.25, path)

    at = np.asarray(solve(grid))
    expected = [[np.interp(t, grid, at[:, i, j]) for i, j in np.ndindex(PATHS, DIM)] for t in ts]
    np.testing.assert_allclose(solve(ts), np.reshape(expected, (len(ts), PATHS, DIM)), rtol=1e-13)


@pytest.mark.slow
def test_outputs_between_grid_times_are_interpolated():
    path = TablePath.sample((PATHS, DIM))
    on_grid = own("reversible_heun", "diagonal", initial(), (0, 0.25, 0.5, 1), 0.25, path)
    between = own("reversible_heun", "diagonal", initial(), (0, 0.3, 0.375, 0.5, 1), 0.25, path)
    a, b = on_grid[1], on_grid[2]
    np.testing.assert_allclose(between[1:4], jnp.stack([0.8 * a + 0.2 * b, (a + b) / 2, b]), rtol=1e-15)


@pytest.mark.exhaustive(but=["euler", "heun"])
@pytest.mark.parametrize("method", PEERS)
@pytest.mark.slow
def test_order_without_noise(method):
    def error(dt):
        ys = sdeint(
            lambda t, y, args: jnp.cos(t) * y,
            lambda t, y, args: 0 * y,
            jnp.ones(1),
            (0, 1),
            bm=TablePath(jnp.zeros((2, 1))),
            dt=dt,
            method=method,
            sde_type=METHODS[method].sde_type,
        )
        return abs(float(ys[-1, 0]) - np.exp(np.sin(1)))

    expected = 1 if method.startswith("euler") else 2
    assert np.log2(error(2.0**-5) / error(2.0**-6)) == pytest.approx(expected, abs=0.15)


def strong_order(method, sde_type, drift_rate):
    """(slope, its standard error) of log2 RMS error against log2 dt over dt = 2^-4 .. 2^-6, for geometric Brownian
    motion dy = drift_rate y dt + 0.8 y dW, from 25 batches of 200 paths."""
    paths = TablePath.sample((5000,), points=64, seed=7)
    exact = jnp.exp((drift_rate - (0.32 if sde_type == "ito" else 0)) + 0.8 * paths.W[-1])
    dts = 2.0 ** -np.arange(4, 7)
    errors = []
    for dt in dts:
        ys = sdeint(
            lambda t, y, args: drift_rate * y,
            lambda t, y, args: 0.8 * y,
            jnp.ones(5000),
            (0, 1),
            bm=paths,
            dt=dt,
            method=method,
            sde_type=METHODS[method].sde_type,
        )
        errors.append(np.mean(np.reshape((ys[-1] - exact) ** 2, (25, 200)), axis=1))
    slopes = np.polyfit(np.log2(dts), np.log2(errors) / 2, 1)[0]
    return np.mean(slopes), np.std(slopes, ddof=1) / 5


@pytest.mark.exhaustive(but=["euler", "reversible_heun"])
@pytest.mark.usefixtures("kept")
@pytest.mark.parametrize("method", PEERS)
@pytest.mark.slow
def test_strong_order(method):
    """Within 4 standard errors (two-sided 6e-5 each, 5 tests) and 0.1 for the higher terms, of the table's order."""
    order, error = strong_order(method, METHODS[method].sde_type, 0.1)
    assert error < 0.03
    assert order == pytest.approx(METHODS[method].order["diagonal"], abs=0.1 + 4 * error)


@pytest.mark.slow
def test_strong_order_sees_the_wrong_calculus():
    order, error = strong_order("heun", "ito", 0.1)  # a Stratonovich method against the Ito solution
    assert order + 4 * error < 0.3


@pytest.mark.exhaustive
@pytest.mark.slow
def test_single_precision_takes_the_steps_it_should():
    with jax.enable_x64(False):
        bm = BrownianInterval(0.0, 1.0, (4,), jax.random.key(0), dt=0.01)
        options = {"bm": bm, "dt": 0.01, "return_stats": True}
        ts = np.asarray([0, 0.1, 1], np.float32)
        ys, stats = sdeint(lambda t, y, a: -y, lambda t, y, a: 0.1 * y, jnp.ones(4), ts, **options)
        assert ys.dtype == jnp.float32
        assert stats == Stats(100, 101, 101, parted=stats.parted)
        assert 0 < stats.parted < 0.1
        total = bm.evaluate(0.0, 1.0)
        cells = jnp.sum(jax.vmap(bm.cell)(jnp.arange(100)), axis=0)
    np.testing.assert_allclose(total, cells, rtol=0, atol=1e-6)


@pytest.mark.slow
def test_the_path_is_the_same_under_every_transformation():
    path = BrownianInterval(0.0, 1.0, (PATHS, DIM), jax.random.key(0), dt=0.125)
    fixed = own("heun", "diagonal", initial(), (0, 1), 0.125, path, adjoint="backprop")
    compiled = jax.jit(lambda y0: own("heun", "diagonal", y0, (0, 1), 0.125, path))(initial())
    np.testing.assert_allclose(fixed, compiled, rtol=1e-14)


@pytest.mark.exhaustive
@pytest.mark.slow
def test_half_of_a_path_and_coarser_steps_are_on_its_grid():
    """Steps that are not cells of the path are sums of its cells, and cells of a part of it are found by index."""
    path = BrownianInterval(0.0, 1.0, (PATHS, NOISE), jax.random.key(0), dt=0.125)
    table = jnp.cumsum(jnp.stack([jnp.zeros(path.shape), *(path.cell(k) for k in range(8))]), axis=0)
    for ts, dt in (((0.25, 0.75), 0.125), ((0.0, 1.0), 0.25)):
        ours = own("heun", "general", initial(), ts, dt, path)
        np.testing.assert_allclose(ours, own("heun", "general", initial(), ts, dt, TablePath(table)), rtol=1e-12)


@pytest.mark.parametrize(
    ("number", "of_dt"), [(float, np.float32), (float, jnp.float32), (np.float32, float), (np.float32, np.float32)]
)
def test_the_coarser_of_ts_and_dt_says_what_is_one_time(number, of_dt):
    """As it does for the cells of the path: np.float32(1e-4) is less than 1e-4, but makes 10 000 steps and no more."""
    ts, dt = (number(0), number(1)), of_dt(1e-4)
    bm = BrownianInterval(*ts, (2,), jax.random.key(0), dt=dt)
    taken = []

    def solve(y0):
        ys, stats = sdeint(lambda t, y, a: -y, lambda t, y, a: y, y0, ts, bm=bm, dt=dt, return_stats=True)
        taken.append(stats.num_steps)
        return ys

    jaxpr = jax.make_jaxpr(solve)(jnp.ones(2))
    assert taken == [bm.grid.steps] == [10_000]
    if jax.__version_info__ < (0, 5):  # where its text does not name all functions
        return
    assert str(jaxpr).count("name=cell ") > 0
    assert "name=increment " not in str(jaxpr)  # every step is a cell, in which nothing is looked for
