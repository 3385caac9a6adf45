"""Where orders and biases are measured: for each kind of noise a problem, step sizes, and how fine the path is."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from suite.case import dyadic
from suite.paths import Path
from suite.problems import Problem, make


@dataclass(frozen=True)
class Noise:
    """Where the order for noise of this kind is measured: on `paths` paths of the problem, with steps `dts`, against
    the solution given the path on `cells` cells."""

    problem: str
    sizes: Mapping[str, int] = field(default_factory=dict)
    dts: tuple[float, ...] = dyadic(3, 4, 5, 6, 7)
    cells: int = 256
    paths: int = 4096


NOISES: Mapping[str, Noise] = {
    "diagonal": Noise("sinh", {"dim": 4}),
    "scalar": Noise("sheared_scalar"),
    "additive": Noise("squares", cells=1024),
    "commutative": Noise("sheared"),
    "general": Noise("areas", dts=dyadic(1, 2, 3, 4, 5), cells=2048),
}


def posed(noise: Noise, sde_type: Any, paths: int, seed: int, drift: Any = None) -> Problem:
    """drift: the calculus whose drift it has, if not its own: a control."""
    problem = make(noise.problem, paths=paths, seed=seed, sde_type=drift or sde_type, **noise.sizes)
    return replace(problem, sde_type=sde_type)


def coarser(path: Path, cells: int) -> Path:
    """The same path on fewer cells."""
    k = (len(path.times) - 1) // cells
    return Path(path.times[::k], path.W[::k], path.integral[::k])


def for_steps(path: Path, dt: float) -> Path:
    """The same path with two cells to a step: what is not asked for would be compiled into programs, which is slow."""
    return coarser(path, round(2 * float(path.times[-1]) / dt))
