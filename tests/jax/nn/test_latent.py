"""The log-ratio and the latent SDE: exact means, exact gradients, and what is masked does not enter."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sdegrad.jax import BrownianInterval
from sdegrad.jax.nn import LatentSDE, sdeint_logqp
from tests.jax.sdes import TablePath

TS = np.array([0.0, 0.2, 0.25, 0.9, 1.0])
A, B, S, PATHS = 1.5, 0.2, 0.8, 20000
KEY = jax.random.key
# The integral over [0, 1] of (b - a)^2 E[y^2] / (2 s^2), for dy = -a y dt + s dW from N(0, 1).
STATIONARY = S**2 / (2 * A)
INTEGRAL = (B - A) ** 2 / (2 * S**2) * (STATIONARY + (1 - STATIONARY) * (1 - math.exp(-2 * A)) / (2 * A))


def check_mean(found, exact):
    """Within 4 standard errors: significance 6e-5."""
    error = found.std() / math.sqrt(len(found))
    assert abs(found.mean() - exact) < 4 * error
    assert error < 0.01 * exact


@pytest.mark.exhaustive(but=["general"])
@pytest.mark.parametrize("noise_type", ["diagonal", "general"])
def test_the_log_ratio_of_two_ornstein_uhlenbeck_processes(noise_type):
    channels = 2  # one of diagonal noise is unused; with general noise both drive y: [0.6, 0.8] S has length S

    def diffusion(t, y, args):
        return (
            jnp.full_like(y, S)
            if noise_type == "diagonal"
            else jnp.broadcast_to(jnp.asarray([[0.6 * S, 0.8 * S]]), (PATHS, 1, 2))
        )

    def solve(key):
        start, path = jax.random.split(key)
        bm = BrownianInterval(0.0, 1.0, (PATHS, channels), path, dt=1 / 32)
        y0 = jax.random.normal(start, (PATHS, 1))
        fields = lambda t, y, args: -A * y, lambda t, y, args: -B * y, diffusion
        return sdeint_logqp(*fields, y0, TS, bm=bm, dt=1 / 32, noise_type=noise_type)

    ys, log_ratio = jax.jit(solve)(KEY(0))
    assert ys.shape == (len(TS), PATHS, 1)
    assert log_ratio.shape == (len(TS) - 1, PATHS)
    check_mean(log_ratio.sum(0), INTEGRAL)


class Entry(eqx.Module):
    """scale z + shift, of the input (t, z, ...)."""

    scale: float
    shift: float

    def __call__(self, tz):
        return self.scale * tz[..., 1:2] + self.shift


@pytest.mark.exhaustive
@pytest.mark.usefixtures("kept")
@pytest.mark.slow
def test_the_divergence_is_that_of_the_start_and_of_the_path():
    """From N(0, 1) against N(1, 1): 1/2 at the start."""
    model = LatentSDE(1, hidden=1, key=KEY(0))
    zero = jax.tree.map(jnp.zeros_like, model.start)
    where = lambda m: (m.start, m.prior_start, m.drift, m.prior_drift, m.diffusion)  # noqa: E731
    values = zero, jnp.asarray([1.0, 0.0]), Entry(-A, 0.0), Entry(-B, 0.0), Entry(0.0, S)
    model = eqx.tree_at(where, model, values)
    sample = eqx.filter_jit(lambda m: m(TS, jnp.zeros((len(TS), PATHS, 1)), key=KEY(0), dt=1 / 32))(model)
    check_mean(sample.divergence, 0.5 + INTEGRAL)


def masked():
    """A model, and the loss of series where some values are missing, whatever stands for them."""
    rng = np.random.default_rng(0)
    model = LatentSDE(2, hidden=3, masked=True, key=KEY(0))
    ys, mask = rng.normal(size=(5, 4, 2)), rng.random((5, 4, 2)) < 0.5
    path = TablePath.sample((4, 4))  # one of our own takes longer to compile

    def loss(model, filler, adjoint):
        series = jnp.where(mask, ys, filler)
        sample = model(TS, series, jnp.asarray(mask), key=KEY(1), bm=path, dt=0.1, adjoint=adjoint)
        return jnp.sum(sample.ys**2) + jnp.sum(sample.divergence)

    return model, loss


@pytest.mark.usefixtures("kept")
@pytest.mark.slow
def test_missing_values_do_not_enter():
    model, loss = masked()
    of = eqx.filter_jit(lambda filler: loss(model, filler, "backprop"))
    assert of(jnp.asarray(np.nan)) == of(jnp.asarray(7.0))


@pytest.mark.exhaustive
@pytest.mark.usefixtures("kept")
@pytest.mark.slow
def test_gradients_are_exact_and_missing_values_do_not_enter():
    model, loss = masked()
    gradients = eqx.filter_jit(
        lambda filler: [eqx.filter_grad(loss)(model, filler, a) for a in ("reversible", "backprop")]
    )
    found = gradients(jnp.asarray(np.nan))
    for a, b in zip(*map(jax.tree.leaves, found), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)
        assert (b != 0).any()
    again = gradients(jnp.asarray(7.0))
    assert all(map(np.array_equal, *map(jax.tree.leaves, (found, again))))


@pytest.mark.exhaustive
@pytest.mark.slow
def test_the_prior_is_sampled():
    model = LatentSDE(2, key=KEY(0))
    ys = eqx.filter_jit(lambda m: m.sample(TS, 7, key=KEY(0), dt=0.1))(model)
    assert ys.shape == (len(TS), 7, 2)
    assert len(np.unique(ys[0], axis=0)) == 7


@pytest.mark.slow
def test_bad_input():
    model, ys = LatentSDE(2, key=KEY(0)), jnp.zeros((len(TS), 4, 2))
    with pytest.raises(ValueError, match=r"ts must be \[times\], one for all series, got shape \(5, 4\)"):
        model(np.stack([TS] * 4, 1), ys, dt=0.1, key=KEY(0))
    with pytest.raises(ValueError, match="NaN or infinite"):
        model(TS, ys / 0, dt=0.1, key=KEY(0))
    with pytest.raises(ValueError, match="hidden must be a positive integer, got 0"):
        LatentSDE(2, hidden=0, key=KEY(0))
