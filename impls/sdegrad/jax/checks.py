"""What is refused, and what to do instead. Everything here is decided when a solve is traced."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from sdegrad.grid import EPS64
from sdegrad.jax.sde import SDE
from sdegrad.jax.steps import Steps
from sdegrad.jax.types import Path
from sdegrad.methods import METHODS, NOISE_TYPES


def static_number(name: str, value: Any) -> float:
    """`value` as a Python float."""
    if isinstance(value, Tracer):
        raise ValueError(
            f"{name} is traced, but must be known when the function is compiled: pass a Python or NumPy "
            f"number, or mark it with static_argnames in jax.jit."
        )
    if np.ndim(value) != 0:
        raise ValueError(f"{name} must be one number, got shape {np.shape(value)}.")
    return float(value)


def static_times(ts: Any) -> tuple[tuple[float, ...], float]:
    """ts as Python floats, and the spacing of the dtype it was given in."""
    for traced in (t for t in jax.tree.leaves(ts) if isinstance(t, Tracer)):
        static_number("ts", traced)
    times = np.asarray(ts)
    if times.ndim != 1:
        raise ValueError(f"ts must be a sequence of times, got shape {times.shape}.")
    eps = float(jnp.finfo(times.dtype).eps) if jnp.issubdtype(times.dtype, jnp.floating) else EPS64
    return tuple(float(t) for t in times), eps


def check_dtype(dtype: Any) -> np.dtype:
    """The float dtype meant by `dtype`, JAX's default if None."""
    if dtype is None:
        return jnp.zeros(()).dtype
    dtype = jnp.dtype(dtype)
    if not jnp.issubdtype(dtype, jnp.floating):
        raise ValueError(f"dtype must be a floating one, got {dtype}; pass e.g. jnp.float32.")
    if dtype == np.float64 and jax.dtypes.canonicalize_dtype(np.float64) != np.float64:
        raise ValueError('dtype float64 needs jax.config.update("jax_enable_x64", True); or pass float32.')
    return dtype


def check_choice(name: str, value: Any, known: Sequence[str]) -> None:
    if value not in known:
        raise ValueError(f"unknown {name} {value!r}; choose one of {', '.join(map(repr, known))}.")


def check_method(method: str, sde_type: str, noise_type: str, adjoint: str, adjoints: Sequence[str]) -> None:
    check_choice("method", method, tuple(METHODS))
    check_choice("sde_type", sde_type, ("ito", "stratonovich"))
    check_choice("noise_type", noise_type, NOISE_TYPES)
    check_choice("adjoint", adjoint, adjoints)
    wanted = METHODS[method].sde_type
    if wanted != sde_type:
        fitting = [name for name, row in METHODS.items() if row.sde_type == sde_type]
        raise ValueError(
            f"method {method!r} solves {wanted} SDEs, but sde_type={sde_type!r}; choose one of {fitting}, or "
            f"rewrite the drift for the other calculus and say sde_type={wanted!r}."
        )
    if adjoint == "reversible" and not METHODS[method].reversible:
        fitting = [name for name, row in METHODS.items() if row.reversible]
        raise ValueError(
            f'adjoint="reversible" needs a reversible method, which {method!r} is not; choose one of '
            f'{fitting}, or adjoint="checkpoint".'
        )
    if adjoint == "backsolve" and sde_type == "ito":
        raise ValueError(
            f'adjoint="backsolve" is for Stratonovich SDEs, but {method!r} is an Ito method; use '
            f'adjoint="checkpoint", or a Stratonovich method.'
        )


def check_state(y0: Any) -> Any:
    """y0 as a tree of arrays of strong dtype."""
    if not jax.tree.leaves(y0):
        raise ValueError("y0 has no arrays; pass the initial state [*batch, dim].")
    return jax.tree.map(_check_array, y0)


def _check_array(y: Any) -> jax.Array:
    dtype = jnp.result_type(y)
    if not jnp.issubdtype(dtype, jnp.inexact):
        raise ValueError(f"y0 must be of a floating dtype, got {dtype}; convert it, e.g. y0.astype(float).")
    # In NumPy, because under jit an operation of JAX on a concrete array gives a traced one.
    if not isinstance(y, Tracer) and not np.all(np.isfinite(np.asarray(y))):
        raise ValueError("y0 has NaN or infinite entries; pass a finite initial state.")
    return jax.lax.convert_element_type(y, dtype)


def check_path(bm: Any, ts: tuple[float, ...], eps: float) -> None:
    """That bm is a path and, where it says what it spans in concrete numbers, that it spans ts."""
    if not isinstance(bm, Path):
        raise ValueError(f"bm must have evaluate(t0, t1), got {bm!r}; pass e.g. a BrownianInterval.")
    t0, t1 = getattr(bm, "t0", -np.inf), getattr(bm, "t1", np.inf)
    if isinstance(t0, Tracer) or isinstance(t1, Tracer):
        return
    slack = 8 * eps * max(abs(ts[0]), abs(ts[-1]))
    if ts[0] < float(t0) - slack or ts[-1] > float(t1) + slack:
        raise ValueError(f"ts spans [{ts[0]}, {ts[-1]}], but bm only [{t0}, {t1}]; make bm longer, or ts shorter.")


def check_fields(sde: SDE, steps: Steps, y0: Any) -> None:
    """Trees, shapes and dtypes of drift, diffusion and Brownian increment. The noise dimension is the
    diffusion's.
    """
    mu, sigma = jax.eval_shape(sde.at, steps.time(0), y0)
    dW = jax.eval_shape(steps.noise, 0)
    like_y0 = jax.tree.map(lambda y: jax.ShapeDtypeStruct(y.shape, y.dtype), y0)
    _check_like("drift", mu, like_y0)
    if sde.noise_type == "diagonal":
        _check_like("diffusion (diagonal noise: like y0)", sigma, like_y0)
        _check_like("increment of bm (diagonal noise: like y0)", dW, like_y0)
        return
    first = jax.tree.leaves(y0)[0]
    if any(y.shape[:-1] != first.shape[:-1] or y.ndim == 0 for y in jax.tree.leaves(y0)):
        raise ValueError(
            f"{sde.noise_type} noise needs states [*batch, dim] of one batch shape, got "
            f"{[y.shape for y in jax.tree.leaves(y0)]}; reshape y0, or use vmap for the batch."
        )
    noise = 1 if sde.noise_type == "scalar" else (jax.tree.leaves(sigma)[0].shape or (0,))[-1]
    like_sigma = jax.tree.map(lambda y: jax.ShapeDtypeStruct((*y.shape, noise), y.dtype), y0)
    _check_like(f"diffusion ({sde.noise_type} noise: y0 with a trailing noise axis)", sigma, like_sigma)
    like_dW = jax.ShapeDtypeStruct((*first.shape[:-1], noise), first.dtype)
    _check_like(f"increment of bm ({sde.noise_type} noise: [*batch, noise])", dW, like_dW)


def _check_like(what: str, got: Any, expected: Any) -> None:
    if jax.tree.structure(got) != jax.tree.structure(expected):
        raise ValueError(
            f"the {what} has the tree {jax.tree.structure(got)}, expected {jax.tree.structure(expected)}; "
            f"return the same containers as y0."
        )
    for g, e in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
        if g.shape != e.shape:
            raise ValueError(
                f"the {what} has shape {g.shape}, expected {e.shape}; correct it, or noise_type, or bm.shape."
            )
        if g.dtype not in (e.dtype, jnp.finfo(e.dtype).dtype):  # real noise may drive a complex state
            raise ValueError(
                f"the {what} has dtype {g.dtype}, but y0 has {e.dtype}; convert one of them, e.g. with "
                f"astype or the dtype of BrownianInterval."
            )
