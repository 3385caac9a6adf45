"""SDE solvers with exact gradients for PyTorch, in torchsde's API: `import sdegrad.torch as torchsde`."""

from sdegrad import __version__
from sdegrad.torch import _brownian, _core, settings, types  # noqa: F401
from sdegrad.torch.base_sde import BaseSDE, SDEIto, SDEStratonovich
from sdegrad.torch.brownian.base import BaseBrownian
from sdegrad.torch.brownian.derived import BrownianPath, BrownianTree, ReverseBrownian, brownian_interval_like
from sdegrad.torch.brownian.interval import BrownianInterval
from sdegrad.torch.brownian.virtual_tree import VirtualBrownianTree
from sdegrad.torch.sdeint import sdeint, sdeint_adjoint
from sdegrad.torch.types import Stats

__all__ = [
    "BaseBrownian",
    "BaseSDE",
    "BrownianInterval",
    "BrownianPath",
    "BrownianTree",
    "ReverseBrownian",
    "SDEIto",
    "SDEStratonovich",
    "Stats",
    "VirtualBrownianTree",
    "__version__",
    "brownian_interval_like",
    "sdeint",
    "sdeint_adjoint",
    "settings",
    "types",
]
