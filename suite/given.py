"""The Brownian path that is given to every implementation in a case."""

import math

from suite.case import Case
from suite.pairs import opposed
from suite.paths import Path, make_path

REFINE = 4  # the given path is this much finer than the smallest step, for exact solutions that integrate it


def given_path(case: Case) -> Path | None:
    """The Brownian path that every implementation gets in this case; None where each has its own."""
    if case.noise_source != "given":
        return None
    problem = case.make()
    paths, steps = problem.y0.shape[0], REFINE * math.ceil(case.t1 / min(case.dts) - 1e-6)
    pairs = case.kind == "weak_error"
    path = make_path(0.0, case.t1, steps, paths // 2 if pairs else paths, problem.noise_dim, seed=case.seed + 1)
    return opposed(path) if pairs else path
