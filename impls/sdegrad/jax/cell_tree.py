"""The Brownian motion inside the cells of a grid: in each a dyadic tree of intervals, walked and not stored.

What is kept is the way from the cell down to one point. The next point shares the upper part of it, so a solver
that asks for one interval after another, forwards or backwards, pays for the lower part alone.
"""

from typing import Any, NamedTuple

import equinox.internal as eqxi
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int

from sdegrad.jax.bridge import Span, cut, halve, join, subtract
from sdegrad.jax.cells import Cells
from sdegrad.jax.points import CUT, LEVELS, Point, place, start_of


class Walk(NamedTuple):
    """The way down to a point: at every level to `depth` both children of the node above, of every array. The
    root is the right child of nothing. The rows below are of older ways.
    """

    point: Point
    depth: Int[Array, ""]
    children: list[Float[Array, "levels 2 parts *shape"]]

    def known(self, point: Point) -> Int[Array, ""]:
        """How many levels of the way to this point are here; -1 if not even its cell is."""
        shared = self.point.common(point)
        return jnp.where(shared < 0, -1, jnp.minimum(self.depth, jnp.where(shared < LEVELS, shared + 1, shared)))


def start(cells: Cells, dtype: Any) -> Walk:
    """On no way at all. dtype: of times."""
    children = [jnp.zeros((CUT + 1, 2, cells.parts, *s.shape), s.dtype) for s in cells.structs]
    return Walk(Point.at(-1, jnp.zeros((), dtype)), jnp.int32(-1), children)


def sides(cells: Cells, walk: Walk, s: Point, t: Point) -> tuple[list[Span], list[Span], Walk]:
    """For s before t: the spans from s to the middle of the last node that holds both, or to the end of the cell if t
    is in another, and from there to t. Within one leaf: from the leaf's start to s, and to t.
    """
    shared = s.common(t)
    same, one_leaf = shared == CUT, shared >= LEVELS
    # s needs the node that starts there and ends before t, t what is on its left; nothing, where a cell starts.
    whole = (shared < 0) & (s.depth() == 0)
    depth_s = jnp.where(same | whole, -1, jnp.maximum(s.depth(), shared + 1))
    depth_t = jnp.where(same | (t.depth() == 0), -1, t.depth())
    top = jnp.where(one_leaf, CUT, shared + 2)
    t_first = depth_t - walk.known(t) < depth_s - walk.known(s)  # the nearer one, not to leave it in vain

    def visit(walk: Walk, is_t: Array) -> tuple[Walk, list[Span]]:
        point, depth = tree_where(is_t, (t, depth_t), (s, depth_s))
        walk = _seek(cells, walk, point, depth)
        return walk, _side(cells, walk, point, (top, depth), ~is_t & ~one_leaf)

    walk, spans = lax.scan(visit, walk, jnp.stack([t_first, ~t_first]))
    of_s, of_t = (jax.tree.map(lambda x, i=i: x[i], spans) for i in jnp.stack([t_first, ~t_first]).astype(jnp.int32))
    return of_s, of_t, walk


def _pieces(s: Point, t: Point, of_s: list[Span], of_t: list[Span], nothing: list[Span]) -> tuple[list, list]:
    """What `sides` gives as the span over the part of [s, t] in the cell of s, and that in the cell of t if it is
    another; nothing for a whole cell.
    """
    shared = s.common(t)
    other, whole = shared < 0, (shared < 0) & (s.depth() == 0)

    def one(a: Span, b: Span, nothing: Span) -> tuple[Span, Span]:
        inside = tree_where(shared >= LEVELS, subtract(b, a), join(a, b))
        first = tree_where(whole | (shared == CUT), nothing, tree_where(other, a, inside))
        return first, tree_where(other, b, nothing)

    first, second = zip(*map(one, of_s, of_t, nothing), strict=True)
    return list(first), list(second)


def total(cells: Cells, of_s: list[Span], of_t: list[Span], ends: tuple[Point, Point]) -> list[Span]:
    """Over [s, t], the ends: what `sides` gives, and the whole cells between. The barriers keep a compiler from merging
    this with what is around it, so that it is rounded in the same way everywhere.
    """
    s, t = ends
    of_s, of_t = lax.optimization_barrier((of_s, of_t))
    first, second = _pieces(s, t, of_s, of_t, cells.zeros())
    end = tree_where(s.cell < t.cell, start_of(s.cell)._replace(code=jnp.uint32(0)), t)
    first = cells.with_area(first, place(s, end))
    second = cells.with_area(second, place(start_of(t.cell), t))
    start = jnp.where(s.depth() == 0, s.cell, s.cell + 1)
    spans = lax.fori_loop(start, t.cell, lambda k, spans: list(map(join, spans, cell(cells, k))), first)
    return lax.optimization_barrier(list(map(join, *lax.optimization_barrier((spans, second)))))


def cell(cells: Cells, k: Array) -> list[Span]:
    start = start_of(k)
    return cells.with_area(cells.spans(k), place(start, start._replace(code=jnp.uint32(0))))


def _seek(cells: Cells, walk: Walk, point: Point, depth: Array) -> Walk:
    """Down to this depth on the way to the point, from where the ways part; nowhere, if it is negative.

    Under vmap all ways are walked from the first level to the last that one of them needs, so that a level is a row
    in all of them and no walk is copied; what a way has no need of is not written.
    """
    known, k = walk.known(point), point.cell
    first, last = -eqxi.unvmap_max(-(known + 1)), eqxi.unvmap_max(depth + 1)
    keys = cells.keys(k)

    def down(level: Array, children: list) -> list:
        root, above = level == 0, jnp.maximum(level - 1, 0)
        node, needed = point.node(above), (known < level) & (level <= depth)
        normals = cells.normals(keys[jnp.where(root, 0, 1)], jnp.where(root, k.astype(jnp.uint32), node))
        made = []
        for rows, X, cell in zip(children, normals, cells.made(k, normals), strict=True):
            old = lax.dynamic_index_in_dim(rows, level, keepdims=False)
            left, right = lax.dynamic_index_in_dim(rows, above, keepdims=False)
            parent = Span(cell.h * _share(above, cell.h.dtype), tuple(jnp.where(node & 1 == 1, right, left)))
            halves = tree_where(level == CUT, cut(parent, point.cut.astype(cell.h.dtype), X), halve(parent, X))
            both = tree_where(root, (cell, cell), halves)
            new = jnp.stack([jnp.stack(span.parts) for span in both])
            made.append(lax.dynamic_update_index_in_dim(rows, jnp.where(needed, new, old), level, 0))
        return made

    children = lax.fori_loop(first, last, down, walk.children)
    reached = tree_where(depth < 0, (walk.point, walk.depth), (point, jnp.maximum(known, depth)))
    return Walk(reached[0], reached[1], children)


def _side(cells: Cells, walk: Walk, point: Point, levels: tuple[Array, Array], right: Array) -> list[Span]:
    """The nodes beside the way to the point, at these levels (first, last): on its right, with the node that starts at
    the point, or on its left.
    """
    first, last = levels
    at_levels = (jnp.uint32(2) << (CUT - first).astype(jnp.uint32)) - 1  # the bits of code at these levels
    below = (jnp.uint32(1) << (CUT - jnp.maximum(last, 0)).astype(jnp.uint32)) - 1
    marked = jnp.where(right, ~point.code, point.code) & at_levels & ~below

    def length(level: Array, side: Array, cell: Array) -> Array:
        part = jnp.where(side == 1, 1 - point.cut, point.cut).astype(cell.dtype)
        whole = cell * _share(jnp.minimum(level, LEVELS), cell.dtype)
        return jnp.where(level == CUT, whole * part, whole)

    def node(level: Array, side: Array) -> list[Span]:
        dtypes = [s.dtype for s in cells.structs]
        return [
            Span(length(level, side, cells.length(point.cell, dtype)), _child(rows, level, side))
            for rows, dtype in zip(walk.children, dtypes, strict=True)
        ]

    def up(carry: tuple[Array, list[Span]]) -> tuple[Array, list[Span]]:
        marked, total = carry
        level = lax.clz(marked & (~marked + 1)).astype(jnp.int32) - (31 - CUT)  # of the lowest node that is left
        beside = node(level, right.astype(jnp.uint32))
        return marked & (marked - 1), [
            join(*tree_where(right, (a, b), (b, a))) for a, b in zip(total, beside, strict=True)
        ]

    deepest = jnp.maximum(last, 0)
    begin = tree_where(right, node(deepest, point.node(deepest) & 1), cells.zeros())
    return lax.while_loop(lambda carry: carry[0] != 0, up, (marked, begin))[1]


def _share(level: Array, dtype: Any) -> Array:
    """The length of a node, by that of the cell."""
    return jnp.asarray(2.0 ** -np.arange(CUT), dtype)[level]


def _child(rows: Array, level: Array, side: Array) -> tuple[Array, ...]:
    return tuple(rows[level, side])


def tree_where(condition: Array, a: Any, b: Any) -> Any:
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), a, b)
