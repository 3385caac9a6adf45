"""What is taken far: what is left out of it and why, what is checked on the way, and what it finds at small sizes."""

from dataclasses import replace

import numpy as np
import pytest

from sdegrad.methods import METHODS
from sdegrad.registry import load
from suite import limits, measuring, sweeping, sweeps
from suite.case import Case
from suite.cases import select
from suite.checked import checked_mean
from suite.given import given_path
from suite.harness import Trial
from suite.noises import NOISES
from suite.problems import make

BUDGET = measuring.Budget(seconds=0.1)
MEMORY, LONG, ADAPTIVE = (
    next(case for case in sweeps.sweeps() if case.kind == kind and bool(case.rtol) == adaptive)
    for kind, adaptive in (("memory", False), ("long", False), ("long", True))
)
ENSEMBLE = next(case for case in sweeps.sweeps() if case.kind == "time")


def quiet(name, what):
    pass


def measured(case, *names):
    return list(measuring.measure(case, names, "cpu", BUDGET, quiet))


def trial(case, name="sdegrad_torch"):
    return Trial(load(name), case, "cpu", adjoint=case.adjoints[0])


def test_the_full_run_has_all_of_them():
    assert {repr(c) for c in sweeps.sweeps()} <= {repr(c) for c in select("full")}
    listed = {*sweeps.METHODS["stratonovich"], *sweeps.METHODS["ito"], *sweeps.ADDITIVE_ONLY}
    assert listed == set(METHODS)
    of_noise = {case.problem for case in sweeps.sweeps() if case.kind == "weak_error"}
    assert of_noise == {noise.problem for noise in NOISES.values()}
    assert all(make(c.problem, **c.sizes, t1=c.t1).lipschitz * c.t1 <= 2 for c in (LONG, ADAPTIVE))


@pytest.mark.exhaustive
def test_what_takes_too_long_is_left_out_and_says_so(monkeypatch):
    """The first is always made. What a compiler has planned is known without a call, and so it is not left out."""
    monkeypatch.setattr(limits, "CALL", 1e-9)
    case = replace(MEMORY, dts=(0.5, 0.25, 0.125))
    first, *others = measured(case, "sdegrad_torch")
    assert (first["status"], first["steps"]) == ("ok", "2")
    assert [(r["status"], r["measure"], r["steps"]) for r in others] == [
        ("skipped", "gradient_memory", "4"),
        ("skipped", "gradient_memory", "8"),
    ]
    assert "of one with 1/4 of the work" in others[1]["reason"]
    assert {r["status"] for r in measured(replace(case, dts=(0.5, 0.25)), "sdegrad_jax")} == {"ok"}


@pytest.mark.exhaustive
def test_what_needs_too_much_memory_is_left_out_and_says_so(monkeypatch):
    monkeypatch.setattr(limits, "free_memory", lambda: 2.0)
    monkeypatch.setattr(sweeping, "ENOUGH", 4)
    *_, last = measured(replace(MEMORY, dts=(0.5, 0.25)), "sdegrad_torch")
    assert last["status"] == "skipped"
    assert last["reason"].endswith("GiB are used here, half of what is free.")
    (row,) = measured(replace(ENSEMBLE, sizes={"paths": 8, "dim": 1}), "sdegrad_jax")
    assert (row["status"], row["measure"]) == ("skipped", "solve_time")
    assert "a call would need about" in row["reason"]
    monkeypatch.undo()
    assert limits.free_memory() > 2**20


@pytest.mark.parametrize(("adjoint", "power"), [("reversible", 0.0), ("backprop", 1.0)])
@pytest.mark.slow
def test_the_memory_of_a_gradient_grows_as_it_must(adjoint, power):
    method = sweeps.ADJOINTS[adjoint]
    case = replace(MEMORY, adjoints=(adjoint,), method=method, dts=(1 / 64, 1 / 256))
    few, many = (float(row["value"]) for row in measured(case, "sdegrad_jax"))
    assert abs(np.log(many / few) / np.log(4) - power) < 0.1


@pytest.mark.exhaustive
def test_a_long_gradient_is_measured_with_its_error():
    case = replace(LONG, dts=(1 / 64,))
    rows = {row["measure"]: row for row in measured(case, "sdegrad_jax")}
    assert list(rows) == ["gradient_memory", "gradient_cpu_time", "gradient_error"]
    assert float(rows["gradient_error"]["value"]) < 1e-13
    assert all(row["steps"] == "64" for row in rows.values())
    off = replace(case, adjoints=("backsolve",), method="heun")
    assert float(measured(off, "sdegrad_jax")[-1]["value"]) > 1e-9


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "adjoint", "reason"),
    [("torchsde", "reversible", "no checkpoint"), ("diffrax", "checkpoint", "kept states")],
)
def test_a_long_gradient_of_a_peer_says_why_it_has_no_error(name, adjoint, reason):
    rows = measured(replace(LONG, dts=(1 / 64,), adjoints=(adjoint,)), name)
    assert [row["status"] for row in rows] == ["ok", "ok", "skipped"]
    assert reason in rows[-1]["reason"]


@pytest.mark.exhaustive
def test_a_long_gradient_without_room_for_its_reference_keeps_the_rest(monkeypatch):
    monkeypatch.setattr(limits, "free_memory", lambda: 2.0)
    rows = measured(replace(LONG, dts=(1 / 8, 1 / 16)), "sdegrad_torch")
    assert [row["status"] for row in rows] == [*["ok"] * 5, "skipped"]
    assert "a call would need about" in rows[-1]["reason"]


@pytest.mark.exhaustive
@pytest.mark.slow
def test_adaptive_steps_are_those_that_were_accepted():
    rows = measured(replace(ADAPTIVE, rtol=1e-3, atol=1e-4, max_steps=256), "sdegrad_jax")
    assert {row["status"] for row in rows} == {"ok"}
    (steps,) = {int(row["steps"]) for row in rows}
    assert 50 < steps < 256
    assert float(rows[-1]["value"]) < 1e-12


@pytest.mark.exhaustive
@pytest.mark.slow
@pytest.mark.parametrize(("name", "dt", "rtol"), [("sdegrad_jax", 1e-4, 1e-4), ("sdegrad_torch", 1e-3, 1e-3)])
def test_the_memory_of_long_gradients_is_flat(name, dt, rtol):
    """Constant steps against a quarter of them; adaptive ones against a third, but for their sizes. Of PyTorch, whose
    every allocation is watched, a tenth as many."""
    few, many = (
        {row["measure"]: float(row["value"]) for row in measured(replace(LONG, dts=(dt,)), name)} for dt in (4 * dt, dt)
    )
    assert many["gradient_memory"] < 1.05 * few["gradient_memory"]
    assert many["gradient_error"] < 1e-12
    bytes_, steps = [], []
    for to in (rtol, rtol / 5):
        rows = measured(replace(ADAPTIVE, rtol=to, atol=to / 10, max_steps=8192), name)
        bytes_.append(float(rows[0]["value"]))
        steps.append(int(rows[0]["steps"]))
        assert float(rows[-1]["value"]) < 1e-12
    assert steps[1] > 2.5 * steps[0]
    assert bytes_[1] - bytes_[0] < 0.05 * bytes_[0] + 16 * (steps[1] - steps[0])


def test_the_weak_error_is_that_of_pairs_of_paths():
    """Euler's bias on a linear equation, whose mean is known: y0 (1 + mu dt)^n. The interval of 95 % is widened to one
    of 99.99 %."""
    case = Case(
        kind="weak_error",
        problem="gbm",
        method="euler",
        sde_type="ito",
        sizes={"paths": 2048, "dim": 1},
        dts=(1 / 2, 1 / 4),
        dtype="float64",
    )
    problem, path = case.make(), given_path(case)
    np.testing.assert_array_equal(path.W[:, :2048], -path.W[:, 2048:])
    np.testing.assert_array_equal(problem.y0[:2048], problem.y0[2048:])
    (mu,) = problem.params["mu"]
    rows = [row for row in measured(case, "sdegrad_torch") if row["measure"] == "weak_error"]
    for row in rows:
        steps, value = int(row["steps"]), float(row["value"])
        right = problem.y0.mean() * ((1 + mu / steps) ** steps - np.exp(mu))
        half = (float(row["high"]) - float(row["low"])) / 2
        assert abs(value - right) < 2 * half
        assert (row["samples"], row["batch"]) == ("2048", "4096")


@pytest.mark.parametrize("sde_type", ["ito", "stratonovich"])
def test_the_moments_of_an_ensemble_are_those_of_the_equation(sde_type):
    """4096 paths, 6 standard errors: a right ensemble is refused with a probability of 1e-8."""
    case = replace(ENSEMBLE, sde_type=sde_type, method="heun" if sde_type == "stratonovich" else "euler")
    case = replace(case, sizes={"paths": 4096, "dim": 1}, dts=(1 / 32,))
    run = load("sdegrad_torch").prepare(trial(case).task(case.dts[0]))
    outcome = run.outcome(run())
    mean = checked_mean(trial(case), outcome)
    assert mean.low - 0.1 < 0 < mean.high + 0.1
    for factor in (1.1, 0.9):
        with pytest.raises(ValueError, match="not that of this SDE"):
            checked_mean(trial(case), replace(outcome, ys=factor * outcome.ys))
    spread = outcome.ys + 0.5 * np.random.default_rng(0).standard_normal(outcome.ys.shape)
    with pytest.raises(ValueError, match="mean square"):
        checked_mean(trial(case), replace(outcome, ys=spread))


@pytest.mark.slow
def test_an_ensemble_of_another_equation_is_a_failed_row(monkeypatch):
    library = load("sdegrad_torch")
    prepare = type(library).prepare

    def other(self, task):
        wrong = {**task.problem.params, "mu": task.problem.params["mu"] + 0.5}
        return prepare(self, replace(task, problem=replace(task.problem, params=wrong)))

    case = replace(ENSEMBLE, sizes={"paths": 1024, "dim": 1}, dts=(1 / 16,))
    assert {row["status"] for row in measured(case, "sdegrad_torch")} == {"ok"}
    monkeypatch.setattr(type(library), "prepare", other)
    (row,) = measured(case, "sdegrad_torch")
    assert row["status"] == "failed"
    assert "the mean of the solution in units of its start is" in row["reason"]
