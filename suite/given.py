"""The noise of a case: one path given to every implementation, or each its own."""

import math

from suite.cases import Case
from suite.paths import Path, make_path

REFINE = 4  # the given path is this much finer than the smallest step, for exact solutions that integrate it


def noise_source(case: Case) -> str:
    if case.kind in ("gradient_error", "strong_error"):
        return "given"
    return "own" + ", told dt" * case.told_dt + ", one pass" * case.one_pass


def given_path(case: Case) -> Path | None:
    """The Brownian path that every implementation gets in this case; None where each has its own."""
    if noise_source(case) != "given":
        return None
    problem = case.make()
    steps = REFINE * math.ceil(case.t1 / min(case.dts) - 1e-6)
    return make_path(0.0, case.t1, steps, problem.y0.shape[0], problem.noise_dim, seed=case.seed + 1)
