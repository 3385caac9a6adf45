"""What the implementations are held against does the work that it claims to do."""

from dataclasses import replace

import numpy as np
import pytest

from reports.data import BOUNDS
from sdegrad.contract import BrownianTask, Implementation, Task
from sdegrad.registry import YARDSTICKS, compared, load
from suite.cases import CASES
from suite.paths import make_path
from suite.problems import make
from suite.statistics import relative_l1

STEPS = 8


def task(problem="mlp", method="reversible_heun", adjoint="reversible", sde_type="stratonovich", **changes):
    p = make(problem, paths=3, sde_type=sde_type)
    values = {"dt": 1 / STEPS, "ts": (0.0, 1.0), "dtype": "float64"} | changes
    return Task(problem=p, method=method, adjoint=adjoint, **values)


def run(name, t):
    r = load(name).prepare(t)
    return r.outcome(r())


@pytest.mark.parametrize("name", YARDSTICKS)
def test_they_are_behind_the_contract_and_measured(name):
    assert isinstance(load(name), Implementation)
    assert load(name).name == name
    assert name not in compared()
    assert any(name in case.yardsticks for case in CASES)
    for wrong in (task(method="heun"), BrownianTask(queries=((0.0, 1.0),), shape=(1,))):
        assert load(name).unsupported(wrong).endswith(".")
    assert set(BOUNDS) < set(YARDSTICKS)


@pytest.mark.exhaustive
@pytest.mark.usefixtures("kept")
@pytest.mark.slow
def test_diffrax_with_our_parts_has_the_gradient_of_our_solver():
    path = make_path(0.0, 1.0, STEPS, 3, 16, seed=5)
    ours, theirs = (run(name, task(noise=path)) for name in ("sdegrad_torch", "diffrax_sdegrad"))
    np.testing.assert_allclose(theirs.ys, ours.ys, rtol=0, atol=1e-13)
    assert relative_l1(theirs.gradients, ours.gradients) < 1e-13
    assert relative_l1({k: 1.001 * v for k, v in theirs.gradients.items()}, ours.gradients) > 1e-4
    by_backprop = run("diffrax_sdegrad", task(noise=path, adjoint="backprop"))  # another computation: other rounding
    assert 0 < relative_l1(theirs.gradients, by_backprop.gradients) < 1e-13
    assert np.isfinite(run("diffrax_sdegrad", task()).ys).all()  # and on our Brownian motion


@pytest.mark.parametrize("name", ["sdegrad_torch", "torch_floor"])
def test_the_floor_evaluates_as_often_as_the_solver(name):
    coarse, fine = (load(name).prepare(task(dt=dt)).count() for dt in (1 / STEPS, 1 / (2 * STEPS)))
    assert fine.steps - coarse.steps == STEPS
    for what in ("drift", "diffusion"):
        assert getattr(fine, what) - getattr(coarse, what) == 2 * STEPS
        assert getattr(fine, f"{what}_vjp") - getattr(coarse, f"{what}_vjp") == STEPS


def test_the_scan_by_hand_is_eulers_method():
    t = task("ou", "euler", None, "ito")
    quiet = replace(t, problem=replace(t.problem, params={**t.problem.params, "sigma": np.zeros((2, 2))}))
    by_hand, ours = (run(name, quiet).ys for name in ("jax_by_hand", "sdegrad_jax"))
    np.testing.assert_allclose(by_hand, ours, rtol=0, atol=1e-14)
    assert np.abs(run("jax_by_hand", t).ys[-1] - ours[-1]).max() > 1e-3  # with its noise it is another path


@pytest.mark.exhaustive
@pytest.mark.usefixtures("kept")
def test_one_pass_is_diffrax_with_its_cheapest_noise():
    """Another path than that of its tree; the same for the same seed."""
    once, twice, tree = (run("diffrax", task("ou", "euler", None, "ito", one_pass=p)).ys for p in (True, True, False))
    np.testing.assert_array_equal(once, twice)
    assert np.abs(once[-1] - tree[-1]).max() > 1e-3
