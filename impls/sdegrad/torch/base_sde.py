"""Base classes for SDEs."""

from typing import Any, get_args

from torch import nn

from sdegrad.methods import NOISE_TYPES, SDEType

SDE_TYPES = get_args(SDEType)


class BaseSDE(nn.Module):
    """A module with the two attributes that a solver needs to know.

    noise_type: "diagonal", "additive", "scalar" or "general"; sde_type: "ito" or "stratonovich". A subclass
    defines the drift f(t, y) [*paths, dim] and the diffusion g(t, y): [*paths, dim] if diagonal, else
    [*paths, dim, noise]. ValueError for other types.
    """

    def __init__(self, noise_type: str, sde_type: str) -> None:
        super().__init__()
        check_types(noise_type, sde_type)
        self.noise_type = noise_type
        self.sde_type = sde_type


class SDEIto(BaseSDE):
    def __init__(self, noise_type: str) -> None:
        super().__init__(noise_type, "ito")


class SDEStratonovich(BaseSDE):
    def __init__(self, noise_type: str) -> None:
        super().__init__(noise_type, "stratonovich")


def check_types(noise_type: Any, sde_type: Any) -> None:
    if noise_type not in NOISE_TYPES:
        raise ValueError(f"unknown noise_type {noise_type!r}; it must be one of {', '.join(NOISE_TYPES)}.")
    if sde_type not in SDE_TYPES:
        raise ValueError(f"unknown sde_type {sde_type!r}; it must be one of {', '.join(SDE_TYPES)}.")
