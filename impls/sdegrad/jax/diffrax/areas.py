"""The classes in which diffrax takes increments with their Levy areas."""

from typing import Any

import diffrax

from sdegrad.jax.brownian.areas import DIFFRAX_NAMES


class LevyArea(diffrax.AbstractSpaceTimeLevyArea):
    """W and H over an interval of length dt, and an approximate Levy area A [*shape, noise]."""

    dt: Any
    W: Any
    H: Any
    A: Any


CLASSES = {name: getattr(diffrax, cls) for cls, name in DIFFRAX_NAMES.items()} | {"davie": LevyArea, "foster": LevyArea}
