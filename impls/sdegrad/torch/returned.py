"""A check that the functions of an SDE return the same kind of values during a solve."""

from typing import Any

import torch
from torch import Tensor

from sdegrad.torch.types import Form, Noise, State, Time


def of_one_kind(role: str, method: Form) -> Form:
    """`method`, whose values must have the shape of its first ones, which are checked: others would be broadcast
    in silence. Those of a lower precision, under autocast, say, are taken in that of y."""
    shapes: list[torch.Size | None] = []

    def taken(x: Any, y: State, i: int) -> Any:
        shape = x.shape if isinstance(x, Tensor) else None
        if len(shapes) == i:
            shapes.append(shape)
        elif shapes[i] != shape:
            raise ValueError(
                f"{role} returned {_kind(x)}, and another shape at first; it must not change during a solve."
            )
        if shape is None or x.dtype is y.dtype or torch.promote_types(x.dtype, y.dtype) != y.dtype:
            return x
        return x.to(y.dtype)

    def single(t: Time, y: State, *dW: Noise) -> Any:
        x = method(t, y, *dW)
        known = isinstance(x, Tensor) and x.dtype is y.dtype and shapes and x.shape == shapes[0]  # nearly always
        return x if known else taken(x, y, 0)

    def pair(t: Time, y: State, *dW: Noise) -> Any:
        both = method(t, y, *dW)
        if not isinstance(both, tuple | list) or len(both) != 2:
            raise ValueError(f"{role} must return two tensors, of the drift and of the diffusion, got {_kind(both)}.")
        first, second = both
        return taken(first, y, 0), taken(second, y, 1)

    return pair if role in ("f_and_g", "f_and_g_prod") else single


def _kind(x: Any) -> Any:
    return tuple(x.shape) if isinstance(x, Tensor) else type(x).__name__


def version(x: Tensor) -> int:
    """A number that changes each time that the tensor is written to."""
    return 0 if x.is_inference() else x._version


def differ(x: Tensor, known: Tensor) -> bool:
    """True if `x` and `known` differ by more than round-off, which depends on code and device."""
    x, known = x.detach(), known.detach()
    if x.dtype is known.dtype and torch.equal(x, known):  # nearly always, and one operation
        return False
    return bool((x - known).abs().max() > torch.finfo(known.dtype).eps ** 0.5 * known.abs().max())
