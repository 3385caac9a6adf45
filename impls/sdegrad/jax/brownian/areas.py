"""The Levy areas that a Brownian path can come with, by name, and what diffrax has to know of such a path."""

import abc
import functools

# How many of W, H and K are drawn.
PARTS = {"none": 1, "space-time": 2, "space-time-time": 3, "davie": 2, "foster": 2}
# The same by the names of diffrax's classes, which are told by their names so that diffrax need not be imported.
DIFFRAX_NAMES = {
    "BrownianIncrement": "none",
    "SpaceTimeLevyArea": "space-time",
    "SpaceTimeTimeLevyArea": "space-time-time",
}


def area_name(levy_area: object) -> str:
    """The key of `PARTS` that is meant by None, a key of `PARTS`, or a class of diffrax. ValueError for any other."""
    name = "none" if levy_area is None else levy_area
    if isinstance(levy_area, type) and levy_area.__module__.partition(".")[0] == "diffrax":
        name = DIFFRAX_NAMES.get(levy_area.__name__)
    if not isinstance(name, str) or name not in PARTS:
        known = ", ".join(map(repr, PARTS))
        raise ValueError(f"levy_area must be None, one of {known}, or a class of diffrax for these, got {levy_area!r}.")
    return name


@functools.cache
def register(cls: type) -> None:
    """Make `cls` a Brownian path of diffrax: the class, and so its instances of before, too."""
    import diffrax

    abc.ABCMeta.register(diffrax.AbstractBrownianPath, cls)  # equinox overrides it, to refuse
