"""Reversible methods carry the solution twice: where the copies have parted, forward too, there is a warning."""

import math
import warnings

import pytest
import torch

import sdegrad.torch as sd
from tests.torch.sdes import GBM, neural, state


class Mild(sd.SDEStratonovich):
    """dy = -0.3 y dt + 0.1 dW."""

    def __init__(self):
        super().__init__("diagonal")

    def f(self, _t, y):
        return -0.3 * y

    def g(self, _t, y):
        return torch.full_like(y, 0.1)


class Wave(Mild):
    """y = sin t, which is zero at both ends."""

    def f(self, t, y):
        return torch.cos(t).expand_as(y)

    def g(self, _t, y):
        return torch.zeros_like(y)


def parted(sde, y0, t1, dt, method="reversible_heun", **options):
    """The outputs, and whether they came with the warning."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        bm = sd.BrownianInterval(0.0, t1, y0.shape, y0.dtype, dt=dt, entropy=1)
        ys = sd.sdeint(sde, y0, (0.0, t1), bm, method=method, dt=dt, **options)
    return ys.detach(), any("have parted" in str(w.message) for w in caught)


Y0 = torch.full((1, 1), 0.5)


@pytest.mark.parametrize(("t1", "dt"), [(100.0, 0.2), (40.0, 0.1)])
def test_a_mild_sde_over_a_long_time_is_warned_of(t1, dt):
    """Off by 1e-4 at the least of these: so it comes in time."""
    heun, _ = parted(Mild(), Y0, t1, dt, "heun")
    ys, warned = parted(Mild(), Y0, t1, dt)
    assert warned
    assert (ys - heun).abs().max() > 1e-4
    assert parted(Mild(), Y0.double(), t1, dt)[1]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_remedies_stay_right(dtype):
    """dt = 0.2 and L = 0.3: a coupling below 1 - 0.06, and not the usual one, which is above."""
    y0 = Y0.to(dtype)
    heun, warned = parted(Mild(), y0, 100.0, 0.2, "heun")
    assert not warned
    for coupling, right in ((0.93, True), (0.999, False)):
        ys, warned = parted(Mild(), y0, 100.0, 0.2, "mccallum_foster", options={"coupling": coupling})
        assert warned != right
        assert ((ys - heun).abs().max() < 2e-3) == right


def test_a_solve_that_overflows_is_warned_of():
    ys, warned = parted(Mild(), Y0, 600.0, 1.0)
    assert not ys.isfinite().all()
    assert warned


@pytest.mark.parametrize("method", ["reversible_heun", "mccallum_foster"])
def test_no_alarm_on_ordinary_problems(method):
    """Small networks, coarse and fine; a solution that is zero at its ends; geometric Brownian motion."""
    cases = [(neural("diagonal", seed=seed), state(seed), dt) for seed in range(3) for dt in (1.0, 0.25, 0.1)]
    cases += [(Wave(), torch.zeros(1, 1), dt) for dt in (0.5, 0.1)]
    cases += [(GBM("stratonovich", sigma=0.6), torch.ones(200, 1), dt) for dt in (0.25, 0.1)]
    for sde, y0, dt in cases:
        assert not parted(sde, y0, 2 * math.pi if isinstance(sde, Wave) else 1.0, dt, method)[1], (sde, dt)


@pytest.mark.exhaustive(but=["False"])
@pytest.mark.parametrize("adaptive", [False, True])
def test_the_warning_is_of_all_ways_to_solve(adaptive):
    """Adaptive steps, checkpoints."""
    options = {"adaptive": True, "rtol": 1e-1, "atol": 1e-1, "dt_min": 0.5}
    assert parted(Mild(), Y0, 80.0, 0.5, **(options if adaptive else {"adjoint": "checkpoint"}))[1]


def test_adaptive_steps_end_where_the_copies_have_parted():
    """Else steps shrink without end. It is told in time, and of no solve that goes on well."""
    tolerances = {"adaptive": True, "rtol": 1e-2, "atol": 1e-2}
    with pytest.raises(ArithmeticError, match=r"at t = .* apart, .* shrink without end.*'ees25'.*'heun'"):
        parted(Mild(), Y0, 100.0, 0.1, max_steps=3000, **tolerances)
    for sde in (Mild(), Wave(), GBM("stratonovich", sigma=1.0)):
        assert parted(sde, torch.zeros(1, 1), 2.0, 0.1, **tolerances)[0].isfinite().all()


def test_the_exact_gradient_of_a_method_that_is_right_over_long_times():
    """Against backpropagation through Heun: coupling 0.95, 1 - L dt = 0.97, over L T = 9."""
    grads = []
    for method, adjoint, options in (("heun", "backprop", {}), ("mccallum_foster", "reversible", {"coupling": 0.95})):
        y0 = Y0.double().requires_grad_()
        bm = sd.BrownianInterval(0.0, 30.0, (1, 1), torch.float64, dt=0.1, entropy=1)
        settings = {"dt": 0.1, "adjoint": adjoint, "adjoint_params": (), "options": options}
        ys = sd.sdeint(Mild(), y0, (0.0, 10.0, 30.0), bm, method=method, **settings)
        grads.append(torch.autograd.grad(ys.square().sum(), y0)[0])
    assert (grads[0] - grads[1]).abs().max() < 1e-3 * grads[0].abs().max()
