"""Pairs of paths: the solution starts at the same point and has the opposite noise, with which the largest errors of a
mean cancel. The first ones of all pairs come first.
"""

from dataclasses import replace

import numpy as np

from suite.paths import Path
from suite.problems import Problem


def doubled(problem: Problem) -> Problem:
    """Both paths of a pair start at the same point."""
    return replace(problem, y0=np.concatenate([problem.y0, problem.y0]))


def opposed(path: Path) -> Path:
    """The path and, as further ones, its opposites."""
    return Path(path.times, *(np.concatenate([x, -x], axis=1) for x in (path.W, path.integral)))


def over_pairs(values: np.ndarray) -> np.ndarray:
    """The mean of each pair, [..., pairs], of values [..., 2 pairs]."""
    return values.reshape(*values.shape[:-1], 2, -1).mean(-2)
