"""The Brownian Interval: exact increments over any interval, in constant memory on a known grid.

After Kidger, Foster, Li, Lyons (2021), "Efficient and accurate gradients for neural SDEs", with another
structure: cells of a grid of step `dt`, each with its own counter-based seed, and a tree inside a cell only
for queries that are not on the grid.
"""

import math
from collections.abc import Sequence
from functools import reduce
from typing import Any, SupportsIndex

import torch
from jaxtyping import Float
from torch import Tensor
from torch._C._functorch import is_batchedtensor

from sdegrad.grid import Grid, make_grid
from sdegrad.torch.brownian.base import (
    SampledBrownian,
    TimeLike,
    check_interval,
    check_options,
    check_sample,
    relative_spacing,
)
from sdegrad.torch.brownian.cell_tree import CellTree
from sdegrad.torch.brownian.cells import GridCells
from sdegrad.torch.brownian.levy import Increment, join, levy_area, space_time_integral
from sdegrad.torch.brownian.places import Place, located
from sdegrad.torch.brownian.portable import normals_of
from sdegrad.torch.brownian.rng import Lock, check_entropy, derive, root_seed, time_counter
from sdegrad.torch.eager import eager
from sdegrad.torch.warn import warn

MOST_NUMBERS = 10**10  # minutes


class BrownianInterval(SampledBrownian):
    """Brownian motion on [t0, t1], queried by intervals: `bm(ta, tb)` is W(tb) - W(ta).

    On the grid t0, t0 + dt, ..., t1 the path is a pure function of (entropy, shape, dtype, device, grid).
    Inside a cell it is exact in law, jointly for all queries; there it depends on the queries and their order
    only within 1/64 of the cell, or, with `halfway_tree`, not at all. A query time within four ulp of a grid time,
    and 1/64 of a cell, means that grid time; ulp of the dtype of the query, float64 for Python numbers.

    A result may be a view of what the object keeps: do not write into it.
    """

    @eager
    def __init__(
        self,
        t0: TimeLike = 0.0,
        t1: TimeLike = 1.0,
        size: Sequence[SupportsIndex] | None = None,
        dtype: torch.dtype | None = None,
        device: str | torch.device | None = None,
        entropy: SupportsIndex | None = None,
        dt: TimeLike | None = None,
        tol: TimeLike = 0.0,
        pool_size: int = 8,
        cache_size: int | None = 45,
        halfway_tree: bool = False,
        levy_area_approximation: str = "none",
        W: Float[Tensor, "*shape"] | None = None,
        H: Float[Tensor, "*shape"] | None = None,
        *,
        outside: str = "error",
        generator: str = "native",
        rows: Sequence[SupportsIndex] | None = None,
    ) -> None:
        """
        t0, t1: the ends, finite, t0 <= t1.
        size: the shape of a sample, (*paths, noise); () and (paths,) are scalar Brownian motions, whose Levy
            area is zero. dtype: floating, torch's default if None. device: the CPU if None. All three follow
            W or H if given.
        entropy: the seed, a non-negative integer of any size; if None, drawn from torch's global generator. Each
            worker of a `DataLoader` has its own, so what a worker makes is noise of its own, and so is
            entropy=torch.initial_seed() there. An object made before the fork is one noise in all workers, and
            so is any that processes make which were forked without a `torch.manual_seed` of their own.
        dt: the step of the grid, best that of the solver: steps of the grid cost one draw each, in any order,
            and memory does not grow with their number. If None the whole interval is one cell: each new query
            time then costs a walk down a tree, and about 200 bytes.
        tol: off the grid, times are rounded to within `tol` (0: within the resolution of float64).
        halfway_tree: off the grid, halve intervals down to `tol`, so that a value does not depend on other
            queries. Without a `tol` this is some fifty halvings per query.
        levy_area_approximation: "none"; "space-time" for U; "davie" or "foster" for U and an approximate A.
            That A has the exact covariance with W and H over a grid cell and the exact variance; over unions
            of cells it obeys Chen's relation; over a piece of a cell it is drawn given the W and H of the
            piece, since an approximate A cannot be bridged: so A over the pieces of a cell does not add up to
            that of the cell.
        W, H: condition on the increment, on the space-time Levy area, over [t0, t1]. Gradients reach them: then
            nothing is kept between queries, so that each has a graph of its own.
        outside: what is done about queries outside [t0, t1]: "error", or "clamp" them to the ends, and warn. W is
            constant there then, so such an increment is too small.
        generator: "native", PyTorch's, whose numbers depend on the kind of device; "portable": the same path on every
            device, for any block of memory and number of threads, and over the cells of the grid the W and H of
            `sdegrad.jax.BrownianInterval(..., jax.random.key(entropy), generator="portable")`, bit for bit in single
            precision. Fast on the CPU where numba is installed (pip install "sdegrad[portable]").
        rows: (start, stop), these rows alone of a batch of this size, drawn without the others: for batches that are
            shared out over processes. With generator="portable", without W and H.
        pool_size, cache_size: no effect, as in torchsde's signature; memory is bounded by bytes (a few MiB).

        ValueError for anything else.
        """
        ends = check_interval(t0, t1)
        self._sample = check_sample(size, dtype, device, {"W": W, "H": H})
        self._levy_area = check_options(ends, dt, tol, levy_area_approximation, outside)
        self._has_area = self._levy_area in ("davie", "foster")
        self._entropy = check_entropy(entropy)
        self.dt, self.tol, self.halfway_tree, self.outside = dt, tol, halfway_tree, outside
        self.pool_size, self.cache_size = pool_size, cache_size
        if dt is None:
            self.grid = Grid(*ends, ends[1] - ends[0] or 1.0, 1)
        else:
            self.grid = make_grid(*ends, float(dt), max(map(relative_spacing, (t0, t1, dt))))
        self.t0, self.t1 = ends
        self._sure = self.grid.surely

        self._seed, self._generator = root_seed(self._entropy), generator
        self._normals = normals = normals_of(generator, self._sample, self._entropy, rows, W is None and H is None)
        self._sample = normals.sample
        tracks_h = self._levy_area != "none" or H is not None
        constant = not any(x is not None and (x.requires_grad or is_batchedtensor(x)) for x in (W, H))
        self._cells = GridCells(self.grid, normals, derive(self._seed, 0), tracks_h, W, H, constant)
        self._tree = CellTree(normals, float(tol), halfway_tree, constant)
        self._rows = self._cells.rows
        self._lock = Lock()

    def cell(self, k: Any, return_U: bool = False, return_A: bool = False) -> Any:
        """The increment over grid cell k, from grid time k to k + 1; with U and A as a call gives them.

        ValueError unless k is a whole number, of any type, and 0 <= k < grid.steps.
        """
        W = self._rows.get(k)
        if W is None:
            with self._lock:
                W = self._cells.row(self._cells.number(k))
        if not (return_U or return_A):
            return W
        with self._lock:
            return self._answer(self._cell(self._cells.number(k), return_A), return_U, return_A)

    def cells(self, i: Any, j: Any) -> Tensor | None:
        """The increments over grid cells i to j - 1 [cells, *shape], if they were drawn as one tensor; else None."""
        with self._lock:
            i, j = self._cells.number(i), self._cells.number(j - 1) + 1
            start, W, _ = self._cells.block(i)
        return W[i - start : j - start] if j <= start + len(W) else None

    def __call__(self, ta: TimeLike, tb: TimeLike | None = None, return_U: bool = False, return_A: bool = False) -> Any:
        """W(tb) - W(ta) [*shape], and in a tuple U [*shape], A [*shape, noise] where wanted; bm(t) is bm(t0, t).

        ValueError if ta > tb, or if a time is beyond [t0, t1] by more than four ulp of its dtype, as `outside` says.
        """
        if type(ta) is float and type(tb) is float and self.t0 <= ta < tb <= self.t1:  # most queries are cells
            t0, dt, sure = self.t0, self.grid.dt, self._sure
            k = round((ta - t0) / dt)
            start, end = t0 + k * dt, t0 + (k + 1) * dt
            if abs(ta - start) <= sure * abs(start) and abs(tb - end) <= sure * abs(end):
                W = None if return_U or return_A else self._rows.get(k)
                return self.cell(k, return_U, return_A) if W is None else W
        if tb is None:
            warn("a Brownian interval is queried by intervals; bm(t) costs what bm(t0, t) does.")
            ta, tb = self.t0, ta
        start, end = located(self.grid, ta, tb, self.outside)
        if start.on_grid and end.on_grid and end.k == start.k + 1:
            return self.cell(start.k, return_U, return_A)
        with self._lock:
            pieces = self._pieces(start, end, return_A)
        return self._answer(reduce(join, pieces) if pieces else self._nothing(), return_U, return_A)

    def _pieces(self, start: Place, end: Place, area: bool) -> list[Increment]:
        """The increments over a first part of a cell, over whole cells, and over a last part of a cell, if any."""
        (a, i, a_on_grid), (b, j, b_on_grid) = start, end
        pieces = []
        if not a_on_grid:
            pieces.append(self._inside(i, a, b if i == j else self.grid.time(i + 1), area))
            i += 1
        if i < j:
            self._check_sum(j - i)
            pieces.append(self._union(i, j, area))
        if not b_on_grid and i <= j:
            pieces.append(self._inside(j, self.grid.time(j), b, area))
        return pieces

    def _check_sum(self, cells: int) -> None:
        numbers = cells * math.prod(self.shape)
        if numbers > MOST_NUMBERS:
            raise ValueError(
                f"the query is of {cells:.3g} cells of dt={self.dt}, so of {numbers:.3g} numbers, of which at most "
                f"{MOST_NUMBERS:.0e} are drawn for one answer; make dt larger, or leave it out."
            )

    def _cell(self, k: int, area: bool) -> Increment:
        cell = self._cells.cell(k)
        return self._with_area(cell, self._cell_seed(2, k)) if area else cell

    def _union(self, i: int, j: int, area: bool) -> Increment:
        return reduce(join, (self._cell(k, True) for k in range(i, j))) if area else self._cells.union(i, j)

    def _inside(self, k: int, ta: float, tb: float, area: bool) -> Increment:
        """The increment over [ta, tb] within cell k."""
        ends = self.grid.time(k), self.grid.time(k + 1)
        piece = self._tree.increment(self._cells.cell(k), *ends, self._cell_seed(1, k), ta, tb)
        if not area:
            return piece
        seed = derive(derive(self._cell_seed(2, k), time_counter(ta)), time_counter(tb))
        return self._with_area(piece, seed)

    def _with_area(self, piece: Increment, seed: int) -> Increment:
        if not self._has_area or len(self.shape) < 2 or piece.H is None:
            return piece
        normals = self._normals(seed, (*self.shape, self.shape[-1]))
        return piece._replace(A=levy_area(self._levy_area, piece.h, piece.W, piece.H, normals))

    def _cell_seed(self, purpose: int, k: int) -> int:
        return derive(derive(self._seed, purpose), k)

    def _nothing(self) -> Increment:
        zero = torch.zeros(self.shape, dtype=self.dtype, device=self.device)
        return self._with_area(Increment(0.0, zero, zero), 0)

    def _answer(self, of: Increment, return_U: bool, return_A: bool) -> Any:
        if not (return_U or return_A):
            return of.W
        U, A = None, of.A
        if of.H is not None and self._levy_area != "none":
            U = space_time_integral(of.h, of.W, of.H)
        if A is None and self._has_area:
            A = torch.zeros_like(of.W)  # of a scalar motion
        return (of.W, *((U,) if return_U else ()), *((A,) if return_A else ()))

    @property
    def entropy(self) -> int:
        return self._entropy

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(t0={self.t0}, t1={self.t1}, size={self.shape}, dtype={self.dtype}, "
            f"device={self.device}, entropy={self.entropy}, dt={self.dt}, tol={self.tol}, "
            f"halfway_tree={self.halfway_tree}, levy_area_approximation={self.levy_area_approximation!r}, "
            f"outside={self.outside!r}, generator={self._generator!r})"
        )
