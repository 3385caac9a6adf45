"""Solves over several devices: which rows of a batch are here, and arrays that differ between devices.

Under `jax.shard_map` a function sees the part of each array that lies on one device. JAX follows which arrays differ
along an axis of the mesh: the carry of a loop must differ along the same ones before the loop and after it, and the
gradient of an array that is the same everywhere is summed where the array is made to differ.
"""

import math
import operator
from collections.abc import Sequence
from typing import Any

import equinox.internal as eqxi
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int, PyTree, UInt32

from sdegrad.jax.types import Structs

Rows = Any  # (start, stop), the name of a mesh axis, or the names of several; a wrong one is refused by its value


def rows_of(structs: Structs, rows: Rows) -> tuple[Structs, UInt32[Array, ""]]:
    """The like of `structs` for some rows of the first axis of all, and the number of the first row. ValueError for
    rows that are not there, and for a mesh that does not divide them."""
    leaves = jax.tree.leaves(structs)
    counts = {leaf.shape[0] if leaf.shape else 0 for leaf in leaves}
    if len(counts) != 1 or 0 in counts:
        raise ValueError(
            f"rows={rows!r} are of the first axis of shape, which must be the same for all arrays, got "
            f"{[leaf.shape for leaf in leaves]}; put the batch there."
        )
    (count,) = counts
    names = (rows,) if isinstance(rows, str) else rows
    if isinstance(names, tuple) and names and all(isinstance(name, str) for name in names):
        first, here = _on_this_device(rows, names, count)
    else:
        start, stop = _range(rows, count)
        first, here = jnp.uint32(start), stop - start
    parts = [jax.ShapeDtypeStruct((here, *leaf.shape[1:]), leaf.dtype) for leaf in leaves]
    return jax.tree.unflatten(jax.tree.structure(structs), parts), first


def _on_this_device(rows: Rows, names: tuple[str, ...], count: int) -> tuple[Array, int]:
    """The number of the first row here, and how many rows are."""
    try:
        index, devices = jax.lax.axis_index(names), math.prod(map(_size, names))
    except NameError as error:
        raise ValueError(
            f"rows={rows!r} must be axes of the mesh that jax.shard_map maps over ({error}); make the path inside it, "
            "or pass rows=(start, stop)."
        ) from None
    if count % devices:
        raise ValueError(
            f"a mesh that divides rows among {devices} devices must divide their number, got shape[0]={count}; make "
            f"it {count - count % devices or devices} or {count + devices - count % devices}, or take fewer devices."
        )
    return index.astype(jnp.uint32) * jnp.uint32(count // devices), count // devices


def _size(name: str) -> int:
    return jax.lax.psum(1, name)  # of a Python number it is one


def _range(rows: Rows, count: int) -> tuple[int, int]:
    try:
        start, stop = map(operator.index, rows)
    except (TypeError, ValueError):
        start, stop = 0, -1
    if not 0 <= start <= stop <= count:
        raise ValueError(
            f"rows must be (start, stop) with 0 <= start <= stop <= {count}, the paths of shape, or the name of a mesh "
            f"axis, got {rows!r}; pass e.g. rows=(0, {count})."
        )
    return start, stop


def alike(tree: PyTree, *others: PyTree) -> PyTree:
    """The arrays of the tree, made to differ along all mesh axes along which one of them, or of the others, does."""
    axes = frozenset[str]().union(*map(_differing, jax.tree.leaves((tree, others))))

    def one(x: Any) -> Any:
        missing = axes - _differing(x)
        return jax.lax.pcast(x, tuple(sorted(missing)), to="varying") if missing and isinstance(x, jax.Array) else x

    return jax.tree.map(one, tree) if axes else tree


def everywhere(condition: Bool[Array, ""]) -> Bool[Array, ""]:
    """Whether the condition holds on all devices between which it differs."""
    axes = _differing(condition)
    return jax.lax.pmin(condition.astype(jnp.int32), tuple(sorted(axes))) == 1 if axes else condition


def unless(failed: Bool[Array, ""], which: Int[Array, ""], sentences: Sequence[str], ys: PyTree) -> PyTree:
    """ys; a run-time error with one of the sentences if the solve has failed. A single number passes through the error:
    what a callback to Python may return lies on one device, and all of ys would be gathered there.
    """
    passed = eqxi.branched_error_if(jnp.float32(0), failed, which, sentences)
    return jax.tree.map(lambda y: jnp.where(passed == 0, y, jnp.nan), ys)


def _differing(x: Any) -> frozenset[str]:
    """The mesh axes along which x differs; none known before JAX 0.10."""
    kind = getattr(x.aval, "mat", None) if isinstance(x, jax.Array) else None
    return frozenset() if kind is None else kind.varying
