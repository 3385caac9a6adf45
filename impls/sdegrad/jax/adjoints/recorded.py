"""The gradient of a solve whose step times are recorded, by any of the four adjoints: adaptive steps, of which the
accepted ones are recorded, and even steps between traced times.

Times count as constants. Every backward pass reads the recorded ones, which are bitwise those of the forward pass, and
so are the Brownian increments.
"""

from collections.abc import Callable

import equinox as eqx
import equinox.internal as eqxi
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, PyTree

from sdegrad.jax.adjoints.backward import BACKWARD, all_cotangents, differentiable_once
from sdegrad.jax.methods.base import tree
from sdegrad.jax.sde import SDE
from sdegrad.jax.stepping.accepted import Accepted, Solved
from sdegrad.jax.stepping.march import make_step
from sdegrad.jax.types import Carry, Index, Method, Perturbed, Y

Differentiable = tuple[Y, SDE]


def differentiable_solution(
    adjoint: str, differentiable: Differentiable, solved: Solved, method: Method, steps: Accepted
) -> Y:
    """solved.ys, with a gradient to `differentiable` by the adjoint of this name. `solved` holds no tangents."""
    if adjoint in BACKWARD:
        return _backward(differentiable, solved, method, steps, adjoint)
    return _differentiated(differentiable, solved, method, steps, adjoint == "checkpoint")


@eqx.filter_custom_vjp
def _backward(differentiable: Differentiable, solved: Solved, method: Method, steps: Accepted, adjoint: str) -> Y:
    del differentiable, method, steps, adjoint
    return solved.ys


@_backward.def_fwd
def _backward_fwd(
    perturbed: Perturbed, differentiable: Differentiable, solved: Solved, method: Method, steps: Accepted, adjoint: str
) -> tuple[Y, None]:
    del perturbed, method, steps
    # `solved` has no tangents, so a second derivative would be wrong in silence; those of the arguments are the sign.
    arguments = eqx.filter(differentiable, eqx.is_inexact_array)
    ys, _ = differentiable_once((solved.ys, arguments), adjoint, forwards=False)
    return ys, None


@_backward.def_bwd
def _backward_bwd(
    residuals: None,
    a_ys: Y,
    perturbed: Perturbed,
    differentiable: Differentiable,
    solved: Solved,
    method: Method,
    steps: Accepted,
    adjoint: str,
) -> Differentiable:
    del residuals
    y0, sde = differentiable
    arrays, rest = eqx.partition(sde, perturbed[1])
    a_ys = all_cotangents(a_ys, y0, steps)
    return BACKWARD[adjoint](lambda arrays: eqx.combine(arrays, rest), arrays, y0, a_ys, solved, method, steps)


@eqx.filter_custom_jvp
def _differentiated(differentiable: Differentiable, solved: Solved, method: Method, steps: Accepted, save: bool) -> Y:
    del differentiable, method, steps, save
    return solved.ys


@_differentiated.def_jvp
def _differentiated_jvp(primals: PyTree, tangents: PyTree) -> tuple[Y, Y]:
    differentiable, _, method, steps, save = primals
    return eqx.filter_jvp(lambda d: _over_steps(d, method, steps, save), (differentiable,), tangents[:1])


def _over_steps(differentiable: Differentiable, method: Method, steps: Accepted, save: bool) -> Y:
    """The solution at the outputs once more, by a loop that JAX can differentiate: over all the steps that there
    is room for, in segments, of which it keeps the first states only if `save`; it skips what is beyond the last
    accepted step.
    """
    y0, sde = differentiable
    size = round(steps.capacity**0.5) if save else steps.capacity
    last = steps.nodes[-1]

    def step(carry: Carry, k: Index) -> Carry:
        cache, state, ys, output = carry
        dW, cache = steps.advance(cache, steps.exact_time(k), steps.exact_time(k + 1))
        state = make_step(method, sde, steps, k, dW, state)
        ends = steps.nodes[output] == k + 1
        at = jnp.where(ends, output, len(steps.nodes))  # the latter is nowhere
        ys = tree(lambda ys, y: ys.at[at].set(y, mode="drop"), ys, method.value(state))
        return cache, state, ys, jnp.minimum(output + ends.astype(jnp.int32), len(steps.nodes) - 1)

    def segment(carry: Carry, first: Index) -> Carry:
        each = jnp.minimum(first + jnp.arange(size, dtype=jnp.int32), steps.capacity)
        return lax.scan(lambda c, k: (_if_active(k < last, step, c, k), None), (steps.start(), *carry), each)[0][1:]

    segment = jax.checkpoint(segment) if save else segment
    firsts = jnp.arange(0, steps.capacity, size, dtype=jnp.int32)
    ys = tree(lambda y: jnp.broadcast_to(y, (len(steps.nodes), *y.shape)), y0)
    start = method.init(sde, steps.time(0), y0), ys, jnp.asarray(1, jnp.int32)
    (_, ys, _), _ = lax.scan(lambda c, k: (_if_active(k < last, segment, c, k), None), start, firsts)
    return ys


def _if_active(active: Array, f: Callable[[Carry, Index], Carry], carry: Carry, k: Index) -> Carry:
    """f(carry, k) if active, else carry; under vmap f is skipped where no path is active."""

    def some(carry: Carry) -> Carry:
        return tree(lambda new, old: jnp.where(active, new, old), f(carry, k), carry)

    return lax.cond(eqxi.unvmap_any(active), some, lambda c: c, carry)
