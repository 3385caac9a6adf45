"""The interface of Brownian motions, and the checks of their arguments."""

import math
import operator
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, SupportsIndex

import numpy as np
import torch
from torch import Tensor

from sdegrad.grid import EPS64, resolution
from sdegrad.torch.brownian.levy import LEVY_AREAS, LevyArea
from sdegrad.torch.brownian.rng import Sample

TimeLike = float | int | Tensor | np.floating

FLOATING = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
_CPU = torch.device("cpu")


class QueryOrderError(ValueError, RuntimeError):
    """Raised for a query with ta > tb. A RuntimeError too, as in torchsde."""


class BaseBrownian(ABC):
    """A Brownian motion, known by its increments: `bm(ta, tb)` is W(tb) - W(ta), of shape `bm.shape`.

    With `return_U`, `return_A` a tuple (W, U), (W, A) or (W, U, A): U [*shape] is the integral of W - W(ta)
    over [ta, tb], A [*shape, noise] the Levy area; either is None where `levy_area_approximation` does not
    provide it.
    """

    @abstractmethod
    def __call__(self, ta: Any, tb: Any = None, return_U: bool = False, return_A: bool = False) -> Any: ...

    @abstractmethod
    def __repr__(self) -> str: ...

    @property
    @abstractmethod
    def dtype(self) -> torch.dtype: ...

    @property
    @abstractmethod
    def device(self) -> torch.device: ...

    @property
    @abstractmethod
    def shape(self) -> tuple[int, ...]: ...

    @property
    @abstractmethod
    def levy_area_approximation(self) -> LevyArea: ...

    def size(self) -> tuple[int, ...]:
        return self.shape


class SampledBrownian(BaseBrownian):
    """A Brownian motion of this library, which knows the shape, dtype and device of its sample."""

    _sample: Sample
    _levy_area: LevyArea = "none"

    @property
    def dtype(self) -> torch.dtype:
        return self._sample.dtype

    @property
    def device(self) -> torch.device:
        return self._sample.device

    @property
    def shape(self) -> tuple[int, ...]:
        return self._sample.shape

    @property
    def levy_area_approximation(self) -> LevyArea:
        return self._levy_area


def relative_spacing(t: TimeLike) -> float:
    """The unit in the last place, relative, of the dtype of a time; that of float64 for Python numbers."""
    if type(t) is float:
        return EPS64
    if isinstance(t, Tensor) and t.is_floating_point():
        return torch.finfo(t.dtype).eps
    return float(np.finfo(t.dtype).eps) if isinstance(t, np.floating) else EPS64


def check_interval(t0: TimeLike, t1: TimeLike) -> tuple[float, float]:
    """The ends as floats. ValueError unless they are finite and t0 <= t1."""
    start, end = number("t0", t0), number("t1", t1)
    if not (math.isfinite(start) and math.isfinite(end) and start <= end):
        raise ValueError(f"the ends must be finite with t0 <= t1, got t0={start}, t1={end}; exchange or bound them.")
    return start, end


def number(name: str, value: Any) -> float:
    try:
        if isinstance(value, str):
            raise TypeError
        return float(value)
    except (
        TypeError,
        ValueError,
        OverflowError,
        RuntimeError,
    ) as error:  # NotImplementedError too, of a tensor on meta
        raise ValueError(f"{name} must be a number or a tensor without axes, got {value!r}; pass a float.") from error


def check_options(
    ends: tuple[float, float], dt: TimeLike | None, tol: TimeLike, levy_area_approximation: str, outside: str
) -> LevyArea:
    """The Levy area by its type. ValueError for an option out of range; `ends` set the resolution of time."""
    least = 2 * resolution(*ends)  # either end of a cell may be off so far
    if dt is not None and not least < number("dt", dt) < math.inf:
        raise ValueError(
            f"dt must be a positive finite number, above the resolution {least:g} of time, or None, got dt={dt}; "
            "pass the step of the solver."
        )
    if not (math.isfinite(number("tol", tol)) and tol >= 0):
        raise ValueError(f"tol must be finite and not negative, got tol={tol}; pass 0 for the resolution of float64.")
    if outside not in ("error", "clamp"):
        raise ValueError(f'outside must be "error" or "clamp", got {outside!r}; leave it out for "error".')
    for known in LEVY_AREAS:
        if levy_area_approximation == known:
            return known
    raise ValueError(f"levy_area_approximation must be one of {LEVY_AREAS}, got {levy_area_approximation!r}.")


def check_sample(
    size: Sequence[SupportsIndex] | None,
    dtype: torch.dtype | None,
    device: str | torch.device | None,
    given: dict[str, Tensor | None],
) -> Sample:
    """Shape, dtype and device of a sample, on which the arguments and the tensors `given` must agree."""
    shape = None if size is None else _check_size(size)
    place = None if device is None else _place(device)
    for name, x in given.items():
        if x is not None:
            if not isinstance(x, Tensor):
                raise ValueError(f"{name} must be a tensor or None, got {x!r}; pass torch.tensor({name}).")
            shape = _same("shape", shape, tuple(x.shape), name)
            dtype = _same("dtype", dtype, x.dtype, name)
            place = _same("device", place, x.device, name)
    if shape is None:
        raise ValueError("the shape of a sample is not known; pass size=(paths, noise), or W or H of that shape.")
    dtype = torch.get_default_dtype() if dtype is None else dtype
    if dtype not in FLOATING:
        raise ValueError(f"the dtype must be floating, of 16 bits or more, got {dtype}; pass e.g. dtype=torch.float32.")
    if place is not None and place.type == "meta":
        raise ValueError("the device must be one that holds numbers, got meta; leave it out for the CPU.")
    return Sample(shape, dtype, _CPU if place is None else place)


def _same(what: str, known: Any, value: Any, name: str) -> Any:
    if known is not None and known != value:
        raise ValueError(
            f"the {what} must be the same in all arguments, got {known}, and {value} in {name}; leave out all but one."
        )
    return value


def _place(device: str | torch.device) -> torch.device:
    """`device` with its index, which "cuda" leaves to PyTorch."""
    place = torch.device(device)
    return place if place.type == "cpu" else torch.empty(0, device=place).device


def _check_size(size: Any) -> tuple[int, ...]:
    try:
        shape = tuple(map(operator.index, size))
    except TypeError:
        shape = (-1,)
    if min(shape, default=0) < 0:
        raise ValueError(f"size must be a tuple of non-negative integers, got {size!r}; pass e.g. size=(paths, noise).")
    return shape
