from sdegrad.torch.brownian import BrownianInterval

__all__ = ["BrownianInterval"]
