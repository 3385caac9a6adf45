"""The SDE as a method uses it: a `VectorField`, made of what its author defined.

With noise_type "diagonal" the diffusion is [*paths, dim] and acts entry by entry; with "scalar" it is
[*paths, dim, 1], with "additive" and "general" [*paths, dim, noise], and acts as a matrix. What depends on
that is chosen here once, not in the loop over the steps.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sdegrad.methods import NoiseType
from sdegrad.torch.returned import of_one_kind
from sdegrad.torch.types import Diffusion, Noise, State

# The keys of the argument `names`, and the methods that they rename.
ROLES = {
    "drift": "f",
    "diffusion": "g",
    "drift_and_diffusion": "f_and_g",
    "diffusion_prod": "g_prod",
    "drift_and_diffusion_prod": "f_and_g_prod",
    "prior_drift": "h",
}
DRIFTS = ("f", "f_and_g", "f_and_g_prod")
DIFFUSIONS = ("g", "f_and_g", "g_prod", "f_and_g_prod")


def add_scaled_(x: Tensor, y: Tensor, by: Any) -> Tensor:
    """x <- x + by y, at once if `by` is a number; in a compiled block it is a tensor, and frozen if an alpha."""
    return x.add_(by * y) if isinstance(by, Tensor) else x.add_(y, alpha=by)


def add_scaled(x: Tensor, y: Tensor, by: Any) -> Tensor:
    """The same as a new tensor: what a user made may be needed again."""
    return x + by * y if isinstance(by, Tensor) else torch.add(x, y, alpha=by)


def _product_scalar(g: Diffusion, dW: Noise) -> State:
    return g.squeeze(-1) * dW


def _product_matrix(g: Diffusion, dW: Noise) -> State:
    return (g @ dW.unsqueeze(-1)).squeeze(-1)


def _add_entries_(x: Tensor, a: Tensor, b: Tensor, by: float) -> Tensor:
    return x.addcmul_(a, b, value=by)


def _add_scalar_(x: State, g: Diffusion, dW: Noise, by: float) -> State:
    return x.addcmul_(g.squeeze(-1), dW, value=by)


def _add_matrix_(x: State, g: Diffusion, dW: Noise, by: float) -> State:
    return x.add_(_product_matrix(g, dW), alpha=by)


def _add_outer_(x: Diffusion, a: State, dW: Noise, by: float) -> Diffusion:
    return x.addcmul_(a.unsqueeze(-1), dW.unsqueeze(-2), value=by)


# noise type -> (g dW; x <- x + by g dW; x <- x + by a dW^T, where a is the adjoint of g dW, and x of g)
_PRODUCTS: dict[NoiseType, tuple[Callable[..., Tensor], Callable[..., Tensor], Callable[..., Tensor]]] = {
    "diagonal": (torch.mul, _add_entries_, _add_entries_),
    "scalar": (_product_scalar, _add_scalar_, _add_outer_),
    "additive": (_product_matrix, _add_matrix_, _add_outer_),
    "general": (_product_matrix, _add_matrix_, _add_outer_),
}


@dataclass(frozen=True)
class VectorField:
    """The vector field, in the forms that the methods ask for.

    f_and_g(t, y) -> (f, g); increment(t, y, dt, dW) -> f dt + g dW; drift(t, y, dt) -> f dt; noise(t, y, dW) -> g dW;
    g(t, y) -> g; entries(t, y) -> g as it is multiplied with dW entry by entry, if the noise is diagonal or scalar;
    product(g, dW) -> g dW; add_product_(x, g, dW, by): x <- x + by g dW; add_outer_(x, a, dW, by): x <- x + by a dW^T,
    which takes the adjoint a of g dW to that of g; `by` is a float.
    has_g: whether the SDE defines g itself, and not only its product with dW.
    """

    f_and_g: Callable[..., Any]
    increment: Callable[..., Any]
    drift: Callable[..., Any]
    noise: Callable[..., Any]
    g: Callable[..., Tensor]
    entries: Callable[..., Tensor]
    product: Callable[..., Tensor]
    add_product_: Callable[..., Tensor]
    add_outer_: Callable[..., Tensor]
    has_g: bool


CALLED = ("f_and_g", "increment", "drift", "noise", "g", "entries")
"""The entries of a `VectorField` that call the SDE."""


@dataclass
class Counts:
    """Of evaluations so far."""

    drift: int = 0
    diffusion: int = 0


def make_vector_field(
    sde: Any, names: Mapping[str, str], channels: int | None = None, counts: Counts | None = None
) -> VectorField:
    """The field of `sde`, an object with noise_type and some of f, g, f_and_g, g_prod, f_and_g_prod.

    channels: of the Brownian motion, if known. Evaluations are added to `counts`, if given. ValueError if the SDE
    defines too little, or if `names` has an unknown key or names a method that is not there.
    """
    own = {role: of_one_kind(role, method) for role, method in own_methods(sde, names).items()}
    if counts is not None:
        own = {role: _counting(counts, role, method) for role, method in own.items()}
    if own.keys().isdisjoint(DRIFTS) or own.keys().isdisjoint(DIFFUSIONS):
        raise ValueError(
            f"{type(sde).__name__} must define a drift f(t, y) and a diffusion g(t, y) (or f_and_g, g_prod, "
            f"f_and_g_prod), but defines {', '.join(own) or 'none'}; if they have other names, pass `names`."
        )
    own |= _from_products(own, sde.noise_type, channels)
    f, g, f_and_g, g_prod, f_and_prod = (own.get(role) for role in ROLES.values() if role != "h")
    product, add_product_, add_outer_ = _PRODUCTS[sde.noise_type]
    f_and_g = f_and_g or (_pair(f, g) if f and g else None)
    if not f_and_prod:
        f_and_prod = _pair(f, g_prod) if f and g_prod else _apply(product, f_and_g) if f_and_g else None
    f = f or (_entry(f_and_g, 0) if f_and_g else _missing("f or f_and_g"))
    g = g or (_entry(f_and_g, 1) if f_and_g else None)
    noise = g_prod or (_product_of(product, g) if g else _entry(f_and_prod, 1) if f_and_prod else _missing("g"))
    g = g or _missing("g or f_and_g")
    return VectorField(
        f_and_g=f_and_g or _missing("g or f_and_g"),
        increment=_increment(f_and_prod or _missing("f, g or f_and_g")),
        drift=lambda t, y, dt: f(t, y) * dt,
        noise=noise,
        g=g,
        entries=(lambda t, y: g(t, y).squeeze(-1)) if sde.noise_type == "scalar" else g,
        product=product,
        add_product_=add_product_,
        add_outer_=add_outer_,
        has_g=f_and_g is not None,
    )


def own_methods(sde: Any, names: Mapping[str, str]) -> dict[str, Callable[..., Any]]:
    """What the SDE defines itself, by role."""
    for key, name in names.items():
        if key not in ROLES:
            raise ValueError(f"unknown key {key!r} in names; the keys are {', '.join(ROLES)}.")
        if not (isinstance(name, str) and hasattr(sde, name)):
            raise ValueError(f"names maps {key!r} to {name!r}, but {type(sde).__name__} has no such method.")
    methods = {role: getattr(sde, names.get(key, role), None) for key, role in ROLES.items()}
    return {role: method for role, method in methods.items() if method is not None}


def _counting(counts: Counts, role: str, method: Callable[..., Any]) -> Callable[..., Any]:
    drift, diffusion = role in DRIFTS, role in DIFFUSIONS

    def call(*arguments: Any) -> Any:
        counts.drift += drift
        counts.diffusion += diffusion
        return method(*arguments)

    return call


def _from_products(
    own: Mapping[str, Callable[..., Any]], noise_type: NoiseType, channels: int | None
) -> dict[str, Callable[..., Any]]:
    """What follows for an SDE that knows its diffusion in products alone: f, where the increment is zero, and, where
    each entry of g meets one channel, g, where it is one."""
    joint: Any = own.get("f_and_g_prod")
    product = own.get("g_prod")
    if "g" in own or "f_and_g" in own or not (joint or product):
        return {}

    def filled(y: State, value: float) -> Noise:
        return y.new_full(y.shape if noise_type == "diagonal" else (*y.shape[:-1], channels or 1), value)

    def entries(g: State) -> Tensor:
        return g.unsqueeze(-1) if noise_type == "scalar" else g

    def f_and_g(t: Any, y: State) -> tuple[State, Tensor]:
        f, g = joint(t, y, filled(y, 1.0))
        return f, entries(g)

    found = {}
    if joint and "f" not in own:
        found["f"] = lambda t, y: joint(t, y, filled(y, 0.0))[0]
    if noise_type in ("diagonal", "scalar"):
        product = product or _entry(joint, 1)
        found["g"] = lambda t, y: entries(product(t, y, filled(y, 1.0)))
        found |= {"f_and_g": f_and_g} if joint else {}
    return found


def _pair(first: Callable[..., Any], second: Callable[..., Any]) -> Callable[..., Any]:
    return lambda t, y, *dW: (first(t, y), second(t, y, *dW))


def _entry(joint: Callable[..., Any], i: int) -> Callable[..., Any]:
    return lambda t, y, *dW: joint(t, y, *dW)[i]


def _apply(product: Callable[..., Tensor], f_and_g: Callable[..., Any]) -> Callable[..., Any]:
    def f_and_prod(t: Any, y: Any, dW: Any) -> tuple[Tensor, Tensor]:
        f, g = f_and_g(t, y)
        return f, product(g, dW)

    return f_and_prod


def _product_of(product: Callable[..., Tensor], g: Callable[..., Tensor]) -> Callable[..., Tensor]:
    return lambda t, y, dW: product(g(t, y), dW)


def _increment(f_and_prod: Callable[..., Any]) -> Callable[..., Tensor]:
    def increment(t: Any, y: Any, dt: float, dW: Any) -> Tensor:
        f, g_dW = f_and_prod(t, y, dW)
        return add_scaled(g_dW, f, dt)

    return increment


def _missing(what: str) -> Callable[..., Any]:
    def fail(*_: Any) -> Any:
        raise ValueError(f"this method needs {what}, which the SDE does not define; add it, or use another.")

    return fail
