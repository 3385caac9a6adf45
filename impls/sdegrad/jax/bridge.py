"""Brownian increments with their space-time Levy area: joining, subtracting and splitting them.

Over an interval of length h, with W the increment and U the integral of W(v) - W(start), H = U / h - W / 2 is
the space-time Levy area: H ~ N(0, h / 12), independent of W ~ N(0, h).
"""

from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

Length = Float[Array, ""] | float


class LevyIncrement(NamedTuple):
    """W and H over one interval; H ~ N(0, h / 12) is its space-time Levy area."""

    W: Any
    H: Any


class Span(NamedTuple):
    """An interval of length h with W and U of one array of Brownian motions."""

    h: Length
    W: Float[Array, "*shape"]
    U: Float[Array, "*shape"]

    @property
    def H(self) -> Float[Array, "*shape"]:
        return self.U / jnp.where(self.h == 0, 1, self.h) - self.W / 2


def span(h: Length, W: Array, H: Array) -> Span:
    return Span(h, W, h * (W / 2 + H))


def join(left: Span, right: Span) -> Span:
    """Chen's relation."""
    return Span(left.h + right.h, left.W + right.W, left.U + right.U + right.h * left.W)


def subtract(whole: Span, left: Span) -> Span:
    """The span `right` with join(left, right) = whole."""
    h = whole.h - left.h
    return Span(h, whole.W - left.W, whole.U - left.U - h * left.W)


def split(whole: Span, left: Length, normals: tuple[Array, Array]) -> tuple[Span, Span]:
    """Both parts, cut at length `left` from the start, given W and H of the whole and two standard normals.

    With l + r = h, v = sqrt(l r / (l^3 + r^3)) / 2, c = v / sqrt(3), and

        a = v l^2/h,  b = v r^2/h,  d = 2 (a l + b r)/h:

        W_l = (l/h) W + 6 (l r/h^2) H + d X1;     H_l = (l/h)^2 H - a X1 + c r X2
        W_r = (r/h) W - 6 (l r/h^2) H - d X1;     H_r = (r/h)^2 H - b X1 - c l X2

    It is written in p = l/h and q = r/h, so that no cube of a length underflows.
    """
    h, W, H = whole.h, whole.W, whole.H
    X1, X2 = normals
    p = left / h
    q = 1 - p
    v = jnp.sqrt(h * p * q / (p**3 + q**3)) / 2
    a, b, c = v * p**2, v * q**2, v / 3**0.5
    bend = 6 * p * q * H + 2 * (a * p + b * q) * X1
    start = span(left, p * W + bend, p**2 * H - a * X1 + c * q * X2)
    rest = span(h - left, q * W - bend, q**2 * H - b * X1 - c * p * X2)
    return start, rest
