"""The SDEs and paths of the tests. Lipschitz constant times the time span is below 2 everywhere."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from sdegrad.jax import LevyIncrement

PATHS, DIM, NOISE = 2, 3, 2
NOISE_DIM = {"diagonal": DIM, "additive": NOISE, "scalar": 1, "general": NOISE}


def drift(t, y, args):
    return jnp.tanh(y @ args["a"] + t)


DIFFUSION = {
    "diagonal": lambda t, y, args: jax.nn.sigmoid(y * jnp.broadcast_to(args["b"][:, 0], y.shape) + t),
    "additive": lambda t, y, args: jnp.broadcast_to((1 + t) * args["b"], (*y.shape, NOISE)),
    "scalar": lambda t, y, args: jnp.tanh(y @ args["a"] + t)[..., None],
    "general": lambda t, y, args: jnp.sin(
        y[..., None] * jnp.broadcast_to(args["b"], (*y.shape, NOISE)) + (y @ args["a"])[..., None]
    ),
}


def parameters():
    rng = np.random.default_rng(0)
    return {
        "a": jnp.asarray(0.3 * rng.normal(size=(DIM, DIM))),
        "b": jnp.asarray(0.3 * rng.normal(size=(DIM, NOISE))),
    }


def initial():
    return jnp.asarray(np.random.default_rng(1).normal(size=(PATHS, DIM)))


class TablePath(eqx.Module):
    """A Brownian path sampled on a fine grid of [0, 1] and linear between."""

    W: jax.Array

    @classmethod
    def sample(cls, shape, points=1024, seed=2):
        steps = np.random.default_rng(seed).normal(size=(points, *shape)) / points**0.5
        return cls(jnp.asarray(np.concatenate([np.zeros((1, *shape)), np.cumsum(steps, axis=0)])))

    def evaluate(self, t0, t1=None, left=True, use_levy=False):
        del left, use_levy  # as diffrax calls it
        return self.at(t1) - self.at(t0)

    def at(self, t):
        x = jnp.asarray(t) * (len(self.W) - 1)
        k = jnp.clip(jnp.floor(x).astype(jnp.int32), 0, len(self.W) - 2)
        return self.W[k] + (x - k.astype(x.dtype)) * (self.W[k + 1] - self.W[k])


class AreaTable(eqx.Module):
    """A Brownian path sampled on a fine grid of [0, 1] and linear between, with its space-time Levy area H."""

    path: TablePath
    integral: jax.Array  # of the path, up to the times of the grid

    @classmethod
    def sample(cls, shape, **options):
        path = TablePath.sample(shape, **options)
        cells = (path.W[1:] + path.W[:-1]) / (2 * (len(path.W) - 1))
        return cls(path, jnp.concatenate([0 * cells[:1], jnp.cumsum(cells, axis=0)]))

    def evaluate(self, t0, t1, use_levy=False):
        W = self.path.evaluate(t0, t1)
        if not use_levy:
            return W
        mean = (self._integral(t1) - self._integral(t0)) / (t1 - t0)
        return LevyIncrement(W, mean - (self.path.at(t0) + self.path.at(t1)) / 2)

    def _integral(self, t):
        points = len(self.integral) - 1
        k = jnp.clip(jnp.floor(jnp.asarray(t) * points).astype(jnp.int32), 0, points - 1)
        start = k.astype(float) / points
        return self.integral[k] + (t - start) * (self.path.W[k] + self.path.at(t)) / 2


class HashPath(eqx.Module):
    """White noise hashed from the bits of the two times: an ulp in either gives another increment."""

    shape: tuple[int, ...] = eqx.field(static=True)

    def evaluate(self, t0, t1):
        bits = jax.lax.bitcast_convert_type(jnp.stack([t0, t1]), jnp.uint32).ravel()
        key = jax.random.key(0)
        for i in range(4):
            key = jax.random.fold_in(key, bits[i])
        return jax.random.normal(key, self.shape) * jnp.sqrt(t1 - t0)
