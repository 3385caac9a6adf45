"""The Brownian motion inside the cells of a grid: a sum over a dyadic tree of intervals, which is not stored.

Every node of the tree has normals of its own, which tell its halves apart as `halve` has it, and the leaf those of
`cut`. All that is linear in the normals, so an increment is a sum over the nodes that hold one of its ends, with
weights that depend on the ends alone: for W the series of Levy and Ciesielski, with H and K that of Alpert's
multiwavelets. So the levels need not be made one after another.
"""

import dataclasses
from functools import partial

import equinox as eqx
import equinox.internal as eqxi
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float, PyTree

from sdegrad.jax.brownian.cells import Cells
from sdegrad.jax.brownian.levy import VARIANCES, Span, cut, halve, join, restrict, subtract
from sdegrad.jax.brownian.positions import (
    LeafPosition,
    TreePosition,
    inside,
    integers,
    locate,
    piece_id,
    start_of,
    tree_where,
)
from sdegrad.jax.brownian.tree_cache import Descents, TreeCache, gathered
from sdegrad.jax.times import Fine
from sdegrad.jax.types import Index


def _descents(s: TreePosition, t: TreePosition, of_cells: int) -> Descents:
    """The rows that both descents have count as those of t. A whole cell has none, unless it is all there is."""
    shared, none = s.common(t), jnp.int32(-1)
    other = shared < 0
    first = jnp.where(other, 0, shared + 2)
    least = first if of_cells == 1 else jnp.maximum(first, 1)
    last_s = jnp.where(s.depth() < least, none, s.depth())
    last_t = jnp.where((t.depth() == 0) | (shared == s.levels + 1), none, t.depth())
    dtype, _ = integers(s.levels)
    start, end = (LeafPosition(jnp.asarray(leaf, dtype), jnp.zeros_like(s.fraction)) for leaf in (0, 2**s.levels))
    of_s = Descents(s, s.in_leaves(), tree_where(other, end, t.in_leaves()), first, last_s)
    of_t = Descents(t, tree_where(other, start, s.in_leaves()), t.in_leaves(), jnp.int32(0), last_t)
    return jax.tree.map(lambda *x: jnp.stack(x), of_s, of_t)


def positions_of(
    cells: Cells, times: Fine, eps: float, beyond: str | None = None
) -> tuple[TreePosition, Array, Bool[Array, ""]]:
    """The positions of two times, the earlier first; -1 if that is the second, else 1; whether the path reaches both.
    beyond: what a run-time error says where it does not, if that is one.
    """
    back = times.high[1] < times.high[0]
    in_order = jax.tree.map(lambda x: jnp.where(back, x[::-1], x), times)
    valid = jnp.all(inside(cells.grid, in_order.high, eps))
    if beyond is not None:
        in_order = eqx.error_if(in_order, ~valid, beyond)
    return locate(cells.grid, cells.levels, in_order, eps), jnp.where(back, -1, 1), valid


def sides(cells: Cells, cache: TreeCache | None, ends: TreePosition) -> tuple[list[Span], list[Span], TreeCache | None]:
    """For ends = (s, t): the spans over the part of [s, t] in the cell of s, those in the cell of t if it is another
    cell, and the cache after both descents. A part that is a whole cell is left out, unless there is one cell: then the
    first spans are all, and there are no others.
    """
    one = cells.grid.steps == 1

    def query(_: Index, made: tuple) -> tuple:
        cache, ends = made[2:]
        s, t = _each(ends)
        descents, other = _descents(s, t, cells.grid.steps), s.cell < t.cell
        sums, cache = gathered(cells, cache, descents, partial(_weights, cells))
        of_s, of_t = ([x[i] for x in sums] for i in (0, 1))
        lengths = jnp.where(other & (descents.last < 0), 0, descents.lo.to(descents.hi) * 2.0**-cells.levels)

        def spans(length: Array, cell: Array, sums: list) -> list[Span]:
            h = length * cells.length(cell, length.dtype)
            return [Span(h.astype(x.dtype), tuple(x)) for x in sums]

        first = spans(lengths[0], s.cell, tree_where(other, of_s, jax.tree.map(jnp.add, of_s, of_t)))
        second = [] if one else tree_where(other, spans(lengths[1], t.cell, of_t), cells.zeros())
        return first, second, cache, jax.tree.map(lambda x: x[::-1], ends)

    # A loop of one round is compiled by itself, and so rounded in the same way everywhere, if XLA sees neither that it
    # is one nor that anything in it could be done before: hence the unknown number of rounds, and the ends that change.
    rounds = jnp.where(eqxi.unvmap_max(ends.cell) < 0, 0, 1)
    return lax.fori_loop(0, rounds, query, (cells.zeros(), [] if one else cells.zeros(), cache, ends))[:3]


def total(cells: Cells, first: list[Span], second: list[Span], ends: TreePosition) -> list[Span]:
    """The spans over [s, t], the ends: those that `sides` returns, joined with those of the cells between."""
    s, t = _each(ends)
    end = tree_where(s.cell < t.cell, _end_of(s.cell, cells.levels), t)
    if cells.grid.steps == 1:
        return cells.with_area(first, piece_id(s, end))
    start = jnp.where(s.depth() == 0, s.cell, s.cell + 1)
    pieces = (first, piece_id(s, end), start), (second, piece_id(start_of(t.cell, cells.levels), t), t.cell)

    def whole(start: Array, spans: list[Span]) -> list[Span]:
        return lax.fori_loop(start, t.cell, lambda k, spans: list(map(join, spans, cell(cells, k))), spans)

    def add(spans: list[Span], piece: tuple) -> tuple[list[Span], None]:
        of_end, where, start = piece
        return whole(start, list(map(join, spans, cells.with_area(of_end, where)))), None

    nothing = cells.with_area(cells.zeros(), piece_id(s, s))
    # A loop for the two of them: it is compiled by itself, and so rounded in the same way everywhere.
    return lax.scan(add, nothing, jax.tree.map(lambda *x: jnp.stack(x), *pieces))[0]


def cell(cells: Cells, k: Array) -> list[Span]:
    return cells.with_area(cells.spans(k), piece_id(start_of(k, cells.levels), _end_of(k, cells.levels)))


def directed(spans: list[Span], sign: Array, valid: Bool[Array, ""] | bool) -> list[Span]:
    """The spans; those of the path run backwards where sign is -1, and NaN where not valid."""

    def one(span: Span) -> Span:
        signs = [sign, 1, sign][: len(span.parts)]
        signed = [x * jnp.asarray(b, x.dtype) for x, b in zip(span.parts, signs, strict=True)]
        parts = [jnp.where(valid, x, jnp.nan) for x in signed]
        A = None if span.A is None else jnp.where(valid, span.A * sign.astype(span.A.dtype), jnp.nan)
        return Span(span.h, tuple(parts), A)

    return list(map(one, spans))


def _each(pair: PyTree) -> list:
    return [jax.tree.map(lambda x, i=i: x[i], pair) for i in (0, 1)]


def _end_of(k: Array, levels: int) -> TreePosition:
    start = start_of(k, levels)
    return dataclasses.replace(start, code=jnp.zeros_like(start.code))


def _weights(cells: Cells, descent: Descents) -> Float[Array, "parts rows parts"]:
    """The weights of the rows of one descent in the increment over [lo, hi]. In row 0 the cell is the left half of
    twice the cell, and in the last row the leaf is cut.
    """
    point, lo, hi, first, last = descent
    dtype, count, leaf = point.fraction.dtype, cells.parts, cells.levels + 1
    row = np.arange(cells.levels + 2, dtype=np.int32)[:, None]
    size = 1 << (leaf - row).astype(integers(cells.levels)[0])  # of the nodes, in leaves
    half, scale = np.maximum(size // 2, 1), np.asarray(2.0 ** (-np.maximum(row - 1, 0) / 2), dtype)
    node = point.in_leaves().leaf & -size  # where it starts
    start, middle, end = (LeafPosition(node + x, jnp.zeros((), dtype)) for x in (0, half, size))

    def share(a: LeafPosition, b: LeafPosition, of: np.ndarray) -> Array:
        return jnp.maximum(a.to(b), 0) * np.asarray(1 / of, dtype)

    def within(at: LeafPosition) -> tuple[LeafPosition, LeafPosition]:
        return lo.clip(at.leaf, at.leaf + half), hi.clip(at.leaf, at.leaf + half)

    def piece(whole: Span, at: LeafPosition) -> Span:
        a, b = within(at)
        return restrict(whole, share(at, a, half) + share(at, b, half) - 1, share(a, b, half))

    of_cuts = [share(start, x.clip(node, node + 1), half)[leaf, 0] for x in (hi, lo)]
    counts = (first <= row) & (row <= last)
    length = jnp.sqrt(cells.length(point.cell, dtype))
    if count == 1:  # Schauder's functions: what is below makes them too, but takes long to compile
        p, q = of_cuts
        tent = jnp.where(row == 0, 1, 0.5) * share(*within(start), half) - 0.5 * share(*within(middle), half)
        made = jnp.where(row == leaf, jnp.sqrt(p * (1 - p)) - jnp.sqrt(q * (1 - q)), tent)
        return jnp.where(counts, length * scale * made, 0)[None]
    unit, zeros = jnp.eye(count, dtype=dtype)[:, None], (jnp.zeros((1, count), dtype),) * count
    nothing = Span(jnp.ones((), dtype), zeros)
    left, right = halve(nothing, tuple(unit))
    root = [variance**0.5 * x for variance, x in zip(VARIANCES, unit, strict=False)]
    left = left._replace(parts=tuple(map(lambda r, x: jnp.where(row == 0, r, x), root, left.parts)))
    cuts = [cut(nothing, p, tuple(unit))[0] for p in of_cuts]
    made = tree_where(jnp.asarray(row == leaf), subtract(*cuts), join(piece(left, start), piece(right, middle)))
    made = join(join(Span(share(lo, start, size), zeros), made), Span(share(end, hi, size), zeros))
    return jnp.stack([jnp.where(counts, length * scale * part, 0) for part in made.parts])
