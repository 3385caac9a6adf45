"""The log-ODE method: one step of the midpoint rule for the log-signature truncated at depth two. Stratonovich.

Strong order 1 for commutative noise, where it is the midpoint rule; for general noise 1/2 with an approximate Levy
area, 1 with the true one. Foster, Lyons, Oberhauser (2020), SIAM J. Numer. Anal. 58. With W and the Levy area A,
A_kl = 1/2 integral of (W_k dW_l - W_l dW_k):

    ym = y0 + (f(t0, y0) dt + g(t0, y0) W) / 2
    y1 = y0 + f dt + g W + sum_kl A_kl (Dg_l) g_k,    all at (t0 + dt / 2, ym)
"""

import jax
import jax.numpy as jnp
from equinox.internal import ω

from sdegrad.jax.brownian.levy import LevyIncrement
from sdegrad.jax.methods.base import OneStep, tree
from sdegrad.jax.methods.midpoint import Midpoint
from sdegrad.jax.types import Carried, MatrixField, Method, Time


class LogODE(OneStep):
    levy_area = "foster"
    smooth = False

    def step(self, field: MatrixField, t0: Time, t1: Time, dt: Time, dW: LevyIncrement, state: Carried) -> Carried:  # noqa: ARG002
        half = t0 + dt / 2
        F = field.increment(t0, state, dt, dW.W)
        middle = (state**ω + F**ω / 2).ω
        g, derivative = jax.linearize(lambda y: field.matrix(half, y), middle)
        along = tree(lambda g: jnp.moveaxis(g @ dW.A, -1, 0), g)  # for every l, sum_k A_kl g_k
        bracket = tree(lambda d: jnp.einsum("l...l->...", d), jax.vmap(derivative)(along))
        f, n = field.drift_increment(half, middle, dt), field.product(g, dW.W)
        return (state**ω + f**ω + n**ω + bracket**ω).ω


def make(sde_type: str, noise_type: str) -> Method:  # noqa: ARG001
    return LogODE() if noise_type == "general" else Midpoint()
