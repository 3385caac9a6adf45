"""The properties of each solver, the same in every framework: one table of calculus, strong order and cost.

Strong orders are theoretical, for constant steps. With commuting diffusion columns (scalar noise always, and diagonal
noise whose entry i depends on y_i alone) the one-increment Stratonovich schemes gain half an order. For reversible
Heun the theory of Kidger et al. (2021) gives 1/2 in general and 1 for additive noise; 1 for commutative noise is what
is observed. The orders of `milstein` and `srk` for diagonal noise are those of such entries too; where an entry depends
on other components they have order 1/2.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

SDEType = Literal["ito", "stratonovich"]
NoiseType = Literal["diagonal", "additive", "scalar", "general"]

NOISE_TYPES: tuple[NoiseType, ...] = ("diagonal", "additive", "scalar", "general")


@dataclass(frozen=True)
class Method:
    """sde_types: the calculi it converges in, the usual one first. order: strong order by noise type; it is for no
    other. nfe: evaluations of (drift, diffusion) per step, beyond one at the start. reversible: whether its step has a
    closed inverse. near_reversible: whether its step with (-dt, -dW) undoes it but for a high power of the step."""

    sde_types: tuple[SDEType, ...]
    order: Mapping[NoiseType, float]
    nfe: tuple[int, int]
    reversible: bool = False
    near_reversible: bool = False

    @property
    def sde_type(self) -> SDEType:
        return self.sde_types[0]


_ITO: tuple[SDEType, ...] = ("ito",)
_STRATONOVICH: tuple[SDEType, ...] = ("stratonovich",)
_BOTH = _ITO + _STRATONOVICH

_COMMUTATIVE: dict[NoiseType, float] = {"diagonal": 1.0, "additive": 1.0, "scalar": 1.0, "general": 0.5}
_EULER: dict[NoiseType, float] = {"diagonal": 0.5, "additive": 1.0, "scalar": 0.5, "general": 0.5}
_MILSTEIN: dict[NoiseType, float] = {"diagonal": 1.0, "additive": 1.0, "scalar": 1.0}
_SRK: dict[NoiseType, float] = {"diagonal": 1.5, "additive": 1.5, "scalar": 1.5}
_SMOOTH: dict[NoiseType, float] = {"additive": 1.5}

# log_ode has order 1 for general noise with the true Levy area; with an approximate one (Davie's, Foster's) 1/2.
# mccallum_foster has the calculus and the orders of its base, here midpoint, and twice its cost.
METHODS: dict[str, Method] = {
    "ees25": Method(_STRATONOVICH, _COMMUTATIVE, (3, 3), near_reversible=True),
    "ees27": Method(_STRATONOVICH, _COMMUTATIVE, (4, 4), near_reversible=True),
    "euler": Method(_ITO, _EULER, (1, 1)),
    "euler_heun": Method(_STRATONOVICH, _COMMUTATIVE, (1, 2)),
    "heun": Method(_STRATONOVICH, _COMMUTATIVE, (2, 2)),
    "log_ode": Method(_STRATONOVICH, _COMMUTATIVE, (2, 2)),
    "mccallum_foster": Method(_STRATONOVICH, _COMMUTATIVE, (4, 4), reversible=True),
    "midpoint": Method(_STRATONOVICH, _COMMUTATIVE, (2, 2)),
    "milstein": Method(_BOTH, _MILSTEIN, (1, 1)),
    "reversible_heun": Method(_STRATONOVICH, _COMMUTATIVE, (1, 1), reversible=True),
    "shark": Method(_BOTH, _SMOOTH, (2, 2)),
    "sra1": Method(_BOTH, _SMOOTH, (2, 3)),
    "srk": Method(_ITO, _SRK, (3, 4)),
}
