"""The SDE as a solver uses it: a `VectorField`, made from the methods that its author defined.

With noise_type "diagonal" the diffusion is [*paths, dim] and acts entry by entry; with "scalar" it is
[*paths, dim, 1], with "additive" and "general" [*paths, dim, noise], and acts as a matrix. What depends on
that is chosen here once, not in the loop over the steps.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

import torch
from torch import Tensor

from sdegrad.methods import NoiseType
from sdegrad.torch.derivations import with_derived
from sdegrad.torch.returned import of_one_kind
from sdegrad.torch.types import SDE, Diffusion, Form, Noise, State, Time

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
FEW = 3  # columns of g: one by one they are faster than a product of so small matrices


def add_scaled_(x: Tensor, y: Tensor, by: float | Tensor) -> Tensor:
    """x <- x + by y, at once if `by` is a number; in a compiled block it is a tensor, and frozen if an alpha."""
    return x.add_(by * y) if isinstance(by, Tensor) else x.add_(y, alpha=by)


def add_scaled(x: Tensor, y: Tensor, by: float | Tensor) -> Tensor:
    """x + by y as a new tensor, for an x that may be needed again."""
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
    if g.shape[-1] <= FEW:
        for column, increment in zip(g.unbind(-1), dW.unbind(-1), strict=True):
            x = x.addcmul_(column, increment.unsqueeze(-1), value=by)
        return x
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
    """The vector field, in the forms that solvers use.

    f_and_g(t, y) -> (f, g); increment(t, y, dt, dW) -> f dt + g dW; drift(t, y, dt) -> f dt; noise(t, y, dW) -> g dW;
    g(t, y) -> g; entries(t, y) -> g as it is multiplied with dW entry by entry, if the noise is diagonal or scalar;
    product(g, dW) -> g dW; add_product_(x, g, dW, by): x <- x + by g dW; add_outer_(x, a, dW, by): x <- x + by a dW^T,
    which takes the adjoint a of g dW to that of g; `by` is a float.
    has_g: whether the SDE defines g itself, and not only its product with dW.
    """

    f_and_g: Form
    increment: Form
    drift: Form
    noise: Form
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
    """The numbers of evaluations of drift and diffusion so far."""

    drift: int = 0
    diffusion: int = 0


def make_vector_field(
    sde: SDE, names: Mapping[str, str], channels: int | None = None, counts: Counts | None = None
) -> VectorField:
    """The vector field of `sde`, an object with noise_type and some of f, g, f_and_g, g_prod, f_and_g_prod.

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
    product, add_product_, add_outer_ = _PRODUCTS[sde.noise_type]
    forms = with_derived(own, sde.noise_type, product, channels)
    f, g = (forms.get(role) or _missing(f"{role} or f_and_g") for role in ("f", "g"))
    return VectorField(
        f_and_g=forms.get("f_and_g") or _missing("g or f_and_g"),
        increment=_increment(forms.get("f_and_g_prod") or _missing("f, g or f_and_g")),
        drift=lambda t, y, dt: f(t, y) * dt,
        noise=forms.get("g_prod") or _missing("g"),
        g=g,
        entries=(lambda t, y: g(t, y).squeeze(-1)) if sde.noise_type == "scalar" else g,
        product=product,
        add_product_=add_product_,
        add_outer_=add_outer_,
        has_g="f_and_g" in forms,
    )


def own_methods(sde: SDE, names: Mapping[str, str]) -> dict[str, Form]:
    """The methods that the SDE defines, by role: f, g, f_and_g, g_prod, f_and_g_prod, h."""
    for key, name in names.items():
        if key not in ROLES:
            raise ValueError(f"unknown key {key!r} in names; the keys are {', '.join(ROLES)}.")
        if not (isinstance(name, str) and callable(getattr(sde, name, None))):
            raise ValueError(f"names maps {key!r} to {name!r}, but {type(sde).__name__} has no such method.")
    methods = {role: getattr(sde, names.get(key, role), None) for key, role in ROLES.items()}
    return {role: method for role, method in methods.items() if method is not None}


def _counting(counts: Counts, role: str, method: Form) -> Form:
    drift, diffusion = role in DRIFTS, role in DIFFUSIONS

    def call(*arguments: Any) -> Any:
        counts.drift += drift
        counts.diffusion += diffusion
        return method(*arguments)

    return call


def _increment(f_and_prod: Form) -> Callable[..., Tensor]:
    def increment(t: Time, y: State, dt: float, dW: Noise) -> Tensor:
        f, g_dW = f_and_prod(t, y, dW)
        return add_scaled(g_dW, f, dt)

    return increment


def _missing(what: str) -> Form:
    def fail(*_: Any) -> NoReturn:
        raise ValueError(f"this method needs {what}, which the SDE does not define; add it, or use another.")

    return fail
