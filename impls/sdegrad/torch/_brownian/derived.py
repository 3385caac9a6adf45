from sdegrad.torch.brownian.derived import BrownianPath, BrownianTree, ReverseBrownian, brownian_interval_like

__all__ = ["BrownianPath", "BrownianTree", "ReverseBrownian", "brownian_interval_like"]
