"""The one rule of what counts as a grid time: a few ulp of the time, never more than a small part of a cell."""

import itertools
import math

import numpy as np
import pytest

from sdegrad.adapters.given import is_time
from sdegrad.grid import EPS64, Grid, covers, make_grid

EPS32 = 2.0**-23
SPANS = [(0.0, 1.0), (0.0, 10.0), (-3.0, 0.0), (1000.0, 1001.0), (-1e6, 1e6)]
CELLS = [100, 10_000, 1_000_000]


def indices(grid: Grid) -> list[int]:
    """Some hundred, the ends and what is beside them among them."""
    some = np.random.default_rng(0).integers(grid.steps, size=100).tolist()
    return sorted({0, 1, grid.steps - 1, grid.steps, *some})


@pytest.mark.parametrize(("span", "cells"), list(itertools.product(SPANS, CELLS)))
def test_a_time_is_a_grid_time_or_in_its_cell(span, cells):
    """What is moved by being taken for a grid time: at most 1/64 of a cell, and at most four ulp of the span."""
    grid = make_grid(*span, (span[1] - span[0]) / cells)
    assert grid.steps == cells
    ulp = EPS32 * max(map(abs, span))
    times = np.float32([grid.time(k) + part * grid.dt for k in indices(grid) for part in (0, 0.01, 0.3, 0.5, 0.97)])
    for t in times.astype(float).clip(*span).tolist():
        k, on_grid = grid.locate(t, EPS32)
        if on_grid:
            assert abs(t - grid.time(k)) <= min(grid.dt / 64, 4 * ulp)
        else:
            assert grid.time(k) < t < grid.time(k + 1)
    for k in indices(grid):
        assert grid.locate(grid.time(k)) == (k, True)
        assert grid.locate(grid.time(k) * (1 - EPS64)) == (k, True)
        near = float(np.float32(grid.time(k)))
        assert grid.locate(near, EPS32) == (k, True) or abs(near - grid.time(k)) > grid.dt / 64


def test_an_early_time_has_its_own_ulp():
    """Of a long span, and near its start, single precision tells times apart far better than at its end."""
    grid = Grid(0.0, 1e6, 1.0, 10**6)
    assert grid.locate(1e-3, EPS32) == (0, False)
    assert grid.locate(1.001, EPS32) == (1, False)
    assert grid.locate(1e6 - 0.5, EPS32) == (10**6 - 1, False)
    assert grid.locate(1.0 + EPS32, EPS32) == (1, True)


def test_a_short_last_cell_has_its_own_bound():
    grid = make_grid(0.0, 1.0001, 0.01)
    assert (grid.steps, grid.locate(1.00005, 0.01)) == (101, (100, False))
    assert grid.locate(1.0001 - 1e-6, 0.01) == (101, True)
    assert grid.locate(0.9901, 0.01) == (99, True)


@pytest.mark.parametrize(("t0", "t1", "dt"), [(0, 1.00004, 1e-4), (0, 1.3, 0.07), (5, 5.00013, 1e-4), (0, 1e3, 1e-4)])
@pytest.mark.parametrize("eps", [EPS32, EPS64])
def test_no_step_is_longer_than_dt_by_more_than_the_bound(t0, t1, dt, eps):
    grid = make_grid(t0, t1, dt, eps)
    last = grid.step(grid.steps - 1)
    assert 0 < last <= dt + min(dt / 64, 4 * eps * t1) + EPS64 * t1
    assert grid.t0 + (grid.steps - 1) * dt + last == pytest.approx(t1, abs=EPS64 * t1)


def test_the_number_of_steps_does_not_depend_on_the_dtype_of_the_times():
    for steps, dtype in itertools.product((3, 10, 100, 7000), (np.float32, np.float64)):
        eps = float(np.finfo(dtype).eps)
        for t1, dt in [(1.0, dtype(1 / steps)), (dtype(0.3), dtype(0.3 / steps)), (dtype(0.3), 0.3 / steps)]:
            assert make_grid(0.0, float(t1), float(dt), eps).steps == steps


def test_outputs_of_one_cell_are_told_apart():
    grid = make_grid(0.0, 1.0, 1e-4, EPS32)
    ts = np.float32(0.7301 + np.arange(11) * 1e-5).astype(float).tolist()
    outputs = grid.outputs(ts, EPS32)
    assert [k for k, _ in outputs] == [7301] + [7302] * 10
    assert outputs[0][1] == outputs[-1][1] == 1
    right = [(t - 0.7301) / 1e-4 for t in ts[1:-1]]
    assert [w for _, w in outputs[1:-1]] == pytest.approx(right, abs=1e-10)
    assert right == pytest.approx(np.arange(1, 10) / 10, abs=1e-3)


def test_beyond_the_ends_an_ulp_counts_and_no_cell():
    for t0, t1, eps in itertools.product((0.0, -2.0), (1.0, 10.0), (EPS32, EPS64)):
        assert covers(t0, t1, t1 * (1 + 3 * eps), eps)
        assert not covers(t0, t1, t1 * (1 + 10 * eps), eps)
        assert covers(t0, t1, t0 * (1 + 3 * eps), eps)
        assert not covers(t0, t1, t0 - 10 * eps, eps)
        for wrong in (math.nan, math.inf, -math.inf):
            assert not covers(t0, t1, wrong, eps)
    grid = make_grid(0.0, 10.0, 1e-6)
    assert grid.locate(10 * (1 + 3 * EPS32), EPS32) == (grid.steps, True)


def test_the_rule_is_for_arrays_too():
    grid, t = make_grid(0.0, 10.0, 1e-3), np.float32(np.linspace(-0.1, 10.1, 2001))
    k = np.array([grid.nearest(float(x)) for x in t])
    at = np.array([grid.time(i) for i in k])
    each = [grid.is_time(float(x), int(i), float(a), EPS32) for x, i, a in zip(t, k, at, strict=True)]
    assert grid.is_time(t.astype(float), k, at, EPS32).tolist() == each
    assert covers(0.0, 10.0, t, EPS32).tolist() == [covers(0.0, 10.0, float(x), EPS32) for x in t]


def test_the_quick_test_takes_no_more_than_the_rule():
    for span, dt in itertools.product(SPANS, (0.3, 1e-3, 1e-9)):
        grid = make_grid(*span, dt)
        for k in indices(grid):
            at = grid.time(k)
            assert grid.is_time(at + 0.7 * grid.surely * abs(at), k, at)
    assert Grid(0.0, 0.0, 1.0, 1).locate(0.0) == (0, True)


def test_a_given_path_takes_times_that_were_added_up():
    """As other libraries do: but never more than 1/16 of a step, where the sums of 32-bit times lose their way."""
    for dt, lost in [(0.01, False), (2.0**-18, True)]:
        grid, t = make_grid(0.0, 1.0, dt), np.float32(0.3)
        for _ in range(50):
            t += np.float32(dt) if not lost else np.float32(1.1 * dt)
        k = grid.nearest(float(t))
        assert is_time(grid, float(t), k, grid.time(k), EPS32) != lost
        assert is_time(grid, float(t), k, grid.time(k), EPS64) is False


def test_a_rounded_step_makes_the_same_cells_as_long_as_its_times_count_as_theirs():
    grid, rounded = make_grid(0.0, 1.0, 0.1), make_grid(0.0, 1.0, float(np.float32(0.1)), EPS32)
    assert rounded.is_like(grid, EPS32)
    assert not rounded.is_like(grid, EPS64)
    assert not make_grid(0.0, 1.0, 0.1000001).is_like(grid, EPS32)
    for cells, alike in ((10**5, True), (10**6, False)):  # at the end they are 0.002 and 0.02 of a cell apart
        grid = Grid(0.0, 0.7 * cells, 0.7, cells)
        assert Grid(0.0, 0.7 * cells, float(np.float32(0.7)), cells).is_like(grid, EPS32) == alike
