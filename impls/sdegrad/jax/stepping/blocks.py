"""Loops over the steps of a solve, forwards and backwards."""

from collections.abc import Callable

import jax.numpy as jnp
from jax import lax

from sdegrad.jax.types import Carry, Index

BLOCK = 16  # steps whose times are read at once


def loop(first: Index, last: Index, body: Callable, carry: Carry, backwards: bool) -> Carry:
    """carry = body(k, carry) for k from `first` to `last` - 1, or back from there."""
    if backwards:
        down = (jnp.asarray(last, jnp.int32), carry)
        return lax.while_loop(lambda c: c[0] > first, lambda c: (c[0] - 1, body(c[0] - 1, c[1])), down)[1]
    up = (jnp.asarray(first, jnp.int32), carry)
    return lax.while_loop(lambda c: c[0] < last, lambda c: (c[0] + 1, body(*c)), up)[1]


def loop_back(first: Index, last: Index, times_before: Callable, body: Callable, carry: Carry) -> Carry:
    """carry = body(times, k, carry) for every step k from `last` - 1 back to `first`. times: `times_before(j)`, the
    times around the BLOCK steps that end at time j, made once for these steps. XLA on a CPU runs a loop that reads
    them faster than one that reads all.
    """

    def block(c: tuple[Index, Carry]) -> tuple[Index, Carry]:
        times, end = times_before(c[0]), jnp.maximum(c[0] - BLOCK, first)
        return lax.while_loop(lambda c: c[0] > end, lambda c: (c[0] - 1, body(times, c[0] - 1, c[1])), c)

    return lax.while_loop(lambda c: c[0] > first, block, (last, carry))[1]
