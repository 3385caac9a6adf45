"""SDE solvers with exact gradients, for JAX."""

from sdegrad.jax.brownian.interval import BrownianInterval
from sdegrad.jax.brownian.levy import LevyIncrement
from sdegrad.jax.diffrax import ReversibleAdjoint
from sdegrad.jax.sdeint import sdeint
from sdegrad.jax.types import Stats

__all__ = ["BrownianInterval", "LevyIncrement", "ReversibleAdjoint", "Stats", "sdeint"]
