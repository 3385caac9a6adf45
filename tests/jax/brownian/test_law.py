"""The law of the path for every query: at any number of cells, for times of few digits, and as solvers ask for it."""

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import lineax
import numpy as np
import pytest

from sdegrad.jax import BrownianInterval, sdeint
from tests.costs import first_is_quick
from tests.jax.brownian.test_interval import asked, is_standard_normal

SAMPLES = 20_000
PARTS = np.asarray([0, 0.25, 0.5, 1, 1.3, 1.6, 2.0, 4.0, 4.3])  # of cells


def increments(bm, points):
    """[intervals, samples]: between the points; the last row is over the whole, run backwards."""
    points = np.append(points, points[0])
    return np.asarray(asked(bm, points[:-1], points[1:]).W, np.float64)


def law(bm, points, made=None):
    """[intervals, samples]: the increments between the points, by the standard deviations they are to have."""
    made = increments(bm, points) if made is None else made
    eps = float(jnp.finfo(points.dtype).eps)
    taken = [bm.grid.time(k) if on_grid else t for t in points.tolist() for k, on_grid in [bm.grid.locate(t, eps)]]
    return made[:-1] / np.sqrt(np.diff(taken))[:, None]


@pytest.mark.usefixtures("kept")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("kind", "partitionable"), [("threefry2x32", False), ("rbg", True)])
def test_the_law_is_that_of_any_kind_of_key_where_floats_are_wide(kind, partitionable, dtype):
    """There `jax.random.bits` are 64 wide, unless they are asked to be 32."""
    with jax.enable_x64(True), jax.threefry_partitionable(partitionable):
        bm = BrownianInterval(0, 1, (SAMPLES,), jax.random.key(0, impl=kind), dt=0.1, dtype=dtype)
        assert is_standard_normal(law(bm, np.asarray([0, 0.1, 0.25, 0.5, 0.93, 1])))


@pytest.mark.exhaustive(but=["100-1000.0-False", "1000000-0.0-True", "10000-0.0-False"])
@pytest.mark.usefixtures("kept")
@pytest.mark.parametrize(
    ("cells", "t0", "double"),
    first_is_quick(
        [
            (10**2, 0.0, False),
            (10**4, 0.0, False),
            (10**6, 0.0, False),
            (10**2, 1000.0, False),
            (10**6, 0.0, True),
            (10**6, 1e6, True),
        ]
    ),
)
def test_parts_of_cells_have_their_law_at_any_number_of_cells(cells, t0, double):
    """Variances, covariances and means of 20 000 samples, at 1e-3 with Bonferroni over all of them; and additivity."""
    with jax.enable_x64(double):
        bm = BrownianInterval(t0, t0 + 10, (SAMPLES,), jax.random.key(0), dt=10 / cells, dtype=jnp.float32)
        points = t0 + (0.9 * cells + PARTS) * bm.grid.dt
        points = points.astype(np.float64 if double else np.float32)
        points = np.unique(points)
        made = increments(bm, points)
        z = law(bm, points, made)
        assert len(z) >= 5
        assert is_standard_normal(z)
        assert not is_standard_normal(1.025 * z)  # variance 5 % too large
        np.testing.assert_allclose(np.sum(made, axis=0), 0, atol=1e-5 * np.std(made[-1]))


@pytest.mark.usefixtures("kept")
@pytest.mark.slow
def test_neighbouring_times_of_a_long_cell_have_their_law_in_single_precision():
    """The places of 40 floats next to each other, of which none is a multiple of 2^-24 of the cell."""
    with jax.enable_x64(False):
        bm = BrownianInterval(0.1, 10.3, (SAMPLES,), jax.random.key(1))
        points = np.float32(9) + np.arange(40, dtype=np.float32) * np.spacing(np.float32(9))
        assert is_standard_normal(law(bm, points[::3]))


def brownian_motion(fraction):
    """Increments over 8 steps of this fraction of a cell, by their standard deviations: dy = dW from t = 9 on."""
    bm = BrownianInterval(0.0, 10.0, (SAMPLES,), jax.random.key(2), dt=1e-3)
    dt = 1e-3 * fraction
    ts = 9 + dt * np.arange(9)
    zero, one = (lambda t, y, args, x=x: jnp.full_like(y, x) for x in (0, 1))
    options = {"method": "euler", "sde_type": "ito", "adjoint": "backsolve"}
    y0 = jnp.zeros(SAMPLES)
    ys = jax.jit(lambda: sdeint(zero, one, y0, ts, bm=bm, dt=dt, **options))()
    return np.diff(np.asarray(ys, np.float64), axis=0) / dt**0.5


@pytest.mark.exhaustive(but=["0.3333333333333333"])
@pytest.mark.usefixtures("kept")
@pytest.mark.slow
@pytest.mark.parametrize("fraction", [1 / 2, 1 / 3, 3 / 2])
def test_steps_that_are_not_cells_have_independent_increments_in_single_precision(fraction):
    with jax.enable_x64(False):
        assert is_standard_normal(brownian_motion(fraction))


@pytest.mark.exhaustive
@pytest.mark.usefixtures("kept")
@pytest.mark.slow
def test_steps_of_diffrax_that_are_not_cells_have_independent_increments_in_single_precision():
    with jax.enable_x64(False):
        bm = BrownianInterval(0.0, 10.0, (SAMPLES,), jax.random.key(3), dt=1e-3)
        unit = lambda t, y, args: lineax.DiagonalLinearOperator(jnp.ones(SAMPLES))  # noqa: E731
        terms = diffrax.MultiTerm(diffrax.ODETerm(lambda t, y, args: jnp.zeros(SAMPLES)), diffrax.ControlTerm(unit, bm))

        @eqx.filter_jit
        def solve(t0, t1, dt):
            saveat = diffrax.SaveAt(t0=True, steps=True)
            solution = diffrax.diffeqsolve(
                terms, diffrax.Euler(), t0, t1, dt, jnp.zeros(SAMPLES), saveat=saveat, max_steps=12
            )
            return solution.ts, solution.ys, solution.stats["num_steps"]

        for fraction in (1 / 2, 1 / 3, 3 / 2):
            t0, t1, dt = (jnp.asarray(t) for t in (9.0, 9 + 8e-3 * fraction, 1e-3 * fraction))
            ts, ys, steps = solve(t0, t1, dt)
            ts, ys = (np.asarray(x, np.float64)[: steps + 1] for x in (ts, ys))
            z = np.diff(ys, axis=0) / np.sqrt(np.diff(ts))[:, None]
            assert len(z) >= 8
            assert is_standard_normal(z)


@pytest.mark.exhaustive
@pytest.mark.usefixtures("kept")
@pytest.mark.slow
def test_the_reversible_gradient_is_exact_over_parts_of_cells_in_single_precision():
    """Another increment in the backward pass would be an error of the size of the gradient."""
    with jax.enable_x64(False):
        bm = BrownianInterval(0.0, 10.0, (2, 3), jax.random.key(4), dt=1e-3)
        dt, y0, a = 1e-3 / 3, jnp.ones((2, 3)), jnp.asarray([0.3, -0.5, 0.2])

        def gradient(adjoint):
            def loss(y0, a):
                drift, diffusion = (lambda t, y, a, f=f: f(y * a + 100 * t) for f in (jnp.tanh, jnp.sin))
                ys = sdeint(drift, diffusion, y0, (9.0, 9 + 40 * dt), bm=bm, dt=dt, args=a[None], adjoint=adjoint)
                return jnp.sum(ys[-1] ** 2)

            return jax.jit(jax.grad(loss, (0, 1)))(y0, a)

        for made, expected in zip(gradient("reversible"), gradient("backprop"), strict=True):
            assert np.max(np.abs(expected)) > 0.01
            np.testing.assert_allclose(made, expected, atol=3e-6 * np.max(np.abs(expected)))


@pytest.mark.exhaustive(but=["None"])
@pytest.mark.usefixtures("kept")
@pytest.mark.slow
@pytest.mark.parametrize("tol", [1e-4, None])
def test_a_long_cell_is_halved_down_to_the_tolerance(tol):
    """Eight steps of 1e-3 on a span of 1e5; 2^-24 of it would be six of them."""
    bm = BrownianInterval(0, 1e5, (4000,), jax.random.key(5), tol=tol, dtype=jnp.float32)
    points = 0.37e5 + 1e-3 * np.arange(9)
    z = law(bm, points)
    assert is_standard_normal(z)
    coarse = BrownianInterval(0, 1e5, (4000,), jax.random.key(5), tol=6e-3, dtype=jnp.float32)
    assert not is_standard_normal(law(coarse, points))


def test_a_tolerance_beyond_what_times_can_tell_is_refused():
    with pytest.raises(ValueError, match=r"tol=1e-20 is finer than 2\^-52 of a cell of length 1\.0; make tol larger"):
        BrownianInterval(0, 1, (3,), jax.random.key(1), tol=1e-20)
    with jax.enable_x64(False), pytest.raises(ValueError, match=r"2\^-29 .*by dt, or call .*x64"):
        BrownianInterval(0, 1e5, (3,), jax.random.key(1), tol=1e-5)
