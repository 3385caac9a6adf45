"""The portable generator of JAX makes the path that PyTorch makes, and so do the solvers of all libraries."""

import diffrax
import jax
import jax.numpy as jnp
import lineax
import numpy as np
import pytest
import torch
import torchsde

import sdegrad.jax
import sdegrad.torch
from sdegrad.torch.brownian.portable import PortableNormals
from sdegrad.torch.brownian.rng import Sample

SEED, SIZE, DT, STEP = 5, (40, 3), 0.03, 1 / 32  # of DT the last cell is shorter


def of_torch(dtype=torch.float64, dt=DT, **options):
    options = {"entropy": SEED, "dtype": dtype, "dt": dt, "generator": "portable", **options}
    return sdegrad.torch.BrownianInterval(0, 1, SIZE, **options)


def of_jax(dtype=jnp.float64, dt=DT, shape=SIZE, **options):
    options = {"dtype": dtype, "dt": dt, "generator": "portable", **options}
    return sdegrad.jax.BrownianInterval(0, 1, shape, jax.random.key(SEED), **options)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_increments_are_those_of_torch(dtype):
    """To the last bit, W and H, over all cells, of which the last is shorter."""
    here = of_jax(jnp.dtype(dtype), levy_area="space-time")
    there = of_torch(getattr(torch, dtype), levy_area_approximation="space-time")
    cells = jax.lax.map(here.cell, jnp.arange(here.grid.steps))
    for k in range(here.grid.steps):
        W, U = there.cell(k, return_U=True)
        h = there.grid.step(k)
        np.testing.assert_array_equal(cells.W[k], W)
        np.testing.assert_allclose(h * (cells.H[k] + cells.W[k] / 2), U, rtol=1e-5, atol=1e-7)
    made = PortableNormals(Sample(SIZE, getattr(torch, dtype), torch.device("cpu")), SEED)
    W, H = made.cells(0, 0, range(there.grid.steps), there.grid, 2)
    np.testing.assert_array_equal(cells.W, W)
    np.testing.assert_array_equal(cells.H, H)
    native = sdegrad.jax.BrownianInterval(0, 1, SIZE, jax.random.key(SEED), dtype=dtype, dt=DT)
    assert not np.any(native.cell(0) == cells.W[0])


def test_raw_keys_and_batches_of_keys():
    bm = sdegrad.jax.BrownianInterval(0, 1, (4,), jax.random.PRNGKey(SEED), generator="portable")
    np.testing.assert_array_equal(bm.cell(0), of_one(jax.random.key(SEED)))
    keys = jax.random.split(jax.random.key(1), 3)
    np.testing.assert_array_equal(jax.vmap(of_one)(keys), jnp.stack([of_one(key) for key in keys]))


def of_one(key):
    return sdegrad.jax.BrownianInterval(0, 1, (4,), key, generator="portable").cell(0)


class Linear(torch.nn.Module):
    noise_type, sde_type = "diagonal", "stratonovich"

    def f(self, t, y):
        return torch.sin(t) - y

    def g(self, t, y):
        return 0.2 + 0.1 * torch.cos(y)


def drift(t, y, args):
    return jnp.sin(t) - y


def diffusion(t, y, args):
    return 0.2 + 0.1 * jnp.cos(y)


def with_diffrax(y0):
    """On a path of one axis, whose numbers are the same."""
    bm = of_jax(dt=STEP, shape=y0.shape)
    control = diffrax.ControlTerm(lambda t, y, args: lineax.DiagonalLinearOperator(diffusion(t, y, args)), bm)
    terms, adjoint = diffrax.MultiTerm(diffrax.ODETerm(drift), control), diffrax.ForwardMode()
    return diffrax.diffeqsolve(terms, diffrax.Heun(), 0.0, 1.0, STEP, y0, adjoint=adjoint).ys[-1]


@pytest.mark.exhaustive
def test_four_solve_loops_walk_along_one_path():
    """Each library's own loop, with its own Heun, on the path that each framework draws for itself."""
    y0, ts = np.linspace(-1, 1, 120).reshape(SIZE), torch.tensor([0.0, 1.0], dtype=torch.float64)

    def solve(sdeint, bm):
        return sdeint(Linear(), torch.tensor(y0), ts, bm=bm, dt=STEP, method="heun")[-1].numpy()

    expected = solve(sdegrad.torch.sdeint, of_torch(dt=STEP))
    options = {"bm": of_jax(dt=STEP), "dt": STEP, "method": "heun"}
    ends = {
        "torchsde": solve(torchsde.sdeint, of_torch(dt=STEP)),
        "sdegrad.jax": sdegrad.jax.sdeint(drift, diffusion, jnp.asarray(y0), ts.numpy(), **options)[-1],
        "diffrax": jax.jit(with_diffrax)(jnp.asarray(y0.ravel())).reshape(SIZE),
    }
    for name, end in ends.items():
        np.testing.assert_allclose(end, expected, rtol=0, atol=1e-12, err_msg=name)
    wrong = solve(sdegrad.torch.sdeint, of_torch(dt=STEP, generator="native"))
    assert np.all(np.abs(wrong - expected) > 1e-9)


def test_what_there_is_not_is_refused():
    with pytest.raises(ValueError, match='generator must be "native" or "portable", got \'threefry\''):
        sdegrad.jax.BrownianInterval(0, 1, SIZE, jax.random.key(0), generator="threefry")
    with pytest.raises(ValueError, match='generator="portable" needs a key of two words'):
        sdegrad.jax.BrownianInterval(0, 1, SIZE, jax.random.key(0, impl="rbg"), generator="portable")
