"""The private names of torchsde that annotations of programs mention."""

from sdegrad.torch._brownian import brownian_base, brownian_interval, derived

__all__ = ["brownian_base", "brownian_interval", "derived"]
