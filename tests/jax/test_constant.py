"""What is constant for every gradient, the path and the number of steps, says so where it is taken for more."""

import jax
import jax.numpy as jnp
import pytest

from sdegrad.jax import BrownianInterval, sdeint
from tests.jax.sdes import DIFFUSION, PATHS, TablePath, drift, initial, parameters

ADAPTIVE = {"adaptive": True, "rtol": 0.1, "max_steps": 16}


def final(scale, held=lambda W: W, **options):
    """The sum of the solution at the end, on a path that holds an array made of `scale`."""
    bm = TablePath(held(scale * TablePath.sample((PATHS, 3), points=8).W))
    ys = sdeint(drift, DIFFUSION["diagonal"], initial(), (0, 1), bm=bm, dt=0.125, args=parameters(), **options)
    return jnp.sum(ys[-1])


@pytest.mark.parametrize("options", [{}, {"adjoint": "checkpoint"}, ADAPTIVE])
def test_a_derivative_with_respect_to_the_path_is_refused_and_not_zero(options):
    with pytest.raises(RuntimeError, match=r"no gradient reaches bm: put jax\.lax\.stop_gradient"):
        jax.grad(lambda scale: final(scale, **options))(1.0)


def test_a_path_held_constant_passes():
    """Where the same number also scales y0, say, its gradient is that without the path."""
    solve = jax.grad(lambda scale: scale * final(scale, jax.lax.stop_gradient))
    assert solve(1.0) == final(1.0)


def test_more_steps_than_can_be_numbered_are_refused():
    bm = BrownianInterval(0, 1, (PATHS, 3), jax.random.key(0))
    with pytest.raises(ValueError, match=r"dt=1e-12 would make 1e\+12 steps of \[0\.0, 1\.0\].*make dt larger"):
        sdeint(drift, DIFFUSION["diagonal"], initial(), (0, 1), bm=bm, dt=1e-12, args=parameters())
    with pytest.raises(ValueError, match="make dt larger"):
        BrownianInterval(0, 1e3, (3,), jax.random.key(0), dt=1e-7)
    assert BrownianInterval(0, 1e3, (3,), jax.random.key(0), dt=1e-6).grid.steps == 10**9
