"""Networks of bounded slope: what clipping bounds, and what it does not; the mean of weights."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sdegrad.jax.nn import MLP, LipSwish, clip_weights, running_mean

ORDS = {"inf": np.inf, "one": 1}  # of np.linalg.norm


def test_lipswish_is_1_lipschitz_and_not_by_far():
    slopes = jax.grad(lambda x: jnp.sum(LipSwish()(x)))(jnp.linspace(-20, 20, 40001))
    assert 0.999 < np.abs(slopes).max() <= 1


@pytest.mark.parametrize(("norm", "other"), [("inf", "one"), ("one", "inf")])
@pytest.mark.parametrize("shape", [(3, 5), (5, 3), (1, 7), (7, 1)])
def test_clipping_bounds_the_operator_norm_that_it_names(norm, other, shape):
    layer = eqx.nn.Linear(*shape, key=jax.random.key(0))
    wide = np.random.default_rng(0).normal(scale=1000, size=shape[::-1])
    layer = eqx.tree_at(lambda layer: layer.weight, layer, jnp.asarray(wide))
    clipped = clip_weights({"a": [layer], "b": None}, norm)["a"][0]
    np.testing.assert_allclose(np.linalg.norm(clipped.weight, ORDS[norm]), 1)  # all were clipped: it is attained
    assert (np.sign(clipped.weight) == np.sign(wide)).all()
    assert np.array_equal(clipped.bias, layer.bias)
    unbounded = shape[0] < shape[1] if norm == "inf" else shape[0] > shape[1]
    assert (np.linalg.norm(clipped.weight, ORDS[other]) > 1 + 1e-9) == unbounded


@pytest.mark.parametrize("norm", ORDS)
def test_a_clipped_network_is_1_lipschitz(norm):
    mlp = MLP(3, 5, width=8, depth=2, final=jnp.tanh, key=jax.random.key(0))
    wide = jax.tree.map(lambda x: 9 * jnp.abs(x) if eqx.is_array(x) and x.ndim == 2 else x, mlp)
    points = jnp.asarray(np.random.default_rng(0).normal(size=(100, 3)))

    @eqx.filter_jit
    def slopes(mlp):
        return jnp.linalg.norm(jax.vmap(jax.jacfwd(mlp))(points), ORDS[norm], axis=(1, 2))

    assert slopes(wide).max() > 2
    assert 0.01 < slopes(clip_weights(wide, norm)).max() <= 1


def test_a_running_mean_is_that_of_all():
    trees = [{"w": jnp.asarray([1.0 * i, i**2]), "n": 3} for i in range(5)]
    mean = trees[0]
    for count, tree in enumerate(trees[1:], 1):
        mean = running_mean(mean, tree, count)
    np.testing.assert_allclose(mean["w"], [2, 6])
    assert mean["n"] == 3


def test_bad_input():
    with pytest.raises(ValueError, match=r"norm must be .* got 'two'"):
        clip_weights(eqx.nn.Linear(1, 1, key=jax.random.key(0)), "two")
    with pytest.raises(ValueError, match=r"LipSwish has no eqx\.nn\.Linear to clip"):
        clip_weights(LipSwish())
    for sizes in ({"width": 0}, {"depth": True}):
        with pytest.raises(ValueError, match=f"{next(iter(sizes))} must be a positive integer"):
            MLP(1, 1, key=jax.random.key(0), **sizes)
