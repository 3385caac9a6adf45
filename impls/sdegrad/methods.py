"""What is true of each solver, whatever the framework: the one table of calculus, strong order and cost.

Strong orders are theoretical, for constant steps. With commuting diffusion columns (diagonal and scalar noise
always commute) the one-increment Stratonovich schemes gain half an order. For reversible Heun the theory of
Kidger et al. (2021) gives 1/2 in general and 1 for additive noise; 1 for commutative noise is what is observed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

SDEType = Literal["ito", "stratonovich"]
NoiseType = Literal["diagonal", "additive", "scalar", "general"]

NOISE_TYPES: tuple[NoiseType, ...] = ("diagonal", "additive", "scalar", "general")


@dataclass(frozen=True)
class Method:
    """sde_type: the calculus it converges in. order: strong order by noise type. nfe: evaluations of
    (drift, diffusion) per step, beyond one at the start. reversible: whether its step has a closed inverse."""

    sde_type: SDEType
    order: Mapping[NoiseType, float]
    nfe: tuple[int, int]
    reversible: bool = False


_COMMUTATIVE: dict[NoiseType, float] = {"diagonal": 1.0, "additive": 1.0, "scalar": 1.0, "general": 0.5}
_EULER: dict[NoiseType, float] = {"diagonal": 0.5, "additive": 1.0, "scalar": 0.5, "general": 0.5}

METHODS: dict[str, Method] = {
    "euler": Method("ito", _EULER, (1, 1)),
    "euler_heun": Method("stratonovich", _COMMUTATIVE, (1, 2)),
    "heun": Method("stratonovich", _COMMUTATIVE, (2, 2)),
    "midpoint": Method("stratonovich", _COMMUTATIVE, (2, 2)),
    "reversible_heun": Method("stratonovich", _COMMUTATIVE, (1, 1), reversible=True),
}
