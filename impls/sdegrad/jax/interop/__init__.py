"""The adjoint and the Brownian motion for users of diffrax. The only part of the library that imports diffrax."""

from sdegrad.jax.interop.adjoint import ReversibleAdjoint
from sdegrad.jax.interop.path import DiffraxPath

__all__ = ["DiffraxPath", "ReversibleAdjoint"]
