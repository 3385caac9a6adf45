"""The methods by name; what is true of each stands in `sdegrad.methods.METHODS`."""

import inspect
from collections.abc import Callable

from sdegrad.torch.methods import (
    ees25,
    ees27,
    euler,
    euler_heun,
    heun,
    log_ode,
    mccallum_foster,
    midpoint,
    milstein,
    reversible_heun,
    shark,
    sra1,
    srk,
)
from sdegrad.torch.types import Options, Scheme

# A scheme, or scheme(sde_type, noise_type, *, options) -> Scheme where it depends on these.
SOLVERS: dict[str, Scheme | Callable[..., Scheme]] = {
    "ees25": ees25.SCHEME,
    "ees27": ees27.SCHEME,
    "euler": euler.SCHEME,
    "euler_heun": euler_heun.SCHEME,
    "heun": heun.SCHEME,
    "log_ode": log_ode.scheme,
    "mccallum_foster": mccallum_foster.scheme,
    "midpoint": midpoint.SCHEME,
    "milstein": milstein.scheme,
    "reversible_heun": reversible_heun.SCHEME,
    "shark": shark.SCHEME,
    "sra1": sra1.SCHEME,
    "srk": srk.scheme,
}


def make_scheme(method: str, sde_type: str, noise_type: str, options: Options) -> Scheme:
    """The scheme of `method` for an SDE of these types. ValueError for an option that it does not have."""
    entry = SOLVERS[method]
    parameters = [] if isinstance(entry, Scheme) else inspect.signature(entry).parameters.values()
    takes = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]
    for name, value in options.items():
        if name not in takes:
            having = f"its options are {', '.join(takes)}" if takes else "it has no options"
            raise ValueError(f"{method!r} does not take the option {name}={value!r}; {having}.")
    return entry if isinstance(entry, Scheme) else entry(sde_type, noise_type, **options)
