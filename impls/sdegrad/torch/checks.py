"""Checks of arguments before a solve starts. Every function here raises ValueError for what it refuses."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch._C._functorch import get_unwrapped, is_batchedtensor, is_functorch_wrapped_tensor

from sdegrad.grid import EPS64, Grid, check_times, covers
from sdegrad.methods import METHODS, NoiseType, SDEType
from sdegrad.torch.base_sde import check_types
from sdegrad.torch.brownian.base import FLOATING
from sdegrad.torch.brownian.levy import LEVY_AREAS, LevyArea
from sdegrad.torch.methods import SOLVERS
from sdegrad.torch.types import SDE, Area, BrownianMotion, Number, SolverState, SpaceTime, State

ADJOINTS = ("backprop", "reversible", "checkpoint", "backsolve")


class Times(NamedTuple):
    """ts, dt: on the host; ends: the first and the last as they were given, for the dtype says how exact they are;
    dtype: of the times given to the SDE; eps: relative spacing of the given `ts`."""

    ts: list[float]
    ends: tuple[Number, Number]
    dt: float
    dtype: torch.dtype
    eps: float


def check_sde(sde: SDE) -> None:
    if isinstance(sde, type):
        raise ValueError(f"the SDE must be an object, got the class {sde.__name__}; make one, e.g. {sde.__name__}().")
    for name in ("noise_type", "sde_type"):
        if not hasattr(sde, name):
            raise ValueError(f"{type(sde).__name__} has no attribute {name}; set it, or derive from BaseSDE.")
    check_types(sde.noise_type, sde.sde_type)


def check_method(method: str | None, sde_type: SDEType, noise_type: NoiseType) -> str:
    """The method that is used: `method`, or if None the default for the calculus and the noise of the SDE."""
    method = default_method(sde_type, noise_type) if method is None else method
    if not isinstance(method, str) or method not in SOLVERS:
        raise ValueError(f"unknown method {method!r}; the methods are {', '.join(SOLVERS)}.")
    known = METHODS[method]
    names = ", ".join(fitting(sde_type, noise_type))
    if sde_type not in known.sde_types:
        raise ValueError(
            f"method {method!r} converges in the {known.sde_type} sense, but the SDE has sde_type {sde_type!r}; "
            f"use one of {names}, or convert the drift and change sde_type."
        )
    if noise_type not in known.order:
        raise ValueError(
            f"method {method!r} is for {', '.join(known.order)} noise, but the SDE has noise_type {noise_type!r}; "
            f"use one of {names}."
        )
    return method


def fitting(sde_type: SDEType, noise_type: NoiseType) -> list[str]:
    """The names of the methods for this calculus and noise."""
    return [name for name in SOLVERS if sde_type in METHODS[name].sde_types and noise_type in METHODS[name].order]


def has_reversal(method: str) -> bool:
    return METHODS[method].reversible or METHODS[method].near_reversible


def default_method(sde_type: SDEType, noise_type: NoiseType) -> str:
    if sde_type == "stratonovich":
        return "midpoint"
    return "euler" if noise_type == "general" else "srk"


def check_levy_area(bm: BrownianMotion, needed: LevyArea, what: str) -> None:
    having = getattr(bm, "levy_area_approximation", "none")
    enough = {"none": LEVY_AREAS, "space-time": LEVY_AREAS[1:]}.get(needed, ("davie", "foster"))
    if having not in enough:
        raise ValueError(
            f"{what} needs a Brownian motion with the Levy area {needed!r}, but bm has {having!r}; pass "
            f"BrownianInterval(..., levy_area_approximation={needed!r}), leave bm out, or use another method."
        )


def check_adjoint(adjoint: str, method: str) -> None:
    if adjoint not in ADJOINTS:
        raise ValueError(f"unknown adjoint {adjoint!r}; it must be one of {', '.join(ADJOINTS)}.")
    if adjoint == "reversible" and not has_reversal(method):
        having = ", ".join(filter(has_reversal, SOLVERS))
        raise ValueError(f"method {method!r} has no reversible adjoint; use {having}, or another adjoint.")


def check_state(y0: object) -> None:
    if not isinstance(y0, Tensor) or y0.dtype not in FLOATING:
        what = str(y0.dtype) if isinstance(y0, Tensor) else type(y0).__name__
        raise ValueError(f"y0 must be a tensor of a floating dtype, got {what}; convert it, e.g. y0.float().")
    if y0.is_meta or y0.is_nested or y0.layout != torch.strided:
        what = "on the device meta" if y0.is_meta else "nested" if y0.is_nested else f"of the layout {y0.layout}"
        raise ValueError(f"y0 must be dense and hold numbers, but is {what}; pass y0.to_dense(), or real values.")
    if y0.dim() == 0 or y0.numel() == 0:
        raise ValueError(f"y0 must have the shape (*paths, dim) and be non-empty, got {tuple(y0.shape)}.")
    if _is_batched(y0):
        raise RuntimeError(
            "y0 has an axis of torch.func.vmap, but is checked by its values; put the samples into the leading axes of "
            "y0, [*paths, dim]. Parameters may have such an axis."
        )
    if not torch.isfinite(y0).all():
        raise ValueError("y0 has NaN or infinite entries; the solve would spread them to every output.")


def _is_batched(y0: Tensor) -> bool:
    """Whether an axis of it is one of torch.func.vmap, under other transforms of torch.func perhaps."""
    while is_functorch_wrapped_tensor(y0):
        if is_batchedtensor(y0):
            return True
        y0 = get_unwrapped(y0)
    return False


def read_times(ts: Any, dt: Any, dtype: torch.dtype) -> Times:
    """The output times and the step; `dtype` is that of the state, for times that are Python numbers."""
    check_no_gradient(ts=ts, dt=dt)
    given, eps = ts, EPS64
    if isinstance(ts, Tensor):
        if ts.dim() != 1 or ts.is_meta or ts.layout is not torch.strided:
            kind = f"the shape {tuple(ts.shape)} on {ts.device}, {ts.layout}"
            raise ValueError(f"ts must have one axis and hold numbers, got {kind}.")
        if ts.is_floating_point():
            dtype = ts.dtype
            # An ulp of a half precision is as long as a step, so these are taken at their face value.
            given = ts.float() if ts.element_size() == 2 else ts
            eps = torch.finfo(given.dtype).eps
        ts = ts.tolist()
    try:
        if not isinstance(ts, Sequence | np.ndarray) or isinstance(ts, str):
            raise TypeError
        if any(isinstance(x, str) for x in (*ts, dt)):
            raise TypeError
        times, step = [float(t) for t in ts], float(dt)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"ts must be numbers in a sequence or tensor, dt a number; got {ts}, {dt}.") from error
    check_times(times, step)
    return Times(times, (given[0], given[-1]), step, dtype, eps)


def check_no_gradient(**values: object) -> None:
    for name, value in values.items():
        if isinstance(value, Tensor) and value.requires_grad:
            raise ValueError(f"{name} requires a gradient, which is not computed; pass {name}.detach().")


def check_mappings(**values: object) -> None:
    for name, value in values.items():
        if not (value is None or isinstance(value, Mapping)):
            raise ValueError(f"{name} must be a mapping of names, got {value!r}; pass a dict, or leave it out.")


def as_state(extra: object) -> SolverState:
    if not isinstance(extra, Sequence):
        raise ValueError(f"extra_solver_state must be a tuple of tensors, got a {type(extra).__name__}.")
    return tuple(extra)


def check_span(bm: BrownianMotion, grid: Grid, eps: float) -> None:
    """`bm` must reach from ts[0] to ts[-1], if it has the attributes t0 and t1."""
    t0, t1 = float(getattr(bm, "t0", grid.t0)), float(getattr(bm, "t1", grid.t1))
    if not (covers(t0, t1, grid.t0, eps) and covers(t0, t1, grid.t1, eps)):
        raise ValueError(
            f"bm is defined on [{t0}, {t1}], but ts reaches from {grid.t0} to {grid.t1}, outside; make a "
            "BrownianInterval that covers it, or leave bm out."
        )


def check_constant(noise: Any) -> None:
    """`noise`, an increment that was queried while autograd was on, must not lead back to a tensor."""
    parts = noise if isinstance(noise, tuple) else (noise,)
    if any(dW.requires_grad for dW in parts):
        raise ValueError(
            "bm depends on tensors that require gradients, which this adjoint does not reach; detach them, or use "
            'adjoint="backprop".'
        )


def check_callable(bm: object) -> None:
    if isinstance(bm, type):
        raise ValueError(
            f"bm must be a Brownian motion, got the class {bm.__name__}; make an object of it, or leave it out."
        )
    if not (bm is None or callable(bm)):
        raise ValueError(f"bm must be callable as bm(ta, tb), got a {type(bm).__name__}; or leave it out.")


def check_flags(**values: object) -> None:
    for name, value in values.items():
        if not isinstance(value, bool | int | np.bool_) or value not in (False, True):
            raise ValueError(f"{name} must be True or False, got {value!r}; a string or another object is neither.")


def check_progress(progress: object) -> None:
    if not (progress is None or callable(progress)):
        raise ValueError(
            f"progress must be callable as progress(step, steps), got {progress!r}; pass a function, or leave it out."
        )


def check_noise(noise: Any, shape: tuple[int, ...], y0: State) -> None:
    """`noise`, the first increment [*paths, noise] with its Levy area, must have the dtype and device of the state."""
    parts = noise if isinstance(noise, Area | SpaceTime) else (noise,)
    shapes = (shape, (*shape, shape[-1]) if isinstance(noise, Area) else shape)
    for dW, needed in zip(parts, shapes, strict=False):
        got = (tuple(dW.shape), dW.dtype, dW.device) if isinstance(dW, Tensor) else type(dW).__name__
        if got != (needed, y0.dtype, y0.device):
            what = "an increment" if needed == shape else "a Levy area"
            raise ValueError(
                f"bm gave {what} of {got}, but the SDE and y0 need {(needed, y0.dtype, y0.device)}; "
                "make it with that shape, dtype and device, or leave bm out."
            )
