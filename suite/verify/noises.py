"""Where orders are measured: paths of each kind of noise, with the solution on them."""

import numpy as np

from suite import statistics
from suite.noises import NOISES, coarser, posed
from suite.paths import Path, make_path
from suite.verify import solving


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
