"""What a compiled block is told of its steps, in as few tensors as pay: each one that is passed costs time."""

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from sdegrad.grid import Grid
from sdegrad.torch.brownian.interval import BrownianInterval
from sdegrad.torch.stepping.fixed import Walk

SMALL = 4096  # numbers in a tensor: for so few passing it costs more than copying it


class Stretch(NamedTuple):
    """Consecutive steps: times [steps + 1], dts [steps] in float64, and the increments by step."""

    times: Tensor
    dts: Tensor
    dWs: Tensor | Sequence[Any]


def stretch(walk: Walk, k: int, length: int) -> Stretch:
    """The steps from number k to k + length - 1."""
    return Stretch(*clock(walk, k, length), _increments(walk, k, length))


def clock(walk: Walk, k: int, length: int) -> tuple[Tensor, Tensor]:
    """The grid times from number k on, and the lengths of the steps between them. They may be kept: not to be written
    to."""
    of = _kept_clock if isinstance(walk.grid, Grid) else _new_clock
    return of(walk.grid, k, length, walk.dtype, walk.device)


def _new_clock(grid: Any, k: int, length: int, dtype: torch.dtype, device: torch.device) -> tuple[Tensor, Tensor]:
    times = [grid.time(i) for i in range(k, k + length + 1)]
    dts = [grid.step(i) for i in range(k, k + length)]
    with torch.inference_mode(False):  # what is kept must serve autograd later
        return torch.tensor(times, dtype=dtype, device=device), torch.tensor(dts, dtype=torch.float64, device=device)


_kept_clock = functools.lru_cache(256)(_new_clock)  # a training asks for the same grid again and again


def _increments(walk: Walk, k: int, length: int) -> Tensor | Sequence[Any]:
    if getattr(walk.increment, "__func__", None) is BrownianInterval.cell:
        bm: Any = walk.increment.__self__  # pyright: ignore[reportFunctionMemberAccess]
        W = bm.cells(k, k + length)
        if W is not None and W[0].numel() <= SMALL:
            return W
    return joined([walk.increment(i) for i in range(k, k + length)])


def joined(rows: list[Any]) -> Tensor | Sequence[Any]:
    """As one tensor [rows, ...] where they are tensors and small."""
    return torch.stack(rows) if isinstance(rows[0], Tensor) and rows[0].numel() <= SMALL else rows
