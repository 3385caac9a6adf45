"""The gradient of a solve by steps whose ends are kept, in the four ways of `adjoint`; of an adaptive solve, these are
the accepted ones.

Their times count as constants, and every gradient retraces them, with bitwise the same times and so the same Brownian
increments.
"""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import equinox.internal as eqxi
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array

from sdegrad.jax.adjoints.backward import differentiable_once, known_start, undo
from sdegrad.jax.methods.base import tree
from sdegrad.jax.sde import SDE, AdjointSDE
from sdegrad.jax.stepping.accepted import BLOCK, Accepted, Solved
from sdegrad.jax.types import Index, Method

Differentiable = tuple[Any, SDE]


def retraced(adjoint: str, differentiable: Differentiable, solved: Solved, method: Any, steps: Accepted) -> Any:
    """solved.ys, with the gradient that `adjoint` names. `solved` holds no tangents."""
    if adjoint in _BACKWARD:
        return _backward(differentiable, solved, method, steps, _BACKWARD[adjoint])
    return _differentiated(differentiable, solved, method, steps, adjoint == "checkpoint")


@eqx.filter_custom_vjp
def _backward(differentiable: Differentiable, solved: Solved, method: Any, steps: Accepted, back: Callable) -> Any:
    del differentiable, method, steps, back
    return solved.ys


@_backward.def_fwd
def _backward_fwd(
    perturbed: Any, differentiable: Differentiable, solved: Solved, method: Any, steps: Accepted, back: Callable
) -> tuple[Any, None]:
    del perturbed, method, steps
    # `solved` has no tangents, so a second derivative would be wrong in silence; those of the arguments are the sign.
    arguments = eqx.filter(differentiable, eqx.is_inexact_array)
    ys, _ = differentiable_once((solved.ys, arguments), back.__name__.removeprefix("_"), forwards=False)
    return ys, None


@_backward.def_bwd
def _backward_bwd(
    residuals: None,
    a_ys: Any,
    perturbed: Any,
    differentiable: Differentiable,
    solved: Solved,
    method: Any,
    steps: Accepted,
    back: Callable,
) -> Differentiable:
    del residuals
    y0, sde = differentiable
    arrays, rest = eqx.partition(sde, perturbed[1])
    a_ys = eqx.combine(a_ys, tree(jnp.zeros_like, solved.ys))
    return back(lambda arrays: eqx.combine(arrays, rest), arrays, y0, a_ys, solved, method, steps)


def _march_back(steps: Accepted, at_nodes: Any, visit: Callable, step: Callable, carry: Any) -> Any:
    """From the last output to the first, which is time 0. `visit(k, its slice of at_nodes, carry)` at every
    output; `step(some, k, dW, carry)` from every time k to the one before it, dW being the increment between them, and
    `some` the steps there.
    """

    def down(c: tuple[Any, Any], at: tuple[Index, Index, Any]) -> tuple[Any, None]:
        (walk, carry), (node, before, here) = c, at

        def block(c: tuple[Index, Any, Any]) -> tuple[Index, Any, Any]:
            some, end = steps.before(c[0]), jnp.maximum(c[0] - BLOCK, before)

            def back(c: tuple[Index, Any, Any]) -> tuple[Index, Any, Any]:
                k, walk, carry = c
                dW, walk = some.advance(walk, some.exact_time(k - 1), some.exact_time(k))
                return k - 1, walk, step(some, k, dW, carry)

            return lax.while_loop(lambda c: c[0] > end, back, c)

        start = node, walk, visit(node, here, carry)
        return lax.while_loop(lambda c: c[0] > before, block, start)[1:], None

    before = jnp.concatenate([steps.nodes[:1], steps.nodes[:-1]])
    return lax.scan(down, (steps.start(), carry), (steps.nodes, before, at_nodes), reverse=True)[0][1]


def _reversible(
    field: Callable, arrays: Any, y0: Any, a_ys: Any, solved: Solved, method: Any, steps: Accepted
) -> Differentiable:
    """Exact, by the inverse of every step."""

    def visit(_: Index, a_y: Any, r: Any) -> Any:
        return r._replace(a_y=tree(jnp.add, r.a_y, a_y))

    def step(some: Accepted, k: Index, dW: Any, r: Any) -> Any:
        return method.reverse(field, arrays, some.time(k - 1), some.time(k), some.length(k - 1), dW, r)

    start = method.reverse_init(solved.state, steps.length(0), steps.noise(0), arrays)
    end = _march_back(steps, a_ys, visit, step, start)
    reached, *gradients = method.reverse_last(field, arrays, steps.time(0), y0, end)
    return known_start(tuple(gradients), a_ys, y0, method.value(solved.state), reached)


def _backsolve(
    field: Callable, arrays: Any, y0: Any, a_ys: Any, solved: Solved, method: Method, steps: Accepted
) -> Differentiable:
    """The continuous adjoint, started anew from the solution at every output."""
    adjoint = AdjointSDE(field, arrays)

    def visit(k: Index, here: tuple[Any, Any], state: Any) -> Any:
        _, a_y, a_arrays = method.value(state)
        y, a_node = here
        return method.init(adjoint, steps.time(k), (y, tree(jnp.add, a_y, a_node), a_arrays))

    def step(some: Accepted, k: Index, dW: Any, state: Any) -> Any:
        if method.smooth:
            dt, dW = tree(jnp.negative, (some.length(k - 1), dW))
            return method.step(adjoint, some.time(k), some.time(k - 1), dt, dW, state)
        forth = some.time(k - 1), some.time(k), some.length(k - 1), dW
        return undo(lambda y, arrays: method.step(field(arrays), *forth, y), arrays, state)

    zero = tree(jnp.zeros_like, (y0, y0, arrays))
    start = method.init(adjoint, steps.time(0), zero)
    _, a_y, a_arrays = method.value(_march_back(steps, (solved.ys, a_ys), visit, step, start))
    return a_y, a_arrays


_BACKWARD = {"reversible": _reversible, "backsolve": _backsolve}


@eqx.filter_custom_jvp
def _differentiated(differentiable: Differentiable, solved: Solved, method: Any, steps: Accepted, save: bool) -> Any:
    del differentiable, method, steps, save
    return solved.ys


@_differentiated.def_jvp
def _differentiated_jvp(primals: Any, tangents: Any) -> tuple[Any, Any]:
    differentiable, _, method, steps, save = primals
    return eqx.filter_jvp(lambda d: _over_steps(d, method, steps, save), (differentiable,), tangents[:1])


def _over_steps(differentiable: Differentiable, method: Method, steps: Accepted, save: bool) -> Any:
    """The solution at the outputs once more, by a loop that JAX can differentiate: over all the steps that there
    is room for, in segments, of which it keeps the first states only if `save`; it skips what is beyond the last
    accepted step.
    """
    y0, sde = differentiable
    size = round(steps.capacity**0.5) if save else steps.capacity
    last = steps.nodes[-1]

    def step(carry: Any, k: Index) -> Any:
        walk, state, ys, output = carry
        dW, walk = steps.advance(walk, steps.exact_time(k), steps.exact_time(k + 1))
        state = method.step(sde, steps.time(k), steps.time(k + 1), steps.length(k), dW, state)
        ends = steps.nodes[output] == k + 1
        at = jnp.where(ends, output, len(steps.nodes))  # the latter is nowhere
        ys = tree(lambda ys, y: ys.at[at].set(y, mode="drop"), ys, method.value(state))
        return walk, state, ys, jnp.minimum(output + ends.astype(jnp.int32), len(steps.nodes) - 1)

    def segment(carry: Any, first: Index) -> Any:
        each = jnp.minimum(first + jnp.arange(size, dtype=jnp.int32), steps.capacity)
        return lax.scan(lambda c, k: (_where(k < last, step, c, k), None), (steps.start(), *carry), each)[0][1:]

    segment = jax.checkpoint(segment) if save else segment
    firsts = jnp.arange(0, steps.capacity, size, dtype=jnp.int32)
    ys = tree(lambda y: jnp.broadcast_to(y, (len(steps.nodes), *y.shape)), y0)
    start = method.init(sde, steps.time(0), y0), ys, jnp.asarray(1, jnp.int32)
    (_, ys, _), _ = lax.scan(lambda c, k: (_where(k < last, segment, c, k), None), start, firsts)
    return ys


def _where(active: Array, f: Callable, carry: Any, k: Index) -> Any:
    """f(carry, k) if active, else carry; under vmap f is skipped where no path is active."""

    def some(carry: Any) -> Any:
        return tree(lambda new, old: jnp.where(active, new, old), f(carry, k), carry)

    return lax.cond(eqxi.unvmap_any(active), some, lambda c: c, carry)
