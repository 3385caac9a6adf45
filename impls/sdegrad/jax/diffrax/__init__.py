"""The adjoint for users of diffrax. Their Brownian motion is `sdegrad.jax.BrownianInterval` itself."""

from sdegrad.jax.brownian.areas import register
from sdegrad.jax.brownian.interval import BrownianInterval
from sdegrad.jax.diffrax.adjoint import ReversibleAdjoint

__all__ = ["ReversibleAdjoint"]

register(BrownianInterval)
