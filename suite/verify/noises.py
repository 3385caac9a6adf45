"""Where orders are measured: for each kind of noise a problem, step sizes, and paths with the solution on them."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from suite import statistics
from suite.cases import dyadic
from suite.paths import Path, make_path
from suite.problems import Problem, make
from suite.verify import solving


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


@solving.remembered
def fine(noise_name: str, paths: int, seed: int) -> tuple[Path, np.ndarray, float]:
    """The path that libraries get, two cells to their smallest step; the solution given the path on all its cells
    [paths, dim], and the root mean square of what it gains by half of them."""
    noise = NOISES[noise_name]
    problem = posed(noise, "stratonovich", paths, seed)
    path = make_path(0.0, 1.0, noise.cells, paths, problem.noise_dim, seed)
    assert problem.exact is not None
    exact = [problem.exact(p, problem.y0, problem.params) for p in (path, coarser(path, noise.cells // 2))]
    blur = statistics.squared_errors(exact[1], exact[0]).mean() ** 0.5
    return coarser(path, round(2 / min(noise.dts))), exact[0], float(blur)
