"""Arguments that are refused, and the remedies. Decided when a solve is traced, but for what
is known only at run time."""

import inspect
import warnings
from collections.abc import Callable, Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.extend.core import Literal
from jax.interpreters.partial_eval import dce_jaxpr
from jaxtyping import PyTree

from sdegrad.grid import EPS64, check_times, covers
from sdegrad.jax.arguments import check_choice, check_static, runtime_number, static_count
from sdegrad.jax.brownian.levy import LevyIncrement
from sdegrad.jax.constant import constant
from sdegrad.jax.sde import SDE
from sdegrad.jax.stepping.accepted import Accepted
from sdegrad.jax.stepping.adaptive import Control
from sdegrad.jax.stepping.fixed import Steps
from sdegrad.jax.times import time_dtype
from sdegrad.jax.types import Diffusion, Method, Number, Path, Structs, Times, Y
from sdegrad.methods import METHODS, NOISE_TYPES


def static_times(ts: object) -> tuple[tuple[float, ...], float]:
    """ts as Python floats, and the spacing of the dtype it was given in."""
    known = constant(ts)
    check_static("ts", known, "Python or NumPy numbers, or steps=, the number of steps from one output to the next")
    times = np.asarray(known)
    if times.ndim != 1 or not (jnp.issubdtype(times.dtype, np.floating) or jnp.issubdtype(times.dtype, np.integer)):
        raise ValueError(
            f"ts must be a sequence of times, got shape {times.shape} and dtype {times.dtype}; pass e.g. (0.0, 1.0)."
        )
    eps = float(jnp.finfo(times.dtype).eps) if jnp.issubdtype(times.dtype, jnp.floating) else EPS64
    return tuple(float(t) for t in times), eps


def runtime_times(ts: Times, bm: Path) -> jax.Array:
    """ts in the time dtype, checked against bm: at run time where it is traced."""
    ts = constant(ts)
    if not any(isinstance(t, Tracer) for t in jax.tree.leaves(ts)):
        rounded = tuple(float(t) for t in np.asarray(static_times(ts)[0], time_dtype()))
        check_times(rounded, 1.0)
        check_path(bm, rounded, float(np.finfo(time_dtype()).eps))
        return jnp.asarray(rounded, time_dtype())
    times = jnp.asarray(ts).astype(time_dtype())
    if times.ndim != 1 or len(times) < 2:
        raise ValueError(f"ts must be a sequence of two times or more, got shape {times.shape}.")
    wrong = ~jnp.all(jnp.isfinite(times)) | jnp.any(times[1:] <= times[:-1])
    sentence = "ts must be finite and strictly increasing; sort the times and drop repeats."
    times = eqx.error_if(times, wrong, sentence)
    check_path(bm, None, 0.0)
    t0, t1 = getattr(bm, "t0", -np.inf), getattr(bm, "t1", np.inf)
    eps = float(jnp.finfo(times.dtype).eps)
    outside = ~(covers(t0, t1, times[0], eps) & covers(t0, t1, times[-1], eps))
    known = "[t0, t1]" if any(isinstance(t, Tracer) for t in (t0, t1)) else f"[{t0}, {t1}]"
    return eqx.error_if(times, outside, f"ts is not within {known}, where bm is; make bm longer, or ts shorter.")


def check_control(dt: Number | None, rtol: Number, atol: Number, max_steps: int) -> Control:
    """The arguments of adaptive steps; all but max_steps may be traced."""
    first = runtime_number("dt", dt, positive=True)
    relative, absolute = (runtime_number(n, v, positive=False) for n, v in (("rtol", rtol), ("atol", atol)))
    if not any(isinstance(x, Tracer) for x in (rtol, atol)) and rtol == atol == 0:
        raise ValueError("rtol or atol must be positive, got rtol=0, atol=0; pass e.g. rtol=1e-3.")
    return Control(first, relative, absolute, static_count("max_steps", max_steps, 4096))


def check_adaptive(method: str, noise_type: str) -> None:
    if method == "euler" and noise_type != "additive":
        warnings.warn(
            f"adaptive steps of euler need not converge to the right solution for {noise_type} noise; use constant "
            "steps, or milstein.",
            stacklevel=3,
        )


def check_method(method: str, sde_type: str, noise_type: str, adjoint: str, adjoints: Sequence[str]) -> None:
    check_choice("method", method, tuple(METHODS))
    check_choice("sde_type", sde_type, ("ito", "stratonovich"))
    check_choice("noise_type", noise_type, NOISE_TYPES)
    check_choice("adjoint", adjoint, adjoints)
    facts = METHODS[method]
    if sde_type not in facts.sde_types:
        fitting = [name for name, row in METHODS.items() if sde_type in row.sde_types and noise_type in row.order]
        raise ValueError(
            f"method {method!r} solves {facts.sde_type} SDEs, but sde_type={sde_type!r}; choose one of {fitting}, or "
            f"rewrite the drift for the other calculus and say sde_type={facts.sde_type!r}."
        )
    if noise_type not in facts.order:
        fitting = [name for name, row in METHODS.items() if sde_type in row.sde_types and noise_type in row.order]
        raise ValueError(
            f"method {method!r} is for {', '.join(facts.order)} noise, but noise_type={noise_type!r}; choose one of "
            f"{fitting}."
        )
    if adjoint == "reversible" and not (facts.reversible or facts.near_reversible):
        fitting = [name for name, row in METHODS.items() if row.reversible]
        raise ValueError(
            f'adjoint="reversible" needs a reversible method, which {method!r} is not; choose one of '
            f'{fitting}, or adjoint="checkpoint".'
        )


def check_solver(method: str, solver: Method, adjoint: str, bm: Path) -> None:
    """ValueError if the method cannot go backwards where it has to, or bm has not the Levy area that it needs."""
    asked = inspect.signature(bm.evaluate).parameters if isinstance(bm, Path) else ("use_levy",)
    if solver.levy_area != "none" and "use_levy" not in asked:
        raise ValueError(
            f"method {method!r} needs increments with their {solver.levy_area} Levy area, but bm has no evaluate(t0, "
            f't1, use_levy=True); pass e.g. a BrownianInterval with levy_area="{solver.levy_area}".'
        )
    if adjoint == "backsolve" and METHODS[method].reversible and not solver.smooth:
        raise ValueError(
            f'adjoint="backsolve" cannot take {method!r} with this base backwards; use adjoint="reversible".'
        )


def check_callable(name: str, f: object) -> None:
    if isinstance(f, type) or not callable(f):
        made = f"; pass an object of it, e.g. {f.__name__}(...)" if isinstance(f, type) else ""
        raise ValueError(f"{name} must be a function of (t, y, args), got {f!r}{made}.")


def check_steps(steps: object, dt: object, adaptive: bool) -> int | None:
    """The steps from one output to the next; None where dt says how long they are."""
    if steps is None and dt is None:
        raise ValueError("dt or steps must be given; pass the length of a step, e.g. dt=0.01.")
    if steps is None:
        return None
    if dt is not None or adaptive:
        raise ValueError(
            f"steps={steps!r} is in place of dt, and for constant steps; leave out {'adaptive' if adaptive else 'dt'}."
        )
    return static_count("steps", steps, 100)


def check_state(y0: Y) -> Y:
    """y0 as a tree of arrays of strong dtype."""
    if not jax.tree.leaves(y0):
        raise ValueError("y0 has no arrays; pass the initial state [*batch, dim].")
    return jax.tree.map(_check_array, y0)


def _check_array(y: Y) -> jax.Array:
    if not eqx.is_array_like(y):
        raise ValueError(f"y0 must be an array, or a tree of arrays, got {y!r} in it; pass such things by args.")
    asked = getattr(y, "dtype", None)  # a Python number takes JAX's default
    dtype = jnp.result_type(y)
    if not jnp.issubdtype(dtype, jnp.inexact):
        raise ValueError(f"y0 must be of a floating dtype, got {dtype}; convert it, e.g. y0.astype(float).")
    if asked is not None and asked != dtype:
        raise ValueError(
            f"y0 has dtype {asked}, which JAX would round to {dtype}: make it so by y0.astype({dtype.name!r}), or "
            'call jax.config.update("jax_enable_x64", True) first.'
        )
    # In NumPy, because under jit an operation of JAX on a concrete array gives a traced one.
    if not isinstance(y, Tracer) and not np.all(np.isfinite(np.asarray(y))):
        raise ValueError("y0 has NaN or infinite entries; pass a finite initial state.")
    return jax.lax.convert_element_type(y, dtype)


def check_path(bm: object, ts: tuple[float, ...] | None, eps: float) -> None:
    """ValueError unless bm is a path, and spans ts where both are known numbers."""
    if not isinstance(bm, Path) or isinstance(bm, type):
        raise ValueError(f"bm must have evaluate(t0, t1), got {bm!r}; pass e.g. a BrownianInterval.")
    t0, t1 = getattr(bm, "t0", -np.inf), getattr(bm, "t1", np.inf)
    if ts is None or isinstance(t0, Tracer) or isinstance(t1, Tracer):
        return
    if not all(covers(float(t0), float(t1), t, eps) for t in (ts[0], ts[-1])):
        raise ValueError(f"ts spans [{ts[0]}, {ts[-1]}], but bm only [{t0}, {t1}]; make bm longer, or ts shorter.")


def check_fields(sde: SDE, steps: Steps | Accepted, y0: Y) -> None:
    """ValueError unless drift, diffusion and Brownian increment have the trees, shapes and dtypes that y0 asks for; the
    noise dimension is the diffusion's.
    """
    mu, sigma = eqx.filter_eval_shape(sde.at, steps.time(0), y0)
    dW = jax.eval_shape(steps.noise, 0)
    if steps.levy_area != "none":
        if not isinstance(dW, LevyIncrement) or (dW.H if steps.levy_area == "space-time" else dW.A) is None:
            raise ValueError(
                f"this method needs increments with their {steps.levy_area} Levy area, but bm gives {dW}; "
                f'pass e.g. a BrownianInterval with levy_area="{steps.levy_area}".'
            )
        dW = dW.W
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
    shapes = [s.shape for s in jax.tree.leaves(sigma) if s.shape]
    noise = 1 if sde.noise_type == "scalar" or not shapes else shapes[0][-1]
    like_sigma = jax.tree.map(lambda y: jax.ShapeDtypeStruct((*y.shape, noise), y.dtype), y0)
    _check_like(f"diffusion ({sde.noise_type} noise: y0 with a trailing noise axis)", sigma, like_sigma)
    like_dW = jax.ShapeDtypeStruct((*first.shape[:-1], noise), first.dtype)
    _check_like(f"increment of bm ({sde.noise_type} noise: [*batch, noise])", dW, like_dW)
    if sde.noise_type == "additive" and _uses(lambda y: sde.matrix(steps.time(0), y), y0):
        raise ValueError(
            "the diffusion of noise_type 'additive' must not depend on y, but is computed with it; take only its "
            "shape, jnp.ones_like(y), or set noise_type to 'general'."
        )


def _uses(function: Callable[[Y], Diffusion], y: Y) -> bool:
    """Whether the entries of y enter into the value, but by a factor that is written as zero."""
    traced = jax.make_jaxpr(function)(y).jaxpr
    traced, _ = dce_jaxpr(traced, [True] * len(traced.outvars), instantiate=True)
    entered = set(traced.invars)
    for eqn in traced.eqns:
        inputs = [x for x in eqn.invars if not isinstance(x, Literal)]
        zero = eqn.primitive.name == "mul" and any(isinstance(x, Literal) and not np.any(x.val) for x in eqn.invars)
        if not zero and any(x in entered for x in inputs):
            entered.update(eqn.outvars)
    return any(not isinstance(x, Literal) and x in entered for x in traced.outvars)


def _check_like(what: str, got: PyTree, expected: Structs) -> None:
    if got is None:
        raise ValueError(f"the {what} is None: its function returns nothing; end it with a return.")
    if jax.tree.structure(got) != jax.tree.structure(expected):
        raise ValueError(
            f"the {what} has the tree {jax.tree.structure(got)}, expected {jax.tree.structure(expected)}; "
            f"return the same containers as y0."
        )
    for g, e in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
        if not isinstance(g, jax.ShapeDtypeStruct):
            raise ValueError(
                f"the {what} has {g!r} in it, expected an array of shape {e.shape}; e.g. jnp.zeros_like(y)."
            )
        if g.shape != e.shape:
            raise ValueError(
                f"the {what} has shape {g.shape}, expected {e.shape}; correct it, or noise_type, or bm.shape."
            )
        if g.dtype not in (e.dtype, jnp.finfo(e.dtype).dtype):  # real noise may drive a complex state
            raise ValueError(
                f"the {what} has dtype {g.dtype}, but y0 has {e.dtype}; convert one of them, e.g. with "
                f"astype or the dtype of BrownianInterval."
            )
