"""Parts of neural SDEs that are trained: networks of bounded slope, SDE-GANs, latent SDEs.

The same names as in `sdegrad.jax.nn`, with the same meaning. Weights are averaged by `torch.optim.swa_utils`.
"""

from sdegrad.torch.nn.gan import Discriminator, Generator
from sdegrad.torch.nn.latent import LatentSDE
from sdegrad.torch.nn.layers import MLP, LipSwish, clip_weights

__all__ = ["MLP", "Discriminator", "Generator", "LatentSDE", "LipSwish", "clip_weights"]
