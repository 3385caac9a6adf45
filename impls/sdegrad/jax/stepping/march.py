"""The solve forwards over steps that are known before: `Steps` of a grid, or `Accepted` ones whose ends are kept."""

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array

from sdegrad.jax.sde import SDE
from sdegrad.jax.stepping.accepted import Accepted, Solved
from sdegrad.jax.stepping.fixed import Steps
from sdegrad.jax.types import Cache, Carried, Increment, Index, Method, Y

AnySteps = Steps | Accepted


def make_step(method: Method, sde: SDE, steps: AnySteps, k: Index, dW: Increment, state: Carried) -> Carried:
    """The state at time k + 1, from that at time k."""
    return method.step(sde, steps.time(k), steps.time(k + 1), steps.length(k), dW, state)


def intervals(steps: AnySteps) -> tuple[Array, Array]:
    """For every node the node before it, and the node; for the first, which is time 0, twice itself."""
    nodes = jnp.asarray(steps.nodes, jnp.int32)
    return jnp.concatenate([nodes[:1], nodes[:-1]]), nodes


def march(method: Method, sde: SDE, steps: AnySteps, y0: Y) -> Solved:
    """The solution at the nodes. Holds one state."""

    def to(carry: tuple[Cache, Carried], at: tuple[Index, Index]) -> tuple[tuple[Cache, Carried], Y]:
        carry = steps.each(*at, lambda *step: make_step(method, sde, steps, *step), carry)
        return carry, method.value(carry[1])

    start = steps.start(), method.init(sde, steps.time(0), y0)
    (_, state), ys = lax.scan(to, start, intervals(steps))
    return Solved(ys, state)
