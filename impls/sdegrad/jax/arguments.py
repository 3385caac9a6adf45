"""Checks of single arguments (a number, a name, a flag, a dtype), known when traced or only when run."""

import numbers
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.typing import DTypeLike

from sdegrad.grid import EPS64, Grid, make_grid
from sdegrad.jax.constant import constant
from sdegrad.jax.times import time_dtype
from sdegrad.jax.types import Number, Options

_MOST_STEPS = 2**30


def check_static(name: str, value: object, kind: str) -> None:
    """ValueError if anything in `value` is traced. kind: what to pass instead."""
    if any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(value)):
        raise ValueError(
            f"{name} is traced, but must be known when the function is compiled: pass {kind}, or mark it with "
            "static_argnames in jax.jit."
        )


def check_flag(name: str, value: object) -> bool:
    check_static(name, value, "True or False")
    if not isinstance(value, (bool, np.bool_)):
        raise ValueError(f"{name} must be True or False, got {value!r}.")
    return bool(value)


def check_number(name: str, value: object) -> None:
    """ValueError unless `value`, traced or not, is one real number."""
    if isinstance(value, (jax.Array, np.ndarray)):
        real = jnp.issubdtype(value.dtype, np.number) and not jnp.issubdtype(value.dtype, np.complexfloating)
        if value.ndim != 0 or not real:
            raise ValueError(f"{name} must be one number, got shape {value.shape} and dtype {value.dtype}.")
    elif isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise ValueError(f"{name} must be one number, got {value!r}; pass e.g. {name}=0.01.")


def static_number(name: str, value: object) -> float:
    """`value` as a Python float."""
    number = constant(value)
    check_static(name, number, "a Python or NumPy number")
    check_number(name, number)
    try:
        return float(number)
    except OverflowError as error:
        raise ValueError(f"{name} is too large for a float; pass e.g. {name}=0.01.") from error


def static_count(name: str, value: Any, example: int) -> int:
    """`value` as an integer, of steps that can be numbered."""
    whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    if not (whole and 1 <= value <= _MOST_STEPS):
        raise ValueError(
            f"{name} must be a positive integer known at trace time, at most {_MOST_STEPS}, got {value!r}; pass e.g. "
            f"{example}."
        )
    return int(value)


def check_index(name: str, value: Number, count: int) -> jax.Array:
    """`value` as an array, one integer; from 0 to count - 1 unless it is traced."""
    one = isinstance(value, (int, np.integer, jax.Array, np.ndarray)) and not isinstance(value, bool)
    whole = one and jnp.ndim(value) == 0 and jnp.issubdtype(jnp.result_type(value), jnp.integer)
    if not whole or not (isinstance(value, Tracer) or 0 <= int(value) < count):
        raise ValueError(f"{name} must be an integer from 0 to {count - 1}, got {value!r}.")
    return jnp.asarray(value, jnp.int32)


def eps_of(value: object) -> float:
    """The spacing of the dtype of a number; that of double precision for an integer, or a Python float."""
    dtype = getattr(value, "dtype", np.dtype(np.float64))
    return float(jnp.finfo(dtype).eps) if jnp.issubdtype(dtype, jnp.floating) else EPS64


def static_grid(t0: float, t1: float, dt: float, eps: float = EPS64) -> Grid:
    """`make_grid`, where 32 bits suffice to number the steps."""
    if (t1 - t0) / dt > _MOST_STEPS:
        raise ValueError(
            f"dt={dt} would make {(t1 - t0) / dt:.3g} steps of [{t0}, {t1}], more than can be numbered "
            f"({_MOST_STEPS}); make dt larger, or the interval shorter."
        )
    return make_grid(t0, t1, dt, eps)


def runtime_number(name: str, value: object, positive: bool) -> jax.Array:
    """`value` in the time dtype, finite and not negative: an error at run time where it is traced."""
    sentence = f"{name} must be finite and {'positive' if positive else 'not negative'}"
    check_number(name, value)
    if not isinstance(value, Tracer):
        number = float(np.asarray(value))
        if not np.isfinite(number) or number < 0 or (positive and number == 0):
            raise ValueError(f"{sentence}, got {name}={value}; pass e.g. {name}=1e-3.")
        return jnp.asarray(number, time_dtype())
    number = jnp.asarray(value).astype(time_dtype())
    wrong = ~jnp.isfinite(number) | (number < 0) | (positive & (number == 0))
    return eqx.error_if(number, wrong, f"{sentence}; pass e.g. {name}=1e-3.")


def check_dtype(dtype: DTypeLike | None) -> np.dtype:
    """The float dtype meant by `dtype`, JAX's default if None."""
    if dtype is None:
        return jnp.zeros(()).dtype
    try:
        known = jnp.dtype(dtype)
    except TypeError:
        known = None
    if known is None or not jnp.issubdtype(known, jnp.floating):
        raise ValueError(f"dtype must be a floating one, got {dtype}; pass e.g. jnp.float32.")
    dtype = known
    if dtype == np.float64 and jax.dtypes.canonicalize_dtype(np.float64) != np.float64:
        raise ValueError('dtype float64 needs jax.config.update("jax_enable_x64", True); or pass float32.')
    return dtype


def check_choice(name: str, value: object, known: Sequence[str]) -> None:
    check_static(name, value, "a name")
    if isinstance(value, str) and value in known:
        return
    near = get_close_matches(value.lower(), known, 1) if isinstance(value, str) else []
    meant = f"did you mean {near[0]!r}? " if near else ""
    raise ValueError(f"unknown {name} {value!r}; {meant}choose one of {', '.join(map(repr, known))}.")


def check_options(options: object) -> Options:
    if options is not None and not isinstance(options, Mapping):
        raise ValueError(
            f"options must be a dict of names and values, got {options!r}; pass e.g. {{'coupling': 0.999}}."
        )
    check_static("options", options, "Python values")
    return dict(options or {})
