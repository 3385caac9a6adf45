"""The vector fields as pytrees of all that they depend on."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import PyTree

from sdegrad.jax.sde import SDE
from sdegrad.jax.types import Time, Y


def hoist(sde: SDE, t0: Time, y0: Y) -> SDE:
    """The SDE with the arrays that drift and diffusion use as leaves, so that gradients reach them; those of args too,
    which are closed over, as only then a number of Python in them has no dtype of its own. Python runs the two here and
    never again: all passes see what they were, whatever a global or a default that they read is later.
    """
    sde = jax.tree.map(_arrays, sde)

    def converted(field: Callable[..., PyTree]) -> Callable[..., PyTree]:
        return eqx.filter_closure_convert(lambda t, y, _: field(t, y, sde.args), t0, y0, None)

    return jax.tree.map(_arrays, SDE(converted(sde.drift), converted(sde.diffusion), None, sde.noise_type))


def _arrays(x: PyTree) -> PyTree:
    """x, if it is traced, as an operation of JAX gives it: inside a `jax.grad` that is not compiled a tracer may hold a
    number of Python or NumPy, which whoever unwraps it does not take for an array. An array of NumPy is copied: the
    way back must not see what is written into it after the solve.
    """
    if isinstance(x, np.ndarray):
        return x.copy()
    return jnp.array(x, copy=True) if isinstance(x, Tracer) else x
