"""Parts of neural SDEs that are trained: networks of bounded slope, SDE-GANs, latent SDEs.

The same names as in `sdegrad.torch.nn`, with the same meaning; modules are Equinox's, and `running_mean` averages
weights.
"""

from sdegrad.jax.nn.gan import Discriminator, Generator
from sdegrad.jax.nn.latent import LatentSDE
from sdegrad.jax.nn.layers import MLP, LipSwish, clip_weights, running_mean
from sdegrad.jax.nn.logqp import sdeint_logqp

__all__ = [
    "MLP",
    "Discriminator",
    "Generator",
    "LatentSDE",
    "LipSwish",
    "clip_weights",
    "running_mean",
    "sdeint_logqp",
]
