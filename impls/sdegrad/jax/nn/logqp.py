"""The path-wise log-ratio of two SDEs that share their diffusion, as one more component of the state.

For dy = f dt + g dW against the prior dy = h dt + g dW, the Kullback-Leibler divergence between the laws of the paths
is the mean of the integral of |u|^2 / 2 with u = g^-1 (f - h). Li, Wong, Chen and Duvenaud, Scalable Gradients for
Stochastic Differential Equations (2020), arXiv 2001.01328, section 5.
"""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from sdegrad.jax.sdeint import sdeint
from sdegrad.jax.types import Args, Coefficient, Path, Times

State = Float[Array, "*paths dim"]
Extended = Float[Array, "*paths extended"]  # extended = dim + 1

SMALLEST = 1e-7  # a diagonal diffusion nearer to zero than this is divided by as if it were this


def sdeint_logqp(
    drift: Coefficient,
    prior_drift: Coefficient,
    diffusion: Coefficient,
    y0: State,
    ts: Times,
    *,
    bm: Path,
    noise_type: str = "diagonal",
    **options: Any,
) -> tuple[Float[Array, "outputs *paths dim"], Float[Array, "intervals *paths"]]:
    """The solution at `ts`, and over each interval between two outputs the integral of |u|^2 / 2.

    y0: one array [*paths, dim]. bm: for diagonal noise it has one channel more than y0, unused, as in torchsde, whose
    `sdeint(..., logqp=True)` this is. options: of `sdeint`, but for return_stats.
    """

    def extended(t: Array, y: Extended, args: Args) -> Extended:
        x = y[..., :-1]
        f, g, h = (field(t, x, args) for field in (drift, diffusion, prior_drift))
        u = _divide(f - h, g) if noise_type == "diagonal" else _solve(f - h, g)
        return jnp.concatenate((f, 0.5 * jnp.sum(u**2, -1, keepdims=True)), -1)

    def noise(t: Array, y: Extended, args: Args) -> Array:
        g = diffusion(t, y[..., :-1], args)
        axis = -1 if noise_type == "diagonal" else -2
        return jnp.concatenate((g, jnp.zeros_like(jnp.take(g, jnp.arange(1), axis))), axis)

    start = jnp.concatenate((y0, jnp.zeros_like(y0[..., :1])), -1)
    ys = sdeint(extended, noise, start, ts, bm=bm, noise_type=noise_type, **options)
    return ys[..., :-1], jnp.diff(ys[..., -1], axis=0)


def _divide(x: State, g: State) -> State:
    bound = jnp.where(g < 0, -SMALLEST, SMALLEST).astype(g.dtype)
    return x / jnp.where(jnp.abs(g) > SMALLEST, g, bound)


def _solve(x: State, g: Float[Array, "*paths dim noise"]) -> Float[Array, "*paths noise"]:
    """The least-squares solution u of g u = x that is shortest."""
    return (jnp.linalg.pinv(g) @ x[..., None])[..., 0]
