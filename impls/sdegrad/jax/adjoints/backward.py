"""The backward passes over steps of any kind: `Steps` of a grid, or `Accepted` ones whose ends are kept.

Both have nodes, the indices of the times of the outputs, `time`, `length` and `noise` of a step, and `each_back`.
"""

from collections.abc import Callable
from typing import NoReturn

import equinox as eqx
import equinox.internal as eqxi
import jax
import jax.numpy as jnp
from equinox.internal import ω
from jax import lax
from jaxtyping import Array, Bool, Float, PyTree

from sdegrad.jax.mesh import everywhere
from sdegrad.jax.methods.base import largest, tree
from sdegrad.jax.sde import SDE, AdjointSDE
from sdegrad.jax.stepping.accepted import Solved
from sdegrad.jax.stepping.march import AnySteps, intervals
from sdegrad.jax.types import Arrays, Cache, Carried, Carry, Increment, Index, Method, Reversed, Reversible, Y

SDEOf = Callable[[Arrays], SDE]  # the SDE, as a function of the arrays that are differentiated
Gradients = tuple[Y, Arrays]  # the cotangents of y0, and of the arrays

KNOWN = 0.01  # part of its size from which on the start of an entry tells that size
LOST = 0.1  # error of the backward pass, relative to the solution, from which on the gradient is off by per cents


def parted(method: Method, state: Carried) -> Float[Array, ""]:
    """`Stats.parted` at `state`; a constant for gradients."""
    y, other = method.copies(state)
    size = largest(y)
    return lax.stop_gradient(largest(tree(jnp.subtract, y, other)) / jnp.where(size == 0, 1, size))


def known_start(gradients: Gradients, a_ys: Y, y0: Y, y1: Y, reached: Y) -> Gradients:
    """The gradients (a_y0, a_arrays), or NaN if the backward pass lost its way: from y1 it came to `reached`, so far
    off y0 that the gradients are wrong. Far off does not matter where the SDE contracts so much that nothing of the
    cotangents a_ys reaches y0. A run-time error would say more, but put a callback to Python into every compiled
    program.
    """
    here = largest(tree(lambda a_y0, a_ys: a_y0 - a_ys[0], gradients[0], a_ys))  # what comes through the solve
    off = here * largest(tree(jnp.subtract, reached, y0))
    known = off <= LOST * jnp.maximum(here, largest(a_ys)) * largest(y0, y1)
    alone = jax.tree.leaves(tree(_found, gradients[0], a_ys, y0, y1, reached))
    known = everywhere(jnp.all(jnp.stack([known, *alone])))
    factor = jnp.where(known, 1.0, jnp.nan)
    return tree(lambda g: g * factor.astype(jnp.finfo(g.dtype).dtype), gradients)


def _found(a_y0: Array, a_ys: Array, y0: Array, y1: Array, reached: Array) -> Bool[Array, ""]:
    """The same of each entry by itself, which would not be seen beside larger ones; of those whose size is known, as
    they do not start near zero, and that the loss is a function of."""
    size, here, a = jnp.maximum(abs(y0), abs(y1)), abs(a_y0 - a_ys[0]), jnp.max(abs(a_ys), 0)
    left_out = (abs(y0) < KNOWN * size) | (size == 0) | (a == 0)
    return jnp.all(left_out | (here * abs(reached - y0) <= LOST * jnp.maximum(here, a) * size))


def undo(forth: Callable[[Y, Arrays], Y], arrays: Arrays, state: tuple[Y, Y, Arrays]) -> tuple[Y, Y, Arrays]:
    """(y, a_y, a_arrays) before the step y1 = forth(y0, arrays), for a method that is not to be taken with (-dt, -dW),
    as the Ito integral looks ahead only. y0 = y1 - (forth(y0) - y0) is iterated twice, which is right to the order of
    the method, and the step is differentiated at the first iterate. So there is nothing to correct for, and no
    derivative of the diffusion is needed.
    """
    y, a_y, a_arrays = state
    ahead = forth(y, arrays)
    before = (2 * y**ω - ahead**ω).ω
    after, pull = jax.vjp(forth, before, arrays)
    a_y, v_arrays = pull(a_y)
    return (y**ω + before**ω - after**ω).ω, a_y, (a_arrays**ω + v_arrays**ω).ω


def differentiable_once(gradients: Gradients, adjoint: str, forwards: bool = True) -> Gradients:
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
    def once(gradients: Gradients) -> Gradients:
        return gradients

    @once.defjvp
    def _(*_: PyTree) -> NoReturn:
        raise RuntimeError(sentence)

    return once(gradients)


def march_back(steps: AnySteps, at_nodes: Y, visit: Callable, step: Callable, carry: Carry) -> Carry:
    """The carry at the first node, marched back from the last. `visit(k, its slice of at_nodes, carry)` at every node;
    `step(some, k, dW, carry)` from time k + 1 to time k, dW being the increment over the step, and `some` the steps
    with the times there.
    """

    def down(c: tuple[Cache, Carry], at: tuple[Index, Index, Y]) -> tuple[tuple[Cache, Carry], None]:
        (cache, carry), (before, node, here) = c, at
        return steps.each_back(before, node, step, (cache, visit(node, here, carry))), None

    return lax.scan(down, (steps.start(), carry), (*intervals(steps), at_nodes), reverse=True)[0][1]


def all_cotangents(a_ys: Y, y0: Y, steps: AnySteps) -> Y:
    """a_ys with zeros where nothing depends on the output."""
    return eqx.combine(a_ys, tree(lambda y: jnp.zeros((len(steps.nodes), *y.shape), y.dtype), y0))


def reversible(
    sde: SDEOf, arrays: Arrays, y0: Y, a_ys: Y, solved: Solved, method: Reversible, steps: AnySteps
) -> Gradients:
    """(a_y0, a_arrays), exact, by the inverse of every step. sde(arrays) is the SDE, a_ys the cotangents of the
    solution at the nodes; of `solved` only the state is read.
    """

    def visit(_: Index, a_y: Y, r: Reversed) -> Reversed:
        return r._replace(a_y=tree(jnp.add, r.a_y, a_y))

    def step(some: AnySteps, k: Index, dW: Increment, r: Reversed) -> Reversed:
        return method.reverse(sde, arrays, some.time(k), some.time(k + 1), some.length(k), dW, r)

    start = method.reverse_init(solved.state, steps.length(0), steps.noise(0), arrays)
    end = march_back(steps, a_ys, visit, step, start)
    reached, *gradients = method.reverse_last(sde, arrays, steps.time(0), y0, end)
    return known_start(tuple(gradients), a_ys, y0, method.value(solved.state), reached)


def backsolve(sde: SDEOf, arrays: Arrays, y0: Y, a_ys: Y, solved: Solved, method: Method, steps: AnySteps) -> Gradients:
    """(a_y0, a_arrays) by the continuous adjoint, which starts anew from the solution at every node, so that the error
    of the backward solve does not add up. Arguments as in `reversible`; of `solved` only the solution is read.
    """
    adjoint = AdjointSDE(sde, arrays)

    def visit(k: Index, here: tuple[Y, Y], state: Carried) -> Carried:
        _, a_y, a_arrays = method.value(state)
        y, a_node = here
        return method.init(adjoint, steps.time(k), (y, tree(jnp.add, a_y, a_node), a_arrays))

    def step(some: AnySteps, k: Index, dW: Increment, state: Carried) -> Carried:
        if method.smooth:
            dt, dW = tree(jnp.negative, (some.length(k), dW))
            return method.step(adjoint, some.time(k + 1), some.time(k), dt, dW, state)
        forth = some.time(k), some.time(k + 1), some.length(k), dW
        return undo(lambda y, arrays: method.step(sde(arrays), *forth, y), arrays, state)

    start = method.init(adjoint, steps.time(0), tree(jnp.zeros_like, (y0, y0, arrays)))
    _, a_y, a_arrays = method.value(march_back(steps, (solved.ys, a_ys), visit, step, start))
    return a_y, a_arrays


BACKWARD: dict[str, Callable] = {"reversible": reversible, "backsolve": backsolve}
