"""The Levy areas that a Brownian path can come with: their names, and the classes of diffrax for them."""

from typing import Any

import diffrax


class LevyArea(diffrax.AbstractSpaceTimeLevyArea):
    """W and H over an interval of length dt, and an approximate Levy area A [*shape, noise]."""

    dt: Any
    W: Any
    H: Any
    A: Any


# How many of W, H and K are drawn.
PARTS = {"none": 1, "space-time": 2, "space-time-time": 3, "davie": 2, "foster": 2}
CLASSES = {
    "none": diffrax.BrownianIncrement,
    "space-time": diffrax.SpaceTimeLevyArea,
    "space-time-time": diffrax.SpaceTimeTimeLevyArea,
    "davie": LevyArea,
    "foster": LevyArea,
}


def area_name(levy_area: Any) -> str:
    """Of what a user gives: None, a name, or a class of diffrax."""
    names = {None: "none", **{cls: name for name, cls in CLASSES.items() if cls is not LevyArea}}
    name = names.get(levy_area, levy_area)
    if name not in CLASSES:
        known = ", ".join(map(repr, CLASSES))
        raise ValueError(f"levy_area must be None, one of {known}, or a class of diffrax for these, got {levy_area!r}.")
    return name
