"""Brownian motions of other libraries: queried with tensors, and checked to return the same kind of values."""

import functools
from typing import Any

import torch
from torch import Tensor

from sdegrad.torch.brownian.base import BaseBrownian
from sdegrad.torch.brownian.derived import ReverseBrownian


class Foreign:
    """`bm`, to be queried with floats: it gets float64 tensors without axes on `device`, in which the grid is exact.

    ValueError if an answer is of another shape or dtype than the first one of its kind.
    """

    def __init__(self, bm: Any, device: torch.device) -> None:
        self._bm, self._kinds = bm, {}
        self._time = functools.lru_cache(4)(lambda t: torch.tensor(t, dtype=torch.float64, device=device))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._bm, name)  # t0, t1, shape, levy_area_approximation, as far as it has them

    def __call__(self, ta: float, tb: float, **areas: bool) -> Any:
        answer = self._bm(self._time(ta), self._time(tb), **areas)
        kind = [_kind(x) for x in answer] if isinstance(answer, tuple) else _kind(answer)
        known = self._kinds.setdefault(tuple(areas), kind)
        if kind != known:
            raise ValueError(
                f"bm gave {kind} for the times {ta} and {tb}, but {known} at first; let it give the same shapes and "
                "dtypes for all times."
            )
        return answer


def as_ours(bm: Any, device: torch.device) -> Any:
    """A Brownian motion that can be queried with floats: `bm` itself, or a `Foreign` around it."""
    return bm if _takes_floats(bm) else Foreign(bm, device)


def _takes_floats(bm: Any) -> bool:
    if isinstance(bm, ReverseBrownian):
        return _takes_floats(bm.base_brownian)
    return isinstance(bm, BaseBrownian) and type(bm).__call__.__module__.startswith("sdegrad.torch.")


def _kind(x: Any) -> Any:
    return (tuple(x.shape), x.dtype) if isinstance(x, Tensor) else type(x).__name__
