"""SDE solvers with exact gradients, for JAX."""

from sdegrad.jax.bridge import LevyIncrement
from sdegrad.jax.brownian import BrownianInterval
from sdegrad.jax.interop import ReversibleAdjoint
from sdegrad.jax.solve import sdeint
from sdegrad.jax.types import Stats

__all__ = ["BrownianInterval", "LevyIncrement", "ReversibleAdjoint", "Stats", "sdeint"]
