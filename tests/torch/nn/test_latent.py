"""The latent SDE: its divergence has the exact mean, its gradients are exact, and what is masked does not enter."""

import math

import pytest
import torch
from torch import nn

from sdegrad.torch.nn import LatentSDE

TS = torch.tensor([0.0, 0.2, 0.25, 0.9, 1.0], dtype=torch.float64)
pytestmark = pytest.mark.usefixtures("double")


class Entry(nn.Module):
    """scale z + shift, of the input (t, z, ...)."""

    def __init__(self, scale, shift):
        super().__init__()
        self.scale, self.shift = scale, shift

    def forward(self, tz):
        return self.scale * tz[..., 1:2] + self.shift


def test_the_divergence_of_two_ornstein_uhlenbeck_processes():
    """dZ = -a Z dt + s dW from N(0, 1) against dZ = -b Z dt + s dW from N(1, 1): 1/2 at the start, then the integral
    of (b - a)^2 E[Z^2] / (2 s^2). 20000 paths, significance 6e-5 (4 standard errors)."""
    a, b, s, paths = 1.5, 0.2, 0.8, 20000
    torch.manual_seed(0)
    model = LatentSDE(1, hidden=1)
    model.drift, model.prior_drift, model.diffusion = Entry(-a, 0.0), Entry(-b, 0.0), Entry(0.0, s)
    with torch.no_grad():
        for p in model.start.parameters():
            p.zero_()
        model.prior_start.copy_(torch.tensor([1.0, 0.0]))
        divergence = model(TS, torch.zeros(len(TS), paths, 1), dt=1 / 32).divergence
    stationary = s**2 / (2 * a)
    integral = stationary + (1 - stationary) * (1 - math.exp(-2 * a)) / (2 * a)  # of E[Z^2] over [0, 1]
    exact = 0.5 + (b - a) ** 2 / (2 * s**2) * integral
    assert abs(divergence.mean() - exact) < 4 * divergence.std() / math.sqrt(paths)
    assert divergence.std() / math.sqrt(paths) < 0.01 * exact


@pytest.mark.parametrize("masked", [False, True])
def test_gradients_are_exact(masked):
    torch.manual_seed(0)
    model, found = LatentSDE(2, hidden=3, masked=masked), []
    ys, mask = torch.randn(len(TS), 4, 2), torch.rand(len(TS), 4, 2) < 0.5
    for adjoint in ("reversible", "backprop"):
        torch.manual_seed(1)
        sample = model(TS, ys, mask if masked else None, dt=0.1, adjoint=adjoint)
        loss = (sample.ys - ys).square().sum() + sample.divergence.sum()
        found.append((*sample, *torch.autograd.grad(loss, tuple(model.parameters()))))
    for a, b in zip(*found, strict=True):
        assert (a - b).abs().max() <= 1e-12 * max(1, b.abs().max())
        assert (b != 0).any()


def test_missing_values_do_not_enter():
    torch.manual_seed(0)
    model, ys, mask = LatentSDE(2, masked=True), torch.randn(len(TS), 4, 2), torch.rand(len(TS), 4, 2) < 0.5
    found = []
    for x in (torch.nan, 7.0):
        torch.manual_seed(1)
        found.append(model(TS, torch.where(mask, ys, x), mask, dt=0.1))
    for a, b in zip(*found, strict=True):
        assert torch.equal(a, b)


def test_the_prior_is_sampled():
    torch.manual_seed(0)
    model = LatentSDE(2)
    ys = model.sample(TS, 7, dt=0.1)
    assert ys.shape == (len(TS), 7, 2)
    assert torch.autograd.grad(ys.sum(), model.prior_start)[0].abs().min() > 0
    assert len(ys[0].unique(dim=0)) == 7


def test_bad_input():
    model, ys = LatentSDE(2), torch.zeros(len(TS), 4, 2)
    with pytest.raises(ValueError, match=r"ts must be \[times\], one for all series, got shape \(5, 4\)"):
        model(TS[:, None].expand(-1, 4), ys, dt=0.1)
    with pytest.raises(ValueError, match="NaN or infinite"):
        model(TS, ys / 0, dt=0.1)
    with pytest.raises(ValueError, match="hidden must be a positive integer, got 0"):
        LatentSDE(2, hidden=0)


def test_times_are_read_like_those_of_sdeint():
    model, ys = LatentSDE(2), torch.randn(4, 5, 2)
    assert model([0.0, 1.0, 2.0, 3.0], ys, dt=0.5).ys.shape == ys.shape
    assert model.sample([0.0, 1.0], 3, dt=0.5).shape == (2, 3, 2)
    with pytest.raises(ValueError, match="ts requires a gradient, which is not computed"):
        model(torch.arange(4.0, requires_grad=True), ys, dt=0.5)
