"""The private names of torchsde that annotations of programs mention."""

from sdegrad.torch._brownian import brownian_base, brownian_interval, derived
from sdegrad.torch._brownian.brownian_base import BaseBrownian
from sdegrad.torch._brownian.brownian_interval import BrownianInterval
from sdegrad.torch._brownian.derived import BrownianPath, BrownianTree, ReverseBrownian, brownian_interval_like

__all__ = [
    "BaseBrownian",
    "BrownianInterval",
    "BrownianPath",
    "BrownianTree",
    "ReverseBrownian",
    "brownian_base",
    "brownian_interval",
    "brownian_interval_like",
    "derived",
]
