"""The normals on a descent down the tree of a cell: drawn, kept from one query to the next, and summed.

A query needs two descents, to both of its ends. Where the normals are many, the last descent is kept, and the next one
is drawn from the node on where the two part. Where they are so few that a descent costs no more than a few of its
rows, both are kept: one end of a solver's next step is then among the ends of the last one, accepted or not.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import equinox as eqx
import equinox.internal as eqxi
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int, PyTree

from sdegrad.jax.brownian.cells import Cells
from sdegrad.jax.brownian.positions import LeafPosition, TreePosition, start_of, tree_where, words
from sdegrad.jax.mesh import alike
from sdegrad.jax.types import Index

_AT_ONCE = 512  # normals of one array that are drawn in one pass
# Where all buffers of a loop's body are this small, XLA on a CPU runs it in one thread, without hand-overs.
_SMALL = 512  # bytes


class Descents(NamedTuple):
    """The descents to both ends of an interval, stacked. Each leads to `point` and adds the increment over the part
    [lo, hi] of its cell by the rows from `first` to `last`; by none if `last` is -1.
    """

    point: TreePosition
    lo: LeafPosition
    hi: LeafPosition
    first: Int[Array, "..."]
    last: Int[Array, "..."]


Weigh = Callable[[Descents], Float[Array, "parts rows parts"]]  # of one descent


class OneDescent(NamedTuple):
    """rows: of every array, the normals of the cell in row 0, and of the node of every level l in row l + 1. Those
    below `depth` are of older descents, or zeros.
    """

    point: TreePosition
    depth: Int[Array, ""]
    rows: list[Float[Array, "rows parts *shape"]]


class TwoDescents(NamedTuple):
    """rows: all rows of both descents, in pieces: [2][pieces][arrays]."""

    point: TreePosition  # both
    rows: list[list[list[Float[Array, "rows parts *shape"]]]]


TreeCache = OneDescent | TwoDescents


def start(cells: Cells) -> TreeCache:
    """The cache before the first query: it holds no descent."""

    def empty(count: int) -> list[Float[Array, "rows parts *shape"]]:
        return alike([jnp.zeros((count, cells.parts, *s.shape), s.dtype) for s in cells.structs], cells.first_row)

    nowhere, size = start_of(-1, cells.levels), _pass(cells)
    if size < _rows(cells):
        return OneDescent(nowhere, jnp.int32(-1), empty(-(-_rows(cells) // size) * size))
    pieces = [empty(len(piece)) for piece in _pieces(cells)]
    return TwoDescents(jax.tree.map(lambda x: jnp.stack([x, x]), nowhere), [pieces, pieces])


def gathered(
    cells: Cells, cache: TreeCache | None, descents: Descents, weigh: Weigh
) -> tuple[list[Float[Array, "2 parts *shape"]], TreeCache | None]:
    """The sums of the rows of two descents, each by its weights, and the cache after them, if there is one."""
    if isinstance(cache, TwoDescents):
        return _both(cells, cache, descents, weigh)
    if cache is None and _pass(cells) == _rows(cells):
        return _anew(cells, descents, weigh), None
    of_one = start(cells) if cache is None else cache
    assert isinstance(of_one, OneDescent)
    sums, of_one = _one_after_other(cells, of_one, descents, weigh)
    return sums, None if cache is None else of_one


def _rows(cells: Cells) -> int:
    """The number of rows of a descent: one of the cell, those of the halved nodes, and one of the leaf."""
    return cells.levels + 2


def _pass(cells: Cells) -> int:
    """The number of rows that are drawn in one pass."""
    return max(1, min(_rows(cells), _AT_ONCE // max(1, *(s.size for s in cells.structs))))


def _pieces(cells: Cells) -> list[np.ndarray]:
    """The rows; where two halves are small, these."""
    rows = np.arange(_rows(cells), dtype=np.int32)
    size = len(rows) * cells.parts * max(0, *(s.size * s.dtype.itemsize for s in cells.structs))
    return np.array_split(rows, 2) if _SMALL < size <= 2 * _SMALL else [rows]


def _both(cells: Cells, cache: TwoDescents, descents: Descents, weigh: Weigh) -> tuple[list[Array], TwoDescents]:
    s, t = (jax.tree.map(lambda x, i=i: x[i], descents.point) for i in (0, 1))
    s_is, t_is = s.same(cache.point), t.same(cache.point)  # [2]
    new_s, new_t = (descents.last >= 0) & ~jnp.stack([s_is.any(), t_is.any()])
    swapped = jnp.where(s_is.any(), ~s_is[0], t_is[0])  # the first of the cache is, or will be, t

    def draw(i: Index, cache: TwoDescents) -> TwoDescents:
        is_s = new_s & (i == 0)
        point, first = tree_where(is_s, s, t), swapped != is_s
        made = [_drawn(cells, point, jnp.asarray(piece)) for piece in _pieces(cells)]
        rows = [tree_where(here, made, old) for here, old in zip((first, ~first), cache.rows, strict=True)]
        return TwoDescents(tree_where(jnp.stack([first, ~first]), point, cache.point), rows)

    # Under vmap as often as one of them needs it: to draw a descent again changes nothing.
    count = eqxi.unvmap_max(new_s.astype(jnp.int32) + new_t.astype(jnp.int32))
    cache = lax.fori_loop(0, count, draw, cache)
    each = [jax.tree.map(lambda x, i=i: x[i], _reversed_if(swapped, descents)) for i in (0, 1)]
    sums = [_total(cells, weigh, *of_one) for of_one in zip(each, cache.rows, strict=True)]
    return _reversed_if(swapped, jax.tree.map(lambda *x: jnp.stack(x), *sums)), cache


def _anew(cells: Cells, descents: Descents, weigh: Weigh) -> list[Array]:
    """The sums of `_both` to the last bit, all drawn: much less to compile than a cache that is empty."""

    def one(_: None, descent: Descents) -> tuple[None, list[Array]]:
        rows = [_drawn(cells, descent.point, jnp.asarray(piece)) for piece in _pieces(cells)]
        return None, _total(cells, weigh, descent, rows)

    return lax.scan(one, None, descents)[1]


def _total(cells: Cells, weigh: Weigh, descent: Descents, rows: list[list[Array]]) -> list[Array]:
    """The sum of the rows of one descent, in a loop of one round, whose number XLA does not know and whose descent
    changes: it is compiled by itself, and so rounded in the same way whether the rows were kept or drawn.
    """

    def one(_: Index, made: tuple[list[Array], Descents]) -> tuple[list[Array], Descents]:
        descent = made[1]
        return _weighted_sum(cells, weigh(descent), rows), descent._replace(lo=descent.hi, hi=descent.lo)

    rounds = jnp.where(eqxi.unvmap_max(descent.last) < -1, 0, 1)
    nothing = [jnp.stack(span.parts) for span in cells.zeros()]
    return lax.fori_loop(0, rounds, one, (nothing, descent))[0]


def _weighted_sum(cells: Cells, weights: Array, pieces: list[list[Array]]) -> list[Float[Array, "parts *shape"]]:
    made = [
        [_weighted(weights[:, rows], X) for X in of_arrays]
        for rows, of_arrays in zip(_pieces(cells), pieces, strict=True)
    ]
    totals = jax.tree.map(lambda first, *rest: sum(rest, first), *made)
    return [x.astype(s.dtype) for x, s in zip(totals, cells.structs, strict=True)]


def _weighted(w: Float[Array, "parts rows parts"], X: Float[Array, "rows parts *shape"]) -> Array:
    """The sum of the rows. A product of matrices, before which the weights are made, once; fused, they would be made
    anew for every element.
    """
    dtype = _dtype(X)
    w, flat = w.reshape(len(w), -1).astype(dtype), X.reshape(X.shape[0] * X.shape[1], -1).astype(dtype)
    return jnp.matmul(w, flat, precision=lax.Precision.HIGHEST).reshape(len(w), *X.shape[2:])


def _reversed_if(condition: Array, pairs: PyTree) -> PyTree:
    """The pairs, reversed along the first axis where the condition holds."""
    return jax.tree.map(lambda x: jnp.where(condition, x[::-1], x), pairs)


def _one_after_other(
    cells: Cells, cache: OneDescent, descents: Descents, weigh: Weigh
) -> tuple[list[Array], OneDescent]:
    ahead_s, ahead_t = descents.last - jax.vmap(partial(_known, cache))(descents.point)
    order = jnp.where(ahead_t < ahead_s, jnp.asarray([1, 0]), jnp.asarray([0, 1]))  # not to leave the nearer in vain

    def visit(cache: OneDescent, descent: Descents) -> tuple[OneDescent, list[Array]]:
        cache = _seek(cells, cache, descent.point, descent.last)
        return cache, _sum(cells, cache, weigh(descent), descent.last)

    cache, sums = lax.scan(visit, cache, jax.tree.map(lambda x: x[order], descents))
    return [x[order] for x in sums], cache


def _known(cache: OneDescent, point: TreePosition) -> Int[Array, ""]:
    """The last row of the descent to this point that is here; -1 if not even its cell is."""
    shared = cache.point.common(point)
    return jnp.where(shared < 0, -1, jnp.minimum(cache.depth, shared + 1))


def _seek(cells: Cells, cache: OneDescent, point: TreePosition, depth: Array) -> OneDescent:
    """Down to this depth on the descent to the point, from where it parts from the one in the cache.

    Under vmap all are drawn from the first row to the last that one of them needs, so that a row has one number in all
    of them and no cache is copied.
    """
    known, size = _known(cache, point), _pass(cells)
    first, last = -eqxi.unvmap_max(-(known + 1)), eqxi.unvmap_max(depth)

    def draw(i: Index, rows: list) -> list:
        made = _drawn(cells, point, i * size + jnp.arange(size, dtype=jnp.int32))
        return [lax.dynamic_update_slice_in_dim(old, new, i * size, 0) for old, new in zip(rows, made, strict=True)]

    end = jnp.where(first > last, 0, last // size + 1)
    rows = lax.fori_loop(first // size, end, draw, cache.rows)
    return OneDescent(point, jnp.maximum(known, jnp.minimum(end * size - 1, cells.levels + 1)), rows)


@eqx.filter_jit  # traced once
def _drawn(cells: Cells, point: TreePosition, rows: Int[Array, "rows"]) -> list[Float[Array, "rows parts *shape"]]:
    """These rows of the descent to the point."""
    low, *high = words(point.node(jnp.clip(rows - 1, 0, cells.levels)))
    counters = jnp.where(rows == 0, point.cell.astype(jnp.uint32), low)
    splits = cells.split_keys(point.cell, high[0] if high else jnp.zeros(1, jnp.uint32))
    keys = jnp.where((rows == 0)[:, None, None, None], cells.array_keys[None, :, : cells.parts], splits)
    return cells.normals(keys, counters)


def _sum(cells: Cells, cache: OneDescent, weights: Array, last: Array) -> list[Float[Array, "parts *shape"]]:
    """The sum of the rows of the cache, to the last one that counts, by their weights."""
    size, count = _pass(cells), _rows(cells)

    def one(X: Array, struct: jax.ShapeDtypeStruct) -> Array:
        w = jnp.pad(weights.astype(_dtype(struct)), ((0, 0), (0, len(X) - count), (0, 0)))

        def add(i: Index, total: Array) -> Array:
            w_i = lax.dynamic_slice_in_dim(w, i * size, size, 1)
            X_i = lax.dynamic_slice_in_dim(X, i * size, size, 0).astype(w.dtype)
            return total + jnp.sum(w_i.reshape(*w_i.shape, *[1] * len(struct.shape)) * X_i[None], axis=(1, 2))

        zero = alike(jnp.zeros((cells.parts, *struct.shape), w.dtype), cells.first_row)
        return lax.fori_loop(0, (eqxi.unvmap_max(last) + size) // size, add, zero).astype(struct.dtype)

    return [one(*each) for each in zip(cache.rows, cells.structs, strict=True)]


def _dtype(struct: jax.ShapeDtypeStruct | Array) -> np.dtype:
    """The dtype of sums, for which half precision is too coarse."""
    return np.promote_types(struct.dtype, np.float32)
