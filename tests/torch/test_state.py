"""What a solve gives beside the solution: the log-ratio to a prior, and the rest of the state, to go on from."""

import pytest
import torch
import torchsde

import sdegrad.torch as sd
from sdegrad.methods import NOISE_TYPES
from tests.torch.sdes import Neural, channels, neural, state

TS = torch.tensor([0.0, 0.25, 0.5, 1.0], dtype=torch.float64)


pytestmark = pytest.mark.usefixtures("double")


class Latent(Neural):
    """With a prior drift."""

    def h(self, _t, y):
        return -y


def latent(noise_type, sde_type="stratonovich"):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Latent(noise_type, sde_type)


def motion(noise_type, log_ratio=True, levy_area="space-time"):
    extended = channels(noise_type) + (log_ratio and noise_type == "diagonal")
    return sd.BrownianInterval(0.0, 1.0, (3, extended), dt=2.0**-4, entropy=5, levy_area_approximation=levy_area)


@pytest.mark.parametrize(("sde_type", "method"), [("stratonovich", "midpoint"), ("ito", "srk"), ("ito", "euler")])
@pytest.mark.parametrize("noise_type", NOISE_TYPES)
def test_torchsde_has_the_same_log_ratio(noise_type, sde_type, method):
    """With its gradients. The noise is square or tall: torchsde's pseudo-inverse is then ours."""
    if (noise_type, method) == ("general", "srk"):
        method = "euler"
    results = []
    for library in (sd, torchsde):
        sde, y0 = latent(noise_type, sde_type), state().requires_grad_()
        ys, log_ratio = library.sdeint(sde, y0, TS, bm=motion(noise_type), method=method, dt=2.0**-4, logqp=True)
        assert ys.shape == (4, 3, 2)
        assert log_ratio.shape == (3, 3)
        assert (log_ratio > 0).all()
        gradients = torch.autograd.grad(ys.sum() + log_ratio.square().sum(), [y0, *sde.drift.parameters()])
        results.append(torch.cat([x.flatten() for x in (ys, log_ratio, *gradients)]))
    assert (results[0] - results[1]).abs().max() < 1e-10 * results[1].abs().max()


def test_the_log_ratio_of_a_constant_shift_is_known():
    """f - h = g c: |c|^2 / 2 per unit of time, here 0.5 * (0.09 + 0.16), for diagonal and for general noise."""
    c = torch.tensor([0.3, 0.4])
    for noise_type in ("diagonal", "general"):
        sde = neural(noise_type)
        g = sde.g
        sde.h = lambda t, y, g=g, f=sde.f: (
            f(t, y) - (g(t, y) * c if y.dim() == g(t, y).dim() else (g(t, y)[..., :2] @ c) / 1)
        )
        if noise_type == "general":
            sde.g = lambda t, y, g=g: g(t, y)[..., :2]
        _, log_ratio = sd.sdeint(sde, state(), TS, dt=0.05, logqp=True)
        expected = 0.125 * TS.diff().unsqueeze(-1).expand(3, 3)
        assert (log_ratio - expected).abs().max() < 1e-9


def test_where_the_diffusion_is_zero_the_log_ratio_is_finite():
    sde = neural("diagonal")
    sde.g = lambda _, y: torch.zeros_like(y)
    sde.h = lambda t, y: sde.f(t, y)
    y0 = state().requires_grad_()
    _, log_ratio = sd.sdeint(sde, y0, TS, dt=0.1, logqp=True)
    assert torch.equal(log_ratio, torch.zeros(3, 3))
    assert torch.autograd.grad(log_ratio.sum(), y0)[0].isfinite().all()


@pytest.mark.parametrize("method", ["reversible_heun", "mccallum_foster"])
@pytest.mark.parametrize("noise_type", NOISE_TYPES)
@pytest.mark.slow
def test_gradients_through_the_log_ratio_and_the_state_are_exact(noise_type, method):
    """Of a loss of all that two solves give, the second going on from the first."""
    results = []
    for adjoint in ("backprop", "checkpoint", "reversible"):
        sde, y0, bm = latent(noise_type), state().requires_grad_(), motion(noise_type)
        options = {"bm": bm, "method": method, "dt": 2.0**-4, "logqp": True, "extra": True, "adjoint": adjoint}
        first, ratio, extra = sd.sdeint(sde, y0, TS[:3], **options)
        loss = first.square().sum() + ratio.sum()
        second = sd.sdeint(
            sde, first[-1], TS[2:], extra_solver_state=(*extra[:-1], _without_ratio(extra[-1])), **options
        )
        loss = loss + second[0].square().sum() + sum((x * x).sum() for x in second[2])
        grads = torch.autograd.grad(loss, [y0, *sde.parameters()], materialize_grads=True)
        results.append(torch.cat([g.flatten() for g in grads]))
    for other in results[1:]:
        assert (other - results[0]).abs().sum() < 1e-13 * results[0].abs().sum()


def _without_ratio(zh):
    """A solve starts with the log-ratio zero; both of its copies must."""
    return torch.cat((zh[..., :-1], torch.zeros_like(zh[..., -1:])), -1)


@pytest.mark.parametrize(("method", "entries"), [("midpoint", 0), ("reversible_heun", 3), ("mccallum_foster", 1)])
def test_two_solves_are_one(method, entries):
    sde, y0, bm = neural("general"), state(), motion("general", levy_area="none")
    whole, end = sd.sdeint(sde, y0, TS, bm=bm, method=method, dt=2.0**-4, extra=True)
    first, middle = sd.sdeint(sde, y0, TS[:3], bm=bm, method=method, dt=2.0**-4, extra=True)
    assert len(middle) == len(end) == entries
    options = {"bm": bm, "method": method, "dt": 2.0**-4, "extra": True}
    second, again = sd.sdeint(sde, first[-1], TS[2:], extra_solver_state=middle, **options)
    assert torch.equal(second[-1], whole[-1])
    assert all(torch.equal(a, b) for a, b in zip(again, end, strict=True))
    fresh = sd.sdeint(sde, first[-1], TS[2:], **options)[0]
    assert torch.equal(fresh[-1], whole[-1]) == (entries == 0)


@pytest.mark.parametrize("function", ["sdeint", "sdeint_adjoint"])
def test_torchsde_has_the_same_state(function):
    sde, y0, bm = neural("general"), state(), motion("general", levy_area="none")
    options = {"bm": bm, "method": "reversible_heun", "dt": 2.0**-4, "extra": True}
    (ours, a), (theirs, b) = (getattr(library, function)(sde, y0, TS, **options) for library in (sd, torchsde))
    b = b[0] if function == "sdeint_adjoint" and isinstance(b[0], tuple) else b
    for x, y in zip((ours, *a), (theirs, *b), strict=True):
        assert (x - y).abs().max() < 1e-12


def test_backsolve_gives_the_state_without_a_gradient():
    y0 = state().requires_grad_()
    options = {"method": "reversible_heun", "adjoint_method": "midpoint", "dt": 0.1, "extra": True}
    with pytest.warns(UserWarning, match="is approximate"):
        ys, extra = sd.sdeint_adjoint(neural("diagonal"), y0, TS, **options)
    assert ys.requires_grad
    assert not any(x.requires_grad for x in extra)
