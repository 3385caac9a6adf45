"""Targets for speed: the least time that the others should take, in units of sdegrad's time.

Ratios of one run, as in the measures `..._ratio`. The report marks them; nothing is measured by them.
"""

import math
from collections.abc import Mapping
from typing import Any

_SOLVE = {"method": "reversible_heun", "noise_source": "own", "compiled": "", "rtol": None}
_SHORT = _SOLVE | {"dt": 0.01, "steps": 100}
_WHOLE = _SOLVE | {"dt": 1.0, "steps": 100}  # where accumulating times in float32 costs torchsde nothing
_FLOOR = 1 / 1.3

# (measure, who is compared, at which work, {batch: ratio})
GOALS: tuple[tuple[str, str, Mapping[str, Any], Mapping[int, float]], ...] = (
    ("gradient_time_ratio", "torchsde", _SHORT, {1: 25, 128: 18, 2560: 8, 32768: 14}),
    ("gradient_time_ratio", "torchsde", _WHOLE, {1: 2.5, 128: 2, 2560: 1.3, 32768: 1.6}),
    ("gradient_time_ratio", "torchsde", _WHOLE | {"compiled": "compiled"}, {1: 15, 128: 5, 2560: 1.5, 32768: 2}),
    ("gradient_time_ratio", "torch_floor", _SHORT, {2560: _FLOOR, 32768: _FLOOR}),
    ("gradient_time_ratio", "diffrax", _SHORT, {1: 18, 128: 9, 2560: 8, 32768: 8}),
    ("gradient_time_ratio", "diffrax", _SOLVE | {"rtol": 0.01}, {1: 3, 128: 3}),
    ("gradient_time_ratio", "diffrax", _SOLVE | {"rtol": 0.001}, {1: 3, 128: 3}),
    ("solve_time_ratio", "diffrax", _SHORT | {"noise_source": "own, one pass"}, {1: 1, 128: 1, 2560: 1, 32768: 1.2}),
    ("solve_time_ratio", "jax_by_hand", {"problem": "ou", "steps": 100}, {1: 0.5}),
    ("brownian_time_ratio", "torchsde", {"access": "doubly_sequential", "steps": 100}, {1: 20, 2560: 5, 32768: 2.5}),
    ("brownian_time_ratio", "torchsde", {"access": "random", "steps": 1000}, {1: 3, 2560: 3, 32768: 3}),
    ("brownian_time_ratio", "torch_tree", {}, {1: 10.6, 2560: 10.6, 32768: 10.6}),
)


def goal(row: Mapping[str, Any]) -> float | None:
    """The goal for a ratio, a row of results with numbers for the sizes (NaN where empty); None if it has none."""
    for measure, implementation, work, ratios in GOALS:
        columns = {"measure": measure, "implementation": implementation, **work}
        if row["batch"] in ratios and all(_same(row[column], value) for column, value in columns.items()):
            return ratios[int(row["batch"])]
    return None


def _same(value: Any, wanted: Any) -> bool:
    return math.isnan(value) if wanted is None else value == wanted
