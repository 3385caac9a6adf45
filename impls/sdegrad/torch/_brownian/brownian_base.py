from sdegrad.torch.brownian.base import BaseBrownian

__all__ = ["BaseBrownian"]
