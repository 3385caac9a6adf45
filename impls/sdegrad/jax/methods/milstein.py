"""Milstein. Ito and Stratonovich; strong order 1, for diagonal, scalar and additive noise.

Kloeden and Platen (1992), section 10.3; with `grad_free` a difference in place of the derivative, section 11.1.
Where an entry of diagonal noise depends on other components than its own, the order is 1/2; the calculus is right
even there, but for `grad_free` in the Stratonovich case. Nothing is left to differentiate for additive noise.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from equinox.internal import ω

from sdegrad.jax.arguments import check_flag
from sdegrad.jax.methods.base import OneStep, tree
from sdegrad.jax.methods.euler import Euler
from sdegrad.jax.sde import real
from sdegrad.jax.types import Carried, Increment, MatrixField, Method, Time, VectorField


class Stratonovich(OneStep):
    """y1 = y0 + f dt + n + (Dn) n / 2, with n = g dW."""

    def step(self, field: VectorField, t0: Time, t1: Time, dt: Time, dW: Increment, state: Carried) -> Carried:  # noqa: ARG002
        n, derivative = jax.linearize(lambda y: field.noise_increment(t0, y, dW), state)
        f = field.drift_increment(t0, state, dt)
        dn = derivative(n)
        return (state**ω + f**ω + n**ω + dn**ω / 2).ω


class Ito(OneStep):
    """y1 = y0 + f dt + g dW + (Dg) (g v) / 2, with v = dW^2 - dt."""

    smooth = False

    def step(self, field: MatrixField, t0: Time, t1: Time, dt: Time, dW: Increment, state: Carried) -> Carried:  # noqa: ARG002
        g, derivative = jax.linearize(lambda y: field.matrix(t0, y), state)
        gv = field.product(g, tree(lambda w: w * w - real(dt, w), dW))
        dg = field.product(derivative(gv), tree(jnp.ones_like, dW))
        f = field.drift_increment(t0, state, dt)
        n = field.product(g, dW)
        return (state**ω + f**ω + n**ω + dg**ω / 2).ω


class GradFree(OneStep):
    """y1 = y0 + f dt + g dW + (g(y0 + k + g sqrt dt) - g) v / (2 sqrt dt); k = f dt and v = dW^2 - dt in the Ito
    case, k = 0 and v = dW^2 in the other.
    """

    smooth = False
    ito: bool = eqx.field(static=True)

    def step(self, field: MatrixField, t0: Time, t1: Time, dt: Time, dW: Increment, state: Carried) -> Carried:  # noqa: ARG002
        ito, root = float(self.ito), jnp.sqrt(dt)
        f, g = field.drift_increment(t0, state, dt), field.matrix(t0, state)
        gr = field.product(g, tree(lambda w: jnp.full_like(w, real(root, w)), dW))
        support = (state**ω + ito * f**ω + gr**ω).ω
        g1 = field.matrix(t0, support)
        dg = (g1**ω - g**ω).ω
        v = tree(lambda w: (w * w - real(ito * dt, w)) / real(2 * root, w), dW)
        n, dn = field.product(g, dW), field.product(dg, v)
        return (state**ω + f**ω + n**ω + dn**ω).ω


def make(sde_type: str, noise_type: str, *, grad_free: bool = False) -> Method:
    """grad_free: two evaluations of the diffusion in place of one and its derivative."""
    if noise_type == "additive":
        return Euler()
    if check_flag("grad_free", grad_free):
        return GradFree(sde_type == "ito")
    return Ito() if sde_type == "ito" else Stratonovich()
