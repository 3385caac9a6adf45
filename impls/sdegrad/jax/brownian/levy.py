"""Brownian increments with their Levy areas: joining, halving and cutting them.

Over [s, t] of length h, with B the path less its chord from W(s) to W(t):

    W = W(t) - W(s) ~ N(0, h),   H = 1/h integral of B dv ~ N(0, h / 12),
    K = 1/h^2 integral of ((s + t)/2 - v) B dv ~ N(0, h / 720),   all independent.

They are the integrals of P0, -P1/2 and P2/12 against dW, where P are Legendre's polynomials on [s, t]; all that
is below follows from how these polynomials of an interval are made of those of its parts. A is the Levy area,
A_ij = 1/2 integral of (W_i dW_j - W_j dW_i). As Foster (2020), thesis, and Jelincic, Foster, Kidger (2024),
arXiv 2405.06464, define them.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from sdegrad.jax.types import Y

Length = Float[Array, ""]
Scalar = Array | float | int
VARIANCES = (1.0, 1 / 12, 1 / 720)  # of W, H and K, by the length


class LevyIncrement(NamedTuple):
    """The increment W over one interval with its areas: H [*shape], K [*shape] and A [*shape, noise]; None where the
    path has none.
    """

    W: Y
    H: Y | None
    K: Y | None = None
    A: PyTree | None = None


class Span(NamedTuple):
    """An interval of length h with (W,), (W, H) or (W, H, K) of one array of Brownian motions, and perhaps A."""

    h: Length
    parts: tuple[Float[Array, "*shape"], ...]
    A: Float[Array, "*shape noise"] | None = None


def join(left: Span, right: Span) -> Span:
    """Both intervals as one, by Chen's relation. An interval of length zero must hold zeros."""
    h = left.h + right.h
    p, q = left.h / jnp.where(h == 0, 1, h), right.h / jnp.where(h == 0, 1, h)
    W_l, W_r = left.parts[0], right.parts[0]
    bend = q * W_l - p * W_r
    joined = [W_l + W_r]
    if len(left.parts) > 1:
        joined.append(p * left.parts[1] + q * right.parts[1] + bend / 2)
    if len(left.parts) > 2:
        tilt = left.parts[1] - right.parts[1]
        joined.append(p**2 * left.parts[2] + q**2 * right.parts[2] + p * q / 2 * tilt + (q - p) / 12 * bend)
    A = None
    if left.A is not None and right.A is not None:
        A = left.A + right.A + wedge(W_l, W_r) / 2
    return Span(h, tuple(joined), A)


def subtract(whole: Span, left: Span) -> Span:
    """The right part, which joined to the left one makes the whole. Inexact where it is far shorter than the whole."""
    h = whole.h - left.h
    p = left.h / jnp.where(whole.h == 0, 1, whole.h)
    q = jnp.where(p < 1, 1 - p, 1)  # of length zero it is zero, whatever it is divided by
    parts = [whole.parts[0] - left.parts[0]]
    bend = q * left.parts[0] - p * parts[0]
    if len(whole.parts) > 1:
        parts.append((whole.parts[1] - p * left.parts[1] - bend / 2) / q)
    if len(whole.parts) > 2:
        tilt = left.parts[1] - parts[1]
        parts.append((whole.parts[2] - p**2 * left.parts[2] - p * q / 2 * tilt - (q - p) / 12 * bend) / q**2)
    return Span(h, tuple(jnp.where(h > 0, part, 0) for part in parts))


def halve(whole: Span, normals: tuple[Array, ...]) -> tuple[Span, Span]:
    """Both halves, given the whole and as many standard normals as it has parts.

    The halves are each other's mirror image, where time runs backwards: that changes the signs of W and K.
    """
    h, root = whole.h / 2, jnp.sqrt(whole.h)
    W, X = whole.parts, normals
    if len(W) == 1:
        return _mirrored(h, [(W[0] / 2, root / 2 * X[0])])
    Z = root / 4 * X[0]
    first = (W[0] / 2, 3 / 2 * W[1] + Z)
    if len(W) == 2:
        return _mirrored(h, [first, (W[1] / 4 - Z / 2, root / 48**0.5 * X[1])])
    Y = root / 768**0.5 * X[1]
    second = (W[1] / 4 - Z / 2, 15 / 4 * W[2] + Y)
    return _mirrored(h, [first, second, (W[2] / 8 - Y / 2, root / 2880**0.5 * X[2])])


def _mirrored(h: Length, parts: list[tuple[Array, Array]]) -> tuple[Span, Span]:
    """The halves made of (mean, difference): their sum on the left, mean - difference on the right."""
    return Span(h, tuple(m + d for m, d in parts)), Span(h, tuple(m - d for m, d in parts))


def restrict(whole: Span, centre: Float[Array, "..."], share: Float[Array, "..."]) -> Span:
    """The mean of a piece, given the whole: the polynomial that the parts of the whole stand for, on the piece.
    centre: of the piece, from -1 to 1 over the whole. share: the length of the piece, by that of the whole.
    """
    W, *areas = whole.parts
    parts = []
    if len(areas) > 1:
        W, K = W + 30 * (3 * centre**2 + share**2 - 1) * areas[1], areas[1]
        parts = [share**2 * (areas[0] - 30 * centre * K), share**3 * K]
    elif areas:
        parts = [share**2 * areas[0]]
    W = W - 6 * centre * areas[0] if areas else W
    return Span(share * whole.h, (share * W, *parts))


def cut(whole: Span, p: Length, normals: tuple[Array, ...]) -> tuple[Span, Span]:
    """Both parts, cut at the fraction p of the length: the Gaussian law of the left one given the whole.

    In units of the standard deviations, the parts of the whole depend on those of its left part by the matrix
    `made`, of orthogonal rows if its right part is added: so made^T is their regression on the whole, and
    1 - made^T made their covariance given the whole.
    """
    q, root = 1 - p, jnp.sqrt(p)
    count = len(whole.parts)
    made = [
        [root],
        [3**0.5 * q * root, p * root],
        [5**0.5 * q * (q - p) * root, 15**0.5 * p * q * root, p**2 * root],
    ][:count]
    units = [jnp.sqrt(whole.h * variance) for variance in VARIANCES[:count]]
    scaled = [part / jnp.where(unit == 0, 1, unit) for part, unit in zip(whole.parts, units, strict=True)]

    def column(j: int) -> list[Scalar]:
        return [row[j] if j < len(row) else 0 for row in made]

    def dot(a: list, b: list) -> Scalar:
        return sum(x * y for x, y in zip(a, b, strict=True) if not (isinstance(x, int) or isinstance(y, int)))

    covariance = [[float(i == j) - dot(column(i), column(j)) for j in range(i + 1)] for i in range(count)]
    factor = _cholesky(covariance)
    left = [dot(column(j), scaled) + dot(factor[j], list(normals[: j + 1])) for j in range(count)]
    start = Span(whole.h * p, tuple(root * unit * x for unit, x in zip(units, left, strict=True)))
    return start, subtract(whole, start)


def _cholesky(a: list[list[Scalar]]) -> list[list[Scalar]]:
    """The lower triangular factor of a matrix of scalars, which may be singular to round-off."""
    factor: list[list[Scalar]] = []
    for i, row in enumerate(a):
        factor.append([])
        for j in range(i + 1):
            rest = row[j] - sum(x * y for x, y in zip(factor[i], factor[j][:j], strict=False))
            if i == j:
                factor[i].append(jnp.sqrt(jnp.maximum(rest, 0)))
            else:
                pivot = factor[j][j]
                factor[i].append(jnp.where(pivot > 0, rest / jnp.where(pivot > 0, pivot, 1), 0))
    return factor


def wedge(x: Float[Array, "*paths noise"], y: Float[Array, "*paths noise"]) -> Float[Array, "*paths noise noise"]:
    """x_i y_j - y_i x_j."""
    product = x[..., :, None] * y[..., None, :]
    return product - jnp.swapaxes(product, -1, -2)


def levy_area(kind: str, span: Span, normals: Float[Array, "*paths noise noise"]) -> Span:
    """The span with an approximate A: given (W, H), its mean is exact, and its variance on average.

    A = H (x) W - W (x) H + sd N, with N antisymmetric of unit variance and sd^2 = h^2/12 ("davie": Davie 2014,
    "Pathwise approximation of stochastic differential equations using coupling") or h^2/20 + h/5 (H_i^2 + H_j^2)
    ("foster": Foster 2020, thesis).
    """
    h, (W, H) = span.h, span.parts
    N = (normals - jnp.swapaxes(normals, -1, -2)) / 2**0.5
    if kind == "davie":
        return span._replace(A=wedge(H, W) + h / 12**0.5 * N)
    squares = H[..., :, None] ** 2 + H[..., None, :] ** 2
    return span._replace(A=wedge(H, W) + jnp.sqrt(h**2 / 20 + h / 5 * squares) * N)
