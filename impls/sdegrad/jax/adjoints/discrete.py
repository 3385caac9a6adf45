"""The solve on the grid with any of the four adjoints; each returns ys [nodes, *y.shape], and how far the copies of
the solution have parted.

`reversible`: exact, memory independent of the number of steps. `backsolve`: the continuous adjoint, the same
memory, gradient right only as dt -> 0. `backprop`: exact, memory O(steps). `checkpoint`: exact, memory
O(sqrt(steps)), one more forward pass. The increments of the path are constants for the gradient.
"""

import math
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, PyTree

from sdegrad.jax.adjoints.backward import BACKWARD, all_cotangents, differentiable_once, parted
from sdegrad.jax.methods.base import tree
from sdegrad.jax.sde import SDE
from sdegrad.jax.stepping.accepted import Solved
from sdegrad.jax.stepping.fixed import Steps
from sdegrad.jax.stepping.march import make_step, march
from sdegrad.jax.types import Carried, Index, Method, Perturbed, Y

Differentiable = tuple[Y, SDE]
Nodes = tuple[Y, Float[Array, ""]]  # the solution at the nodes, and how far its copies have parted


@eqx.filter_custom_vjp
def _backward(differentiable: Differentiable, method: Method, steps: Steps, adjoint: str) -> Nodes:
    """The solve, whose gradient is the backward pass of this name."""
    del adjoint
    y0, sde = differentiable
    solved = march(method, sde, steps, y0)
    return solved.ys, parted(method, solved.state)


@_backward.def_fwd
def _backward_fwd(
    perturbed: Perturbed, differentiable: Differentiable, method: Method, steps: Steps, adjoint: str
) -> tuple[Nodes, Solved]:
    del perturbed
    y0, sde = differentiable
    solved = march(method, sde, steps, y0)
    kept = solved._replace(**{"ys" if adjoint == "reversible" else "state": None})
    return (solved.ys, parted(method, solved.state)), kept


@_backward.def_bwd
def _backward_bwd(
    kept: Solved,
    cotangents: PyTree,
    perturbed: Perturbed,
    differentiable: Differentiable,
    method: Method,
    steps: Steps,
    adjoint: str,
) -> Differentiable:
    y0, sde = differentiable
    arrays, rest = eqx.partition(sde, perturbed[1])
    a_ys = all_cotangents(cotangents[0], y0, steps)
    gradients = BACKWARD[adjoint](lambda arrays: eqx.combine(arrays, rest), arrays, y0, a_ys, kept, method, steps)
    return differentiable_once(gradients, adjoint)


def reversible(differentiable: Differentiable, method: Method, steps: Steps) -> Nodes:
    return _backward(differentiable, method, steps, "reversible")


def backsolve(differentiable: Differentiable, method: Method, steps: Steps) -> Nodes:
    return _backward(differentiable, method, steps, "backsolve")


def backprop(differentiable: Differentiable, method: Method, steps: Steps) -> Nodes:
    return _segments(differentiable, method, steps, steps.grid.steps, lambda segment: segment)


def checkpoint(differentiable: Differentiable, method: Method, steps: Steps) -> Nodes:
    count = math.isqrt(steps.grid.steps - 1) + 1
    return _segments(differentiable, method, steps, -(-steps.grid.steps // count), jax.checkpoint)


def _segments(
    differentiable: Differentiable,
    method: Method,
    steps: Steps,
    size: int,
    wrap: Callable[[Callable], Callable],
) -> Nodes:
    """In segments of `size` steps, each under `wrap`; a segment returns its final state and its nodes."""
    y0, sde = differentiable
    total = steps.grid.steps
    segment_of, local = np.divmod(np.asarray(steps.nodes[1:]) - 1, size)
    slot = np.arange(len(segment_of)) - np.searchsorted(segment_of, segment_of)  # which of its segment's nodes
    picks = np.zeros((-(-total // size), max(slot) + 1), np.int32)
    picks[segment_of, slot] = local

    def one(k: Index, state: Carried) -> Carried:
        return make_step(method, sde, steps, k, steps.noise(k), state)

    def step(state: Carried, k: Index) -> tuple[Carried, Y]:
        shorter = total % size  # the last segment
        state = lax.cond(k < total, one, lambda _, state: state, k, state) if shorter else one(k, state)
        return state, method.value(state)

    @wrap
    def segment(state: Carried, at: tuple[Index, Array]) -> tuple[Carried, Y]:
        state, ys = lax.scan(step, state, at[0] + jnp.arange(size, dtype=jnp.int32))
        return state, tree(lambda y: y[at[1]], ys)

    firsts = jnp.arange(len(picks), dtype=jnp.int32) * size
    state, picked = lax.scan(segment, method.init(sde, steps.time(0), y0), (firsts, jnp.asarray(picks)))
    return tree(lambda y, p: jnp.concatenate([y[None], p[segment_of, slot]]), y0, picked), parted(method, state)


ADJOINTS: dict[str, Callable[[Differentiable, Method, Steps], Nodes]] = {
    "reversible": reversible,
    "backprop": backprop,
    "checkpoint": checkpoint,
    "backsolve": backsolve,
}
