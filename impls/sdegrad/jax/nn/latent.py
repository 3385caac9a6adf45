"""Latent SDEs: a posterior SDE that observations steer, trained against a prior SDE with the same diffusion.

Li, Wong, Chen, Duvenaud, Scalable Gradients for Stochastic Differential Equations (2020), arXiv 2001.01328, section 5.
"""

from functools import partial
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from sdegrad.jax.brownian.interval import BrownianInterval
from sdegrad.jax.checks import static_times
from sdegrad.jax.nn.layers import MLP, linear
from sdegrad.jax.nn.logqp import sdeint_logqp
from sdegrad.jax.nn.series import Data, Series, as_array, check_series, with_time
from sdegrad.jax.sdeint import sdeint
from sdegrad.jax.types import Args, Key, Number, Path, Time, Times
from sdegrad.networks import check_sizes

State = Float[Array, "*paths hidden"]
Normal = tuple[Array, Array]  # mean, logarithm of the standard deviation


class Posterior(NamedTuple):
    """ys: the decoded means at the times of the data. divergence: of the posterior from the prior for each series, one
    sample of it: that of the laws of Z_0, plus the integral of |u|^2 / 2 along the path, u = g^-1 (f - h).
    """

    ys: Series
    divergence: Float[Array, "*paths"]


class LatentSDE(eqx.Module):
    """Prior: Z_0 ~ N(m, s^2), dZ = h(t, Z) dt + g(t, Z) o dW. Posterior: Z_0 ~ N(m', s'^2), dZ = f(t, Z, c) dt +
    g(t, Z) o dW. Of both Y = A Z + b is decoded; the noise of an observation is for the loss to choose.

    channels: of Y; hidden: of Z; context: of c(t), of which m', s' depend on the first. A GRU makes it at the times of
    the data, reading them backwards; between them it is linear. f, g and h are MLPs of `width` and `depth`; g is
    diagonal, with entries between 0 and 1. masked: whether values may be missing.
    """

    encoder: eqx.nn.GRUCell
    start: eqx.nn.Linear
    prior_start: Float[Array, " twice"]
    drift: MLP
    prior_drift: MLP
    diffusion: MLP
    readout: eqx.nn.Linear
    channels: int = eqx.field(static=True)
    masked: bool = eqx.field(static=True)

    def __init__(
        self,
        channels: int,
        *,
        hidden: int = 4,
        context: int = 16,
        width: int = 32,
        depth: int = 1,
        masked: bool = False,
        key: Key,
    ) -> None:
        check_sizes(channels=channels, hidden=hidden, context=context)
        keys = jax.random.split(key, 6)
        mlp = partial(MLP, width=width, depth=depth)
        self.channels, self.masked = channels, masked
        self.encoder = eqx.nn.GRUCell(1 + channels * (2 if masked else 1), context, key=keys[0])
        self.start = eqx.nn.Linear(context, 2 * hidden, key=keys[1])
        self.prior_start = jnp.zeros(2 * hidden)
        self.drift = mlp(1 + hidden + context, hidden, key=keys[2])
        self.prior_drift = mlp(1 + hidden, hidden, key=keys[3])
        self.diffusion = mlp(1 + hidden, hidden, final=jax.nn.sigmoid, key=keys[4])
        self.readout = eqx.nn.Linear(hidden, channels, key=keys[5])

    def __call__(
        self,
        ts: Times,
        ys: Data,
        mask: Data | None = None,
        *,
        key: Key,
        dt: Number,
        bm: Path | None = None,
        method: str = "reversible_heun",
        adjoint: str | None = None,
    ) -> Posterior:
        """A sample of the posterior of the series ys [times, *paths, channels] at ts [times], by steps of dt.

        mask: like ys, True where a value was observed. bm: W, with one channel more than `hidden`; by default it is
        drawn with `key`. ts and dt are static. method, adjoint: of `sdeint`. The loss is minus the logarithm of the
        likelihood of ys given the decoded means, plus the divergence.
        """
        ts = as_array(ts)
        check_series(ts, ys, mask, self.channels, self.masked)
        if ts.ndim != 1:
            raise ValueError(f"ts must be [times], one for all series, got shape {ts.shape}; mask what is not there.")
        times, ys = jnp.asarray(ts, ys.dtype), jnp.asarray(ys)
        context, keys = self._encode(times, ys, mask), jax.random.split(key)
        start, prior = _halves(linear(self.start, context[0])), _halves(self.prior_start)
        z0 = _draw(start, start[0].shape, keys[0])
        if bm is None:
            bm = _brownian(ts, (*z0.shape[:-1], z0.shape[-1] + 1), keys[1], dt, z0)

        def drift(t: Time, z: State, _: Args) -> State:
            return self.drift(jnp.concatenate((with_time(t, z), _between(times, context, t)), -1))

        fields = drift, self._prior_drift, self._diffusion
        zs, log_ratio = sdeint_logqp(*fields, z0, ts, bm=bm, dt=dt, method=method, adjoint=adjoint)
        return Posterior(linear(self.readout, zs), _divergence(start, prior) + jnp.sum(log_ratio, 0))

    def sample(self, ts: Times, paths: int, *, key: Key, dt: Number, method: str = "reversible_heun") -> Series:
        """Decoded means of `paths` paths of the prior at ts [times], [times, paths, channels]."""
        check_sizes(paths=paths)
        prior, keys = _halves(self.prior_start), jax.random.split(key)
        z0 = _draw(prior, (paths, *prior[0].shape), keys[0])
        bm = _brownian(ts, z0.shape, keys[1], dt, z0)
        return linear(self.readout, sdeint(self._prior_drift, self._diffusion, z0, ts, bm=bm, dt=dt, method=method))

    def _encode(self, ts: Array, ys: Series, mask: Data | None) -> Float[Array, "times *paths context"]:
        gaps = jnp.append(jnp.diff(ts), jnp.zeros((), ts.dtype)).reshape(-1, *[1] * (ys.ndim - 1))
        gaps = jnp.broadcast_to(gaps, (*ys.shape[:-1], 1))
        read = (gaps, ys) if mask is None else (gaps, jnp.where(mask, ys, 0.0), mask.astype(ys.dtype))
        cell = jnp.vectorize(self.encoder, signature="(i),(o)->(o)")

        def step(c: Array, x: Array) -> tuple[Array, Array]:
            c = cell(x, c)
            return c, c

        last = jnp.zeros((*ys.shape[1:-1], self.encoder.hidden_size), ys.dtype)
        return lax.scan(step, last, jnp.concatenate(read, -1), reverse=True)[1]

    def _prior_drift(self, t: Time, z: State, _: Args) -> State:
        return self.prior_drift(with_time(t, z))

    def _diffusion(self, t: Time, z: State, _: Args) -> State:
        return self.diffusion(with_time(t, z))


def _between(ts: Float[Array, " times"], xs: Float[Array, "times *paths dim"], t: Time) -> Float[Array, "*paths dim"]:
    """xs at t, linear between their times."""
    t = jnp.asarray(t, ts.dtype)
    k = jnp.clip(jnp.searchsorted(ts, t, side="right") - 1, 0, len(ts) - 2)
    w = (t - ts[k]) / (ts[k + 1] - ts[k])
    return xs[k] + w * (xs[k + 1] - xs[k])


def _halves(x: Float[Array, "*paths twice"]) -> Normal:
    mean, log_scale = jnp.split(x, 2, -1)
    return mean, log_scale


def _draw(law: Normal, shape: tuple[int, ...], key: Key) -> State:
    mean, scale = (jnp.broadcast_to(x, shape) for x in (law[0], jnp.exp(law[1])))
    return mean + scale * jax.random.normal(key, shape, mean.dtype)


def _divergence(q: Normal, p: Normal) -> Float[Array, "*paths"]:
    """Of two normal laws with independent entries: log(s/s') + (s'^2 + (m' - m)^2) / (2 s^2) - 1/2, summed."""
    mean, log_scale = (jnp.broadcast_to(x, q[0].shape) for x in p)
    squares = jnp.exp(2 * q[1]) + (q[0] - mean) ** 2
    return jnp.sum(log_scale - q[1] + squares / (2 * jnp.exp(2 * log_scale)) - 0.5, -1)


def _brownian(ts: Times, shape: tuple[int, ...], key: Key, dt: Number, like: Array) -> BrownianInterval:
    times, _ = static_times(ts)
    return BrownianInterval(times[0], times[-1], shape, key, dtype=like.dtype, dt=dt)
