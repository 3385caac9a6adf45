"""Increments of Brownian motion with their Levy areas: how they split, join, and are approximated.

Over an interval of length h: W the increment; H the space-time Levy area, N(0, h/12) and independent of W, so
that the integral of W - W(start) is U = h (W/2 + H); A the Levy area,
A_ij = 1/2 integral (W_i dW_j - W_j dW_i).
"""

import math
from typing import Literal, NamedTuple

from jaxtyping import Float
from torch import Tensor

LevyArea = Literal["none", "space-time", "davie", "foster"]
LEVY_AREAS: tuple[LevyArea, ...] = ("none", "space-time", "davie", "foster")


class Increment(NamedTuple):
    """h: the length. W, H [*paths, noise] and A [*paths, noise, noise]; None where not tracked."""

    h: float
    W: Tensor
    H: Tensor | None = None
    A: Tensor | None = None


def space_time_integral(h: float, W: Float[Tensor, "*shape"], H: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """U = h (W/2 + H)."""
    return H.add(W, alpha=0.5).mul_(h)


def join(first: Increment, second: Increment) -> Increment:
    """The increment over two adjacent intervals, by Chen's relation: exact for W, H and A."""
    h1, W1, H1, A1 = first
    h2, W2, H2, A2 = second
    h = h1 + h2
    H = A = None
    if H1 is not None and H2 is not None:
        H = (h1 * H1 + h2 * H2 + (h2 / 2) * W1 - (h1 / 2) * W2) / h
    if A1 is not None and A2 is not None:
        A = A1 + A2 + _antisymmetric(W1, W2) / 2
    return Increment(h, W1 + W2, H, A)


def _antisymmetric(
    x: Float[Tensor, "*paths noise"], y: Float[Tensor, "*paths noise"]
) -> Float[Tensor, "*paths noise noise"]:
    """x_i y_j - y_i x_j."""
    product = x.unsqueeze(-1) * y.unsqueeze(-2)
    return product - product.mT


def split(whole: Increment, left: float, right: float, normals: list[Tensor]) -> tuple[Increment, Increment]:
    """The two parts, of lengths `left` and `right`, given W (and H, if there is one) of the whole.

    One standard normal for W alone (the Brownian bridge), two for (W, H): the Gaussian law of the parts given
    the whole. Neither part is computed as a difference, so that a part however short has its law to
    round-off.
    """
    W, H = whole.W, whole.H
    l, r = left, right  # noqa: E741
    h = l + r
    if H is None:
        Z = normals[0].mul_(math.sqrt(l * r / h))
        return Increment(l, Z.add(W, alpha=l / h)), Increment(r, (W * (r / h)).sub_(Z))
    X1, X2 = normals
    v = math.sqrt(l * r / (l**3 + r**3)) / 2
    a, b, c = v * l**2 / h, v * r**2 / h, v / math.sqrt(3)
    Z = (X1 * (2 * (a * l + b * r) / h)).add_(H, alpha=6 * l * r / h**2)
    W_l = Z.add(W, alpha=l / h)
    W_r = (W * (r / h)).sub_(Z)
    H_l = (H * (l / h) ** 2).sub_(X1, alpha=a).add_(X2, alpha=c * r)
    H_r = (H * (r / h) ** 2).sub_(X1, alpha=b).sub_(X2, alpha=c * l)
    return Increment(l, W_l, H_l), Increment(r, W_r, H_r)


def levy_area(
    kind: LevyArea,
    h: float,
    W: Float[Tensor, "*paths noise"],
    H: Float[Tensor, "*paths noise"],
    normals: Float[Tensor, "*paths noise noise"],
) -> Float[Tensor, "*paths noise noise"]:
    """An approximation of A given (W, H): the conditional mean is exact, the variance is so on average.

    A = H (x) W - W (x) H + sd N, with N antisymmetric of unit variance and sd^2 = h^2/12 (Davie 2014,
    "Pathwise approximation of stochastic differential equations using coupling") or h^2/20 + h/5 (H_i^2 +
    H_j^2) (Foster 2020, "Numerical approximations for stochastic differential equations", thesis).
    """
    N = (normals - normals.mT) / math.sqrt(2)
    if kind == "davie":
        return _antisymmetric(H, W) + (h / math.sqrt(12)) * N
    squares = H.square()
    variance = h**2 / 20 + (h / 5) * (squares.unsqueeze(-1) + squares.unsqueeze(-2))
    return _antisymmetric(H, W) + variance.sqrt() * N
