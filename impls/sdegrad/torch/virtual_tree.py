"""The Virtual Brownian Tree (Li, Wong, Chen, Duvenaud 2020, "Scalable gradients for SDEs"), a baseline for
comparison.

A fixed dyadic tree: from the end values, halve towards the query time, splitting seeds along the way, down to
an interval no longer than `tol`; interpolate linearly there. Approximate, without memory, O(log(1/tol)) a
point.
"""

import math
from collections.abc import Sequence
from typing import Any, SupportsIndex

import torch
from torch import Tensor

from sdegrad.torch.brownian_base import (
    QueryOrderError,
    SampledBrownian,
    TimeLike,
    check_interval,
    check_sample,
)
from sdegrad.torch.seeds import Normals, check_entropy, derive, root_seed


class VirtualBrownianTree(SampledBrownian):
    """`bm(ta, tb)` is W(tb) - W(ta), from two descents of the tree; `bm(t)` is W(t) - W(t0).

    size: the shape of a sample. tol: positive, the length at which the descent ends; below it the variance of
    an increment is too small. No Levy area: U and A are None. ValueError for arguments or times out of range.
    """

    def __init__(
        self,
        t0: TimeLike = 0.0,
        t1: TimeLike = 1.0,
        size: Sequence[int] | None = None,
        dtype: torch.dtype | None = None,
        device: str | torch.device | None = None,
        entropy: SupportsIndex | None = None,
        tol: float = 1e-6,
    ) -> None:
        self.t0, self.t1 = check_interval(t0, t1)
        self._sample = check_sample(size, dtype, device, {})
        if not (math.isfinite(tol) and tol > 0):
            raise ValueError(f"tol must be a positive finite number, got tol={tol}; pass e.g. half the step size.")
        self.tol = tol
        self.entropy = check_entropy(entropy)
        self._seed = root_seed(self.entropy)
        self._normals = Normals(self._sample)

    def __call__(self, ta: TimeLike, tb: TimeLike | None = None, return_U: bool = False, return_A: bool = False) -> Any:
        a, b = (self.t0, float(ta)) if tb is None else (float(ta), float(tb))
        if a > b:
            raise QueryOrderError(f"a query needs ta <= tb, got ta={a}, tb={b}; exchange the two and negate W.")
        if not (self.t0 <= a and b <= self.t1):
            raise ValueError(f"the query [{a}, {b}] is not within [t0, t1] = [{self.t0}, {self.t1}].")
        W = self._point(b) - self._point(a)
        return (W, *(None for asked in (return_U, return_A) if asked)) if return_U or return_A else W

    def _point(self, t: float) -> Tensor:
        """W(t) - W(t0)."""
        a, b, seed = self.t0, self.t1, derive(self._seed, 0)
        W_a = torch.zeros(self.shape, dtype=self.dtype, device=self.device)
        W_b = self._normals(self._seed, self.shape).mul_(math.sqrt(b - a))
        while b - a > self.tol:
            middle = (a + b) / 2
            W_middle = self._normals(seed, self.shape).mul_(math.sqrt(b - a) / 2).add_(W_a + W_b, alpha=0.5)
            if t < middle:
                b, W_b, seed = middle, W_middle, derive(seed, 0)
            else:
                a, W_a, seed = middle, W_middle, derive(seed, 1)
        return torch.lerp(W_a, W_b, (t - a) / (b - a)) if b > a else W_a

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(t0={self.t0}, t1={self.t1}, size={self.shape}, dtype={self.dtype}, "
            f"device={self.device}, entropy={self.entropy}, tol={self.tol})"
        )
