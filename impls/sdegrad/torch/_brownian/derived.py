from sdegrad.torch.brownian.derived import BrownianPath, BrownianTree, ReverseBrownian
from sdegrad.torch.brownian.interval import brownian_interval_like

__all__ = ["BrownianPath", "BrownianTree", "ReverseBrownian", "brownian_interval_like"]
