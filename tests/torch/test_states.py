"""States of any batch shape, and of half precision: solutions and gradients."""

import pytest
import torch

import sdegrad.torch as sd
from sdegrad.methods import METHODS
from sdegrad.torch.methods import make_scheme, reversible_heun
from tests.torch.sdes import NOISE, channels, motion, neural, state

ADJOINTS = ("backprop", "checkpoint", "reversible", "backsolve")


@pytest.mark.parametrize("method", ["reversible_heun", "ees25", "log_ode", "midpoint"])
@pytest.mark.parametrize("adjoint", ADJOINTS)
def test_gradients_of_any_batch_shape(adjoint, method):
    """[6, dim] as [2, 3, dim], and its first path as [dim], on the same noise."""
    if adjoint == "reversible" and method in ("log_ode", "midpoint"):
        return
    sde, flat = neural("general").double(), state(batch=(6,)).double()
    levy_area = make_scheme(method, "stratonovich", "general", {}).levy_area
    path = sd.BrownianInterval(
        0.0, 1.0, (6, NOISE), dtype=torch.float64, dt=0.1, entropy=2, levy_area_approximation=levy_area
    )

    def gradient(shape, at):
        def bm(a, b, **areas):
            answer = path(a, b, **areas)
            parts = answer if isinstance(answer, tuple) else (answer,)
            parts = tuple(x[at].reshape(*shape, *x.shape[1:]) for x in parts)
            return parts if isinstance(answer, tuple) else parts[0]

        y0 = flat[at].reshape(*shape, 2).requires_grad_()
        options = {"bm": motion(bm, levy_area), "method": method, "dt": 0.1, "adjoint": adjoint}
        ys = sd.sdeint(sde, y0, (0.0, 0.33, 1.0), **options)
        assert ys.shape == (3, *shape, 2)
        return torch.autograd.grad(ys.square().sum(), y0)[0].reshape(-1, 2)

    expected = gradient((6,), slice(None))
    assert (gradient((2, 3), slice(None)) - expected).abs().max() < 1e-14
    assert (gradient((), 0) - expected[0]).abs().max() < 1e-14


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("batch", [(), (2, 1, 3)])
def test_own_noise_of_any_batch_shape(batch, method):
    """With the log-ratio, and with adaptive steps."""
    facts = METHODS[method]
    for noise_type in facts.order:
        sde, y0 = neural(noise_type, facts.sde_type), torch.ones(*batch, 2, requires_grad=True)
        sde.h = lambda t, y: -y
        ys, ratio = sd.sdeint(sde, y0, (0.0, 0.5, 1.0), method=method, dt=0.25, logqp=True)
        assert ys.shape == (3, *batch, 2)
        assert ratio.shape == (2, *batch)
        assert torch.autograd.grad(ys.sum() + ratio.sum(), y0)[0].isfinite().all()
        tolerances = {"adaptive": True, "rtol": 0.5, "atol": 0.5, "dt": 0.5}
        if method != "euler":
            assert sd.sdeint(sde, y0, (0.0, 1.0), method=method, **tolerances).shape == (2, *batch, 2)


def test_one_path_alone_has_a_levy_area():
    """The same as the only path of a batch."""
    ends = {}
    for method, y0 in (("log_ode", torch.ones(2)), ("log_ode", torch.ones(1, 2)), ("midpoint", torch.ones(2))):
        torch.manual_seed(0)
        ends[method, y0.dim()] = sd.sdeint(neural("general"), y0, (0.0, 1.0), method=method, dt=0.1)[-1].flatten()
    assert (ends["log_ode", 1] - ends["log_ode", 2]).abs().max() < 1e-6
    assert (ends["log_ode", 1] - ends["midpoint", 1]).abs().max() > 1e-4


ROUNDING = {torch.bfloat16: 2.0**-8, torch.float16: 2.0**-11}


def errors(dtype, adjoint, noise_type):
    """Of the solution and of each gradient after 20 steps, against float64 on the same noise of half precision: in
    units of rounding, relative to the largest entry."""
    results = []
    path = sd.BrownianInterval(0.0, 1.0, (64, channels(noise_type)), dtype=dtype, dt=0.05, entropy=2)
    for kind in (torch.float64, dtype):
        sde, y0 = neural(noise_type).to(dtype).to(kind), state(batch=(64,)).to(dtype).to(kind).requires_grad_()
        options = {"bm": lambda a, b, kind=kind: path(a, b).to(kind), "method": "reversible_heun", "dt": 0.05}
        ys = sd.sdeint(sde, y0, (0.0, 0.33, 1.0), adjoint=adjoint, **options)
        grads = torch.autograd.grad(ys.square().sum(), [y0, *sde.drift.parameters(), *sde.diffusion.parameters()])
        assert all(x.dtype == kind for x in (ys, *grads))
        results.append((ys.detach().double(), *(g.double() for g in grads)))
    return [float((a - b).abs().max() / a.abs().max()) / ROUNDING[dtype] for a, b in zip(*results, strict=True)]


@pytest.mark.parametrize("noise_type", ["general", "diagonal"])
@pytest.mark.parametrize("adjoint", ADJOINTS)
@pytest.mark.parametrize("dtype", ROUNDING)
def test_half_precision(dtype, adjoint, noise_type):
    solution, *gradients = errors(dtype, adjoint, noise_type)
    assert solution < 8
    assert max(gradients) < 16


def test_the_check_of_half_precision_sees_sums_that_are_rounded_often(monkeypatch):
    monkeypatch.setattr(reversible_heun, "_wide", lambda x: x)
    assert errors(torch.bfloat16, "backprop", "general")[0] > 8


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dtype", ROUNDING)
def test_every_method_in_half_precision(dtype, method):
    facts = METHODS[method]
    noise_type = "general" if "general" in facts.order else "additive"
    y0 = state().to(dtype).requires_grad_()
    ys = sd.sdeint(neural(noise_type, facts.sde_type).to(dtype), y0, (0.0, 1.0), method=method, dt=0.1)
    (gradient,) = torch.autograd.grad(ys.sum(), y0)
    assert ys.dtype == gradient.dtype == dtype
    assert gradient.isfinite().all()


@pytest.mark.parametrize("dtype", ROUNDING)
def test_times_of_half_precision_are_what_they_are(dtype):
    """0.3 is not 0.3 there: the output lies where it is, and 0.505 is not taken for 0.5."""
    sde, y0 = neural("diagonal"), state()
    sde.g = lambda t, y: torch.zeros_like(y)
    given = torch.tensor([0.0, 0.3, 0.505, 1.0], dtype=dtype)
    for dt in (0.1, 0.01):
        half = sd.sdeint(sde, y0, given, dt=dt)
        assert (half - sd.sdeint(sde, y0, given.double().tolist(), dt=dt)).abs().max() < 2e-3
    assert (half[2] - sd.sdeint(sde, y0, (0.0, 0.5), dt=0.01)[-1]).abs().max() > 1e-3
