"""The forms of a vector field that follow from those that its author defined.

f(t, y) and g(t, y) are the drift and the diffusion, g_prod(t, y, dW) is g dW; f_and_g and f_and_g_prod are pairs of
them from one evaluation.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from torch import Tensor

from sdegrad.methods import NoiseType
from sdegrad.torch.types import Form, Noise, State, Time


class _Noise(NamedTuple):
    """The operations on the noise that a derivation may use: product(g, dW); fill(y, value), the dW whose entries are
    `value`; and matrix(g dW), which is g for a dW of ones, if the noise is diagonal or scalar."""

    product: Callable[..., Tensor]
    fill: Callable[[State, float], Noise]
    matrix: Callable[[State], Tensor]


def _noise(noise_type: NoiseType, product: Callable[..., Tensor], channels: int | None) -> _Noise:
    def fill(y: State, value: float) -> Noise:
        return y.new_full(y.shape if noise_type == "diagonal" else (*y.shape[:-1], channels or 1), value)

    def matrix(g_dW: State) -> Tensor:
        return g_dW.unsqueeze(-1) if noise_type == "scalar" else g_dW

    return _Noise(product, fill, matrix)


def _pair(_: _Noise, first: Form, second: Form) -> Form:
    return lambda t, y, *dW: (first(t, y), second(t, y, *dW))


def _first(_: _Noise, pair: Form) -> Form:
    return lambda t, y: pair(t, y)[0]


def _second(_: _Noise, pair: Form) -> Form:
    return lambda t, y, *dW: pair(t, y, *dW)[1]


def _product_of_second(noise: _Noise, f_and_g: Form) -> Form:
    product = noise.product

    def f_and_g_prod(t: Time, y: State, dW: Noise) -> tuple[Tensor, Tensor]:
        f, g = f_and_g(t, y)
        return f, product(g, dW)

    return f_and_g_prod


def _product_of(noise: _Noise, g: Form) -> Form:
    product = noise.product
    return lambda t, y, dW: product(g(t, y), dW)


def _pair_without_noise(_: _Noise, g: Form, f_and_g_prod: Form) -> Form:
    def f_and_g(t: Time, y: State) -> tuple[State, Tensor]:
        diffusion = g(t, y)
        dW = y.new_zeros((*y.shape[:-1], diffusion.shape[-1]))
        return f_and_g_prod(t, y, dW)[0], diffusion

    return f_and_g


def _first_without_noise(noise: _Noise, f_and_g_prod: Form) -> Form:
    fill = noise.fill
    return lambda t, y: f_and_g_prod(t, y, fill(y, 0.0))[0]


def _of_ones(noise: _Noise, g_prod: Form) -> Form:
    _, fill, matrix = noise
    return lambda t, y: matrix(g_prod(t, y, fill(y, 1.0)))


def _pair_of_ones(noise: _Noise, f_and_g_prod: Form) -> Form:
    _, fill, matrix = noise

    def f_and_g(t: Time, y: State) -> tuple[State, Tensor]:
        f, g = f_and_g_prod(t, y, fill(y, 1.0))
        return f, matrix(g)

    return f_and_g


def _second_of_ones(noise: _Noise, f_and_g_prod: Form) -> Form:
    return _second(noise, _pair_of_ones(noise, f_and_g_prod))


class Derivation(NamedTuple):
    """The form `role`, which make(noise, *forms) makes of the forms `needs`. entrywise: only where each entry of g
    meets one channel of the noise, so that products with dW determine g: for diagonal and scalar noise."""

    role: str
    needs: tuple[str, ...]
    make: Callable[..., Form]
    entrywise: bool = False


# In this order: what needs the fewest evaluations first, and what its author defined before what is derived.
DERIVATIONS = (
    Derivation("f_and_g_prod", ("f", "g_prod"), _pair),
    Derivation("f_and_g", ("f", "g"), _pair),
    Derivation("f_and_g", ("g", "f_and_g_prod"), _pair_without_noise),
    Derivation("f_and_g_prod", ("f_and_g",), _product_of_second),
    Derivation("f", ("f_and_g",), _first),
    Derivation("g", ("f_and_g",), _second),
    Derivation("f", ("f_and_g_prod",), _first_without_noise),
    Derivation("g", ("g_prod",), _of_ones, entrywise=True),
    Derivation("g", ("f_and_g_prod",), _second_of_ones, entrywise=True),
    Derivation("f_and_g", ("f_and_g_prod",), _pair_of_ones, entrywise=True),
    Derivation("f_and_g", ("f", "g"), _pair),  # derived themselves
    Derivation("g_prod", ("g",), _product_of),
    Derivation("g_prod", ("f_and_g_prod",), _second),
)


def with_derived(
    own: Mapping[str, Form], noise_type: NoiseType, product: Callable[..., Tensor], channels: int | None
) -> dict[str, Form]:
    """`own`, the forms by role, and all that follow from them. product(g, dW) is g dW; channels: of dW, if known."""
    forms, noise = dict(own), _noise(noise_type, product, channels)
    for role, needs, make, entrywise in DERIVATIONS:
        if role in forms or not all(need in forms for need in needs):
            continue
        if noise_type in ("diagonal", "scalar") or not entrywise:
            forms[role] = make(noise, *(forms[need] for need in needs))
    return forms
