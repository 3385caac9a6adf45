"""Brownian motions that are not this library's: asked as their authors expect it, and held to what they first gave."""

import functools
from typing import Any

import torch
from torch import Tensor

from sdegrad.torch.brownian.base import BaseBrownian
from sdegrad.torch.brownian.derived import ReverseBrownian


class Foreign:
    """`bm`, asked by floats: it is handed tensors without axes on `device`, of float64, in which the grid is exact.

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
    return bm if _takes_floats(bm) else Foreign(bm, device)


def _takes_floats(bm: Any) -> bool:
    if isinstance(bm, ReverseBrownian):
        return _takes_floats(bm.base_brownian)
    return isinstance(bm, BaseBrownian) and type(bm).__call__.__module__.startswith(__name__.rpartition(".")[0])


def _kind(x: Any) -> Any:
    return (tuple(x.shape), x.dtype) if isinstance(x, Tensor) else type(x).__name__
