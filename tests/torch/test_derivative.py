"""The derivatives that a method takes within a step leave no trace in the graph of the solution."""

import pytest
import torch

import sdegrad.torch as sd
from sdegrad.methods import METHODS
from tests.torch.sdes import DIM, channels, neural, state

TS = torch.tensor([0.0, 0.5])
CASES = [
    (name, calculus, noise, options)
    for name, facts in METHODS.items()
    for calculus in facts.sde_types
    for noise in facts.order
    for options in ([{}, {"grad_free": True}] if name == "milstein" else [{}])
]
DERIVATIVE = [c for c in CASES if c[0] in ("milstein", "log_ode") and c[2] != "additive" and not c[3]]


def solve(sde, y0, method, options, **arguments):
    return sd.sdeint(sde, y0, TS, method=method, dt=0.25, options=options, adjoint="backprop", **arguments)


@pytest.mark.parametrize(("method", "calculus", "noise", "options"), CASES)
def test_a_solution_requires_a_gradient_where_something_in_it_does(method, calculus, noise, options):
    sde, y0 = neural(noise, calculus).requires_grad_(False), state()
    assert not solve(sde, y0, method, options).requires_grad
    assert solve(sde, state().requires_grad_(), method, options).requires_grad
    for net in (sde.drift, sde.diffusion):
        net.requires_grad_()
        ys = solve(sde, y0, method, options)
        assert any(g.any() for g in torch.autograd.grad(ys.sum(), list(net.parameters())))
        net.requires_grad_(False)


@pytest.mark.parametrize(("method", "calculus", "noise", "options"), DERIVATIVE)
def test_the_noise_may_be_all_that_requires_a_gradient(method, calculus, noise, options):
    """Against central differences, float64."""
    sde, y0 = neural(noise, calculus).requires_grad_(False).double(), state().double()

    def end(W):
        bm = sd.BrownianInterval(0.0, 0.5, dt=0.25, entropy=0, W=W, levy_area_approximation="foster")
        return solve(sde, y0, method, options, bm=bm)[-1].sum()

    W = torch.full((len(y0), DIM if noise == "diagonal" else channels(noise)), 0.3, dtype=torch.float64)
    (gradient,) = torch.autograd.grad(end(W.requires_grad_()), W)
    with torch.no_grad():
        steps = 1e-5 * torch.eye(W.numel(), dtype=W.dtype).reshape(-1, *W.shape)
        difference = torch.stack([(end(W + step) - end(W - step)) / 2e-5 for step in steps])
    torch.testing.assert_close(gradient.ravel(), difference, rtol=1e-7, atol=1e-9)
