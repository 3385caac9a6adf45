"""Every problem by name: `PROBLEMS` is the one table of them, `make` builds one.

A new problem is a factory in a file of its own and a row here; the tests go over the table.

make("gbm", paths=1000, dim=3)
make("mlp", paths=128, dim=16, hidden=32, t1=100.0, seed=1)
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import get_args

from suite.problems.additive import make_additive
from suite.problems.areas import make_areas
from suite.problems.driven import make_driven
from suite.problems.gbm import make_gbm
from suite.problems.general import make_general
from suite.problems.mapped import make_sheared, make_sinh
from suite.problems.networks import make_mlp, make_neural
from suite.problems.ou import make_ou
from suite.problems.problem import NoiseType, Params, Problem, SDEType
from suite.problems.scalar import make_scalar
from suite.problems.squares import make_squares
from suite.problems.twisted import make_twisted
from suite.problems.winding import make_winding

__all__ = ["PROBLEMS", "NoiseType", "Params", "Problem", "SDEType", "make"]


@dataclass(frozen=True)
class Row:
    """factory(sizes, t1, seed, sde_type) -> Problem; sizes: what it takes, with defaults; about: in words."""

    factory: Callable[..., Problem]
    sizes: dict[str, int]
    about: str


_TWISTED, _TWO = {"paths": 3, "dim": 3}, {"noise_dim": 2}
_TWISTED_NOISES: dict[NoiseType, dict[str, int]] = {"diagonal": {}, "scalar": {}, "additive": _TWO, "general": _TWO}
_SMALL = {"paths": 32, "dim": 4, "hidden": 8}
_DRIVEN = {"paths": 32, "dim": 3}

PROBLEMS: dict[str, Row] = {
    "gbm": Row(make_gbm, {"paths": 32, "dim": 2}, "geometric Brownian motion"),
    "ou": Row(make_ou, {"paths": 32, "dim": 2, "noise_dim": 2}, "Ornstein-Uhlenbeck"),
    "scalar": Row(make_scalar, {"paths": 32, "dim": 3}, "linear with rotation, one Brownian motion"),
    "additive": Row(make_additive, {"paths": 32, "dim": 2, "noise_dim": 3}, "linear, noise that depends on time"),
    "general": Row(make_general, {"paths": 32, "dim": 2, "noise_dim": 2}, "bounded, noise that does not commute"),
    "sinh": Row(make_sinh, {"paths": 32, "dim": 2}, "nonlinear and solved, depends on time, diagonal noise"),
    "sheared_scalar": Row(partial(make_sheared, noise_dim=1), {"paths": 32}, "the same, scalar noise that mixes"),
    "sheared": Row(make_sheared, {"paths": 32, "noise_dim": 2}, "the same, noise that mixes and commutes"),
    "squares": Row(make_squares, {"paths": 32}, "nonlinear, additive noise that depends on time"),
    "areas": Row(make_areas, {"paths": 32}, "solved but for its Levy areas, noise that does not commute"),
    "winding": Row(make_winding, {"paths": 32}, "tells on which path it was solved, depends on time, scalar noise"),
    **{
        f"twisted_{noise_type}": Row(
            partial(make_twisted, noise_type), _TWISTED | noise, f"no symmetry, depends on time, {noise_type} noise"
        )
        for noise_type, noise in _TWISTED_NOISES.items()
    },
    "neural": Row(
        make_neural,
        {"paths": 32, "dim": 32, "noise_dim": 16, "hidden": 8},
        "neural SDE of the gradient-error experiment of Kidger et al. (2021)",
    ),
    "mlp": Row(partial(make_mlp, "diagonal"), {"paths": 128, "dim": 16, "hidden": 32}, "neural SDE, diagonal noise"),
    "mlp_additive": Row(partial(make_mlp, "additive"), _SMALL | {"noise_dim": 3}, "neural SDE, additive noise"),
    "mlp_scalar": Row(partial(make_mlp, "scalar"), _SMALL, "neural SDE, scalar noise"),
    "mlp_general": Row(partial(make_mlp, "general"), _SMALL | {"noise_dim": 3}, "neural SDE, general noise"),
    "driven": Row(partial(make_driven, "diagonal"), _DRIVEN, "depends on time, diagonal noise of mixed components"),
    "driven_additive": Row(
        partial(make_driven, "additive"), _DRIVEN | {"noise_dim": 2}, "depends on time, additive noise"
    ),
    "driven_scalar": Row(partial(make_driven, "scalar"), _DRIVEN, "depends on time, scalar noise"),
    "driven_general": Row(
        partial(make_driven, "general"), _DRIVEN | {"noise_dim": 2}, "depends on time, general noise"
    ),
}


def make(
    name: str,
    *,
    paths: int | None = None,
    dim: int | None = None,
    noise_dim: int | None = None,
    hidden: int | None = None,
    t1: float = 1.0,
    seed: int = 0,
    sde_type: SDEType = "stratonovich",
) -> Problem:
    """The problem `name` on [0, t1]. Sizes left out take the default of its row in `PROBLEMS`.

    The same seed gives the same parameters whatever `paths` is. sde_type is the calculus that the equation is
    read in; the exact solution follows it. ValueError for a name, size, time or calculus that does not exist.
    """
    if name not in PROBLEMS:
        raise ValueError(f"unknown problem {name!r}; known are: {', '.join(PROBLEMS)}.")
    row = PROBLEMS[name]
    given = {"paths": paths, "dim": dim, "noise_dim": noise_dim, "hidden": hidden}
    chosen = {size: value for size, value in given.items() if value is not None}
    for size, value in chosen.items():
        if size not in row.sizes:
            raise ValueError(f"{name!r} has no size {size!r}, got {size}={value}; it takes {', '.join(row.sizes)}.")
        if value < 1:
            raise ValueError(f"{size} must be at least 1, got {size}={value}.")
    if not (math.isfinite(t1) and t1 > 0):
        raise ValueError(f"t1 must be finite and positive (t0 is 0), got t1={t1}.")
    if sde_type not in get_args(SDEType):
        raise ValueError(f"sde_type must be one of {get_args(SDEType)}, got {sde_type!r}.")
    return row.factory(**(row.sizes | chosen), t1=t1, seed=seed, sde_type=sde_type)
