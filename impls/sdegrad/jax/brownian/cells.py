"""The independent draws that a Brownian path is made of: each is a pure function of its key and its number."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, Float, UInt32

from sdegrad.grid import Grid
from sdegrad.jax.arguments import check_dtype
from sdegrad.jax.brownian.levy import VARIANCES, Span, levy_area
from sdegrad.jax.brownian.rng import normal, portable_normal, random_bits, threefry
from sdegrad.jax.mesh import alike
from sdegrad.jax.times import AnyGrid, OneCell
from sdegrad.jax.types import Index, Key, Shape, Structs

KEYS_PER_ARRAY = 7  # keys per array: of W, H, K over cells, of the three normals of a split, and of A


class Cells(eqx.Module):
    """The cells of the grid, for every array of the path. parts: 1 for W, 2 for W and H, 3 with K.
    levels: how often a cell is halved in its tree. area: how A is approximated, if at all. portable: whether normals
    are those of `sdegrad.normals`. first_row: the number in the whole batch of the first row here; None for 0.
    """

    array_keys: UInt32[Array, "arrays keys 2"]
    one_cell: OneCell | None
    structs: tuple[jax.ShapeDtypeStruct, ...] = eqx.field(static=True)
    known_grid: Grid | None = eqx.field(static=True)
    parts: int = eqx.field(static=True)
    levels: int = eqx.field(static=True)
    area: str | None = eqx.field(static=True)
    portable: bool = eqx.field(static=True)
    first_row: UInt32[Array, ""] | None = None

    @property
    def grid(self) -> AnyGrid:
        grid = self.one_cell if self.known_grid is None else self.known_grid
        assert grid is not None
        return grid

    def length(self, k: Index, dtype: DTypeLike) -> Array:
        grid = self.grid
        return jnp.where(jnp.asarray(k) == grid.steps - 1, grid.step(grid.steps - 1), grid.dt).astype(dtype)

    def spans(self, k: Array) -> list[Span]:
        """The spans over cell k, without A. Each part is drawn alone, so that a compiler may drop unused ones."""
        draws = [
            tuple(self._normal(key, k.astype(jnp.uint32), s.shape, s.dtype) for key in keys[: self.parts])
            for keys, s in zip(self.array_keys, self.structs, strict=True)
        ]
        return self.made(k, draws)

    def made(self, k: Array, normals: list[tuple[Array, ...]]) -> list[Span]:
        """The spans over cell k, made of its standard normals."""

        def one(X: tuple[Array, ...], dtype: np.dtype) -> Span:
            h = self.length(k, dtype)
            return Span(h, tuple(jnp.sqrt(h * v) * x for v, x in zip(VARIANCES, X, strict=False)))

        return [one(X, s.dtype) for X, s in zip(normals, self.structs, strict=True)]

    def split_keys(self, k: Array, high: UInt32[Array, "n"]) -> UInt32[Array, "n arrays parts 2"]:
        """The keys of the normals that split the nodes of cell k, whose counter is the lower word of the node's number;
        `high` is the upper word.
        """
        splits = jnp.moveaxis(self.array_keys[None, :, 3 : 3 + self.parts], -1, 0)
        return jnp.stack(threefry(splits, k.astype(jnp.uint32).reshape(1, 1, 1), high[:, None, None]), axis=-1)

    def normals(
        self, keys: UInt32[Array, "n arrays parts 2"], counters: UInt32[Array, "n"]
    ) -> list[Float[Array, "n parts *shape"]]:
        """Standard normals of every array, drawn in one pass."""
        each = jnp.broadcast_to(counters[:, None], (len(counters), self.parts))
        return [self._normal(keys[:, i], each, s.shape, s.dtype) for i, s in enumerate(self.structs)]

    def _normal(self, key: Array, counter: Array, shape: tuple[int, ...], dtype: np.dtype) -> Array:
        first = None if self.first_row is None else self.first_row * np.uint32(math.prod(shape[1:]))
        return (portable_normal if self.portable else normal)(key, counter, shape, dtype, first)

    def zeros(self) -> list[Span]:
        """Spans of length zero, one for every array."""
        parts = [alike((jnp.zeros(s.shape, s.dtype),) * self.parts, self.first_row) for s in self.structs]
        return [Span(jnp.zeros((), s.dtype), zeros) for s, zeros in zip(self.structs, parts, strict=True)]

    def with_area(self, spans: list[Span], piece: tuple[Array, ...]) -> list[Span]:
        """The spans with A, if the path has it. piece: its `piece_id`, from which the normals of A are drawn."""
        kind = self.area
        if kind is None:
            return spans

        def one(span: Span, keys: Array, struct: jax.ShapeDtypeStruct) -> Span:
            key = keys[KEYS_PER_ARRAY - 1]
            for number in piece:
                key = jnp.stack(threefry(key, number, jnp.uint32(0)))
            normals = self._normal(key, jnp.uint32(0), (*struct.shape, struct.shape[-1]), struct.dtype)
            return levy_area(kind, span, normals)

        return [one(*each) for each in zip(spans, self.array_keys, self.structs, strict=True)]


def keys_of(key: Key, arrays: int, portable: bool) -> UInt32[Array, "arrays keys 2"]:
    """The keys of that many arrays; the portable ones are the words of counters (i, 0) of the key itself."""
    typed = isinstance(key, jax.Array) and jnp.issubdtype(key.dtype, jax.dtypes.prng_key)
    if not typed and not (isinstance(key, jax.Array) and key.dtype == np.uint32):
        raise ValueError(f"key must be a JAX random key, got {key!r}; pass e.g. jax.random.key(0).")
    if key.ndim != (0 if typed else 1):
        raise ValueError(
            f"key must be one JAX random key, got keys of shape {key.shape}; use jax.vmap over the keys, or a batch "
            "axis in shape."
        )
    words, shape = jr.key_data(key) if typed else key, (arrays, KEYS_PER_ARRAY, 2)
    if not portable:
        partitionable = jax.config.jax_threefry_partitionable  # pyright: ignore[reportAttributeAccessIssue]
        if words.shape == (2,) and partitionable:  # the same bits, compiled sooner
            return random_bits(words, jnp.uint32(0), None, shape, np.dtype(np.float32))
        return jr.bits(key, shape, jnp.uint32)  # by default they are 64 bits wide where floats are
    if words.shape != (2,):
        raise ValueError(
            f'generator="portable" needs a key of two words, got {key!r}; pass jax.random.key(0, impl="threefry2x32").'
        )
    numbers = jnp.arange(arrays * KEYS_PER_ARRAY, dtype=jnp.uint32)
    return jnp.stack(threefry(words, numbers, jnp.zeros_like(numbers)), -1).reshape(shape)


def structs_of(shape: Shape, dtype: DTypeLike | None) -> Structs:
    """A tree of shapes and dtypes; of one leaf if shape is a tuple of integers."""
    if isinstance(shape, (tuple, list)) and all(isinstance(n, (int, np.integer)) for n in shape):
        shape = jax.ShapeDtypeStruct(tuple(shape), check_dtype(dtype))
    elif dtype is not None:
        raise ValueError(f"dtype={dtype} given, but the shape is a tree whose leaves have dtypes; leave dtype out.")
    for leaf in jax.tree.leaves(shape):
        if not isinstance(leaf, jax.ShapeDtypeStruct):
            raise ValueError(f"shape must be a tuple of integers or a tree of jax.ShapeDtypeStruct, got {leaf!r}.")
        if any(n < 0 for n in leaf.shape):
            raise ValueError(f"shape must have no negative length, got {leaf.shape}.")
        check_dtype(leaf.dtype)
    return shape
