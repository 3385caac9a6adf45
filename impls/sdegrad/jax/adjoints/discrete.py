"""The solve on the grid, in the four ways that its gradient can be had; each gives ys [nodes, *y.shape], and how far
the copies of the solution have parted.

`reversible`: exact, memory independent of the number of steps. `backsolve`: the continuous adjoint, the same
memory, gradient right only as dt -> 0. `backprop`: exact, memory O(steps). `checkpoint`: exact, memory
O(sqrt(steps)), one more forward pass. The increments of the path are constants for the gradient.
"""

import math
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array

from sdegrad.jax.adjoints.backward import differentiable_once, known_start, parted, undo
from sdegrad.jax.methods.base import tree
from sdegrad.jax.sde import SDE, AdjointSDE
from sdegrad.jax.stepping.fixed import Steps
from sdegrad.jax.types import Index, Method

Differentiable = tuple[Any, SDE]


def _step(method: Method, sde: SDE, steps: Steps, k: Index, dW: Any, state: Any) -> Any:
    return method.step(sde, steps.time(k), steps.time(k + 1), steps.length(k), dW, state)


def _march(method: Method, sde: SDE, steps: Steps, y0: Any) -> tuple[Any, Any]:
    """The solution at the nodes, and the final state of the method. Holds one state."""

    def to(state: Any, at: tuple[Index, Index]) -> tuple[Any, Any]:
        state = steps.each(*at, lambda *step: _step(method, sde, steps, *step), state)
        return state, method.value(state)

    before, nodes = _intervals(steps)
    state, ys = lax.scan(to, method.init(sde, steps.time(0), y0), (before, nodes))
    return ys, state


def _intervals(steps: Steps) -> tuple[Array, Array]:
    """Of every node, the node before it, and itself; before the first, which is grid time 0, itself."""
    nodes = jnp.asarray(steps.nodes, jnp.int32)
    return jnp.concatenate([nodes[:1], nodes[:-1]]), nodes


def _march_back(steps: Steps, at_nodes: Any, visit: Callable, step: Callable, carry: Any) -> Any:
    """From the last node to the first. `visit(k, its slice of at_nodes, carry)` at every node; `step(k, dW, carry)`
    from every grid time k + 1 to k.
    """

    def down(carry: Any, at: tuple[Index, Index, Any]) -> tuple[Any, None]:
        before, node, here = at
        return steps.each(before, node, step, visit(node, here, carry), backwards=True), None

    return lax.scan(down, carry, (*_intervals(steps), at_nodes), reverse=True)[0]


def _cotangents(a_ys: Any, y0: Any, steps: Steps) -> Any:
    """a_ys with zeros where nothing depends on the output."""
    zeros = tree(lambda y: jnp.zeros((len(steps.nodes), *y.shape), y.dtype), y0)
    return eqx.combine(a_ys, zeros)


@eqx.filter_custom_vjp
def reversible(differentiable: Differentiable, method: Any, steps: Steps) -> Any:
    y0, sde = differentiable
    ys, state = _march(method, sde, steps, y0)
    return ys, parted(method, state)


@reversible.def_fwd
def _reversible_fwd(perturbed: Any, differentiable: Differentiable, method: Any, steps: Steps) -> tuple[Any, Any]:
    del perturbed
    y0, sde = differentiable
    ys, state = _march(method, sde, steps, y0)
    return (ys, parted(method, state)), state


@reversible.def_bwd
def _reversible_bwd(
    state: Any, cotangents: Any, perturbed: Any, differentiable: Differentiable, method: Any, steps: Steps
) -> Differentiable:
    y0, sde = differentiable
    arrays, rest = eqx.partition(sde, perturbed[1])

    def field(arrays: Any) -> SDE:
        return eqx.combine(arrays, rest)

    def visit(_: Index, a_y: Any, r: Any) -> Any:
        return r._replace(a_y=tree(jnp.add, r.a_y, a_y))

    def step(k: Index, dW: Any, r: Any) -> Any:
        return method.reverse(field, arrays, steps.time(k), steps.time(k + 1), steps.length(k), dW, r)

    start = method.reverse_init(state, steps.length(0), steps.noise(0), arrays)
    a_ys = _cotangents(cotangents[0], y0, steps)
    end = _march_back(steps, a_ys, visit, step, start)
    reached, *gradients = method.reverse_last(field, arrays, steps.time(0), y0, end)
    gradients = known_start(tuple(gradients), a_ys, y0, method.value(state), reached)
    return differentiable_once(gradients, "reversible")


@eqx.filter_custom_vjp
def backsolve(differentiable: Differentiable, method: Method, steps: Steps) -> Any:
    y0, sde = differentiable
    ys, state = _march(method, sde, steps, y0)
    return ys, parted(method, state)


@backsolve.def_fwd
def _backsolve_fwd(perturbed: Any, differentiable: Differentiable, method: Method, steps: Steps) -> tuple[Any, Any]:
    del perturbed
    y0, sde = differentiable
    ys, state = _march(method, sde, steps, y0)
    return (ys, parted(method, state)), ys


@backsolve.def_bwd
def _backsolve_bwd(
    ys: Any, cotangents: Any, perturbed: Any, differentiable: Differentiable, method: Method, steps: Steps
) -> Differentiable:
    y0, sde = differentiable
    arrays, rest = eqx.partition(sde, perturbed[1])
    adjoint = AdjointSDE(lambda arrays: eqx.combine(arrays, rest), arrays)

    def visit(k: Index, here: tuple[Any, Any], state: Any) -> Any:
        _, a_y, a_arrays = method.value(state)
        y, a_node = here  # from the forward pass, so that the error of going backwards starts anew at every node
        return method.init(adjoint, steps.time(k), (y, tree(jnp.add, a_y, a_node), a_arrays))

    def step(k: Index, dW: Any, state: Any) -> Any:
        dt, dW = tree(jnp.negative, (steps.length(k), dW))
        return method.step(adjoint, steps.time(k + 1), steps.time(k), dt, dW, state)

    def step_undone(k: Index, dW: Any, state: Any) -> Any:
        return undo(lambda y, arrays: _step(method, eqx.combine(arrays, rest), steps, k, dW, y), arrays, state)

    zero = tree(jnp.zeros_like, (y0, y0, arrays))
    start = method.init(adjoint, steps.time(0), zero)
    step_back = step if method.smooth else step_undone
    end = _march_back(steps, (ys, _cotangents(cotangents[0], y0, steps)), visit, step_back, start)
    _, a_y, a_arrays = method.value(end)
    return differentiable_once((a_y, a_arrays), "backsolve")


def backprop(differentiable: Differentiable, method: Method, steps: Steps) -> Any:
    return _segments(differentiable, method, steps, steps.grid.steps, lambda segment: segment)


def checkpoint(differentiable: Differentiable, method: Method, steps: Steps) -> Any:
    count = math.isqrt(steps.grid.steps - 1) + 1
    return _segments(differentiable, method, steps, -(-steps.grid.steps // count), jax.checkpoint)


def _segments(
    differentiable: Differentiable,
    method: Method,
    steps: Steps,
    size: int,
    wrap: Callable[[Callable], Callable],
) -> Any:
    """In segments of `size` steps, each under `wrap`; a segment returns its final state and its nodes."""
    y0, sde = differentiable
    total = steps.grid.steps
    segment_of, local = np.divmod(np.asarray(steps.nodes[1:]) - 1, size)
    slot = np.arange(len(segment_of)) - np.searchsorted(segment_of, segment_of)  # which of its segment's nodes
    picks = np.zeros((-(-total // size), max(slot) + 1), np.int32)
    picks[segment_of, slot] = local

    def step(state: Any, k: Index) -> tuple[Any, Any]:
        if total % size:  # the last segment is shorter
            state = lax.cond(k < total, lambda s: _step(method, sde, steps, k, steps.noise(k), s), lambda s: s, state)
        else:
            state = _step(method, sde, steps, k, steps.noise(k), state)
        return state, method.value(state)

    @wrap
    def segment(state: Any, at: tuple[Index, Any]) -> tuple[Any, Any]:
        state, ys = lax.scan(step, state, at[0] + jnp.arange(size, dtype=jnp.int32))
        return state, tree(lambda y: y[at[1]], ys)

    firsts = jnp.arange(len(picks), dtype=jnp.int32) * size
    state, picked = lax.scan(segment, method.init(sde, steps.time(0), y0), (firsts, jnp.asarray(picks)))
    return tree(lambda y, p: jnp.concatenate([y[None], p[segment_of, slot]]), y0, picked), parted(method, state)


ADJOINTS: dict[str, Callable[[Differentiable, Any, Steps], Any]] = {
    "reversible": reversible,
    "backprop": backprop,
    "checkpoint": checkpoint,
    "backsolve": backsolve,
}
