"""Brownian motions made wrong on purpose."""

import math

import numpy as np

from suite.mutants.mutant import Mutant
from suite.mutants.patched import Changes, patched

BOTH = ("law", "determinism")


def _normals(change):
    """What `change` makes of every batch of normal numbers, which have the given deviation."""

    def changed(more):
        return lambda self, shape, deviation=1.0: change(more(self, shape, deviation), deviation)

    return {f"{_RNG}:Normals.more": changed}


def _two_rows_equal(x, deviation):  # noqa: ARG001
    if x.ndim > 2:
        x[:, 1] = x[:, 0]
    return x


def _half_copied(x, deviation):  # noqa: ARG001
    if x.ndim > 2:
        half = x.shape[1] // 2
        x[:, half : 2 * half] = x[:, :half]
    return x


def _drawn(change):
    """What `change(cells, block, index)` makes of every block of cells."""

    def changed(draw):
        return lambda self, index: change(self, draw(self, index), index)

    return {"sdegrad.torch.brownian.cells:GridCells._draw": changed}


def _correlated(cells, block, index):  # noqa: ARG001
    if block.H is not None:
        block.H.mul_(math.sqrt(1 - 0.02**2)).add_(block.W, alpha=0.02 / math.sqrt(12))
    return block


def _of_the_row_before(cells, block, index):  # noqa: ARG001
    if block.W.ndim > 2:
        odd = block.W[1::2]
        odd[:, 1:] = block.W[::2][: len(odd), :-1]
    return block


def _negated_when_drawn_again(cells, block, index):
    seen = cells.__dict__.setdefault("seen", set())
    if index in seen:
        block.W.neg_()
    seen.add(index)
    return block


def _wide_areas(cells):
    def wrong(self, *arguments):
        W, *areas = cells(self, *arguments)
        return [W, *(math.sqrt(12 / 10) * H for H in areas)]

    return wrong


def _split(change):
    """`change(whole, left, right)` of the two parts of an interval, given what is whole."""

    def changed(split):
        return lambda whole, left, right, normals: change(whole, *split(whole, left, right, normals))

    return {"sdegrad.torch.brownian.cell_tree:split": changed}


def _mean_off(whole, left, right):
    off = 0.02 * left.h / whole.h * whole.W
    return left._replace(W=left.W + off), right._replace(W=right.W - off)


def _narrow_bridge(split):
    return lambda whole, left, right, normals: split(whole, left, right, [0.99 * x for x in normals])


def _join(change):
    def changed(join):
        return lambda first, second: change(first, second, join(first, second))

    return {f"sdegrad.torch.brownian.{module}:join": changed for module in ("interval", "cell_tree", "cells")}


def _without_chen(first, second, joined):
    if joined.H is None:
        return joined
    return joined._replace(H=(first.h * first.H + second.h * second.H) / joined.h)


def _in_single_precision(call):
    def wrong(self, ta, tb=None, return_U=False, return_A=False):
        ta, tb = (t if t is None else float(np.float32(float(t))) for t in (ta, tb))
        return call(self, ta, tb, return_U, return_A)

    return wrong


def _as(kind):
    return lambda area: lambda _, *arguments: area(kind, *arguments)


class _Rejections:
    """Once a step has been rejected, the noise in the cells has the other sign."""

    count = 0

    @classmethod
    def counted(cls, error):
        cls.count = 0

        def wrong(*arguments):
            found = error(*arguments)
            cls.count += found > 1
            return found

        return wrong

    @classmethod
    def negated(cls, cell):
        def wrong(self, k):
            found = cell(self, k)
            if not cls.count:
                return found
            return found._replace(W=-found.W, H=None if found.H is None else -found.H)

        return wrong


def _a_step_late(increments):
    def wrong(*arguments):
        increment = increments(*arguments)
        return lambda k: increment(max(k - 1, 0))

    return wrong


def _unchanged(call):  # noqa: ARG001
    return lambda self, ta, tb, return_U=False, return_A=False: self._base(-tb, -ta, return_U, return_A)


def _zero(call):
    def wrong(self, *arguments, **options):
        found = call(self, *arguments, **options)
        return tuple(x * 0 for x in found) if isinstance(found, tuple) else found * 0

    return wrong


def _torch(about: str, effect: str, checks: tuple[str, ...], changes: Changes, after: str = "") -> Mutant:
    base = "sdegrad_torch"
    return Mutant(about=about, effect=effect, after=after, base=base, checks=checks, make=patched(base, changes))


def _jax(about: str, effect: str, checks: tuple[str, ...], changes: Changes) -> Mutant:
    return Mutant(about=about, effect=effect, base="sdegrad_jax", checks=checks, make=patched("sdegrad_jax", changes))


_LAW, _SAME = ("law",), ("determinism",)
_INTERVAL, _RNG = "sdegrad.torch.brownian.interval", "sdegrad.torch.brownian.rng"

MUTANTS: dict[str, Mutant] = {
    "variance off": _torch(
        "every normal number has 1.005 times its deviation",
        "variances 1 % too large",
        _LAW,
        _normals(lambda x, _: 1.005 * x),
    ),
    "mean off": _torch(
        "every normal number has a mean",
        "0.02 standard deviations",
        _LAW,
        _normals(lambda x, deviation: x + 0.02 * deviation),
        "SciML/DiffEqNoiseProcess.jl#150 (the distribution of the steps is shifted)",
    ),
    "all zero": _torch(
        "every increment is zero",
        "all of it",
        _LAW,
        {f"{_INTERVAL}:BrownianInterval.__call__": _zero},
        "google-research/torchsde#19 (the interval always returned zero)",
    ),
    "two rows equal": _torch(
        "two rows of a batch have the same noise", "2 of 128 rows", _LAW, _normals(_two_rows_equal)
    ),
    "half a batch copied": _torch(
        "the second half of a batch has the noise of the first",
        "half of the rows",
        _LAW,
        _normals(_half_copied),
        "SciML/DifferentialEquations.jl#1034 (one seed goes to every simulation of an ensemble)",
    ),
    "entries equal": _torch(
        "all entries of a sample are one", "all", _LAW, _normals(lambda x, _: x[..., :1].expand_as(x).clone())
    ),
    "H correlated with W": _torch(
        "the area of a cell is correlated with its increment", "0.02", _LAW, _drawn(_correlated)
    ),
    "H too wide": _torch(
        "the area of a cell has the variance h/10 in place of h/12",
        "20 % of the variance",
        _LAW,
        {f"{_RNG}:Normals.cells": _wide_areas},
    ),
    "last cell not clipped": _torch(
        "the last cell, which is shorter, has an increment for the length of the others",
        "the variance of one cell",
        ("law", "consumed"),
        {f"{_RNG}:same": lambda right: lambda *arguments: True},
        "SciML/OrdinaryDiffEq.jl#4095 (noise for the step that was planned, over a shorter one)",
    ),
    "noise repeated": _torch(
        "block 8 has the noise of block 0, and so on",
        "from the ninth block on",
        ("law", "consumed"),
        {f"{_RNG}:numbered": lambda right: lambda seed, index: right(seed, index % 8)},
    ),
    "noise of the row before": _torch(
        "each row has in every second cell what the row before it had in the cell before",
        "half of the cells; no row by itself",
        ("consumed",),
        _drawn(_of_the_row_before),
    ),
    "bridge mean off": _torch(
        "the mean of a part of an interval is 1.02 times what it is given the whole",
        "2 % of the mean",
        _LAW,
        _split(_mean_off),
        "SciML/DiffEqNoiseProcess.jl#1 (the statistics of the Brownian bridge a little bit off)",
    ),
    "bridge too narrow": _torch(
        "a part of an interval has 0.99 times its deviation, given the whole",
        "2 % of the variance",
        _LAW,
        {"sdegrad.torch.brownian.cell_tree:split": _narrow_bridge},
        "SciML/DiffEqNoiseProcess.jl#307 (the bridge of a rejected step has the wrong variance)",
    ),
    "redrawn after rejection": _torch(
        "once a step has been rejected, the noise inside the cells is another",
        "all noise off the grid after the first rejection",
        ("consumed",),
        {
            "sdegrad.torch.stepping.adaptive:_error": _Rejections.counted,
            "sdegrad.torch.brownian.cells:GridCells.cell": _Rejections.negated,
        },
        "SciML/DiffEqNoiseProcess.jl#80 (noise that was drawn before a rejection is lost)",
    ),
    "a step late": _torch(
        "every step consumes the increment of the one before",
        "one step",
        ("consumed",),
        {"sdegrad.torch.prepare:increments": _a_step_late},
    ),
    "increments that do not add up": _torch(
        "increments over several cells are too large",
        "by 1e-6 of their size",
        ("increments",),
        _join(lambda first, second, joined: joined._replace(W=joined.W * (1 + 1e-6))),
    ),
    "areas joined without increments": _torch(
        "the area of a union lacks the term of the increments",
        "up to half of it",
        ("increments", "law"),
        _join(_without_chen),
        "google-research/torchsde#44 (U of several intervals)",
    ),
    "no noise beyond the end": _torch(
        "a time beyond the end is taken to be the end",
        "the whole increment",
        ("increments",),
        {"sdegrad.torch.brownian.places:covers": lambda right: lambda *arguments: True},
        "google-research/torchsde#28 (times outside are clamped)",
    ),
    "an end after one unit of time": _torch(
        "a path without an end is constant after t0 + 1",
        "all noise after it",
        _LAW,
        {"sdegrad.torch.brownian.derived:_ENDLESS": lambda _: 1.0},
    ),
    "reversed without its signs": _torch(
        "a motion run backwards has the areas of the one that runs forwards",
        "the sign of H",
        ("increments", "law"),
        {"sdegrad.torch.brownian.derived:ReverseBrownian.__call__": _unchanged},
    ),
    "Levy area negated": _torch(
        "A has the wrong sign",
        "twice A",
        ("levy area",),
        {f"{_INTERVAL}:levy_area": lambda right: lambda *arguments: -right(*arguments)},
    ),
    "foster read as davie": _torch(
        "Foster's area has the variance of Davie's, which is right on average",
        "its dependence on H",
        ("levy area",),
        {f"{_INTERVAL}:levy_area": _as("davie")},
    ),
    "Levy area too wide": _torch(
        "A has, given W and H, 1.01 times its deviation",
        "2 % of the conditional variance",
        ("levy area",),
        {
            f"{_INTERVAL}:levy_area": lambda right: lambda kind, h, W, H, normals: right(kind, h, W, H, 1.01 * normals),
        },
    ),
    "seeds ignored": _torch(
        "every seed gives the same path",
        "all",
        BOTH,
        {f"{_INTERVAL}:root_seed": lambda right: lambda entropy: right(0)},
        "SciML/OrdinaryDiffEq.jl#3737 (every trajectory has the same noise)",
    ),
    "one default seed": _torch(
        "motions that are made without a seed are the same",
        "all",
        _SAME,
        {f"{_INTERVAL}:check_entropy": lambda right: lambda entropy: right(entropy or 0)},
    ),
    "another value after eviction": _torch(
        "a block of cells that is drawn a second time has the other sign",
        "what the cache no longer holds",
        _SAME,
        _drawn(_negated_when_drawn_again),
    ),
    "times in single precision": _torch(
        "the times of queries are rounded to float32",
        "6e-8 of a time",
        ("law", "increments"),
        {f"{_INTERVAL}:BrownianInterval.__call__": _in_single_precision},
    ),
    "K too wide": _jax(
        "the space-time-time area of a cell has the variance h/700 in place of h/720",
        "3 % of the variance",
        _LAW,
        {"sdegrad.jax.brownian.cells:VARIANCES": lambda _: (1.0, 1 / 12, 1 / 700)},
    ),
    "cells repeated": _jax(
        "cells whose numbers differ by 16 have the same noise",
        "one cell of 16",
        _LAW,
        {
            "sdegrad.jax.brownian.cells:normal": lambda right: lambda key, k, *rest: right(key, k & 15, *rest),
        },
    ),
}
