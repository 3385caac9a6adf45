"""What surrounds a solve: threads, torch's compiler, and tensors that an SDE closes over."""

import copy
import pickle
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext

import pytest
import torch
from torch import nn

import sdegrad.torch as sd
from sdegrad.torch import checks
from sdegrad.torch.brownian import virtual_tree
from sdegrad.torch.brownian.base import check_interval
from tests.torch.sdes import Neural, neural, state

MOTIONS = {
    "cells": lambda: sd.BrownianInterval(0.0, 1.0, (300, 30), dt=1 / 64, entropy=1),
    "areas": lambda: sd.BrownianInterval(
        0.0, 1.0, (300, 30), dt=1 / 64, entropy=1, levy_area_approximation="space-time"
    ),
    "tree": lambda: sd.BrownianInterval(0.0, 1.0, (300, 30), entropy=1),
    "points": lambda: sd.BrownianTree(0.0, torch.zeros(300, 30), entropy=1),
    "virtual": lambda: sd.VirtualBrownianTree(0.0, 1.0, (300, 30), entropy=1, tol=1e-2),
}
CELLS = 64


def cell(bm, k):
    return bm(k / CELLS, (k + 1) / CELLS)


def wrong_increments(motion):
    """Of those that four threads get from one Brownian motion."""
    bm, alone = motion(), motion()
    expected = [cell(alone, k).clone() for k in range(CELLS)]

    def ask(thread):
        order = [(7 * i + 13 * thread) % CELLS for i in range(CELLS)]
        return sum(not torch.equal(cell(bm, k), expected[k]) for k in order)

    with ThreadPoolExecutor(4) as threads:
        return sum(threads.map(ask, range(12)))


@pytest.mark.parametrize("name", MOTIONS)
@pytest.mark.slow
def test_threads_may_share_a_brownian_motion(name):
    assert wrong_increments(MOTIONS[name]) == 0


@pytest.mark.slow
def test_the_check_of_threads_sees_a_missing_lock(monkeypatch):
    monkeypatch.setattr(virtual_tree, "Lock", nullcontext)
    assert any(wrong_increments(MOTIONS["virtual"]) for _ in range(10))


@pytest.mark.parametrize("generator", ["native", "portable"])
def test_a_brownian_motion_can_be_sent_to_a_spawned_process(generator):
    """A worker of a `DataLoader`, say. What was queried before does not matter; torch cannot send a generator."""
    bm = sd.BrownianInterval(0.0, 1.0, (2,), dt=0.1, entropy=3, generator=generator)
    bm(0.0, 0.55)
    sent = pickle.dumps(bm)
    assert b"Generator" not in sent
    again = pickle.loads(sent)
    for ta, tb in ((0.1, 0.2), (0.3, 0.34), (0.52, 1.0)):
        assert torch.equal(again(ta, tb), bm(ta, tb))


@pytest.mark.parametrize("name", MOTIONS)
@pytest.mark.parametrize("duplicate", [copy.deepcopy, copy.copy, lambda bm: pickle.loads(pickle.dumps(bm))])
def test_a_copy_of_a_brownian_motion_is_the_same_path(name, duplicate):
    bm = MOTIONS[name]()
    assert torch.equal(cell(duplicate(bm), 3), cell(bm, 3))


@pytest.mark.parametrize(("function", "method"), [("sdeint", "midpoint"), ("sdeint_adjoint", "reversible_heun")])
@pytest.mark.slow
def test_a_step_of_training_may_be_compiled(function, method):
    """Around a solve, which is left as it is: with another dt each time, more often than torch compiles anew."""
    sde = Neural("diagonal")

    def loss(y0, dt):
        bm = sd.BrownianInterval(0.0, 1.0, (3, 2), entropy=2**70, dt=dt)
        return 2 * getattr(sd, function)(sde, y0 + 1, (0.0, 1.0), bm, method=method, dt=dt).sum()

    torch._dynamo.reset()
    compiled = torch.compile(loss, backend="eager")
    for i in range(10):
        gradients = []
        for step in (loss, compiled):
            y0 = state().requires_grad_()
            step(y0, 0.1 + 0.01 * i).backward()
            gradients.append(y0.grad)
        assert torch.equal(*gradients)


class Closing(nn.Module):
    """An SDE with one parameter of its own, and what it closes over."""

    noise_type, sde_type = "diagonal", "stratonovich"

    def __init__(self, other):
        super().__init__()
        self.own, self.other = nn.Parameter(torch.ones(2)), [other]

    def f(self, _t, y):
        return self.own * self.other[0] * y

    def g(self, _t, y):
        return torch.cos(y)


def told(sde, times=1, **options):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(times):
            sd.sdeint(sde, state(), (0.0, 1.0), dt=0.5, method="reversible_heun", **options)
    return [str(w.message) for w in caught]


WEIGHT = torch.ones(2, requires_grad=True)


@pytest.mark.parametrize("adjoint", ["reversible", "backsolve"])
@pytest.mark.parametrize("other", [WEIGHT, (2 * WEIGHT).exp()])
def test_tensors_that_gradients_do_not_reach_are_told_once(adjoint, other):
    messages = [m for m in told(Closing(other), times=2, adjoint=adjoint) if "not among its parameters" in m]
    assert len(messages) == 1
    assert "Closing depends on tensors" in messages[0]
    assert "(number: 1, shapes: (2,))" in messages[0]


@pytest.mark.parametrize(
    ("other", "options"),
    [
        (WEIGHT, {"adjoint": "backprop"}),
        (WEIGHT.detach(), {"adjoint": "reversible"}),
        (WEIGHT, {"adjoint": "reversible", "adjoint_params": ()}),
        (WEIGHT, {"adjoint": "reversible", "adjoint_params": (WEIGHT,)}),
    ],
)
def test_nothing_is_told_where_gradients_reach_all_or_are_not_wanted(other, options):
    assert not told(Closing(other), **options)


def test_parameters_given_twice_count_once():
    gradients = []
    for params in ((WEIGHT,), (WEIGHT, WEIGHT)):
        bm = sd.BrownianInterval(0.0, 1.0, (3, 2), entropy=0)
        options = {"method": "reversible_heun", "dt": 0.5, "adjoint_params": params}
        ys = sd.sdeint_adjoint(Closing(WEIGHT), state(), (0.0, 1.0), bm, **options)
        gradients.append(torch.autograd.grad(ys.sum(), WEIGHT)[0])
    assert torch.equal(*gradients)


def solve(**options):
    sd.sdeint(Neural("diagonal"), state(), **{"ts": (0.0, 1.0), "dt": 0.5, "method": "reversible_heun"} | options)


# With what a check of types at run time lets through.
REFUSED = {
    "must be a sequence of tensors": lambda: solve(adjoint="reversible", adjoint_params=WEIGHT),
    "rtol requires a gradient": lambda: solve(rtol=torch.tensor(0.1, requires_grad=True)),
    "bm is defined on .0.0, 0.5., but ts reaches": lambda: solve(bm=sd.BrownianInterval(0.0, 0.5, (3, 2))),
    "float32.* got .*float16": lambda: solve(extra_solver_state=(torch.zeros(3, 2, dtype=torch.float16),) * 3),
    "must be a tuple of tensors, got a float": lambda: checks.as_state(1.0),
    "ts must be numbers in a sequence": lambda: checks.read_times(iter((0.0, 1.0)), 0.5, torch.float32),
    "options must be a mapping": lambda: checks.check_mappings(options=[1], names=None),
    "t1 must be a number": lambda: check_interval(0.0, torch.zeros(2)),
}


@pytest.mark.parametrize("message", REFUSED)
def test_refused_before_the_first_step(message, monkeypatch):
    monkeypatch.setattr(torch, "lerp", None)  # by which outputs are made of steps
    with pytest.raises(ValueError, match=message):
        REFUSED[message]()


@pytest.mark.parametrize("adjoint", ["backprop", "checkpoint", "reversible", "backsolve"])
def test_a_motion_that_depends_on_a_tensor_gets_its_gradient_or_a_refusal(adjoint):
    sde, y0 = neural("diagonal"), state()
    W = torch.full_like(y0, 0.3, requires_grad=True)
    bm = sd.BrownianInterval(0.0, 1.0, W=W, dt=0.25, entropy=1)
    solve = {"bm": bm, "dt": 0.25, "method": "reversible_heun", "adjoint": adjoint}
    if adjoint in ("reversible", "backsolve"):
        with pytest.raises(ValueError, match="bm depends on tensors that require gradients"):
            sd.sdeint(sde, y0, [0.0, 1.0], **solve)
        with torch.no_grad():
            assert not sd.sdeint(sde, y0, [0.0, 1.0], **solve).requires_grad
    else:
        sd.sdeint(sde, y0, [0.0, 1.0], **solve)[-1].sum().backward()
        assert W.grad is not None
        assert W.grad.abs().min() > 0


def test_a_batch_is_leading_axes_and_not_vmap():
    sde, y0 = neural("diagonal"), torch.stack([state(), state(1)])
    assert sd.sdeint(sde, y0, [0.0, 1.0], dt=0.5).shape == (2, *y0.shape)
    with pytest.raises(RuntimeError, match=r"y0 has an axis of torch.func.vmap, .* leading axes of y0"):
        torch.func.vmap(lambda y: sd.sdeint(sde, y, [0.0, 1.0], dt=0.5), randomness="different")(y0)


class Rate(torch.nn.Module):
    """A solve of dy = rate tanh(y) dt + cos(y) dW."""

    noise_type, sde_type = "diagonal", "stratonovich"

    def __init__(self):
        super().__init__()
        self.rate = torch.nn.Parameter(torch.tensor(0.5))

    def f(self, _t, y):
        return self.rate * torch.tanh(y)

    def g(self, _t, y):
        return torch.cos(y)

    def forward(self, bm, method, adjoint="backprop"):
        return sd.sdeint(self, Y0, [0.0, 0.3, 1.0], bm=bm, dt=0.125, method=method, adjoint=adjoint)


Y0 = state()
RATES = torch.tensor([0.3, 0.5, 0.9])


@pytest.mark.parametrize(
    ("method", "dt"), [("heun", 0.125), ("heun", None), ("milstein", 0.125), ("reversible_heun", 0.125)]
)
def test_transforms_of_torch_func_reach_parameters(method, dt):
    """On one path for all samples, of which nothing is left in the transform."""

    def solve(rate, bm=None):
        bm = bm or sd.BrownianInterval(0.0, 1.0, (3, 2), dt=dt, entropy=1, halfway_tree=True, tol=1e-3)
        return torch.func.functional_call(Rate(), {"rate": rate}, (bm, method))

    bm = sd.BrownianInterval(0.0, 1.0, (3, 2), dt=dt, entropy=1, halfway_tree=True, tol=1e-3)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "There is a performance drop")
        batch = torch.func.vmap(lambda rate: solve(rate, bm))(RATES)
        slopes = torch.func.vmap(torch.func.grad(lambda rate: solve(rate, bm).sum()))(RATES)
    assert not torch._C._functorch.is_functorch_wrapped_tensor(bm(0.0, 0.125))
    for rate, ys, slope in zip(RATES, batch, slopes, strict=True):
        leaf = rate.clone().requires_grad_()
        torch.testing.assert_close(solve(leaf), ys)
        torch.testing.assert_close(torch.autograd.grad(solve(leaf).sum(), leaf)[0], slope)
        _, forwards = torch.func.jvp(lambda rate: solve(rate, bm).sum(), (rate,), (torch.ones(()),))
        torch.testing.assert_close(forwards, slope)


def test_what_a_transform_cannot_have_is_refused():
    bm = sd.BrownianInterval(0.0, 1.0, (3, 2), dt=0.125, entropy=1)
    with pytest.raises(RuntimeError, match=r"the same for all samples of torch.func.vmap: in place of randomness="):
        torch.func.vmap(lambda x: x * bm(0.0, 0.5), randomness="different")(torch.ones(2))
    for method, adjoint in (("reversible_heun", "reversible"), ("heun", "backsolve")):
        with pytest.raises(RuntimeError, match=f'"{adjoint}" is for backward.* use adjoint="backprop" there'):
            torch.func.grad(lambda x, how=(method, adjoint): (x * Rate()(bm, *how)).sum())(torch.ones(()))
