"""The backward pass through steps of reversible Heun, for terms and outputs as diffrax has them.

Kidger, Foster, Li, Lyons (2021), arXiv 2105.13493, algorithm 2. With F = f dt + g dW, a step and its inverse
are

    hat1 = 2 y0 - hat0 + F(t0, hat0),    y1 = y0 + (F(t0, hat0) + F(t1, hat1)) / 2
    hat0 = 2 y1 - hat1 - F(t1, hat1),    y0 = y1 - (F(t0, hat0) + F(t1, hat1)) / 2
"""

import dataclasses
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from equinox.internal import ω
from jax import lax
from jaxtyping import Array, Float, Int, PyTree

from sdegrad.jax.diffrax.terms import VF, Control
from sdegrad.jax.diffrax.times import Times, Window
from sdegrad.jax.methods.base import tree
from sdegrad.jax.stepping.blocks import loop_back
from sdegrad.jax.types import Arrays, Y


class Last(NamedTuple):
    """The residuals of the forward pass: the state at the last time, the times, and the saved values."""

    y: Y
    hat: Y
    times: Times
    saved: Int[Array, ""]  # outputs before the one at t1, if there is one at t1
    ts: Float[Array, "outputs"]


class Reverse(NamedTuple):
    """The backward pass at one time. `after` is the control of the step after it, F the product with that."""

    saved: Int[Array, ""]  # outputs not yet passed
    ahead: Y  # y + F / 2
    hat: Y
    after: Control
    a_y: Y  # cotangents
    a_hat: Y
    a_F: Y
    a_after: Control
    a_arrays: Arrays
    caches: list  # along the paths of Brownian motion


class Backward(eqx.Module):
    """The backward pass. `arrays` are the differentiated ones in (args, terms), `rest` is everything else there."""

    rest: PyTree
    times: Times | Window
    ts: Float[Array, "outputs"] | None  # None if all outputs are at the ends
    a_ys: Y  # cotangents of the outputs, [outputs, *y.shape]

    def start(self, last: Last, arrays: Arrays, at_end: bool) -> Reverse:
        """The state of the backward pass at the last time, before an empty step. at_end: whether t1 is an output."""
        k, (_, terms) = last.times.count, eqx.combine(arrays, self.rest)
        after, a_y, a_arrays = tree(jnp.zeros_like, (jax.eval_shape(self._control, k, arrays), last.y, arrays))
        here = tree(lambda a: a[last.saved], self.a_ys) if at_end else a_y
        return Reverse(last.saved, last.y, last.hat, after, here, a_y, a_y, after, a_arrays, terms.start())

    def march(self, arrays: Arrays, k: Array, r: Reverse) -> Reverse:
        """The state of the backward pass at the first time, from that at time k."""

        def back(times: Window, k: Array, r: Reverse) -> Reverse:
            return dataclasses.replace(self, times=times).step(arrays, k, r)

        assert isinstance(self.times, Times)
        return loop_back(0, k, self.times.before, back, r)

    def step(self, arrays: Arrays, k: Array, r: Reverse) -> Reverse:
        """The inverse of step k, from time k + 1 to time k, and its gradient."""
        _, terms = eqx.combine(arrays, self.rest)
        t0, t1 = self.times(k), self.times(k + 1)
        before, caches = terms.advance(r.caches, t0, t1)

        def products(hat: Y, arrays: Arrays, after: Control, before: Control) -> tuple[Y, Y]:
            args, terms = eqx.combine(arrays, self.rest)
            vf = terms.vf(t1, hat, args)
            return self._product(hat, vf, after, arrays), self._product(hat, vf, before, arrays)

        (F, G), pull = jax.vjp(products, r.hat, arrays, r.after, before)
        y = (r.ahead**ω - F**ω / 2).ω
        saved, a_here, a_previous = self._outputs(t0, t1, r.saved, r.a_y)
        half = (a_here**ω / 2).ω
        v_hat, v_arrays, v_after, a_before = pull((r.a_F, half))
        a_hat = (r.a_hat**ω + v_hat**ω).ω
        return Reverse(
            saved=saved,
            ahead=(y**ω - G**ω / 2).ω,
            hat=(2 * y**ω - r.hat**ω - G**ω).ω,
            after=before,
            a_y=(a_here**ω + a_previous**ω + 2 * a_hat**ω).ω,
            a_hat=(-(a_hat**ω)).ω,
            a_F=(half**ω + a_hat**ω).ω,
            a_after=a_before,
            a_arrays=self._add(arrays, k + 1, r, v_arrays, v_after),
            caches=caches,
        )

    def end(self, arrays: Arrays, y0: Y, vf0: VF, r: Reverse) -> tuple[Y, Y, VF, Arrays]:
        """The cotangents of y, hat, vf0 and the arrays at the first time, where diffrax has evaluated vf0 at hat."""
        vf0, static = eqx.partition(vf0, eqx.is_inexact_array)

        def product(vf0: VF, arrays: Arrays, after: Control) -> Y:
            return self._product(y0, eqx.combine(vf0, static), after, arrays)

        a_vf0, v_arrays, v_after = jax.vjp(product, vf0, arrays, r.after)[1](r.a_F)

        def add_outputs(a_y: Array, a_ys: Array) -> Array:
            here = jnp.arange(len(a_ys), dtype=jnp.int32) < r.saved
            return a_y + jnp.sum(jnp.where(here.reshape(-1, *[1] * a_y.ndim), a_ys, 0), axis=0)

        return (
            tree(add_outputs, r.a_y, self.a_ys),
            r.a_hat,
            a_vf0,
            self._add(arrays, jnp.int32(0), r, v_arrays, v_after),
        )

    def _control(self, k: Array, arrays: Arrays) -> Control:
        """The increment of the step after time k."""
        _, terms = eqx.combine(arrays, self.rest)
        return terms.contr(self.times(k), self.times(k + 1))

    def _product(self, y: Y, vf: VF, control: Control, arrays: Arrays) -> Y:
        """F, like y."""
        _, terms = eqx.combine(arrays, self.rest)
        F = terms.prod(vf, control)
        return tree(lambda y, F: jnp.broadcast_to(F, y.shape).astype(y.dtype), y, F)

    def _add(self, arrays: Arrays, k: Array, r: Reverse, v_arrays: Arrays, v_after: Control) -> Arrays:
        """a_arrays plus v_arrays plus the share of the control of the step after time k. That share is zero for
        Brownian motion, and then its increment is not computed again.
        """
        _, pull = jax.vjp(lambda arrays: self._control(k, arrays), arrays)
        (w_arrays,) = pull((r.a_after**ω + v_after**ω).ω)
        return (r.a_arrays**ω + v_arrays**ω + w_arrays**ω).ω

    def _outputs(self, t0: Array, t1: Array, saved: Array, a_y: Y) -> tuple[Array, Y, Y]:
        """The outputs before the step from t0 to t1, and the cotangents of y at its end and its start,
        with those of the outputs within the step shared among them.
        """
        start = (saved, a_y, tree(jnp.zeros_like, a_y))
        if self.ts is None:
            return start
        ts = self.ts

        def share(carry: tuple[Array, Y, Y]) -> tuple[Array, Y, Y]:
            i, here, previous = carry[0] - 1, *carry[1:]
            w = (ts[i] - t0) / (t1 - t0)

            def add(w: Array, a: Y) -> Y:
                return tree(lambda a, a_ys: a + w.astype(jnp.finfo(a.dtype).dtype) * a_ys[i], a, self.a_ys)

            return i, add(w, here), add(1 - w, previous)

        return lax.while_loop(lambda carry: (carry[0] > 0) & (ts[carry[0] - 1] > t0), share, start)
