"""Brownian motions made of the Brownian Interval: a path without end, a tree for points, time reversed."""

from collections.abc import Sequence
from typing import Any, SupportsIndex

import torch
from torch import Tensor

from sdegrad.torch.brownian.base import BaseBrownian, SampledBrownian, TimeLike, number
from sdegrad.torch.brownian.interval import BrownianInterval
from sdegrad.torch.brownian.rng import Sample

_ENDLESS = 2.0**53  # as far as a float64 counts
_CELL = 1024.0  # long: the times of most programs share the tree of the first


class _Wrapper(SampledBrownian):
    """A Brownian motion made of another."""

    _base: BaseBrownian

    def _wrap(self, base: BaseBrownian) -> None:
        self._base, self._levy_area = base, base.levy_area_approximation
        self._sample = Sample(base.shape, base.dtype, base.device)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._base!r})"


class _Points(_Wrapper):
    """`bm(t)` is w0 + W(t) - W(t0), `bm(ta, tb)` the increment: [*shape] either. A time outside is taken to be the end,
    with a warning."""

    _base: BrownianInterval  # pyright: ignore[reportIncompatibleVariableOverride] (set once)
    _w0: Tensor

    def __call__(self, t: TimeLike, tb: TimeLike | None = None, return_U: bool = False, return_A: bool = False) -> Any:
        if tb is not None:
            return self._base(t, tb, return_U, return_A)
        answer = self._base(self._base.t0, t, return_U, return_A)
        return (self._w0 + answer[0], *answer[1:]) if isinstance(answer, tuple) else self._w0 + answer


def _tensor(w0: object) -> Tensor:
    if not isinstance(w0, Tensor):
        raise ValueError(f"w0 must be a tensor, got a {type(w0).__name__}; pass torch.as_tensor(w0).")
    return w0


class BrownianPath(_Points):
    """Brownian motion from (t0, w0) on, without end. `window_size` has no effect, as in torchsde."""

    def __init__(self, t0: TimeLike, w0: Tensor, window_size: int = 8) -> None:  # noqa: ARG002
        self._w0 = _tensor(w0)
        start = number("t0", t0)
        self._wrap(BrownianInterval(start, start + _ENDLESS, w0.shape, w0.dtype, w0.device, dt=_CELL, outside="clamp"))


class BrownianTree(_Points):
    """Brownian motion on [t0, t1] from w0 to w1, each drawn if not given: t1 is t0 + 1.

    Times are rounded to within `tol` on a dyadic tree, so a value depends on (entropy, t0, t1) and not on
    other queries. `pool_size`, `cache_depth` and `safety` have no effect.
    """

    def __init__(
        self,
        t0: TimeLike,
        w0: Tensor,
        t1: TimeLike | None = None,
        w1: Tensor | None = None,
        entropy: SupportsIndex | None = None,
        tol: float = 1e-6,
        pool_size: int = 24,  # noqa: ARG002
        cache_depth: int = 9,  # noqa: ARG002
        safety: float | None = None,  # noqa: ARG002
    ) -> None:
        self._w0 = _tensor(w0)
        self._wrap(
            BrownianInterval(
                t0,
                t0 + 1.0 if t1 is None else t1,
                w0.shape,
                w0.dtype,
                w0.device,
                entropy,
                tol=tol,
                halfway_tree=True,
                W=None if w1 is None else w1 - w0,
                outside="clamp",
            )
        )


class ReverseBrownian(_Wrapper):
    """The Brownian motion -W(-s): over [ta, tb] its increment is that of `base_brownian` over [-tb, -ta].

    Reversal takes U to h W - U (so H to -H) and A to -A; torchsde returns both unchanged.
    """

    def __init__(self, base_brownian: BaseBrownian) -> None:
        self.base_brownian = base_brownian
        self._wrap(base_brownian)

    @property
    def t0(self) -> float:
        """The start of the reversed motion. AttributeError if the base does not say where it ends."""
        return -float(self._base.t1)  # pyright: ignore[reportAttributeAccessIssue]

    @property
    def t1(self) -> float:
        return -float(self._base.t0)  # pyright: ignore[reportAttributeAccessIssue]

    def __call__(self, ta: TimeLike, tb: TimeLike | None = None, return_U: bool = False, return_A: bool = False) -> Any:
        """ValueError without `tb`: the reversed motion has no start of its own."""
        if tb is None:
            raise ValueError("a reversed Brownian motion is queried by intervals; pass ta and tb.")
        answer = self._base(-tb, -ta, return_U=return_U, return_A=return_A)
        if not (return_U or return_A):
            return answer
        W, *areas = answer
        if return_U and areas[0] is not None:
            areas[0] = (float(tb) - float(ta)) * W - areas[0]
        if return_A and areas[-1] is not None:
            areas[-1] = -areas[-1]
        return (W, *areas)


def brownian_interval_like(
    y: Tensor,
    t0: TimeLike = 0.0,
    t1: TimeLike = 1.0,
    size: Sequence[SupportsIndex] | None = None,
    dtype: torch.dtype | None = None,
    device: str | torch.device | None = None,
    **kwargs: Any,
) -> BrownianInterval:
    """A `BrownianInterval` of the size, dtype and device of `y`, where these are not given."""
    at = y.device if device is None else device
    return BrownianInterval(t0, t1, y.shape if size is None else size, dtype or y.dtype, at, **kwargs)
