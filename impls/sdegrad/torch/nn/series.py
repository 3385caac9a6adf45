"""Data as a path that drives an SDE: series at irregular times, with missing values, linear between observations.

The path is solved over against the index s of the data (0 at the first, 1 at the second, ...), so that steps end at
data, whatever their times are. Its slope jumps there, and a solver that evaluates the vector field once at the end of a
step and the start of the next needs both slopes at once. So the slope has two columns, of the even and of the odd
interval beside s, and the path is driven by how much of s was spent in either. Both columns are tensors that the vector
field depends on, hence gradients reach the data.
"""

from collections.abc import Sequence
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from sdegrad.networks import check_series_shapes
from sdegrad.torch.brownian.base import BaseBrownian
from sdegrad.torch.checks import check_no_gradient
from sdegrad.torch.types import State, Time

Times = Tensor | Sequence[float]
Series = Float[Tensor, "times *paths channels"]


def check_series(ts: Tensor, ys: Tensor, mask: Tensor | None, channels: int, masked: bool) -> None:
    """ValueError for shapes and values that are not those of series."""
    shapes = tuple(ts.shape), tuple(ys.shape), None if mask is None else tuple(mask.shape)
    check_series_shapes(*shapes, channels, masked)
    if not bool(torch.isfinite(ts).all()) or bool((ts.diff(dim=0) < 0).any()) or bool((ts[-1] <= ts[0]).any()):
        raise ValueError("ts must be finite and increasing; sort the times. Padding repeats the last one.")
    if mask is not None and mask.dtype != torch.bool:
        raise ValueError(f"mask must be of dtype bool, True where a value was observed, got {mask.dtype}.")
    finite = torch.isfinite(ys) if mask is None else torch.isfinite(ys) | ~mask
    if not bool(finite.all()):
        raise ValueError(
            f"ys has {int((~finite).sum())} values that are NaN or infinite; if they are missing, pass "
            "mask=torch.isfinite(ys) to a module with masked=True."
        )


def times_like(ts: Times, y: Tensor) -> Tensor:
    """The times in the dtype and on the device of y. ValueError if they want a gradient, which nobody computes."""
    check_no_gradient(ts=ts)
    return torch.as_tensor(ts, dtype=y.dtype, device=y.device)


def as_path(
    ts: Times, ys: Tensor, mask: Tensor | None, channels: int, masked: bool
) -> Float[Tensor, "times *paths extended"]:
    """The time, the values and, if masked, how many values of each channel were observed so far.

    ts [times] or, if each series has its own, [times, *paths]. ValueError for what does not fit, before any work.
    """
    ts = times_like(ts, ys)
    check_series(ts, ys, mask, channels, masked)
    t = ts.reshape(*ts.shape, *[1] * (ys.dim() - ts.dim())).expand(*ys.shape[:-1], 1)
    if mask is None:
        return torch.cat((t, ys), -1)
    return torch.cat((t, fill(t, ys, mask), mask.to(ys.dtype).cumsum(0)), -1)


def with_time(t: Time, y: State) -> Float[Tensor, "*paths extended"]:
    return torch.cat((t.to(y.dtype).expand(*y.shape[:-1], 1), y), -1)


def fill(t: Float[Tensor, "times *paths 1"], ys: Series, mask: Bool[Tensor, "times *paths channels"]) -> Series:
    """`ys` with missing values interpolated linearly in time from the observed ones beside them. Before the first and
    after the last observation the value is constant, and zero where none was observed.
    """
    times = len(ys)
    index = torch.arange(times, device=ys.device).reshape(-1, *[1] * (ys.dim() - 1)).expand_as(ys)
    before = torch.where(mask, index, -1).cummax(0).values
    after = torch.where(mask, index, times).flip(0).cummin(0).values.flip(0)
    left = torch.where(before < 0, after, before).clamp(max=times - 1)
    right = torch.where(after == times, before, after).clamp(min=0)
    known, t = torch.where(mask, ys, 0.0), t.expand_as(ys)
    t0, t1 = t.gather(0, left), t.gather(0, right)
    w = torch.where(t1 > t0, (t - t0) / torch.where(t1 > t0, t1 - t0, 1.0), 0.0)
    return torch.lerp(known.gather(0, left), known.gather(0, right), w)


class Slopes:
    """The path at s, and its two slopes there."""

    def __init__(self, path: Float[Tensor, "times *paths extended"]) -> None:
        self.times, self.steps = path[..., :1].detach(), path.diff(dim=0)
        self._kind, self._shift = path.new_tensor((0.0, 1.0)), path.new_tensor((0.25, -0.25))

    def at(self, s: Time) -> tuple[Float[Tensor, "*paths 1"], Float[Tensor, "2 *paths extended"]]:
        """The time at s, and the slope in the even interval beside s and in the odd one: that of its kind nearest to s,
        which is not driven there if it is not beside s."""
        k, last = s.floor(), len(self.steps) - 1
        nearest = (self._shift + 0.5 * s).floor() * 2 + self._kind
        slopes = self.steps.index_select(0, nearest.long().clamp(0, last))
        before, after = self.times.index_select(0, (k + self._kind).long().clamp(0, last + 1)).unbind()
        return torch.lerp(before, after, (s - k).to(before)), slopes


class Alternating(BaseBrownian):
    """Drives the two columns: how much of s lies in even intervals, and how much in odd ones."""

    def __init__(self, like: Float[Tensor, "*paths hidden"]) -> None:
        self._like, self._shape = like.new_empty(()), torch.Size((*like.shape[:-1], 2))

    def __call__(
        self,
        ta: Any,
        tb: Any = None,
        return_U: bool = False,  # noqa: ARG002
        return_A: bool = False,  # noqa: ARG002
    ) -> Float[Tensor, "*paths 2"]:
        ta, tb = float(ta), float(tb)
        a, b = _even_part(ta), _even_part(tb)
        return self._like.new_tensor((b - a, (tb - b) - (ta - a))).expand(self._shape)

    @property
    def levy_area_approximation(self) -> Literal["none"]:
        return "none"

    @property
    def shape(self) -> torch.Size:
        return self._shape

    @property
    def dtype(self) -> torch.dtype:
        return self._like.dtype

    @property
    def device(self) -> torch.device:
        return self._like.device

    def __repr__(self) -> str:
        return f"Alternating({tuple(self._shape)})"


def _even_part(s: float) -> float:
    return s // 2 + min(s % 2, 1.0)
