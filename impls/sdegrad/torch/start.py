"""The vector field at the initial time: evaluated once before the first step, and checked."""

from typing import NamedTuple

import torch
from torch import Tensor

from sdegrad.torch.returned import version
from sdegrad.torch.sde import VectorField
from sdegrad.torch.types import BrownianMotion, State, Time

ELSEWHERE = 0.7071  # no period of a function that is likely to be met
Values = tuple[Tensor, Tensor | None]  # of drift and diffusion, as in `Start`


class Start(NamedTuple):
    """Drift and diffusion at the start, the shape (*paths, noise) of the Brownian motion, and the dtype of the
    solution: that to which y0, the drift and the diffusion are promoted.

    Where the SDE defines g only in products with dW, g0 is None, and f0 the increment f + g dW of dW = 1.
    """

    f0: Tensor | None
    g0: Tensor | None
    noise: tuple[int, ...]
    dtype: torch.dtype


def evaluate_start(
    field: VectorField, noise_type: str, t0: Time, t1: float, y0: State, bm: BrownianMotion | None
) -> Start:
    """Evaluate the vector field at y0. ValueError if a shape does not fit the state and the noise type, if the SDE
    writes into t or y, or if additive noise depends on y half way to t1: at the ends the dependence may vanish."""
    y = y0.clone()  # so that an SDE that writes to it does no harm
    versions = version(t0), version(y)
    start = _start(field, noise_type, t0, y, bm)
    check_unwritten("the state y or the time t", (version(t0), version(y)) == versions)
    if noise_type == "additive" and start.g0 is not None:
        middle, y = 0.5 * (t0 + t1), y0.detach()
        _check_additive(field.g(middle, y.clone()), field.g(middle, y + ELSEWHERE))
    return start


def check_unwritten(what: str, unwritten: bool) -> None:
    if not unwritten:
        raise ValueError(
            f"the drift or the diffusion writes into {what}, which the solver needs again; use operations that make a "
            "new tensor, such as y * a in place of y.mul_(a)."
        )


def field_at(field: VectorField, t: Time, y: State, noise: tuple[int, ...]) -> Values:
    """(f0, g0) of `Start`."""
    if field.has_g:
        return field.f_and_g(t, y)
    return field.increment(t, y, 1.0, y.new_ones(noise)), None


def _start(field: VectorField, noise_type: str, t0: Time, y: State, bm: BrownianMotion | None) -> Start:
    if not field.has_g:
        if bm is None or not hasattr(bm, "shape"):
            raise ValueError("the noise dimension is unknown: define g or f_and_g, or pass a bm with a shape.")
        increment, _ = field_at(field, t0, y, tuple(bm.shape))
        _check_shape("the drift plus the diffusion product", increment, y, tuple(y.shape))
        return Start(increment, None, tuple(bm.shape), _dtype(y, increment))
    f0, g0 = field.f_and_g(t0, y)
    _check_shape("the drift", f0, y, tuple(y.shape))
    if noise_type == "diagonal":
        _check_shape("the diffusion (diagonal noise)", g0, y, tuple(y.shape))
        return Start(f0, g0, tuple(y.shape), _dtype(y, f0, g0))
    channels = g0.shape[-1] if noise_type != "scalar" and g0.dim() == y.dim() + 1 else 1
    _check_shape(f"the diffusion ({noise_type} noise)", g0, y, (*y.shape, channels))
    return Start(f0, g0, (*y.shape[:-1], channels), _dtype(y, f0, g0))


def _dtype(y: State, *values: Tensor) -> torch.dtype:
    dtype = y.dtype
    for value in values:
        dtype = torch.promote_types(dtype, value.dtype)
    if not dtype.is_floating_point:
        got = ", ".join(str(value.dtype) for value in values)
        raise ValueError(f"the SDE must return real tensors, got {got}; split complex ones into two real components.")
    return dtype


def _check_shape(what: str, value: object, y0: State, expected: tuple[int, ...]) -> None:
    got = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
    if got != expected:
        raise ValueError(
            f"{what} must have the shape {expected} for a state of shape {tuple(y0.shape)}, got {got}; "
            "reshape or expand what the SDE returns, or correct its noise_type."
        )
    if isinstance(value, Tensor) and value.device != y0.device:
        raise ValueError(f"{what} must be on the device of y0, {y0.device}, got {value.device}; move the SDE, or y0.")


def _check_additive(g: Tensor, elsewhere: Tensor) -> None:
    if not torch.allclose(g, elsewhere, equal_nan=True):
        raise ValueError(
            f"the diffusion of noise_type 'additive' must not depend on y, but it is another at y0 + {ELSEWHERE}; "
            "set noise_type to 'general' (or to 'diagonal' or 'scalar', where it is)."
        )
