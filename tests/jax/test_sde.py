"""The product of a diffusion with an increment: in whatever form it is computed, it is the same and so are its
derivatives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sdegrad.jax.sde import FEW, contract


@pytest.mark.parametrize("noise", [0, FEW, FEW + 1])
def test_a_contraction_and_its_derivatives_are_those_of_the_product(noise):
    keys = jax.random.split(jax.random.key(0), 4)
    sigma, of_sigma = (jax.random.normal(key, (5, 3, noise)) for key in keys[:2])
    dW, of_dW = (jax.random.normal(key, (5, noise)) for key in keys[2:])

    def product(sigma, dW):
        return (sigma @ dW[..., None])[..., 0]

    def values(f):
        both = jax.jvp(f, (sigma, dW), (of_sigma, of_dW))
        one = [jax.jvp(lambda s: f(s, dW), (sigma,), (of_sigma,)), jax.jvp(lambda w: f(sigma, w), (dW,), (of_dW,))]
        back = jax.grad(lambda s, w: jnp.sum(jnp.sin(f(s, w))), (0, 1))
        _, twice = jax.jvp(back, (sigma, dW), (of_sigma, of_dW))
        return jax.tree.leaves((both, one, back(sigma, dW), twice, jax.vmap(f)(sigma, dW)))

    for found, expected in zip(*jax.jit(lambda: [values(f) for f in (contract, product)])(), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
