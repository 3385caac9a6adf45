"""SDE solvers with exact gradients, for JAX."""

from typing import TYPE_CHECKING, Any

from sdegrad import __version__
from sdegrad.jax.brownian.interval import BrownianInterval
from sdegrad.jax.brownian.levy import LevyIncrement
from sdegrad.jax.sdeint import sdeint
from sdegrad.jax.types import Stats

if TYPE_CHECKING:
    from sdegrad.jax.diffrax import ReversibleAdjoint as ReversibleAdjoint

# Without ReversibleAdjoint: `import *` asks for every name here, and diffrax may not be installed.
__all__ = ["BrownianInterval", "LevyIncrement", "Stats", "__version__", "sdeint"]


def __getattr__(name: str) -> Any:
    """`ReversibleAdjoint`, which imports diffrax when it is asked for."""
    if name == "ReversibleAdjoint":
        from sdegrad.jax.diffrax import ReversibleAdjoint

        return ReversibleAdjoint
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), "ReversibleAdjoint"})
