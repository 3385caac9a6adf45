"""Steps of equal length from one output to the next: their number is static, the times need not be."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from sdegrad.jax.methods.base import tree
from sdegrad.jax.sde import SDE
from sdegrad.jax.stepping.accepted import Accepted, Solved
from sdegrad.jax.types import Cache, Carried, Carry, Index, Method, Path, Y


def even_steps(bm: Path, ts: jax.Array, count: int, dtype: np.dtype, levy_area: str) -> Accepted:
    """`count` steps from every time of ts to the next."""
    parts = jnp.arange(count, dtype=ts.dtype)[None] / count
    times = jnp.append(ts[:-1, None] + jnp.diff(ts)[:, None] * parts, ts[-1])
    return Accepted(bm, times, count * jnp.arange(len(ts), dtype=jnp.int32), False, dtype, levy_area)


def march(method: Method, sde: SDE, steps: Accepted, y0: Y, count: int) -> Solved:
    """The solution at the outputs. Holds one state."""

    def step(carry: tuple[Index, Cache, Carried], _: None) -> tuple[Carry, None]:
        k, cache, state = carry
        dW, cache = steps.advance(cache, steps.exact_time(k), steps.exact_time(k + 1))
        state = method.step(sde, steps.time(k), steps.time(k + 1), steps.length(k), dW, state)
        return (k + 1, cache, state), None

    def to(carry: Carry, _: None) -> tuple[Carry, Y]:
        carry, _ = lax.scan(step, carry, length=count)
        return carry, method.value(carry[-1])

    start = jnp.int32(0), steps.start(), method.init(sde, steps.time(0), y0)
    (_, _, state), ys = lax.scan(to, start, length=len(steps.nodes) - 1)
    return Solved(tree(lambda y0, ys: jnp.concatenate([y0[None], ys]), y0, ys), state)
