"""What the backward passes share, whatever the steps."""

from collections.abc import Callable
from typing import Any

import equinox.internal as eqxi
import jax
import jax.numpy as jnp
from jax import lax

from sdegrad.jax.methods.base import tree

LOST = 0.1  # what the way back is off the solution, where it matters for the gradient; this is off by per cents then


def _largest(*trees: Any) -> Any:
    """The largest size of an entry."""
    return jnp.max(jnp.stack([jnp.max(jnp.abs(x), initial=0.0).astype(float) for x in jax.tree.leaves(trees)]))


def parted(method: Any, state: Any) -> Any:
    """`Stats.parted` at `state`; a constant for gradients."""
    y, other = method.copies(state)
    size = _largest(y)
    return lax.stop_gradient(_largest(tree(jnp.subtract, y, other)) / jnp.where(size == 0, 1, size))


def known_start(gradients: Any, a_ys: Any, y0: Any, y1: Any, reached: Any) -> Any:
    """The gradients (a_y0, a_arrays), or NaN if the way back was lost: from y1 it led to `reached`, and how far this is
    off y0 matters for them. Far off does not matter where the SDE contracts so much that nothing of the cotangents a_ys
    reaches y0. A run-time error would say more, but put a callback to Python into every compiled program.
    """
    here = _largest(tree(lambda a_y0, a_ys: a_y0 - a_ys[0], gradients[0], a_ys))  # by way of the solve
    off = here * _largest(tree(jnp.subtract, reached, y0))
    known = off <= LOST * jnp.maximum(here, _largest(a_ys)) * _largest(y0, y1)
    factor = jnp.where(known, 1.0, jnp.nan)
    return tree(lambda g: g * factor.astype(jnp.finfo(g.dtype).dtype), gradients)


def undo(forth: Callable[[Any, Any], Any], arrays: Any, state: Any) -> Any:
    """(y, a_y, a_arrays) before the step y1 = forth(y0, arrays), for a method that is not to be taken with (-dt, -dW),
    as the Ito integral looks ahead only. y0 = y1 - (forth(y0) - y0) is iterated twice, which is right to the order of
    the method, and the step is differentiated at the first iterate. So there is nothing to correct for, and no
    derivative of the diffusion is needed.
    """
    y, a_y, a_arrays = state
    before = tree(lambda y, y1: 2 * y - y1, y, forth(y, arrays))
    after, pull = jax.vjp(forth, before, arrays)
    a_y, v_arrays = pull(a_y)
    return tree(lambda y, a, b: y + a - b, y, before, after), a_y, tree(jnp.add, a_arrays, v_arrays)


def differentiable_once(gradients: Any, adjoint: str, forwards: bool = True) -> Any:
    """The gradients unchanged. No cotangent passes: there is no trajectory in store for it, and the loops of a backward
    pass have no reverse mode. Tangents do, if `forwards`: forward mode over a backward pass is right where all that the
    pass depends on has tangents.
    """
    again, remedy = "again", ""
    if forwards:
        again = "backwards again"
        remedy = ", or take the second derivative forwards, with jax.jvp or jax.jacfwd of the gradient"
    sentence = (
        f'adjoint="{adjoint}" gives a gradient that cannot be differentiated {again}; use adjoint="backprop" or '
        f'"checkpoint"{remedy}.'
    )
    if forwards:
        return eqxi.nondifferentiable_backward(gradients, msg=sentence)

    @jax.custom_jvp
    def once(gradients: Any) -> Any:
        return gradients

    @once.defjvp
    def _(*_: Any) -> Any:
        raise RuntimeError(sentence)

    return once(gradients)
