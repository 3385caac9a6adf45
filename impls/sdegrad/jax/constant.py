"""What a traced value is, where nothing that it is made of is an argument: `jnp.linspace(0, 1, 5)` inside jit."""

from typing import Any

import jax
from jax.core import Tracer
from jaxtyping import PyTree


class _UnknownError(Exception):
    pass


def constant(x: PyTree) -> PyTree:
    """`x`, evaluated if it is traced but depends on constants alone; else as it is.

    JAX has no public way to ask. Where a version of it does not show how a value came about, it stays traced.
    """
    try:
        with jax.ensure_compile_time_eval():
            return jax.tree.map(_evaluated, x)
    except (_UnknownError, AttributeError):
        return x


def _evaluated(x: PyTree) -> PyTree:
    lowered = x.full_lower() if isinstance(x, Tracer) else x
    if not isinstance(lowered, Tracer):
        return lowered
    made: Any = getattr(x, "parent", None)  # the operation
    if made is None or made.effects or "call_jaxpr" in made.params:
        raise _UnknownError
    values = made.primitive.bind(*(_evaluated(v) for v in made.in_tracers), **made.params)
    values = values if made.primitive.multiple_results else [values]
    return next(value for value, name in zip(values, made.outvars, strict=True) if name is x.val)  # pyright: ignore[reportAttributeAccessIssue]
