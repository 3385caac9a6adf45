"""What a solve tells of itself: counts, and its progress."""

import itertools
from dataclasses import replace

import pytest
import torch

import sdegrad.torch as sd
from sdegrad.contract import Task
from sdegrad.methods import METHODS
from sdegrad.registry import load
from suite.problems import make
from tests.torch.sdes import neural, state


def solve(method="midpoint", function=sd.sdeint, noise_type="diagonal", **options):
    sde = neural(noise_type, METHODS[method].sde_type)
    return function(sde, state(), (0.0, 0.3, 1.0), method=method, **{"dt": 0.1} | options)


class Counting(sd.SDEStratonovich):
    def __init__(self):
        super().__init__("diagonal")
        self.drifts = self.diffusions = 0

    def f(self, _t, y):
        self.drifts += 1
        return -y

    def g(self, _t, y):
        self.diffusions += 1
        return torch.cos(y)


@pytest.mark.parametrize("method", METHODS)
def test_counts_are_those_of_the_table(method):
    noise_type = "diagonal" if "diagonal" in METHODS[method].order else "additive"
    (ys, stats), drifts, diffusions = solve(method, noise_type=noise_type, return_stats=True), *METHODS[method].nfe
    assert ys.shape == (3, 3, 2)
    assert stats == sd.Stats(10, 10 * drifts + 1, 10 * diffusions + 1 + 2 * (noise_type == "additive"), 0)


@pytest.mark.parametrize("function", [sd.sdeint, sd.sdeint_adjoint])
@pytest.mark.parametrize("adaptive", [False, True])
def test_counts_are_of_what_was_evaluated_on_the_way_there(adaptive, function):
    sde, y0 = Counting(), state().requires_grad_()
    tolerances = {"adaptive": adaptive, "rtol": 1e-2, "atol": 1e-2}
    end = function is sd.sdeint_adjoint  # once there, to compare on the way back
    ys, stats = function(sde, y0, (0.0, 1.0), dt=0.3, return_stats=True, **tolerances)
    assert (sde.drifts, sde.diffusions) == stats[1:3]
    before = stats
    ys.sum().backward()
    assert stats == before
    if adaptive:  # 6 of the midpoint rule for each step that is tried, 4 of two half steps for each that is taken
        assert stats.num_rejected > 0
        assert stats.drift_evaluations == 1 + 3 * stats.num_steps + 6 * stats.num_rejected + 2 * stats.num_steps + end
    else:
        assert stats == (4, 9 + end, 9 + end, 0)


def test_statistics_come_last():
    sde = neural("diagonal")
    sde.h = lambda t, y: -y
    for logqp, extra in itertools.product((False, True), repeat=2):
        answer = sd.sdeint(sde, state(), (0.0, 1.0), dt=0.5, logqp=logqp, extra=extra, return_stats=True)
        assert len(answer) == 2 + logqp + extra
        assert isinstance(answer[-1], sd.Stats)


@pytest.mark.parametrize("adjoint", ["backprop", "checkpoint", "reversible", "backsolve"])
def test_progress_is_told_once_for_each_step_forward(adjoint):
    told = []
    y0 = state().requires_grad_()
    options = {"method": "reversible_heun", "dt": 0.25, "adjoint": adjoint}
    sd.sdeint(neural("diagonal"), y0, (0.0, 1.0), progress=lambda *a: told.append(a), **options).sum().backward()
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_progress_of_adaptive_steps_is_by_time():
    told = []
    stats = solve(adaptive=True, rtol=1e-2, atol=1e-2, return_stats=True, progress=lambda *a: told.append(a))[1]
    steps, of = zip(*told, strict=True)
    assert {*of} == {1000}
    assert list(steps) == sorted({*steps})
    assert steps[-1] == 1000
    assert len(steps) == stats.num_steps / 2


def test_progress_may_stop_a_solve():
    def stop(step, steps):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        solve(progress=stop)


def test_the_adapter_counts_the_true_number_of_adaptive_steps():
    """Each step that is tried takes 6 evaluations of Heun's rule, and each step of the solution 2; torchsde, which does
    not tell, is not believed to have taken steps of dt."""
    problem = make("mlp", paths=3, dim=3, hidden=4, sde_type="stratonovich")
    task = Task(problem=problem, method="heun", dt=0.3, ts=(0.0, 1.0), rtol=1e-3, atol=1e-3)
    counts = load("sdegrad_torch").prepare(task).count()
    tried, rest = divmod(counts.drift - 1 - 2 * counts.steps, 6)
    assert counts.steps > 4
    assert rest == 0
    assert tried >= counts.steps / 2
    assert load("sdegrad_torch").prepare(replace(task, rtol=None, atol=None)).count().steps == 4
    with pytest.raises(NotImplementedError, match="does not tell"):
        load("torchsde").prepare(task).count()
