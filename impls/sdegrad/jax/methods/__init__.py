"""One method per file; the table of what is true of each is `sdegrad.methods.METHODS`."""

import inspect
from collections.abc import Callable

from sdegrad.jax.methods import log_ode, mccallum_foster, milstein, srk
from sdegrad.jax.methods.ees25 import EES25
from sdegrad.jax.methods.ees27 import EES27
from sdegrad.jax.methods.euler import Euler
from sdegrad.jax.methods.euler_heun import EulerHeun
from sdegrad.jax.methods.heun import Heun
from sdegrad.jax.methods.midpoint import Midpoint
from sdegrad.jax.methods.reversible_heun import ReversibleHeun
from sdegrad.jax.methods.shark import ShARK
from sdegrad.jax.methods.sra1 import SRA1
from sdegrad.jax.types import Method, Options

# A method, or make(sde_type, noise_type, *, options) -> Method where it depends on these.
SOLVERS: dict[str, Method | Callable[..., Method]] = {
    "ees25": EES25,
    "ees27": EES27,
    "euler": Euler(),
    "euler_heun": EulerHeun(),
    "heun": Heun(),
    "log_ode": log_ode.make,
    "mccallum_foster": mccallum_foster.make,
    "midpoint": Midpoint(),
    "milstein": milstein.make,
    "reversible_heun": ReversibleHeun(),
    "shark": ShARK(),
    "sra1": SRA1(),
    "srk": srk.make,
}


def make_method(method: str, sde_type: str, noise_type: str, options: Options) -> Method:
    """`method` for an SDE of these types. ValueError for an option that it does not have."""
    entry = SOLVERS[method]
    parameters = inspect.signature(entry).parameters.values() if callable(entry) else []
    takes = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]
    if unknown := {name: value for name, value in options.items() if name not in takes}:
        having = f"its options are {', '.join(takes)}" if takes else "leave options out"
        raise ValueError(f"method {method!r} has no options {unknown}; {having}.")
    return entry(sde_type, noise_type, **options) if callable(entry) else entry
