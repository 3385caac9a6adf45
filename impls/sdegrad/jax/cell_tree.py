"""The Brownian motion inside the cells of a grid: a sum over a dyadic tree of intervals, walked and not stored.

Every node of the tree has normals of its own, which tell its halves apart as `halve` has it, and the leaf those of
`cut`. All that is linear in the normals, so an increment is a sum over the nodes that hold one of its ends, with
weights that depend on the ends alone: for W the series of Levy and Ciesielski, with H and K that of Alpert's
multiwavelets. So the levels need not be made one after another.

What is kept are the normals on the way from the cell down to one point. The next point shares the upper ones, so a
solver that asks for one interval after another, forwards or backwards, draws the lower ones alone.
"""

from typing import Any, NamedTuple

import equinox.internal as eqxi
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int

from sdegrad.jax.bridge import VARIANCES, Span, cut, halve, join, restrict, subtract
from sdegrad.jax.cells import Cells
from sdegrad.jax.points import CUT, LEVELS, Point, Spot, place, start_of
from sdegrad.jax.types import Index

ROWS = CUT + 1  # of normals on a way: of the cell, of the 24 nodes that are halved, and of the leaf
_AT_ONCE = 512  # normals of one array that are drawn, and summed, in one pass


class Walk(NamedTuple):
    """The way down to a point: the normals of the cell, in row 0, and of the node of every level l in row l + 1, of
    every array. The rows below `depth` are of older ways, or of none.
    """

    point: Point
    depth: Int[Array, ""]
    rows: list[Float[Array, "rows parts *shape"]]

    def known(self, point: Point) -> Int[Array, ""]:
        """The last row of the way to this point that is here; -1 if not even its cell is."""
        shared = self.point.common(point)
        return jnp.where(shared < 0, -1, jnp.minimum(self.depth, shared + 1))


def start(cells: Cells, dtype: Any) -> Walk:
    """On no way at all. dtype: of times."""
    rows = [jnp.zeros((_rows(cells), cells.parts, *s.shape), s.dtype) for s in cells.structs]
    return Walk(Point.at(-1, jnp.zeros((), dtype)), jnp.int32(-1), rows)


def _pass(cells: Cells) -> int:
    """How many rows are drawn in one pass."""
    return max(1, min(ROWS, _AT_ONCE // max(1, *(s.size for s in cells.structs))))


def _rows(cells: Cells) -> int:
    """How many rows there is room for: a whole number of passes."""
    return -(-ROWS // _pass(cells)) * _pass(cells)


class _Ways(NamedTuple):
    """The ways to both ends of an interval, one after the other: to a point, for the part [lo, hi] of its cell, by the
    rows from the first to the last; none, if that is -1.
    """

    point: Point
    lo: Spot
    hi: Spot
    first: Int[Array, "..."]
    last: Int[Array, "..."]


def _ways(s: Point, t: Point) -> _Ways:
    """The rows that both ways have count as those of t. A whole cell has none."""
    shared, none = s.common(t), jnp.int32(-1)
    other = shared < 0
    first = jnp.where(other, 0, shared + 2)
    last_s = jnp.where(s.depth() < jnp.maximum(first, 1), none, s.depth())
    last_t = jnp.where((t.depth() == 0) | (shared == CUT), none, t.depth())
    start, end = (Spot(jnp.int32(leaf), jnp.zeros_like(s.cut)) for leaf in (0, 2**LEVELS))
    of_s = _Ways(s, s.spot(), tree_where(other, end, t.spot()), first, last_s)
    of_t = _Ways(t, tree_where(other, start, s.spot()), t.spot(), jnp.int32(0), last_t)
    return jax.tree.map(lambda *x: jnp.stack(x), of_s, of_t)


def sides(cells: Cells, walk: Walk, s: Point, t: Point) -> tuple[list[Span], list[Span], Walk]:
    """For s before t: the spans over the part of [s, t] in the cell of s, and that in the cell of t if it is another;
    nothing for a whole cell.
    """
    ways = _ways(s, t)
    ahead_s, ahead_t = ways.last[0] - walk.known(s), ways.last[1] - walk.known(t)
    order = jnp.where(ahead_t < ahead_s, jnp.asarray([1, 0]), jnp.asarray([0, 1]))  # not to leave the nearer in vain

    def visit(walk: Walk, way: _Ways) -> tuple[Walk, list[Array]]:
        walk = _seek(cells, walk, way.point, way.last)
        return walk, _sum(cells, walk, _weights(cells, way), way.last)

    # A loop for the two of them: it is compiled by itself, and so rounded in the same way everywhere.
    walk, sums = lax.scan(visit, walk, jax.tree.map(lambda x: x[order], ways))
    of_s, of_t = ([x[order[i]] for x in sums] for i in (0, 1))

    other = s.cell < t.cell
    lengths = jnp.where(other & (ways.last < 0), 0, ways.lo.to(ways.hi) * 2.0**-LEVELS)

    def spans(length: Array, cell: Array, sums: list) -> list[Span]:
        h = length * cells.length(cell, length.dtype)
        return [Span(h.astype(x.dtype), tuple(x)) for x in sums]

    first = spans(lengths[0], s.cell, tree_where(other, of_s, jax.tree.map(jnp.add, of_s, of_t)))
    second = spans(lengths[1], t.cell, of_t)
    return first, tree_where(other, second, cells.zeros()), walk


def total(cells: Cells, first: list[Span], second: list[Span], ends: tuple[Point, Point]) -> list[Span]:
    """Over [s, t], the ends: what `sides` gives, and the whole cells between; by a loop of two, as there."""
    s, t = ends
    end = tree_where(s.cell < t.cell, start_of(s.cell)._replace(code=jnp.uint32(0)), t)
    start = jnp.where(s.depth() == 0, s.cell, s.cell + 1)
    pieces = (first, place(s, end), start), (second, place(start_of(t.cell), t), t.cell)

    def add(spans: list[Span], piece: tuple) -> tuple[list[Span], None]:
        of_end, where, start = piece
        spans = list(map(join, spans, cells.with_area(of_end, where)))
        return lax.fori_loop(start, t.cell, lambda k, spans: list(map(join, spans, cell(cells, k))), spans), None

    nothing = cells.with_area(cells.zeros(), place(s, s))
    return lax.scan(add, nothing, jax.tree.map(lambda *x: jnp.stack(x), *pieces))[0]


def cell(cells: Cells, k: Array) -> list[Span]:
    start = start_of(k)
    return cells.with_area(cells.spans(k), place(start, start._replace(code=jnp.uint32(0))))


def _seek(cells: Cells, walk: Walk, point: Point, depth: Array) -> Walk:
    """Down to this depth on the way to the point, from where the ways part.

    Under vmap all ways are walked from the first row to the last that one of them needs, so that a row is one in
    all of them and no walk is copied.
    """
    known, size = walk.known(point), _pass(cells)
    first, last = -eqxi.unvmap_max(-(known + 1)), eqxi.unvmap_max(depth)
    of_cell, of_splits = cells.keys(point.cell)

    def draw(i: Array, rows: list) -> list:
        at = i * size + jnp.arange(size, dtype=jnp.int32)
        counters = jnp.where(at == 0, point.cell.astype(jnp.uint32), point.node(jnp.clip(at - 1, 0, LEVELS)))
        keys = jnp.where((at == 0)[:, None, None, None], of_cell, of_splits)
        normals = jax.vmap(cells.normals)(keys, counters)
        made = [jnp.stack(X, axis=1) for X in normals]
        return [lax.dynamic_update_slice_in_dim(old, new, i * size, 0) for old, new in zip(rows, made, strict=True)]

    end = jnp.where(first > last, 0, last // size + 1)
    rows = lax.fori_loop(first // size, end, draw, walk.rows)
    return Walk(point, jnp.maximum(known, jnp.minimum(end * size - 1, CUT)), rows)


def _sum(cells: Cells, walk: Walk, weights: Array, last: Array) -> list[Float[Array, "parts *shape"]]:
    """Of the rows of the walk to the last one that counts, by their weights."""
    size = _pass(cells)

    def one(X: Array, struct: jax.ShapeDtypeStruct) -> Array:
        # Half precision is too coarse to add in.
        w = weights.astype(np.promote_types(struct.dtype, np.float32))

        def add(i: Index, total: Any) -> Array:
            w_i = lax.dynamic_slice_in_dim(w, i * size, size, 1)
            X_i = lax.dynamic_slice_in_dim(X, i * size, size, 0).astype(w.dtype)
            return total + jnp.sum(w_i.reshape(*w_i.shape, *[1] * len(struct.shape)) * X_i, axis=(1, 2))

        zero = jnp.zeros((cells.parts, *struct.shape), w.dtype)
        # A loop even for one pass: it is compiled, and so rounded, in the same way everywhere.
        return lax.fori_loop(0, (eqxi.unvmap_max(last) + size) // size, add, zero).astype(struct.dtype)

    return [one(*each) for each in zip(walk.rows, cells.structs, strict=True)]


def _weights(cells: Cells, way: _Ways) -> Float[Array, "parts rows parts"]:
    """Of the rows of one way in the increment over [lo, hi]. In row 0 the cell is the left half of twice the cell, and
    in the last one the leaf is cut.
    """
    point, lo, hi, *rows = way
    dtype, count = point.cut.dtype, cells.parts
    row = np.arange(_rows(cells), dtype=np.int32)[:, None]
    size = 1 << (CUT - np.minimum(row, CUT))  # of the nodes, in leaves
    half, scale = np.maximum(size // 2, 1), np.asarray(2.0 ** (-np.maximum(row - 1, 0) / 2), dtype)
    node = point.spot().leaf // size * size
    start, middle, end = (Spot(node + x, jnp.zeros((), dtype)) for x in (0, half, size))

    def share(a: Spot, b: Spot, of: np.ndarray) -> Array:
        return jnp.maximum(a.to(b), 0) * np.asarray(1 / of, dtype)

    def piece(whole: Span, at: Spot) -> Span:
        a, b = (end.clip(at.leaf, at.leaf + half) for end in (lo, hi))
        return restrict(whole, share(at, a, half) + share(at, b, half) - 1, share(a, b, half))

    unit, zeros = jnp.eye(count, dtype=dtype), (jnp.zeros(count, dtype),) * count
    nothing = Span(jnp.ones((), dtype), zeros)
    left, right = halve(nothing, tuple(unit))
    root = [variance**0.5 * x for variance, x in zip(VARIANCES, unit, strict=False)]
    left = left._replace(parts=tuple(map(lambda r, x: jnp.where(row == 0, r, x), root, left.parts)))
    cuts = [cut(nothing, share(start, x.clip(node, node + 1), half)[CUT, 0], tuple(unit))[0] for x in (hi, lo)]
    made = tree_where(jnp.asarray(row == CUT), subtract(*cuts), join(piece(left, start), piece(right, middle)))
    made = join(join(Span(share(lo, start, size), zeros), made), Span(share(end, hi, size), zeros))
    counts = (rows[0] <= row) & (row <= rows[1])
    length = jnp.sqrt(cells.length(point.cell, dtype))
    return jnp.stack([jnp.where(counts, length * scale * part, 0) for part in made.parts])


def tree_where(condition: Array, a: Any, b: Any) -> Any:
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), a, b)
