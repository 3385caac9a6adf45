from sdegrad.torch.brownian.interval import BrownianInterval

__all__ = ["BrownianInterval"]
