"""Brownian motion on a known grid, without a tree: every grid cell has its own counter-based random numbers.

Element i of cell k is made from word (k, i) of the generator, so the path is a pure function of (key, shape,
dtype, grid), and costs one normal per step in any order. A query inside a cell goes down a dyadic tree of that
cell.
"""

import sys
from typing import NoReturn

import equinox as eqx
import equinox.internal as eqxi
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.typing import DTypeLike
from jaxtyping import PyTree

from sdegrad.jax.arguments import check_index, check_number, eps_of
from sdegrad.jax.brownian import queries
from sdegrad.jax.brownian.areas import PARTS, area_name, register
from sdegrad.jax.brownian.cells import Cells, keys_of, structs_of
from sdegrad.jax.brownian.levy import LevyIncrement, Span
from sdegrad.jax.brownian.positions import inside
from sdegrad.jax.brownian.spacing import NO_DERIVATIVE, grid_of, levels_of
from sdegrad.jax.brownian.tree_cache import TreeCache, start
from sdegrad.jax.mesh import Rows, rows_of
from sdegrad.jax.times import AnyGrid, Fine, OneCell, as_given, time_dtype
from sdegrad.jax.types import Increment, Key, Number, Shape, Structs, Time


class BrownianInterval(eqx.Module):
    """A Brownian path on [t0, t1], sampled when asked; where diffrax is imported also a Brownian path of diffrax, the
    control of a `diffrax.ControlTerm`.

    shape: of one increment, a tuple, or a pytree of `jax.ShapeDtypeStruct`. key: a JAX random key. dtype: of
    the increments; JAX's default float dtype if None. dt: the step of the solver that will use it: [t0, t1]
    is cut into cells of this length (the last may be shorter), and increments over cells are independent
    draws; without it the whole interval is one cell, which is best for adaptive steps, and t0 and t1 may be traced.
    tol: how near to each other points inside a cell are told apart; if None, 2^-24 of the cell, and in JAX's x64 mode
    no more than 2^-24 (2^-40 of the cell if its ends are traced).

    levy_area: None or "none"; "space-time" for H; "space-time-time" for H and K; "davie" or "foster" for H and an
    approximate A of the last axis of shape; or `diffrax.BrownianIncrement`, `SpaceTimeLevyArea`,
    `SpaceTimeTimeLevyArea`. Over cells the W and H are the same for all; inside a cell the path is another one
    with H and with K. A has the exact covariance with W and H over a cell, and the exact variance; over unions of
    cells it obeys Chen's relation; over a piece of a cell it is drawn given the W and H of the piece.

    generator: "native", whose numbers may differ in the last digits from one kind of device to another; "portable": the
    same on every device, bit for bit in single precision, and over the cells of the grid the W and H of
    `sdegrad.torch.BrownianInterval(..., entropy=seed, generator="portable")` with jax.random.key(seed).

    rows: the numbers of these rows alone, the first axis of the batch that has this shape: (start, stop), or, under
    `jax.shard_map`, the name of the mesh axis (or a tuple of names) that divides the batch, for the rows of the device.

    On the grid the path is exact, and a cell costs one normal per element (and one more for each of H and K). A
    query that starts or ends inside a cell goes down a tree, log2(cell / tol) halvings of the cell and a cut at the
    point, each of as many normals; both ends share the upper part of the descent, and so do one query and the next with
    `advance`. The law is exact at every point, and jointly for points in different leaves of the tree, which are no
    longer than tol; points in one leaf share its normals. A point in its cell is known to twice the digits of the
    times, so none of this depends on the number of cells or the dtype of times.

    The same numbers in any order of queries. For a batch of paths, a batch of keys under vmap, or an axis in `shape`.
    ValueError: times that are not finite or not increasing, dt or tol not positive, a shape that is not one, a dtype
    that is not a float or needs JAX's x64 mode, an unknown levy_area, A without an axis, something else than a key, dt
    or tol with traced ends, a tol below 2^-52 of a cell (2^-29 without the x64 mode).
    """

    cells: Cells
    structs: Structs = eqx.field(static=True)
    area: str = eqx.field(static=True)

    def __init__(
        self,
        t0: Number,
        t1: Number,
        shape: Shape,
        key: Key,
        *others: object,
        dtype: DTypeLike | None = None,
        dt: Number | None = None,
        tol: Number | None = None,
        levy_area: str | type | None = None,
        generator: str = "native",
        rows: Rows | None = None,
    ):
        if others:
            raise TypeError(
                "BrownianInterval takes t0, t1, shape and key in this order, and all else by name; pass e.g. "
                "BrownianInterval(t0, t1, shape, key, tol=1e-3)."
            )
        self.area = area_name(levy_area)
        grid = grid_of(t0, t1, dt)
        whole = structs_of(shape, dtype)
        self.structs, first_row = (whole, None) if rows is None else rows_of(whole, rows)
        leaves = tuple(jax.tree.leaves(self.structs))
        approximate = self.area if self.area in ("davie", "foster") else None
        if approximate and not all(leaf.shape for leaf in leaves):
            raise ValueError(
                f"levy_area={self.area!r} needs a last axis for the noise; give the path a shape like (1,)."
            )
        one_cell, known = (grid, None) if isinstance(grid, OneCell) else (None, grid)
        if generator not in ("native", "portable"):
            raise ValueError(f'generator must be "native" or "portable", got {generator!r}; leave it out for "native".')
        portable = generator == "portable"
        keys, levels = keys_of(key, len(leaves), portable), levels_of(grid, tol)
        self.cells = Cells(keys, one_cell, leaves, known, PARTS[self.area], levels, approximate, portable, first_row)
        if sys.modules.get("diffrax") is not None:
            register(BrownianInterval)

    @property
    def grid(self) -> AnyGrid:
        return self.cells.grid

    @property
    def t0(self) -> Time:
        return self.grid.t0

    @property
    def t1(self) -> Time:
        return self.grid.t1

    @property
    def levy_area(self) -> type:
        """The class of diffrax of what `evaluate` returns with use_levy. ImportError without diffrax."""
        from sdegrad.jax.diffrax.areas import CLASSES

        return CLASSES[self.area]

    @property
    def shape(self) -> Shape:
        return jax.tree.map(lambda s: s.shape, self.structs)

    @property
    def dtype(self) -> PyTree[np.dtype]:
        return jax.tree.map(lambda s: s.dtype, self.structs)

    def cell(self, k: Number) -> Increment:
        """The increment over grid cell k, for 0 <= k < grid.steps: W, or a `LevyIncrement` if the path has a Levy area.
        ValueError for any other k; NaN instead, if it is traced.
        """
        return self._packed(queries.cell(self.cells, check_index("k", k, self.grid.steps)))

    def start(self) -> TreeCache:
        """What `advance` carries from one query to the next: the descent to the last time asked for, some 26
        increments in memory. An array pytree, for the carry of a loop.
        """
        return start(self.cells)

    def advance(self, cache: TreeCache | None, s: Number, t: Number) -> tuple[Increment, TreeCache | None]:
        """The increment over [s, t], as `cell` returns it, and the cache after it. The same numbers as those of
        `evaluate`, to the last bit (A, a sum of products: to rounding), for fewer draws where s or t is near a time of
        the last query.

        A query that starts where the last one ended, or ends where that started, descends to its other end alone,
        and only from where the descents to both part: some 24 - log2(cell / |t - s|) halvings. With None for the cache
        it draws everything, and returns None. NaN for traced times outside [t0, t1].
        """
        asked = self._asked(s, t)
        if cache is None:
            return self._packed(queries.increment(self.cells, *asked)), None
        spans, cache = queries.advance(self.cells, cache, *asked)
        return self._packed(spans), cache

    def over(self, s: Fine, t: Fine) -> Increment:
        """The increment over [s, t], as `cell` returns it, for times with more digits than the time dtype has."""
        return self._packed(queries.increment(self.cells, s, t, float(jnp.finfo(time_dtype()).eps)))

    def evaluate(self, t0: Number, t1: Number | None = None, left: bool = True, use_levy: bool = False) -> Increment:
        """W over [t0, t1], or over [self.t0, t0] if t1 is None; with use_levy a value of class `levy_area`: the
        length dt = t1 - t0, W, and the areas that the path has.

        The times may be traced; one that is within four ulp of a grid time, and 1/64 of a cell, is taken for it. From a
        later to an earlier time it is the increment of the path run backwards: W, K and A change their signs, H does
        not. `left` is without effect: the path has no jumps.
        ValueError for times that are not numbers, or outside [t0, t1]; at run time, if they are traced (with
        EQX_ON_ERROR=nan it is NaN instead). RuntimeError for a derivative with respect to a time.
        """
        del left
        s, t = (self.t0, t0) if t1 is None else (t0, t1)
        asked = self._asked(s, t)
        increment = self._packed(queries.increment(self.cells, *asked, self._beyond(s, t)))
        W, areas = (increment, {}) if self.area == "none" else (increment.W, increment._asdict())
        if not use_levy:
            return W
        areas = {name: area for name, area in areas.items() if area is not None}
        length = asked[1].high - asked[0].high
        return self.levy_area(**{"dt": jax.tree.map(lambda w: length.astype(w.dtype), W), "W": W, **areas})

    def derivative(self, t: Number, left: bool = True) -> NoReturn:
        """RuntimeError: a Brownian path has none. diffrax asks a path for it in `ControlTerm(...).to_ode()`."""
        del t, left
        raise RuntimeError(NO_DERIVATIVE)

    def __call__(self, t0: Number, t1: Number) -> NoReturn:
        """RuntimeError: diffrax calls a control that it does not know to be a path."""
        del t0, t1
        raise RuntimeError(
            "diffrax does not know this BrownianInterval, which was made before diffrax was imported, for a Brownian "
            "path: import sdegrad.jax.diffrax first, before the terms are made."
        )

    def _asked(self, *times: Number) -> tuple[Fine, Fine, float]:
        """Both times checked, and the spacing of the coarser dtype of the two."""
        for time in times:
            check_number("a time", time)
            if any(isinstance(x, Tracer) for x in (time, self.t0, self.t1)):
                continue
            if not inside(self.grid, time, eps_of(time)):
                raise ValueError(f"the time {time} is outside [t0, t1] = [{self.t0}, {self.t1}] of this path.")
        s, t = (as_given(eqxi.nondifferentiable(jnp.asarray(t, time_dtype()), msg=NO_DERIVATIVE)) for t in times)
        return s, t, max(float(np.finfo(time_dtype()).eps), *map(eps_of, times))

    def _beyond(self, *times: Number) -> str | None:
        """What to say at run time of times that the path does not reach; None where that is known before."""
        if not any(isinstance(x, Tracer) for x in (*times, self.t0, self.t1)):
            return None
        ends = "" if isinstance(self.grid, OneCell) else f" = [{self.t0}, {self.t1}]"
        return f"a time is outside [t0, t1]{ends} of this BrownianInterval; make the path longer, or ask for less."

    def _packed(self, spans: list[Span]) -> Increment:
        """The spans, one for every array, in the form that `cell` returns."""
        treedef = jax.tree.structure(self.structs)
        parts = [treedef.unflatten(part) for part in zip(*(span.parts for span in spans), strict=True)]
        if self.area == "none":
            return parts[0]
        A = None if self.cells.area is None else treedef.unflatten([span.A for span in spans])
        return LevyIncrement(**dict(zip(("W", "H", "K"), parts, strict=False)), A=A)
