from sdegrad.torch.brownian import brownian_interval_like
from sdegrad.torch.derived import BrownianPath, BrownianTree, ReverseBrownian

__all__ = ["BrownianPath", "BrownianTree", "ReverseBrownian", "brownian_interval_like"]
