"""The normals on the ways down the tree of a cell: drawn, kept from one query to the next, and summed.

A query needs the ways to both of its ends. Where the normals are many, the one to the last point is kept, and the next
one is drawn from where it parts from that. Where they are so few that a way costs no more than a few of its rows, both
ways are kept: of the ends of a solver's next step, one is then among those of the last one, accepted or not.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import equinox as eqx
import equinox.internal as eqxi
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int

from sdegrad.jax.brownian.cells import Cells
from sdegrad.jax.brownian.positions import Point, start_of, tree_where, words
from sdegrad.jax.types import Index

Weigh = Callable[[Any], Float[Array, "parts rows parts"]]  # of one way
_AT_ONCE = 512  # normals of one array that are drawn in one pass
# Where all buffers of a loop's body are this small, XLA on a CPU runs it in one thread, without hand-overs.
_SMALL = 512  # bytes


class OneWay(NamedTuple):
    """rows: of every array, the normals of the cell in row 0, and of the node of every level l in row l + 1. Those
    below `depth` are of older ways, or of none.
    """

    point: Point
    depth: Int[Array, ""]
    rows: list[Float[Array, "rows parts *shape"]]


class TwoWays(NamedTuple):
    """rows: the same of both ways, all of them, in pieces: [2][pieces][arrays]."""

    point: Point  # both
    rows: list[list[list[Float[Array, "rows parts *shape"]]]]


Walk = OneWay | TwoWays


def start(cells: Cells) -> Walk:
    """On no way at all."""

    def empty(count: int) -> list[Float[Array, "rows parts *shape"]]:
        return [jnp.zeros((count, cells.parts, *s.shape), s.dtype) for s in cells.structs]

    nowhere, size = start_of(-1, cells.levels), _pass(cells)
    if size < _rows(cells):
        return OneWay(nowhere, jnp.int32(-1), empty(-(-_rows(cells) // size) * size))
    pieces = [empty(len(piece)) for piece in _pieces(cells)]
    return TwoWays(jax.tree.map(lambda x: jnp.stack([x, x]), nowhere), [pieces, pieces])


def gathered(cells: Cells, walk: Walk, ways: Any, weigh: Weigh) -> tuple[list[Float[Array, "2 parts *shape"]], Walk]:
    """The sums of the rows of two ways, of each by its weights. ways: the points that they lead to, and the `last` rows
    that count, -1 for none.
    """
    if isinstance(walk, OneWay):
        return _one_after_other(cells, walk, ways, weigh)
    return _both(cells, walk, ways, weigh)


def _rows(cells: Cells) -> int:
    """On one way: of the cell, of the nodes that are halved, and of the leaf."""
    return cells.levels + 2


def _pass(cells: Cells) -> int:
    """How many rows are drawn in one pass."""
    return max(1, min(_rows(cells), _AT_ONCE // max(1, *(s.size for s in cells.structs))))


def _pieces(cells: Cells) -> list[np.ndarray]:
    """The rows; where two halves are small, these."""
    rows = np.arange(_rows(cells), dtype=np.int32)
    size = len(rows) * cells.parts * max(0, *(s.size * s.dtype.itemsize for s in cells.structs))
    return np.array_split(rows, 2) if _SMALL < size <= 2 * _SMALL else [rows]


def _both(cells: Cells, walk: TwoWays, ways: Any, weigh: Weigh) -> tuple[list[Array], TwoWays]:
    s, t = (jax.tree.map(lambda x, i=i: x[i], ways.point) for i in (0, 1))
    s_is, t_is = s.same(walk.point), t.same(walk.point)  # [2]
    new_s, new_t = (ways.last >= 0) & ~jnp.stack([s_is.any(), t_is.any()])
    swapped = jnp.where(s_is.any(), ~s_is[0], t_is[0])  # the first of the walk is, or will be, t

    def draw(i: Index, walk: TwoWays) -> TwoWays:
        is_s = new_s & (i == 0)
        point, first = tree_where(is_s, s, t), swapped != is_s
        made = [_drawn(cells, point, jnp.asarray(piece)) for piece in _pieces(cells)]
        rows = [tree_where(here, made, old) for here, old in zip((first, ~first), walk.rows, strict=True)]
        return TwoWays(tree_where(jnp.stack([first, ~first]), point, walk.point), rows)

    # Under vmap as often as one of them needs it: to draw a way again changes nothing.
    count = eqxi.unvmap_max(new_s.astype(jnp.int32) + new_t.astype(jnp.int32))
    walk = lax.fori_loop(0, count, draw, walk)
    weights = jax.vmap(weigh)(_reversed_if(swapped, ways))

    def total(weights: Array, pieces: list) -> list[Float[Array, "parts *shape"]]:
        """Of one way."""
        made = [
            [_weighted(weights[:, rows], X) for X in of_arrays]
            for rows, of_arrays in zip(_pieces(cells), pieces, strict=True)
        ]
        return jax.tree.map(lambda first, *rest: sum(rest, first), *made)

    totals = jax.tree.map(lambda *x: jnp.stack(x), *map(total, weights, walk.rows))
    totals = [x.astype(s.dtype) for x, s in zip(totals, cells.structs, strict=True)]
    return _reversed_if(swapped, totals), walk


def _weighted(w: Float[Array, "parts rows parts"], X: Float[Array, "rows parts *shape"]) -> Array:
    """The sum of the rows. A product of matrices, before which the weights are made, once; fused, they would be made
    anew for every element.
    """
    dtype = _dtype(X)
    w, flat = w.reshape(len(w), -1).astype(dtype), X.reshape(X.shape[0] * X.shape[1], -1).astype(dtype)
    return jnp.matmul(w, flat, precision=lax.Precision.HIGHEST).reshape(len(w), *X.shape[2:])


def _reversed_if(condition: Array, pairs: Any) -> Any:
    """Along the first axis."""
    return jax.tree.map(lambda x: jnp.where(condition, x[::-1], x), pairs)


def _one_after_other(cells: Cells, walk: OneWay, ways: Any, weigh: Weigh) -> tuple[list[Array], OneWay]:
    ahead_s, ahead_t = ways.last - jax.vmap(partial(_known, walk))(ways.point)
    order = jnp.where(ahead_t < ahead_s, jnp.asarray([1, 0]), jnp.asarray([0, 1]))  # not to leave the nearer in vain

    def visit(walk: OneWay, way: Any) -> tuple[OneWay, list[Array]]:
        walk = _seek(cells, walk, way.point, way.last)
        return walk, _sum(cells, walk, weigh(way), way.last)

    walk, sums = lax.scan(visit, walk, jax.tree.map(lambda x: x[order], ways))
    return [x[order] for x in sums], walk


def _known(walk: OneWay, point: Point) -> Int[Array, ""]:
    """The last row of the way to this point that is here; -1 if not even its cell is."""
    shared = walk.point.common(point)
    return jnp.where(shared < 0, -1, jnp.minimum(walk.depth, shared + 1))


def _seek(cells: Cells, walk: OneWay, point: Point, depth: Array) -> OneWay:
    """Down to this depth on the way to the point, from where the ways part.

    Under vmap all ways are walked from the first row to the last that one of them needs, so that a row is one in
    all of them and no walk is copied.
    """
    known, size = _known(walk, point), _pass(cells)
    first, last = -eqxi.unvmap_max(-(known + 1)), eqxi.unvmap_max(depth)

    def draw(i: Index, rows: list) -> list:
        made = _drawn(cells, point, i * size + jnp.arange(size, dtype=jnp.int32))
        return [lax.dynamic_update_slice_in_dim(old, new, i * size, 0) for old, new in zip(rows, made, strict=True)]

    end = jnp.where(first > last, 0, last // size + 1)
    rows = lax.fori_loop(first // size, end, draw, walk.rows)
    return OneWay(point, jnp.maximum(known, jnp.minimum(end * size - 1, cells.levels + 1)), rows)


@eqx.filter_jit  # traced once
def _drawn(cells: Cells, point: Point, rows: Int[Array, "rows"]) -> list[Float[Array, "rows parts *shape"]]:
    """These rows of the way to the point."""
    low, *high = words(point.node(jnp.clip(rows - 1, 0, cells.levels)))
    counters = jnp.where(rows == 0, point.cell.astype(jnp.uint32), low)
    each = jax.vmap(partial(cells.keys, point.cell))(high[0] if high else jnp.zeros(1, jnp.uint32))
    keys = jnp.where((rows == 0)[:, None, None, None], each[:, 0], each[:, 1])
    return [jnp.stack(X, axis=1) for X in jax.vmap(cells.normals)(keys, counters)]


def _sum(cells: Cells, walk: OneWay, weights: Array, last: Array) -> list[Float[Array, "parts *shape"]]:
    """Of the rows of the walk to the last one that counts, by their weights."""
    size, count = _pass(cells), _rows(cells)

    def one(X: Array, struct: jax.ShapeDtypeStruct) -> Array:
        w = jnp.pad(weights.astype(_dtype(struct)), ((0, 0), (0, len(X) - count), (0, 0)))

        def add(i: Index, total: Array) -> Array:
            w_i = lax.dynamic_slice_in_dim(w, i * size, size, 1)
            X_i = lax.dynamic_slice_in_dim(X, i * size, size, 0).astype(w.dtype)
            return total + jnp.sum(w_i.reshape(*w_i.shape, *[1] * len(struct.shape)) * X_i[None], axis=(1, 2))

        zero = jnp.zeros((cells.parts, *struct.shape), w.dtype)
        return lax.fori_loop(0, (eqxi.unvmap_max(last) + size) // size, add, zero).astype(struct.dtype)

    return [one(*each) for each in zip(walk.rows, cells.structs, strict=True)]


def _dtype(struct: jax.ShapeDtypeStruct | Array) -> np.dtype:
    """Of sums: half precision is too coarse."""
    return np.promote_types(struct.dtype, np.float32)
