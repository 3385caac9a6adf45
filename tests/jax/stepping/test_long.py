"""Long solves of SDEs that contract: a sign where a method fails, and none where it does not."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sdegrad.jax import BrownianInterval, sdeint

STEPS = 1024


def solve(rate, end, method, outputs=2, **options):
    """dy = -rate y dt + 0.1 dW from 1/2 on [0, end], in double precision. A step of rate 1 is 1 / 32 long at most."""
    ts = tuple(end * i / (outputs - 1) for i in range(outputs))
    bm = BrownianInterval(0.0, end, (1,), jax.random.key(0), dt=end / STEPS)
    fields = (lambda t, y, args: -args * y), (lambda t, y, args: 0.1 * jnp.ones_like(y))
    options = {"bm": bm, "dt": end / STEPS, "args": rate, "method": method} | options
    return sdeint(*fields, jnp.full(1, 0.5), ts, **options)


@pytest.mark.exhaustive(but=["reversible_heun-4.0-False", "reversible_heun-32.0-True"])
@pytest.mark.parametrize(
    ("method", "end", "fails"),
    [("reversible_heun", 4.0, False), ("reversible_heun", 32.0, True), ("heun", 32.0, False), ("ees25", 32.0, False)],
)
@pytest.mark.slow
def test_the_stats_tell_where_the_solution_is_lost(method, end, fails):
    right = solve(1.0, end, "heun")[-1]
    got, stats = jax.jit(lambda: solve(1.0, end, method, return_stats=True))()
    off = float(jnp.max(jnp.abs(got[-1] - right)))
    assert (off > 0.05) == (stats.parted > 1) == fails
    if method != "reversible_heun":
        assert stats.parted == 0
    if fails:
        with pytest.raises(eqx.EquinoxRuntimeError, match=r"has lost it.*'ees25'"):
            eqx.filter_jit(lambda: solve(1.0, end, method, check=True))()
    else:
        np.testing.assert_array_equal(jax.jit(lambda: solve(1.0, end, method, check=True))(), got)


@pytest.mark.slow
def test_adaptive_steps_end_where_the_copies_have_parted():
    """Else steps shrink without end: max_steps are not used up, whatever they are."""
    tolerances = {"adaptive": True, "rtol": 1e-2, "atol": 1e-2, "max_steps": 2**20}
    with pytest.raises(eqx.EquinoxRuntimeError, match=r"has lost the solution on the way.*'ees25'.*'heun'"):
        eqx.filter_jit(lambda: solve(1.0, 32.0, "reversible_heun", **tolerances))()


@pytest.mark.exhaustive(but=["9-True"])
@pytest.mark.parametrize(("outputs", "lost"), [(2, False), (9, True)])
@pytest.mark.slow
def test_a_gradient_along_a_lost_solution_is_no_number(outputs, lost):
    """The way back over L T = 48 magnifies round-off by exp(48) = 7e20: nothing of it reaches the gradient of the end,
    as that of early outputs it is nonsense."""

    def loss(rate, method, adjoint):
        return jnp.sum(solve(rate, 48.0, method, outputs, adjoint=adjoint) ** 2)

    right = jax.jit(jax.grad(lambda rate: loss(rate, "ees25", "backprop")))(1.0)
    got = jax.jit(jax.grad(lambda rate: loss(rate, "ees25", "reversible")))(1.0)
    if lost:
        assert np.isnan(got)
    else:
        np.testing.assert_allclose(got, right, rtol=1e-6)


@pytest.mark.exhaustive(but=["channel"])
@pytest.mark.parametrize("large", ["channel", "path"])
@pytest.mark.slow
def test_a_lost_way_back_is_seen_beside_larger_entries(large):
    """Over L T = 18 in single precision: the gradient in the first rate is far from that of backpropagation."""
    with jax.enable_x64(False):
        y0, rates = jnp.array([1.0, 1e6]), jnp.array([6.0, 0.0])
        y0, rates = (y0[:, None], rates[:1]) if large == "path" else (y0, rates)

        def loss(rates):
            bm = BrownianInterval(0.0, 3.0, y0.shape, jax.random.key(0), dt=0.01)
            fields = (lambda t, y, args: -args * y), (lambda t, y, args: 0.1 * jnp.ones_like(y))
            options = {"bm": bm, "dt": 0.01, "args": rates, "method": "reversible_heun", "adjoint": "reversible"}
            return jnp.sum(sdeint(*fields, y0, (0.0, 3.0), **options)[-1])

        with jax.numpy_rank_promotion("allow"):
            assert np.isnan(jax.jit(jax.grad(loss))(rates)).all()
