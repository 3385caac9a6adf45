"""Normal random numbers from counters: Threefry-2x32 with 20 rounds (Salmon, Moraes, Dror, Shaw, SC 2011).

JAX has the same generator behind `jax.random.bits`, but compiles it on the CPU as a loop over the rounds that
cannot be fused with what follows. Written out, the rounds, the inverse of the normal distribution and the
step that uses them become one pass over the elements.
"""

import math
from collections.abc import Callable
from functools import partial

import equinox.internal as eqxi
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, UInt32

from sdegrad.jax.mesh import alike
from sdegrad.normals import PARITY, PIECES, ROTATIONS, STEPS, table

First = UInt32[Array, ""] | None


@partial(jax.jit, inline=True)
def threefry(key: UInt32[Array, "2 ..."], high: UInt32[Array, "*#n"], low: UInt32[Array, "*#n"]) -> tuple[Array, Array]:
    """The two random words of counter (high, low)."""
    keys = (key[0], key[1], key[0] ^ key[1] ^ np.uint32(PARITY))
    a, b = high + keys[0], low + keys[1]
    for group in range(5):
        for rotation in ROTATIONS[group % 2]:
            a = a + b
            b = a ^ ((b << np.uint32(rotation)) | (b >> np.uint32(32 - rotation)))
        a = a + keys[(group + 1) % 3]
        b = b + keys[(group + 2) % 3] + np.uint32(group + 1)
    return a, b


@partial(jax.jit, static_argnames=("shape", "dtype"), inline=True)
def normal(
    key: UInt32[Array, "*draws 2"],
    counter: UInt32[Array, "*draws"],
    shape: tuple[int, ...],
    dtype: np.dtype,
    first: First = None,
) -> Float[Array, "..."]:
    """Standard normals [*draws, *shape]; element i of a draw is made from the words of counter (`counter`, first + i),
    `first` being none for 0. Half precision is rounded.
    """
    made = dtype if dtype == np.float64 else np.dtype(np.float32)
    bits = _once(partial(random_bits, shape=shape, dtype=made), counter, key, counter, first)
    return _once(partial(_quantile, dtype=made), counter, bits).astype(dtype)


@partial(jax.jit, static_argnames=("shape", "dtype"), inline=True)
def random_bits(
    key: UInt32[Array, "*draws 2"],
    counter: UInt32[Array, "*draws"],
    first: First,
    shape: tuple[int, ...],
    dtype: np.dtype,
) -> Array:
    """As many random bits as numbers of this dtype have, [*draws, *shape]."""
    element = lax.iota(jnp.uint32, math.prod(shape)).reshape((1,) * counter.ndim + shape)
    element = element if first is None else element + first
    draw = (*counter.shape, *(1 for _ in shape))
    a, b = threefry(jnp.moveaxis(key, -1, 0).reshape(2, *draw), counter.reshape(draw), element)
    return (a.astype(jnp.uint64) << np.uint64(32)) | b.astype(jnp.uint64) if dtype == np.float64 else a ^ b


@partial(jax.jit, static_argnames=("shape", "dtype"), inline=True)
def portable_normal(
    key: UInt32[Array, "*draws 2"],
    counter: UInt32[Array, "*draws"],
    shape: tuple[int, ...],
    dtype: np.dtype,
    first: First = None,
) -> Float[Array, "..."]:
    """Those of the same counters by the table of `sdegrad.normals`: of 32 bits each, whatever the dtype."""

    def draw(*words: Array | None) -> Float[Array, "..."]:
        return _from_table(random_bits(*words, shape=shape, dtype=np.dtype(np.float32)))

    return _once(draw, counter, key, counter, first).astype(dtype)


@partial(jax.jit, inline=True)
def _from_table(bits: UInt32[Array, "*shape"]) -> Float[Array, "*shape"]:
    entries, slopes = (jnp.asarray(x) for x in table())
    odd = (bits << np.uint32(1)) | np.uint32(1)  # 2 v + 1
    zeros = lax.clz(odd)
    digits = odd << zeros
    piece = (np.uint32(31) - zeros) * np.uint32(PIECES) + ((digits >> np.uint32(21)) & np.uint32(PIECES - 1))
    rest = ((digits >> np.uint32(9)) & np.uint32(STEPS - 1)).astype(jnp.float32)
    x = entries[piece] + slopes[piece] * rest
    return jnp.where(bits >> np.uint32(31) == 1, -x, x)


@partial(jax.jit, static_argnames="dtype", inline=True)
def _quantile(bits: Array, dtype: np.dtype) -> Array:
    return 2**0.5 * lax.erf_inv(_symmetric(bits, dtype))


def _once(f: Callable[..., Array], counter: Array, *arguments: Array | None) -> Array:
    """f of the arguments, made once. On the CPU XLA would copy f into every user of the result; but it does not copy a
    loop, even of one trip, provided that it cannot see that it is one: hence from `counter` to counter + 1; under
    vmap, from the greatest, so that the loop remains one loop.
    """

    def loop(counter: Array, *arguments: Array | None) -> Array:
        result = jax.eval_shape(f, *arguments)
        start = (counter, alike(jnp.zeros(result.shape, result.dtype), arguments))
        return lax.while_loop(lambda c: c[0] != counter + 1, lambda c: (c[0] + 1, f(*arguments)), start)[1]

    return lax.platform_dependent(
        eqxi.unvmap_max(counter), *arguments, cpu=loop, default=lambda _, *arguments: f(*arguments)
    )


def _symmetric(bits: Array, dtype: np.dtype) -> Array:
    """Uniform on the odd multiples of 2^-p in (-1, 1), where p is the precision of dtype: symmetric, never 0
    or 1.
    """
    width, precision = bits.dtype.itemsize * 8, jnp.finfo(dtype).nmant + 1
    signed = jnp.int64 if width == 64 else jnp.int32
    top = (bits >> jnp.asarray(width - precision - 1, bits.dtype)).astype(signed)
    return ((top | 1) - 2**precision).astype(dtype) * jnp.asarray(2.0**-precision, dtype)
