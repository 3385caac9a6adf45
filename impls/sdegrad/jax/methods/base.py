"""One-step methods whose state is the solution alone, and the arithmetic of states."""

from abc import abstractmethod
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from sdegrad.jax.types import Carried, Field, Increment, Time, VectorField, Y


class OneStep(eqx.Module):
    """A method whose state is the solution itself."""

    levy_area = "none"
    smooth = True

    def init(self, field: VectorField, t0: Time, y0: Y) -> Carried:  # noqa: ARG002
        return y0

    @abstractmethod
    def step(self, field: Field, t0: Time, t1: Time, dt: Time, dW: Increment, state: Carried) -> Carried: ...

    def value(self, state: Carried) -> Y:
        return state

    def copies(self, state: Carried) -> tuple[Y, Y]:
        return state, state


def tree(f: Callable[..., PyTree], *states: PyTree) -> PyTree:
    """f, leaf by leaf."""
    return jax.tree.map(f, *states)


def largest(*trees: PyTree) -> Float[Array, ""]:
    """The largest size of an entry."""
    return jnp.max(jnp.stack([jnp.max(jnp.abs(x), initial=0.0).astype(float) for x in jax.tree.leaves(trees)]))
