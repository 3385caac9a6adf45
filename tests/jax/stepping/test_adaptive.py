"""Adaptive steps inside jit: their errors, their law, exact gradients over them, and what is told when they fail."""

from functools import cache

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from sdegrad.jax import BrownianInterval, sdeint
from sdegrad.jax.methods.reversible_heun import ReversibleHeun
from sdegrad.methods import METHODS
from tests.costs import programs_kept
from tests.jax.sdes import DIFFUSION, DIM, NOISE_DIM, PATHS, AreaTable, HashPath, TablePath, drift, initial, parameters

EXACT = 1e-13
TS = (0.0, 0.3, 0.31, 1.0)
TIGHT = {"adaptive": True, "dt": 0.2, "rtol": 3e-3, "atol": 3e-3, "max_steps": 100}


def distance(a, b):
    """Relative L1 distance over all leaves."""
    a, b = (np.concatenate([np.ravel(x) for x in jax.tree.leaves(t)]) for t in (a, b))
    return np.sum(np.abs(a - b)) / max(np.sum(np.abs(a)), np.sum(np.abs(b)))


def loss(y0, args, bm, noise_type="diagonal", ts=TS, **options):
    """(a weighted sum of squares of the outputs, `Stats`)."""
    options = {"bm": bm, "args": args, "noise_type": noise_type, "return_stats": True, **TIGHT, **options}
    ys, made = sdeint(drift, DIFFUSION[noise_type], y0, ts, **options)
    return jnp.sum(jnp.linspace(1, 2, ys.size).reshape(ys.shape) * ys**2), made


def gradient(noise_type, adjoint, bm=None, **options):
    """((loss, `Stats`), gradient) with respect to (y0, args). The path sees every bit of the times it is asked for."""
    bm = HashPath((PATHS, NOISE_DIM[noise_type])) if bm is None else bm

    def of(y0, args):
        return loss(y0, args, bm, noise_type, adjoint=adjoint, **options)

    return jax.jit(jax.value_and_grad(of, (0, 1), has_aux=True))(initial(), parameters())


@pytest.fixture(scope="module")
def by_backprop():
    """Of a noise type: what the other adjoints are compared with."""

    @cache
    def made(noise_type):
        with jax.enable_x64(True), jax.numpy_dtype_promotion("strict"), programs_kept():
            return gradient(noise_type, "backprop")

    return made


@pytest.mark.exhaustive(but=["diagonal"])
@pytest.mark.usefixtures("kept")
@pytest.mark.slow
@pytest.mark.parametrize("noise_type", ["diagonal", "general"])
def test_reversible_gradient_is_exact_over_the_accepted_steps(noise_type, by_backprop):
    (value, made), exact = by_backprop(noise_type)
    (same_value, same_made), reversible = gradient(noise_type, "reversible")
    assert made.num_rejected >= 2
    assert 10 < made.num_steps < 100
    assert made.drift_evaluations == made.diffusion_evaluations == made.num_steps + made.num_rejected + 1
    assert made == same_made
    assert abs(value - same_value) < EXACT * value
    assert distance(reversible, exact) < EXACT


@pytest.mark.usefixtures("kept")
@pytest.mark.slow
def test_a_wrong_adjoint_is_seen(by_backprop, monkeypatch):
    right = ReversibleHeun.reverse

    def wrong(self, field, arrays, t0, t1, dt, dW, r):
        return right(self, field, arrays, t0, t1, dt, dW * (1 + 1e-9), r)

    monkeypatch.setattr(ReversibleHeun, "reverse", wrong)
    assert distance(gradient("diagonal", "reversible")[1], by_backprop("diagonal")[1]) > 1e3 * EXACT


@pytest.mark.exhaustive
@pytest.mark.usefixtures("kept")
@pytest.mark.slow
def test_own_path_is_walked_both_ways_over_the_same_increments():
    bm = BrownianInterval(0, 1, (PATHS, DIM), jax.random.key(3), dt=0.1)
    (_, made), reversible = gradient("diagonal", "reversible", bm)
    assert made.num_rejected >= 1
    assert distance(reversible, gradient("diagonal", "backprop", bm)[1]) < EXACT


@pytest.mark.exhaustive
@pytest.mark.usefixtures("kept")
@pytest.mark.slow
@pytest.mark.parametrize(("method", "noise_type"), [("mccallum_foster", "diagonal"), ("midpoint", "general")])
def test_gradients_over_steps_in_halves(method, noise_type):
    """The steps of methods without an error estimate of their own. Room for 180 steps is no square of an integer."""
    adjoint = "reversible" if METHODS[method].reversible else "checkpoint"
    path = TablePath.sample((PATHS, NOISE_DIM[noise_type]))
    (_, made), exact = gradient(noise_type, "backprop", path, method=method, max_steps=90)
    assert distance(gradient(noise_type, adjoint, path, method=method, max_steps=90)[1], exact) < EXACT
    assert made.num_steps % 2 == 0
    tried = int(made.num_steps) // 2 + int(made.num_rejected)
    assert made.drift_evaluations == 3 * tried * METHODS[method].nfe[0]


@pytest.mark.exhaustive
@pytest.mark.usefixtures("kept")
@pytest.mark.slow
@pytest.mark.parametrize(("method", "noise_type"), [("srk", "diagonal"), ("shark", "additive")])
def test_methods_with_areas_over_rejected_steps(method, noise_type):
    """One of them on a path of our own, which takes long to compile."""
    shape = PATHS, NOISE_DIM[noise_type]
    options = {"method": method, "sde_type": METHODS[method].sde_type, "max_steps": 90, "dt": 1.0, "rtol": 1e-3}
    own = BrownianInterval(0, 1, shape, jax.random.key(3), levy_area="space-time")
    bm = own if method == "srk" else AreaTable.sample(shape)
    (_, made), exact = gradient(noise_type, "backprop", bm, **options)
    assert made.num_rejected >= 1
    assert distance(gradient(noise_type, "checkpoint", bm, **options)[1], exact) < EXACT
    with pytest.raises(ValueError, match=r"needs increments with their space-time Levy area"):
        gradient(noise_type, "checkpoint", BrownianInterval(0, 1, shape, jax.random.key(3)), **options)


@pytest.mark.exhaustive
@pytest.mark.usefixtures("kept")
@pytest.mark.slow
def test_backsolve_is_close(by_backprop):
    assert EXACT < distance(gradient("diagonal", "backsolve")[1], by_backprop("diagonal")[1]) < 0.01


@pytest.mark.exhaustive
@pytest.mark.usefixtures("kept")
@pytest.mark.slow
def test_forward_mode(by_backprop):
    at, path = (initial(), parameters()), HashPath((PATHS, DIM))
    tangent = jax.tree.map(jnp.cos, at)
    of = jax.jit(lambda at, v: jax.jvp(lambda y0, args: loss(y0, args, path, adjoint="checkpoint")[0], at, v)[1])
    products = jax.tree.map(lambda g, v: jnp.sum(g * v), by_backprop("diagonal")[1], tangent)
    assert of(at, tangent) == pytest.approx(float(sum(jax.tree.leaves(products))), rel=1e-12)


def temporary_bytes(adjoint, max_steps):
    path = TablePath.sample((PATHS, DIM))
    of = jax.grad(lambda y0: loss(y0, parameters(), path, adjoint=adjoint, max_steps=max_steps)[0])
    return jax.jit(of).lower(initial()).compile().memory_analysis().temp_size_in_bytes


@pytest.mark.exhaustive
@pytest.mark.slow
def test_memory_grows_by_the_times_alone():
    """8 bytes a time, which the compiler may hold three times: while it is filled, before, and after."""
    scalars = 8 * (4096 - 64)
    assert temporary_bytes("reversible", 4096) - temporary_bytes("reversible", 64) <= 3 * scalars
    assert temporary_bytes("backprop", 4096) > 10 * scalars  # the measure sees what grows


def geometric(bm, method="reversible_heun", paths=1, **options):
    """(outputs, `Stats`) of dy = y / 10 dt + 0.8 y dW, Stratonovich or Ito as the method has it, from 1."""
    sde_type = METHODS[method].sde_type
    field = lambda t, y, args: 0.1 * y, lambda t, y, args: 0.8 * y
    options = {"dt": 0.1, "adaptive": True, "return_stats": True, **options}
    return sdeint(*field, jnp.ones(paths), (0.0, 1.0), bm=bm, method=method, sde_type=sde_type, **options)


@pytest.mark.exhaustive(but=["reversible_heun", "milstein"])
@pytest.mark.usefixtures("kept")
@pytest.mark.slow
@pytest.mark.parametrize("method", ["reversible_heun", "midpoint", "milstein"])
def test_a_smaller_tolerance_is_a_smaller_error(method):
    """Root mean square over 200 paths with steps of their own. The error estimate of reversible Heun is of order h, so
    an eighth of the tolerance is an eighth of the error; that of a step in halves is of order h^3/2, that of the
    solution of order h, and the ratio 4.
    """
    path = TablePath.sample((200, 1), points=2**14, seed=5)
    correction = 0.32 if METHODS[method].sde_type == "ito" else 0.0
    exact = jnp.exp(0.1 - correction + 0.8 * path.W[-1])

    @jax.jit
    def error(tolerance):
        def one(W):
            return geometric(TablePath(W), method, rtol=tolerance, atol=tolerance, max_steps=2000)

        ys, made = jax.vmap(one, in_axes=1)(path.W)
        return jnp.sqrt(jnp.mean((ys[:, -1] - exact) ** 2)), jnp.mean(made.num_steps), jnp.mean(made.num_rejected)

    first, ratio = (2e-2, 8) if method == "reversible_heun" else (2e-3, 4)
    (coarse, few, _), (fine, many, rejected) = error(first), error(first / 8)
    assert 0.5 * ratio < coarse / fine < 2 * ratio
    assert 0.5 * ratio < many / few < 2 * ratio
    assert rejected > 1


class Redrawn(eqx.Module):
    """A path that draws anew after a rejection: increments hashed from the bits of the two times."""

    key: jax.Array

    def evaluate(self, t0, t1):
        bits = jax.lax.bitcast_convert_type(jnp.stack([t0, t1]), jnp.uint32).ravel()
        key = self.key
        for i in range(4):
            key = jax.random.fold_in(key, bits[i])
        return jax.random.normal(key, (1,)) * jnp.sqrt(t1 - t0)


@pytest.mark.exhaustive
@pytest.mark.slow
def test_rejected_steps_do_not_bias_the_noise():
    """The law of log y, which is normal with mean 0.1 and variance 0.64, over 2000 solves: Kolmogorov-Smirnov at 1e-3.
    Steps with large increments are the rejected ones, so who draws anew has too few of them.
    """

    def logarithm(bm):
        ys, made = geometric(bm, "heun", rtol=2e-2, atol=0.0, max_steps=1000)
        return jnp.log(ys[-1, 0]), made.num_rejected

    keys = jax.random.split(jax.random.key(6), 2000)
    paths = lambda key: BrownianInterval(0, 1, (1,), key)  # noqa: E731
    for make, unbiased in ((paths, True), (Redrawn, False)):
        logs, rejected = jax.jit(jax.vmap(lambda key, make=make: logarithm(make(key))))(keys)
        assert jnp.mean(rejected) > 1
        p = stats.kstest((np.asarray(logs) - 0.1) / 0.8, "norm").pvalue
        assert (p > 1e-3) == unbiased


def test_steps_end_at_the_outputs():
    """So the solution of dy = dW is the path at all of them, however long the steps are otherwise."""
    path, ts = TablePath.sample((1,)), jnp.asarray([0.0, 0.05, 0.0501, 0.7, 1.0])
    field = lambda t, y, args: 0 * y, lambda t, y, args: jnp.ones_like(y)
    options = {"bm": path, "dt": 0.5, "adaptive": True, "return_stats": True}
    ys, made = jax.jit(lambda ts: sdeint(*field, jnp.zeros(1), ts, **options))(ts)
    np.testing.assert_allclose(ys, jax.vmap(path.at)(ts), rtol=0, atol=1e-14)
    assert made.num_steps == 5  # 0.5 is in the way to 0.7
    assert made.num_rejected == 0


@pytest.mark.exhaustive
@pytest.mark.usefixtures("kept")
@pytest.mark.slow
def test_jit_vmap_and_grad_compose_with_traced_times_and_tolerances():
    def value(y0, args, key, ts, control):
        bm = BrownianInterval(0, 1, (DIM,), key, dt=0.1)
        return loss(y0, args, bm, ts=ts, **dict(zip(("dt", "rtol", "atol"), control, strict=True)))[0]

    keys, (y0, args) = jax.random.split(jax.random.key(4), PATHS), (initial(), parameters())
    ts = jnp.asarray([[0.0, 0.4, 1.0], [0.1, 0.2, 0.9]])
    control = jnp.asarray([[0.1, 1e-2, 1e-2], [0.03, 3e-3, 3e-3]])
    batched = jax.vmap(value, (0, None, 0, 0, 0))
    of_vmap = jax.jit(jax.grad(lambda y0, args: jnp.sum(batched(y0, args, keys, ts, control)), (0, 1)))(y0, args)
    one = jax.jit(jax.grad(value, (0, 1)))
    singly = [one(y, args, *at) for y, *at in zip(y0, keys, ts, control, strict=True)]
    summed = jax.tree.map(lambda *x: sum(x), *[g[1] for g in singly])
    assert distance(of_vmap, (jnp.stack([g[0] for g in singly]), summed)) < EXACT


def test_a_solve_that_cannot_be_finished_is_an_error():
    path = TablePath.sample((1,))
    with pytest.raises(RuntimeError, match=r"max_steps = 7 adaptive steps.* make max_steps, rtol or atol"):
        geometric(path, rtol=1e-4, atol=1e-4, max_steps=7)
    nan = lambda t, y, args: jnp.log(-1 - y**2)  # noqa: E731
    with pytest.raises(RuntimeError, match=r"no adaptive step small enough"):
        sdeint(nan, lambda t, y, args: 0 * y, jnp.ones(1), (0.0, 1.0), bm=path, dt=0.1, adaptive=True)


@pytest.mark.exhaustive
def test_bad_times_are_refused_when_traced_and_when_run():
    bm = BrownianInterval(0, 1, (1,), jax.random.key(0))
    solve = lambda ts, **options: geometric_at(ts, bm, **options)  # noqa: E731
    for ts, words in (((0.0, 0.5, 0.5), "strictly increasing"), ((0.0, 2.0), "make bm longer, or ts shorter")):
        with pytest.raises(ValueError, match=words):
            solve(ts)
        with pytest.raises(RuntimeError, match=words):
            jax.block_until_ready(jax.jit(solve)(jnp.asarray(ts)))
    with pytest.raises(ValueError, match=r"two times or more, got shape \(1,\)"):
        jax.jit(solve)(jnp.zeros(1))
    with pytest.raises(RuntimeError, match="ts, dt, rtol and atol of sdeint"):
        jax.block_until_ready(jax.grad(lambda t1: jnp.sum(solve(jnp.stack([jnp.zeros(()), t1]))))(1.0))


def geometric_at(ts, bm, **options):
    field = lambda t, y, args: 0 * y, lambda t, y, args: 0.8 * y
    return sdeint(*field, jnp.ones(1), ts, bm=bm, **{"dt": 0.1, "adaptive": True, **options})


def test_bad_control_is_refused():
    bm = TablePath.sample((1,))
    for options, words in (
        ({"dt": -0.1}, r"dt must be finite and positive, got dt=-0.1; pass e.g. dt="),
        ({"rtol": -1.0}, r"rtol must be finite and not negative, got rtol=-1.0"),
        ({"atol": np.inf}, r"atol must be finite"),
        ({"rtol": 0, "atol": 0}, r"rtol or atol must be positive"),
        ({"rtol": jnp.ones(2)}, r"rtol must be one number, got shape \(2,\)"),
        ({"max_steps": 0}, r"max_steps must be a positive integer known at trace time, at most 1073741824, got 0"),
        ({"max_steps": True}, r"got True"),
    ):
        with pytest.raises(ValueError, match=words):
            geometric_at((0.0, 1.0), bm, **options)
    with pytest.raises(RuntimeError, match="dt must be finite and positive"):
        jax.block_until_ready(jax.jit(lambda dt: geometric_at((0.0, 1.0), bm, dt=dt))(0.0))
    with pytest.warns(UserWarning, match="adaptive steps of euler need not converge .* for diagonal"):
        geometric_at((0.0, 1.0), bm, method="euler", sde_type="ito", rtol=0.1)
