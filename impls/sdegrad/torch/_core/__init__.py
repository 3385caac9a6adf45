"""The private names of torchsde that annotations of programs mention."""

from sdegrad.torch._core import base_sde

__all__ = ["base_sde"]
