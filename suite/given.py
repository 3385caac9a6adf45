"""The Brownian path that is given to every implementation in a case."""

import math

from suite.cases import Case
from suite.paths import Path, make_path

REFINE = 4  # the given path is this much finer than the smallest step, for exact solutions that integrate it


def given_path(case: Case) -> Path | None:
    """The Brownian path that every implementation gets in this case; None where each has its own."""
    if case.noise_source != "given":
        return None
    problem = case.make()
    steps = REFINE * math.ceil(case.t1 / min(case.dts) - 1e-6)
    return make_path(0.0, case.t1, steps, problem.y0.shape[0], problem.noise_dim, seed=case.seed + 1)
