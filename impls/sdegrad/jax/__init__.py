"""SDE solvers with exact gradients, for JAX."""

from typing import TYPE_CHECKING, Any

from sdegrad.jax.bridge import LevyIncrement
from sdegrad.jax.brownian import BrownianInterval
from sdegrad.jax.solve import sdeint
from sdegrad.jax.types import Stats

if TYPE_CHECKING:
    from sdegrad.jax.interop import DiffraxPath, ReversibleAdjoint

__all__ = ["BrownianInterval", "DiffraxPath", "LevyIncrement", "ReversibleAdjoint", "Stats", "sdeint"]


def __getattr__(name: str) -> Any:
    """What needs diffrax, which takes longer to import than all the rest."""
    if name not in ("DiffraxPath", "ReversibleAdjoint"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from sdegrad.jax import interop

    return getattr(interop, name)


def __dir__() -> list[str]:
    return __all__
