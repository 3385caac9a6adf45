"""The classes in which diffrax takes increments with their Levy areas."""

import diffrax
from jaxtyping import PyTree

from sdegrad.jax.brownian.areas import DIFFRAX_NAMES


class LevyArea(diffrax.AbstractSpaceTimeLevyArea):
    """W and H over an interval of length dt, and an approximate Levy area A [*shape, noise]."""

    dt: PyTree
    W: PyTree
    H: PyTree
    A: PyTree


CLASSES = {name: getattr(diffrax, cls) for cls, name in DIFFRAX_NAMES.items()} | {"davie": LevyArea, "foster": LevyArea}
