"""The SDE as the methods see it, and its adjoint system."""

import functools
from collections import Counter
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.custom_derivatives import SymbolicZero
from jaxtyping import PyTree

from sdegrad.jax.brownian.levy import LevyIncrement
from sdegrad.jax.types import Args, Arrays, Carried, Diffusion, Increment, Number, Structs, Time, Y

FEW = 4  # columns of a diffusion: see `_by_columns`


def real(dt: Number, x: jax.Array) -> jax.Array:
    """dt in the real dtype of x."""
    return jnp.asarray(dt, jnp.finfo(x.dtype).dtype)


def backwards(dW: Increment) -> Increment:
    """The increment of the path run backwards in time, under which H does not change its sign."""
    minus = jax.tree.map(jnp.negative, dW)
    return minus._replace(H=dW.H) if isinstance(dW, LevyIncrement) else minus


def contract(sigma: jax.Array, dW: jax.Array) -> jax.Array:
    """[*paths, dim, noise] times [*paths, noise]."""
    return _by_columns(sigma, dW) if 0 < dW.shape[-1] <= FEW else _sum(sigma, dW)


def _sum(sigma: jax.Array, dW: jax.Array) -> jax.Array:
    """A sum that XLA fuses; a batched product of tiny matrices it does not."""
    return jnp.sum(sigma * dW[..., None, :], axis=-1)


@jax.custom_jvp
def _by_columns(sigma: jax.Array, dW: jax.Array) -> jax.Array:
    """`_sum` of few columns, which XLA on a CPU computes faster in this form, but its transpose slower."""
    return functools.reduce(jnp.add, [sigma[..., k] * dW[..., k : k + 1] for k in range(dW.shape[-1])])


@functools.partial(_by_columns.defjvp, symbolic_zeros=True)
def _(primals: tuple[jax.Array, jax.Array], tangents: tuple[Any, Any]) -> tuple[jax.Array, jax.Array]:
    (sigma, dW), (of_sigma, of_dW) = primals, tangents
    pairs = [] if isinstance(of_sigma, SymbolicZero) else [(of_sigma, dW)]
    pairs += [] if isinstance(of_dW, SymbolicZero) else [(sigma, of_dW)]
    return contract(sigma, dW), functools.reduce(jnp.add, [_sum(*pair) for pair in pairs])


class SDE(eqx.Module):
    """drift and diffusion are called as f(t, y, args), with t in the real dtype of the state."""

    drift: Callable[..., Y]
    diffusion: Callable[..., Diffusion]
    args: Args
    noise_type: str = eqx.field(static=True)

    def at(self, t: Time, y: Y) -> tuple[Y, Diffusion]:
        return self.drift(t, y, self.args), self.diffusion(t, y, self.args)

    def contract(self, value: tuple[Y, Diffusion], dt: Time, dW: Increment) -> Y:
        mu, sigma = value
        return jax.tree.map(jnp.add, self._drift(mu, dt), self.product(sigma, dW))

    def increment(self, t: Time, y: Y, dt: Time, dW: Increment) -> Y:
        return self.contract(self.at(t, y), dt, dW)

    def drift_increment(self, t: Time, y: Y, dt: Time) -> Y:
        return self._drift(self.drift(t, y, self.args), dt)

    def noise_increment(self, t: Time, y: Y, dW: Increment) -> Y:
        return self.product(self.matrix(t, y), dW)

    def matrix(self, t: Time, y: Y) -> Diffusion:
        return self.diffusion(t, y, self.args)

    def product(self, matrix: Diffusion, dW: Increment) -> Y:
        if self.noise_type == "diagonal":
            return jax.tree.map(jnp.multiply, matrix, dW)
        return jax.tree.map(lambda s: contract(s, dW), matrix)

    def _drift(self, mu: Y, dt: Time) -> Y:
        return jax.tree.map(lambda m: m * real(dt, m), mu)


def evaluations(f: Callable, sde: SDE, *arguments: PyTree) -> tuple[Structs, tuple[int, int]]:
    """The shape of f(sde, *arguments), and how often it evaluates drift and diffusion where it is traced."""
    counter = Counter()

    def counted(name: str, field: Callable[..., PyTree]) -> Callable[..., PyTree]:
        def count(t: Time, y: Y, args: Args) -> PyTree:
            counter[name] += 1
            return field(t, y, args)

        return count

    counting = SDE(counted("drift", sde.drift), counted("diffusion", sde.diffusion), sde.args, sde.noise_type)
    shape = jax.eval_shape(lambda *arguments: f(counting, *arguments), *arguments)
    return shape, (counter["drift"], counter["diffusion"])


class AdjointSDE(eqx.Module):
    """The continuous adjoint of a Stratonovich SDE of increment F(t, y). The state is (y, a_y, a_arrays), and

        dy = F,   da_y = -a_y dF/dy,   da_arrays = -a_y dF/darrays,

    to be solved backwards. `sde(arrays)` is the SDE. Li, Wong, Chen, Duvenaud (2020),
    arXiv 2001.01328, section 3.
    """

    sde: Callable[[Arrays], SDE] = eqx.field(static=True)
    arrays: Arrays

    def at(self, t: Time, y: Y) -> tuple[Time, Y]:
        return t, y  # pulled back in `contract`, once the cotangent and the increment are known

    def contract(self, value: tuple[Time, Y], dt: Time, dW: Increment) -> Y:
        return self.increment(*value, dt, dW)

    def increment(self, t: Time, y: Y, dt: Time, dW: Increment) -> Y:
        return self._pull(y, lambda sde, y: sde.increment(t, y, dt, dW))

    def drift_increment(self, t: Time, y: Y, dt: Time) -> Y:
        return self._pull(y, lambda sde, y: sde.drift_increment(t, y, dt))

    def noise_increment(self, t: Time, y: Y, dW: Increment) -> Y:
        return self._pull(y, lambda sde, y: sde.noise_increment(t, y, dW))

    def _pull(self, state: Carried, F: Callable[[SDE, Y], Y]) -> Y:
        y, a_y, _ = state
        dy, pull = jax.vjp(lambda y, arrays: F(self.sde(arrays), y), y, self.arrays)
        return dy, *jax.tree.map(jnp.negative, pull(a_y))
