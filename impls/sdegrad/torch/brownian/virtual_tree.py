"""The Virtual Brownian Tree (Li, Wong, Chen, Duvenaud 2020, "Scalable gradients for SDEs"), a baseline for
comparison.

A fixed dyadic tree: from the increment over the whole, halve towards the query time, splitting seeds along the way,
down to an interval no longer than `tol`; interpolate linearly there. Approximate, O(log(1/tol)) a point.

What a node adds to the mean of its ends is a normal number, and reaches the query time by linear interpolation: so
W(t) is the sum of one normal number for each node on the way, scaled by that node's hat function at t.
"""

import math
from collections.abc import Sequence
from typing import Any, SupportsIndex

import torch
from torch import Tensor

from sdegrad.grid import EPS64, covers
from sdegrad.torch.brownian.base import (
    QueryOrderError,
    SampledBrownian,
    TimeLike,
    check_interval,
    check_sample,
    relative_spacing,
)
from sdegrad.torch.brownian.rng import Lock, Normals, check_entropy, derive, root_seed


class VirtualBrownianTree(SampledBrownian):
    """`bm(ta, tb)` is W(tb) - W(ta), from two descents of the tree; `bm(t)` is W(t) - W(t0).

    size: the shape of a sample. tol: the length at which the descent ends, at least the resolution of float64; below
    it the variance of an increment is too small. A descent draws `depth` + 1 samples. No Levy area: U and A are None.
    ValueError for arguments or times out of range.
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
        least = EPS64 * max(abs(self.t0), abs(self.t1))
        if not (math.isfinite(tol) and tol > least):
            raise ValueError(f"tol must be finite and above {least}, got tol={tol}; pass e.g. half the step size.")
        self.tol = tol
        self.entropy = check_entropy(entropy)
        self._seed = root_seed(self.entropy)
        self._normals = Normals(self._sample)
        self.depth = max(0, math.ceil(math.log2((self.t1 - self.t0) / tol))) if self.t1 > self.t0 else 0
        with torch.inference_mode(False):  # to be written to in any mode
            self._terms = torch.empty((self.depth + 1, *self.shape), dtype=self.dtype, device=self.device)
        self._rows = self._terms.unbind(0)
        self._lock = Lock()

    def __call__(self, ta: TimeLike, tb: TimeLike | None = None, return_U: bool = False, return_A: bool = False) -> Any:
        a, b = (self.t0, float(ta)) if tb is None else (float(ta), float(tb))
        if a > b:
            raise QueryOrderError(f"a query needs ta <= tb, got ta={a}, tb={b}; exchange the two and negate W.")
        eps = max(relative_spacing(ta), relative_spacing(ta if tb is None else tb))
        if not (covers(self.t0, self.t1, a, eps) and covers(self.t0, self.t1, b, eps)):
            raise ValueError(f"the query [{a}, {b}] is not within [t0, t1] = [{self.t0}, {self.t1}].")
        with self._lock:
            W = self._point(min(b, self.t1)) - self._point(max(a, self.t0))
        return (W, *(None for wanted in (return_U, return_A) if wanted)) if return_U or return_A else W

    def _point(self, t: float) -> Tensor:
        """W(t) - W(t0)."""
        a, b, seed, draw = self.t0, self.t1, derive(self._seed, 0), self._normals.into
        if a == b:
            return torch.zeros(self.shape, dtype=self.dtype, device=self.device)
        draw(self._rows[0], self._seed, (t - a) / math.sqrt(b - a))
        for row in self._rows[1:]:
            middle, deviation = (a + b) / 2, math.sqrt(b - a) / 2
            if t < middle:
                draw(row, seed, deviation * (t - a) / (middle - a))
                b, seed = middle, derive(seed, 0)
            else:
                draw(row, seed, deviation * (b - t) / (b - middle))
                a, seed = middle, derive(seed, 1)
        return self._terms.sum(0)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by arguments: in a copy of the attributes the rows would not be views of the terms."""
        return type(self), (self.t0, self.t1, self.shape, self.dtype, self.device, self.entropy, self.tol)

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(t0={self.t0}, t1={self.t1}, size={self.shape}, dtype={self.dtype}, "
            f"device={self.device}, entropy={self.entropy}, tol={self.tol})"
        )
