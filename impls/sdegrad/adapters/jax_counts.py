"""Counting the evaluations of a vector field in compiled JAX, where a counter in Python would count traces."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import jax
from jax.custom_derivatives import linear_call

Field = Callable[[Any, jax.Array, Any], jax.Array]
DIFFERENTIATE = ("milstein", "log_ode")  # the diffusion, forwards, within a step


def counted(field: Field, counter: Counter, name: str, forwards: bool) -> Field:
    """`field`, adding to `counter` at run time: each evaluation, and each vector-Jacobian product.

    The callbacks are handed a number of the loop, or differentiating a scan would move them out of it.
    forwards: whether it is differentiated forwards too, which a `custom_vjp` cannot be; what can, cannot be batched.
    """

    def add(what: str, at: jax.Array) -> None:
        def tally(_: Any) -> None:
            counter[what] += 1

        jax.debug.callback(tally, at.ravel()[0])

    def backward(_: None, cotangent: jax.Array) -> jax.Array:
        add(f"{name}_vjp", cotangent)
        return cotangent

    def identity(x: jax.Array) -> jax.Array:
        return x

    if forwards:
        tap = jax.custom_jvp(identity)
        tap.defjvp(lambda x, dx: (tap(*x), linear_call(lambda _, x: x, backward, (), *dx)))
    else:
        tap = jax.custom_vjp(identity)
        tap.defvjp(lambda x: (x, None), lambda _, cotangent: (backward(None, cotangent),))

    def counting(t: Any, y: jax.Array, params: Any) -> jax.Array:
        add(name, y)
        return tap(field(t, y, params))

    return counting
