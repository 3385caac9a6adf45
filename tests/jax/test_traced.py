"""What is an array in one pass and a number in another, and what a function reads that changes between them."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sdegrad.jax import BrownianInterval, sdeint
from sdegrad.jax.arguments import static_number
from sdegrad.jax.checks import static_times
from tests.jax.sdes import DIFFUSION, DIM, PATHS, TablePath, drift, initial, parameters

KEY = jax.random.key(0)
TS = (0.0, 0.5, 1.0)


def small(rate, f=lambda t, y, args: -args[0] * args[1] * y, *, dtype: Any = np.float64, **options):
    """The sum of the end of a small solve; args has a number and an integer of Python beside `rate`."""
    options = {"bm": BrownianInterval(0.0, 1.0, (DIM,), KEY, dtype=dtype, dt=0.25), "args": (rate, 1.5, 3)} | options
    return jnp.sum(sdeint(f, lambda t, y, args: 0.1 * y, jnp.ones(DIM, dtype), (0.0, 1.0), dt=0.25, **options)[-1])


class Decay(eqx.Module):
    rate: float | jax.Array

    def __call__(self, t, y, args):
        del t
        return -self.rate * args[1] * y


@pytest.mark.exhaustive
@pytest.mark.slow
@pytest.mark.usefixtures("kept")
@pytest.mark.parametrize("adjoint", ["reversible", "backsolve"])
def test_numbers_are_differentiated_like_arrays(adjoint):
    """Python's and NumPy's, by a `jax.grad` that is not compiled; in args, in a module, and closed over."""

    def total(rate):
        decay = Decay(rate)
        fields = lambda t, y, args: decay(t, y, args) - rate * y - args[0] * y  # noqa: E731
        return small(rate, fields, adjoint=adjoint) + small(rate, decay, adjoint=adjoint)

    right = jax.jit(jax.grad(total))(jnp.asarray(0.3))
    assert right < -1
    for rate in (0.3, np.float64(0.3), np.full(DIM, 0.3)):
        np.testing.assert_allclose(np.sum(jax.grad(total)(rate)), right, rtol=1e-12)


@pytest.mark.exhaustive
def test_a_number_takes_the_dtype_of_the_state():
    """Python's has no dtype of its own, and does not make a state of single precision one of double."""
    value, gradient = jax.value_and_grad(lambda rate: small(rate, dtype=np.float32))(0.7)
    assert value.dtype == np.float32
    np.testing.assert_allclose(
        gradient, jax.grad(lambda rate: small(rate, dtype=np.float32))(jnp.float32(0.7)), rtol=1e-6
    )


SCALE = {"now": 1.0}


def scaled(t, y, args):
    return -SCALE["now"] * args[0] * y


@pytest.mark.exhaustive(but=["reversible"])
@pytest.mark.parametrize("adjoint", ["reversible", "backsolve"])
@pytest.mark.slow
def test_the_way_back_sees_the_functions_of_the_way_there(adjoint, monkeypatch):
    """Though the global that the drift reads has changed in between."""
    _, pull = jax.vjp(lambda rate: small(rate, scaled, adjoint=adjoint), jnp.asarray(0.7))
    monkeypatch.setitem(SCALE, "now", 3.0)
    (late,) = pull(jnp.ones(()))
    monkeypatch.setitem(SCALE, "now", 1.0)
    (right,) = jax.vjp(lambda rate: small(rate, scaled, adjoint=adjoint), jnp.asarray(0.7))[1](jnp.ones(()))
    assert late == right


@pytest.mark.exhaustive(but=["reversible"])
@pytest.mark.parametrize("adjoint", ["reversible", "backsolve", "checkpoint", "backprop"])
def test_the_way_back_sees_the_arrays_of_the_way_there(adjoint):
    """Though NumPy's, which the fields close over or args hold, are written over in between."""
    closed, given = np.ones(DIM), np.ones(DIM)

    def fall(t, y, args):
        return -args[0] * closed * args[1] * y

    _, pull = jax.vjp(lambda rate: small(rate, fall, adjoint=adjoint, args=(rate, given)), jnp.asarray(0.7))
    (right,) = pull(jnp.ones(()))
    closed[:], given[:] = 0.0, 3.0
    assert pull(jnp.ones(())) == (right,)
    assert right < -1


def test_python_runs_the_functions_once():
    """So what they draw from NumPy, or count, is the same number in all steps and passes."""
    calls, rng = [], np.random.default_rng(0)

    def random(t, y, args):
        calls.append(rng.normal())
        return -calls[-1] * args[0] * y

    gradient = jax.grad(lambda rate: small(rate, random))(0.7)
    assert len(calls) == 1
    fixed = jax.grad(lambda rate: small(rate, lambda t, y, args: -calls[0] * args[0] * y))(0.7)
    np.testing.assert_allclose(gradient, fixed, rtol=1e-14)


def solve(ts, *, adjoint=None, args=None, y0=None, method="reversible_heun", **options):
    y0, args = initial() if y0 is None else y0, parameters() if args is None else args
    options |= {"args": args, "method": method, "adjoint": adjoint}
    return sdeint(drift, DIFFUSION["diagonal"], y0, ts, bm=path(), **options)


def path():
    return TablePath(jnp.asarray(np.random.default_rng(2).normal(size=(65, PATHS, DIM)).cumsum(0) / 8))


@pytest.mark.slow
def test_constant_times_may_be_made_inside_a_compiled_function():
    ways = [
        lambda: (jnp.linspace(0, 1, 3), 0.125),
        lambda: (jnp.asarray([0.0, 1.0, 2.0]) / 2, jnp.asarray(0.25) / 2),
        lambda: (0.5 * jnp.arange(3.0), jnp.diff(jnp.linspace(0, 1, 9))[0]),
        lambda: ([0.0, jnp.asarray(0.5), 1.0], 0.125),
    ]

    def inside(x):
        for way in ways:
            ts, dt = way()
            assert (static_times(ts)[0], static_number("dt", dt)) == (TS, 0.125)
        return jnp.sum(x)

    for transform in (jax.jit, jax.vmap, jax.grad, lambda f: jax.vmap(jax.jit(jax.grad(f)))):
        transform(inside)(jnp.ones(2))
    compiled = jax.jit(lambda y0: solve(jnp.linspace(0, 1, 3), dt=0.125, y0=y0))(initial())
    np.testing.assert_allclose(compiled, solve(TS, dt=0.125), rtol=1e-14)


@pytest.mark.skipif(jax.__version_info__ < (0, 5), reason="an older JAX does not tell entries of constants from others")
def test_a_path_between_constant_times_has_cells_inside_a_compiled_function():
    def inside(key):
        ts = jnp.linspace(0, 1, 5)
        bm = BrownianInterval(ts[0], ts[-1], (DIM,), key, dt=0.25)
        assert (bm.t0, bm.t1, bm.grid.steps) == (0.0, 1.0, 4)
        return bm.cell(3)

    with pytest.raises(ValueError, match="t0 or t1 is traced"):
        jax.eval_shape(lambda t1: BrownianInterval(0.0, t1, (DIM,), KEY, dt=0.25).cell(3), 1.0)
    np.testing.assert_array_equal(jax.jit(inside)(KEY), BrownianInterval(0.0, 1.0, (DIM,), KEY, dt=0.25).cell(3))


def test_times_that_depend_on_an_argument_are_refused_with_what_can_be_done():
    for ts in (lambda x: (0.0, x), lambda x: jnp.linspace(0, 1, 3) * x, lambda x: jnp.linspace(0, x, 3)):
        with pytest.raises(ValueError, match=r"ts is traced.*steps=, the number of steps from one output to the next"):
            jax.jit(lambda x, ts=ts: solve(ts(x), dt=0.125))(1.0)
        shape = jax.eval_shape(lambda x, ts=ts: solve(ts(x), steps=4), 1.0).shape
        assert shape == (len(ts(1.0)), *initial().shape)


@pytest.mark.exhaustive
def test_a_number_of_steps_is_as_good_as_their_length():
    """Solution and gradients are those of dt, with times that are traced."""

    def loss(args, ts, adjoint, **options):
        return jnp.sum(solve(ts, args=args, adjoint=adjoint, **options) ** 2)

    right = jax.jit(jax.value_and_grad(lambda args: loss(args, TS, "backprop", dt=0.125)))(parameters())
    for adjoint in ("reversible", "checkpoint"):
        compiled = jax.jit(jax.value_and_grad(lambda args, ts, a=adjoint: loss(args, ts, a, steps=4)))
        got = compiled(parameters(), jnp.asarray(TS))
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-12), got, right)


@pytest.mark.slow
def test_uneven_times_have_as_many_steps_between_each():
    ts = jnp.asarray([0.0, 0.25, 1.0])
    got, stats = jax.jit(lambda ts: solve(ts, method="heun", steps=4, return_stats=True))(ts)
    first = solve((0.0, 0.25), method="heun", dt=0.0625)[-1]
    second = solve((0.25, 1.0), method="heun", dt=0.1875, y0=first)[-1]
    np.testing.assert_allclose(got, jnp.stack([initial(), first, second]), rtol=1e-12)
    assert (stats.num_steps, stats.drift_evaluations) == (8, 16)
    spans = jnp.stack([ts, ts / 2])
    batch = jax.jit(jax.vmap(lambda ts: solve(ts, method="heun", steps=4)))(spans)
    np.testing.assert_allclose(batch[0], got, rtol=1e-12)
    assert not np.allclose(batch[1], got)


def test_no_gradient_reaches_the_times():
    with pytest.raises(Exception, match="ts of sdeint"):
        jax.grad(lambda ts: jnp.sum(solve(ts, steps=2)))(jnp.asarray(TS))
