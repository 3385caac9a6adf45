"""The generator and the discriminator: the same as those of PyTorch, exact gradients, and what data may look like."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

import sdegrad.torch.nn as torch_nn
from sdegrad.jax.nn import Discriminator, Generator, clip_weights
from sdegrad.jax.nn.series import fill

PATHS, CHANNELS = 3, 2
TS = np.array([0.0, 0.2, 0.25, 0.9, 1.0, 1.7])
rng = np.random.default_rng(0)
YS, SEEN = rng.normal(size=(len(TS), PATHS, CHANNELS)), rng.random((len(TS), PATHS, CHANNELS)) < 0.6
OWN_TS = np.stack((TS, TS + 0.1 * TS**2, np.where(np.arange(6) < 4, TS, TS[3])), 1)
KEY = jax.random.key


def discriminator(**options):
    return Discriminator(CHANNELS, hidden=5, width=7, key=KEY(0), **options)


def like(module, other):
    """`module` of JAX with the weights of `other` of PyTorch, whose layers it has in the same order."""
    is_linear = lambda x: isinstance(x, eqx.nn.Linear)  # noqa: E731
    theirs = iter(m for m in other.modules() if isinstance(m, torch.nn.Linear))

    def copied(layer):
        if not is_linear(layer):
            return layer
        values = [jnp.asarray(p.detach().numpy()) for p in next(theirs).parameters()]
        return eqx.tree_at(lambda layer: (layer.weight, layer.bias), layer, values)

    return jax.tree.map(copied, module, is_leaf=is_linear)


@pytest.mark.exhaustive
@pytest.mark.usefixtures("kept")
@pytest.mark.parametrize(
    ("masked", "ts", "substeps"), [(False, OWN_TS, 1), pytest.param(True, TS, 3, marks=pytest.mark.slow)]
)
def test_the_score_and_its_gradient_are_those_of_pytorch(masked, ts, substeps, double):
    other = torch_nn.Discriminator(CHANNELS, hidden=5, width=7, masked=masked)
    ours = like(discriminator(masked=masked), other)
    seen = SEEN if masked else None

    @eqx.filter_jit
    def value_and_grad(ys):
        score = lambda ys: jnp.sum(ours(jnp.asarray(ts), ys, seen, substeps=substeps) ** 2)  # noqa: E731
        return jax.value_and_grad(score)(ys)

    ys = torch.tensor(YS, requires_grad=True)
    mask = None if seen is None else torch.tensor(seen)
    score = other(torch.tensor(ts), ys, mask, substeps=substeps).square().sum()
    value, gradient = value_and_grad(jnp.asarray(YS))
    np.testing.assert_allclose(value, score.item(), rtol=1e-12)
    np.testing.assert_allclose(gradient, torch.autograd.grad(score, ys)[0], rtol=1e-11, atol=1e-13)


@pytest.fixture
def double():
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(0)
    yield
    torch.set_default_dtype(torch.float32)


class Line:
    """A path in place of a Brownian motion, for both libraries: t (1, -1)."""

    shape = (PATHS, 2)

    def evaluate(self, t0, t1):
        return jnp.broadcast_to((t1 - t0) * jnp.asarray([1.0, -1.0]), self.shape)

    def __call__(self, ta, tb):
        return ((tb - ta) * torch.tensor([1.0, -1.0])).expand(self.shape)


@pytest.mark.usefixtures("kept")
def test_the_generator_is_that_of_pytorch_and_its_gradients_are_exact(double):
    other = torch_nn.Generator(CHANNELS, hidden=5, noise=2)
    ours = like(Generator(CHANNELS, hidden=5, noise=2, key=KEY(0)), other)
    v = rng.normal(size=(PATHS, 4))

    def ys(model, adjoint=None):
        return model(TS, PATHS, key=KEY(1), dt=0.1, initial=jnp.asarray(v), bm=Line(), adjoint=adjoint)

    theirs = other(torch.tensor(TS), PATHS, dt=0.1, initial=torch.tensor(v), bm=Line())
    np.testing.assert_allclose(eqx.filter_jit(ys)(ours), theirs.detach(), rtol=1e-12)

    @eqx.filter_jit
    def gradients(model):
        return [eqx.filter_grad(lambda m, a=a: jnp.sum(ys(m, a) ** 2))(model) for a in ("reversible", "backprop")]

    for a, b in zip(*map(jax.tree.leaves, gradients(ours)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-13)
        assert (b != 0).any()


@pytest.mark.exhaustive
@pytest.mark.slow
def test_the_generator_draws_from_its_key():
    model = Generator(CHANNELS, key=KEY(0))
    ys = jax.jit(lambda key: model(TS, PATHS, key=key, dt=0.1))
    assert ys(KEY(1)).shape == (len(TS), PATHS, CHANNELS)
    assert np.array_equal(ys(KEY(1)), ys(KEY(1)))
    assert (ys(KEY(1)) != ys(KEY(2))).all()


@pytest.mark.exhaustive
@pytest.mark.usefixtures("kept")
@pytest.mark.slow
def test_gradients_of_the_score_are_exact_and_those_of_backprop_differentiable():
    model, ys, seen = discriminator(masked=True), jnp.asarray(YS), jnp.asarray(SEEN)
    weights, rest = eqx.partition(model, eqx.is_inexact_array)

    def score(x, adjoint):
        weights, ys = x
        return jnp.sum(eqx.combine(weights, rest)(TS, ys, seen, adjoint=adjoint))

    @jax.jit
    def both(x):
        penalty = lambda w: jnp.sum(jax.grad(score)((w, ys), "backprop")[1] ** 2)  # noqa: E731
        return jax.grad(score)(x, "reversible"), jax.grad(score)(x, "backprop"), jax.grad(penalty)(weights)

    reversible, backprop, penalty = both((weights, ys))
    for a, b in zip(*map(jax.tree.leaves, (reversible, backprop)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-13)
    assert np.array_equal(backprop[1] != 0, SEEN)
    assert (penalty.field.layers[0].weight != 0).any()


def test_missing_values_are_filled_from_both_sides():
    seen = SEEN.copy()
    seen[:, 0, 0], seen[:, 0, 1] = False, [0, 0, 1, 0, 0, 0]
    t = jnp.broadcast_to(jnp.asarray(TS)[:, None, None], (len(TS), PATHS, 1))
    found = fill(t, jnp.asarray(np.where(seen, YS, np.nan)), jnp.asarray(seen))
    for p, c in np.ndindex(PATHS, CHANNELS):
        at = seen[:, p, c]
        expected = np.interp(TS, TS[at], YS[at, p, c]) if at.any() else np.zeros(len(TS))
        np.testing.assert_allclose(found[:, p, c], expected, atol=1e-14)


@pytest.mark.exhaustive(but=["one-1-inf"])
@pytest.mark.parametrize(("norm", "order", "dual"), [("inf", np.inf, 1), ("one", 1, np.inf)])
def test_the_clipped_field_is_lipschitz(norm, order, dual):
    """F(t, H) v with the constant |v|; before it is clipped it is not."""
    model = discriminator()
    wide = jax.tree.map(lambda x: 9 * jnp.abs(x) if eqx.is_array(x) and x.ndim == 2 else x, model)
    vs, hs = jnp.asarray(rng.normal(size=(50, 1 + CHANNELS))), jnp.asarray(rng.normal(size=(50, 5)))

    @eqx.filter_jit
    def slopes(model):
        field = lambda h, v: model.field(jnp.append(1.0, h)).reshape(5, -1) @ v  # noqa: E731
        return jnp.linalg.norm(jax.vmap(jax.jacfwd(field))(hs, vs), order, axis=(1, 2))

    allowed = np.linalg.norm(vs, dual, axis=1)
    assert (slopes(wide) > allowed).any()
    assert (slopes(clip_weights(wide, norm)) <= allowed).all()
    assert (slopes(clip_weights(wide, norm)) > 0).all()


BAD = {
    r"ts must be finite and increasing": {"ts": TS[::-1]},
    r"ts must be \[times\] or \[times, \*paths\], so \(6,\) or \(6, 3\), got shape \(5,\)": {"ts": TS[:5]},
    r"ys must be .* 2 channels, got shape \(6, 3, 1\)": {"ys": YS[..., :1]},
    r"ys has 36 values that are NaN": {"ys": YS * np.nan},
    r"masked=False, but there is a mask": {"mask": SEEN},
    r"substeps must be a positive integer": {"substeps": 0},
}


@pytest.mark.parametrize("sentence", BAD)
def test_bad_input(sentence):
    with pytest.raises(ValueError, match=sentence):
        discriminator()(**{"ts": TS, "ys": YS, **BAD[sentence]})


@pytest.mark.slow
def test_bad_masks_and_sizes():
    for wrong in (None, SEEN[:-1], SEEN.astype(float)):
        with pytest.raises(ValueError, match="mask"):
            discriminator(masked=True)(TS, YS, wrong)
    with pytest.raises(ValueError, match="paths must be a positive integer"):
        Generator(1, key=KEY(0))(TS, 0, dt=0.1, key=KEY(0))
    with pytest.raises(ValueError, match="ts is traced"):
        jax.jit(lambda ts: Generator(1, key=KEY(0))(ts, 1, dt=0.1, key=KEY(0)))(TS)
