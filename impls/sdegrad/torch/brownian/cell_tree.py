"""The Brownian motion inside the cells of a grid: below each a binary tree of intervals, never stored.

A node is its end points, its seed and its increment; the seeds of its halves derive from its own. So a node
is found by walking down from the cell, and all that is kept is the last increments (within a bound of bytes)
and where the nodes below the leaves were split (one number for each query time that is not on the grid).
"""

from collections import OrderedDict
from contextlib import nullcontext

import torch

from sdegrad.grid import EPS64
from sdegrad.torch.brownian.levy import Increment, join, split
from sdegrad.torch.brownian.rng import Normals, derive, lasting, must_last

_LEAF_DEPTH = 6  # halvings of a cell that do not depend on the queries
_LONG = 8.0  # a node longer than so many query lengths is halved, for a balanced tree
_CACHE_BYTES = 2**22
_CACHE_LEAST = 32  # pairs: enough for the way down to the next query, however large they are
_PAIR_OVERHEAD = 1024  # bytes of Python objects

Halves = tuple[Increment, Increment]


class CellTree:
    """Increments over [ta, tb] within a cell, exact in law jointly for all queries.

    The first `_LEAF_DEPTH` levels are dyadic and independent of the queries. Below, nodes are split at the
    query times, so there the values depend on the order of the queries; with `halfway` all levels are dyadic,
    and they do not. A query time is rounded to an end of the first node that is no longer than `tol` or a few
    ulp. `keeps`: whether increments are kept at all.
    """

    def __init__(self, normals: Normals, tol: float, halfway: bool, keeps: bool = True) -> None:
        self._normals = normals
        self._tol = tol
        self._halfway = halfway
        self._splits: dict[int, float] = {}
        self._cache: OrderedDict[int, Halves] = OrderedDict()
        most = max(_CACHE_LEAST, _CACHE_BYTES // (4 * normals.sample.nbytes + _PAIR_OVERHEAD))
        self._capacity = most if keeps else 0

    def increment(self, cell: Increment, a: float, b: float, seed: int, ta: float, tb: float) -> Increment:
        """The increment over [ta, tb], a <= ta < tb <= b, of the cell [a, b] with this seed."""
        resolution = max(self._tol, 4 * EPS64 * max(abs(a), abs(b)))
        total = None
        stack = [(a, b, seed, 0, cell)]
        while stack:
            a, b, seed, depth, node = stack.pop()
            middle = (a + b) / 2
            if (ta <= a and b <= tb) or b - a <= resolution:
                if ta < (middle if a < middle else b) <= tb:  # the ends, rounded, are a and b
                    total = node if total is None else join(total, node)
                continue
            at = middle if self._halfway or depth < _LEAF_DEPTH else self._split_point(a, b, seed, ta, tb)
            left, right = self._halves(a, at, b, seed, node)
            if at < tb:
                stack.append((at, b, derive(seed, 1), depth + 1, right))
            if ta < at:
                stack.append((a, at, derive(seed, 0), depth + 1, left))
        if total is None:
            return Increment(0.0, torch.zeros_like(cell.W), None if cell.H is None else torch.zeros_like(cell.H))
        return total

    def _split_point(self, a: float, b: float, seed: int, ta: float, tb: float) -> float:
        at = self._splits.get(seed)
        if at is None:
            at = (a + b) / 2 if b - a > _LONG * (tb - ta) else ta if a < ta < b else tb
            self._splits[seed] = at
        return at

    def _halves(self, a: float, at: float, b: float, seed: int, node: Increment) -> Halves:
        halves = self._cache.get(seed)
        if halves is not None:
            self._cache.move_to_end(seed)
            return halves
        with lasting() if self._capacity and must_last() else nullcontext():
            shape = self._normals.sample.shape
            normals = [self._normals(seed, shape)]
            if node.H is not None:
                normals.append(self._normals.more(shape))
            halves = self._cache[seed] = split(node, at - a, b - at, normals)
        if len(self._cache) > self._capacity:
            self._cache.popitem(last=False)
        return halves
