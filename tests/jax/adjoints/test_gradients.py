"""Gradients: exact where they claim it, right where they converge, through every transformation."""

import itertools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sdegrad.jax import BrownianInterval, sdeint
from sdegrad.jax.methods.reversible_heun import ReversibleHeun
from tests.costs import first_is_quick
from tests.jax.sdes import DIFFUSION, DIM, NOISE_DIM, PATHS, HashPath, TablePath, drift, initial, parameters

EXACT = 1e-13
PATTERNS = [
    (0.0, 1.0),
    tuple(np.linspace(0, 1, 5)),
    (0.0, 0.003, 0.006, 0.31, 1.0),
    tuple(np.linspace(0, 1, 11)),
    (0.0, 0.002, 0.1, 0.15, 0.151, 0.152, 0.4, 0.77, 0.9, 0.999, 1.0),
]
ALL_TIMES = tuple(sorted({float(t) for ts in PATTERNS for t in ts}))
# One program for all patterns: a traced weight per output picks those of a pattern.
MASKS = jnp.asarray([[1.0 * (t in ts) for t in ALL_TIMES] for ts in PATTERNS], jnp.float32)


def distance(a, b):
    """Relative L1 distance over all leaves."""
    a, b = (np.concatenate([np.ravel(x) for x in jax.tree.leaves(t)]) for t in (a, b))
    return np.sum(np.abs(a - b)) / max(np.sum(np.abs(a)), np.sum(np.abs(b)))


def gradient(adjoint, noise_type, dt, ts=ALL_TIMES, bm=None, method="reversible_heun"):
    """The function weights -> gradient of the weighted sum of squares of the outputs, for (y0, args)."""
    shape = (PATHS, NOISE_DIM[noise_type])
    bm = TablePath.sample(shape) if bm is None else bm

    def loss(at, weights):
        y0, args = at
        ys = sdeint(
            drift,
            DIFFUSION[noise_type],
            y0,
            ts,
            bm=bm,
            dt=dt,
            args=args,
            method=method,
            adjoint=adjoint,
            noise_type=noise_type,
        )
        return jnp.sum(weights.astype(ys.dtype)[:, None, None] * ys**2)

    compiled = jax.jit(jax.grad(loss))
    return lambda weights: compiled((initial(), parameters()), weights)


STEPS = (1.0, 0.5, 0.1, 0.07, 0.05, 0.02, 0.01, 2.0**-7)
GRID = [("diagonal", 0.07), *zip(itertools.cycle(NOISE_DIM), STEPS, strict=False), ("general", 0.01)]


@pytest.mark.exhaustive(but=["diagonal-0.07", "general-0.0078125"])
@pytest.mark.parametrize(("noise_type", "dt"), first_is_quick(GRID))
@pytest.mark.slow
def test_reversible_gradient_is_exact(noise_type, dt):
    reversible, backprop = (gradient(adjoint, noise_type, dt) for adjoint in ("reversible", "backprop"))
    for weights in MASKS:
        assert distance(reversible(weights), backprop(weights)) < EXACT


@pytest.mark.slow
def test_checkpoint_gradient_is_exact_where_segments_do_not_divide_the_steps():
    checkpoint, backprop = (gradient(a, "general", 0.07, method="heun") for a in ("checkpoint", "backprop"))
    for weights in MASKS:
        assert distance(checkpoint(weights), backprop(weights)) < EXACT


@pytest.mark.usefixtures("kept")
@pytest.mark.slow
def test_own_path_gives_exact_gradients():
    ts, dt = (0.3, 0.55, 1.3), 0.01
    own = BrownianInterval(0.3, 1.3, (PATHS, DIM), jax.random.key(3), dt=dt)
    reversible, backprop = (gradient(a, "diagonal", dt, ts, own) for a in ("reversible", "backprop"))
    assert distance(reversible(jnp.ones(3)), backprop(jnp.ones(3))) < EXACT


@pytest.mark.slow
def test_times_are_bitwise_the_same_in_both_passes():
    ts, dt = (0.3, 1.3), 0.0007  # more steps than a block of the table of times
    reversible, backprop = (gradient(a, "diagonal", dt, ts, HashPath((PATHS, DIM))) for a in ("reversible", "backprop"))
    assert distance(reversible(jnp.ones(2)), backprop(jnp.ones(2))) < EXACT


@pytest.mark.exhaustive(but=["noise"])
@pytest.mark.slow
@pytest.mark.parametrize("fault", ["sign", "noise"])
def test_a_wrong_adjoint_is_seen(fault, monkeypatch):
    right = ReversibleHeun.reverse

    def wrong(self, field, arrays, t0, t1, dt, dW, r):
        dW = dW * (1 + 1e-9) if fault == "noise" else dW
        new = right(self, field, arrays, t0, t1, dt, dW, r)
        return new._replace(a_hat=-new.a_hat) if fault == "sign" else new

    monkeypatch.setattr(ReversibleHeun, "reverse", wrong)
    reversible, backprop = (gradient(a, "diagonal", 0.1) for a in ("reversible", "backprop"))
    assert distance(reversible(MASKS[0]), backprop(MASKS[0])) > 1e3 * EXACT


@pytest.mark.exhaustive(but=["midpoint-0.001"])
@pytest.mark.parametrize(("method", "bound"), [("midpoint", 1e-3), ("euler_heun", 2e-2)])
@pytest.mark.slow
def test_backsolve_is_close(method, bound):
    backsolve, backprop = (gradient(a, "diagonal", 2.0**-8, method=method) for a in ("backsolve", "backprop"))
    assert distance(backsolve(MASKS[2]), backprop(MASKS[2])) < bound


@pytest.mark.exhaustive
@pytest.mark.slow
def test_backsolve_converges():
    errors = []
    for dt in (2.0**-4, 2.0**-8):
        backsolve, backprop = (gradient(a, "general", dt) for a in ("backsolve", "backprop"))
        errors.append(distance(backsolve(MASKS[2]), backprop(MASKS[2])))
    assert errors[1] < errors[0] / 3  # order 1/2 gives 4, on one rough path
    assert 1e3 * EXACT < errors[1] < 0.05


def temporary_bytes(adjoint, dt):
    bm = BrownianInterval(0, 1, (PATHS, DIM), jax.random.key(0), dt=dt)

    def loss(y0):
        ys = sdeint(drift, DIFFUSION["diagonal"], y0, (0, 1), bm=bm, dt=dt, args=parameters(), adjoint=adjoint)
        return jnp.sum(ys**2)

    return jax.jit(jax.grad(loss)).lower(initial()).compile().memory_analysis().temp_size_in_bytes


@pytest.mark.exhaustive
@pytest.mark.slow
def test_memory_does_not_grow_with_the_steps():
    few, many = temporary_bytes("reversible", 1e-2), temporary_bytes("reversible", 1e-4)
    assert abs(many - few) <= 0.05 * few
    assert temporary_bytes("backprop", 1e-4) > 10 * many  # the measure sees what grows


class Diffusion(eqx.Module):
    scale: jax.Array

    def __call__(self, t, y, args):
        del t, args
        return jnp.broadcast_to(self.scale, y.shape) * jnp.cos(y)


@pytest.mark.slow
def test_gradients_reach_closed_over_arrays_and_modules():
    path = TablePath.sample((PATHS, DIM))

    def loss(matrix, module, adjoint):
        def closed(t, y, args):
            power, act = args  # an integer and a function: neither is differentiated
            return act(y @ matrix) ** power

        ys = sdeint(closed, module, initial(), (0, 1), bm=path, dt=0.1, args=(2, jnp.tanh), adjoint=adjoint)
        return jnp.sum(ys**2)

    at = parameters()["a"], Diffusion(jnp.asarray([0.2, 0.3, 0.4]))
    grads = [
        eqx.filter_jit(lambda at, adjoint=adjoint: jax.grad(lambda at: loss(*at, adjoint))(at))(at)
        for adjoint in ("reversible", "backprop")
    ]
    assert distance(*grads) < EXACT
    assert all(np.all(x != 0) for x in jax.tree.leaves(grads))


@pytest.mark.exhaustive
@pytest.mark.usefixtures("kept")
@pytest.mark.slow
def test_jit_vmap_and_grad_compose():
    def loss(y0, args, key):
        bm = BrownianInterval(0, 1, (DIM,), key, dt=0.1)
        return jnp.sum(sdeint(drift, DIFFUSION["diagonal"], y0, (0, 0.5, 1), bm=bm, dt=0.1, args=args)[1:] ** 2)

    keys, y0, args = jax.random.split(jax.random.key(4), PATHS), initial(), parameters()
    batched = jax.vmap(loss, (0, None, 0))
    of_vmap = jax.jit(jax.grad(lambda y0, args: jnp.sum(batched(y0, args, keys)), (0, 1)))(y0, args)
    vmapped = jax.jit(jax.vmap(jax.grad(loss, (0, 1)), (0, None, 0)))(y0, args, keys)
    assert distance(of_vmap, (vmapped[0], jax.tree.map(lambda x: jnp.sum(x, axis=0), vmapped[1]))) < 1e-14
    one = jax.grad(jax.jit(loss), (0, 1))(y0[1], args, keys[1])
    assert distance(one, jax.tree.map(lambda x: x[1], vmapped)) < 1e-14


@pytest.mark.exhaustive
@pytest.mark.usefixtures("kept")
@pytest.mark.slow
def test_state_may_be_a_tree():
    def loss(y0, adjoint):
        ys = sdeint(
            lambda t, y, args: {"p": -jnp.sin(y["q"]), "q": y["p"]},
            lambda t, y, args: jax.tree.map(lambda x: 0.3 * jnp.cos(x), y),
            y0,
            (0, 0.25, 1),
            bm=BrownianInterval(0, 1, jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), y0), key, dt=0.1),
            dt=0.1,
            adjoint=adjoint,
        )
        return jnp.sum(ys["p"][1:] ** 2)  # no cotangent for q

    key, y0 = jax.random.key(5), {"p": jnp.ones((2, 1)), "q": jnp.arange(3.0)[:2]}
    y0["q"] = y0["q"].reshape(2, 1)
    grads = [jax.jit(jax.grad(lambda y0, a=a: loss(y0, a)))(y0) for a in ("reversible", "backprop")]
    assert distance(*grads) < EXACT
