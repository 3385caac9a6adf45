from sdegrad.torch.brownian_base import BaseBrownian

__all__ = ["BaseBrownian"]
