"""The steps of a compiled block as its arguments, in few tensors: each one that is passed costs time."""

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from sdegrad.grid import Grid
from sdegrad.torch.brownian.interval import BrownianInterval
from sdegrad.torch.stepping.fixed import Steps

SMALL = 4096  # numbers in a tensor: for so few passing it costs more than copying it


class StepBlock(NamedTuple):
    """Consecutive steps: times [steps + 1], dts [steps] in float64, and the increments by step."""

    times: Tensor
    dts: Tensor
    dWs: Tensor | Sequence[Any]


def step_block(steps: Steps, k: int, length: int) -> StepBlock:
    """The block of the steps k to k + length - 1."""
    return StepBlock(*block_times(steps, k, length), _increments(steps, k, length))


def block_times(steps: Steps, k: int, length: int) -> tuple[Tensor, Tensor]:
    """The grid times from number k on, and the lengths of the steps between them. They may be shared: do not write
    to them."""
    of = _cached_block_times if isinstance(steps.grid, Grid) else _new_block_times
    return of(steps.grid, k, length, steps.dtype, steps.device)


def _new_block_times(grid: Any, k: int, length: int, dtype: torch.dtype, device: torch.device) -> tuple[Tensor, Tensor]:
    times = [grid.time(i) for i in range(k, k + length + 1)]
    dts = [grid.step(i) for i in range(k, k + length)]
    with torch.inference_mode(False):  # what is kept must serve autograd later
        return torch.tensor(times, dtype=dtype, device=device), torch.tensor(dts, dtype=torch.float64, device=device)


_cached_block_times = functools.lru_cache(256)(_new_block_times)  # a training asks for the same grid again and again


def _increments(steps: Steps, k: int, length: int) -> Tensor | Sequence[Any]:
    if getattr(steps.increment, "__func__", None) is BrownianInterval.cell:
        bm: Any = steps.increment.__self__  # pyright: ignore[reportFunctionMemberAccess]
        W = bm.cells(k, k + length)
        if W is not None and W[0].numel() <= SMALL:
            return W
    return joined([steps.increment(i) for i in range(k, k + length)])


def joined(rows: list[Any]) -> Tensor | Sequence[Any]:
    """The rows as one tensor [rows, ...], if they are small tensors; else as they are."""
    return torch.stack(rows) if isinstance(rows[0], Tensor) and rows[0].numel() <= SMALL else rows
