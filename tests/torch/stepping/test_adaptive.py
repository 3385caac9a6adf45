"""Adaptive steps: the same as torchsde's, gradients over them exact, and what is told when they fail."""

import pytest
import torch
import torchsde

import sdegrad.torch as sd
from sdegrad.methods import METHODS, NOISE_TYPES
from sdegrad.torch.methods import make_scheme
from sdegrad.torch.stepping import adaptive
from tests.torch.sdes import GBM, channels, neural, state

TOLERANCES = {"adaptive": True, "dt": 0.1, "rtol": 1e-2, "atol": 1e-2}


pytestmark = pytest.mark.usefixtures("double")


def motion(method, sde_type, noise_type, size=None):
    levy_area = make_scheme(method, sde_type, noise_type, {}).levy_area
    size = size or (3, channels(noise_type))
    return sd.BrownianInterval(0.0, 1.0, size, dt=0.1, entropy=4, halfway_tree=True, tol=1e-6,
                               levy_area_approximation=levy_area)  # fmt: skip


@pytest.fixture
def planned(monkeypatch):
    """The grids that were planned."""
    grids = []

    def plan(*arguments, **options):
        planned = adaptive.plan(*arguments, **options)
        grids.append(planned[0])
        return planned

    monkeypatch.setattr("sdegrad.torch.prepare.plan", plan)
    return grids


@pytest.mark.parametrize("method", ["midpoint", "heun", "euler_heun", "reversible_heun", "srk", "milstein"])
def test_torchsde_takes_the_same_steps(method, planned):
    """So the ends agree; in between they differ, for our chords are those of the half steps."""
    noise_type = "general" if method in ("heun", "reversible_heun") else "additive"
    sde_type = METHODS[method].sde_type
    sde, ts = neural(noise_type, sde_type), torch.tensor([0.0, 0.5, 1.0])
    bm = motion(method, sde_type, noise_type)
    with torch.no_grad():
        ours, theirs = (lib.sdeint(sde, state(), ts, bm=bm, method=method, **TOLERANCES) for lib in (sd, torchsde))
    assert 4 < planned[0].steps < 400
    assert (ours[-1] - theirs[-1]).abs().max() < 1e-9


@pytest.mark.parametrize("noise_type", NOISE_TYPES)
@pytest.mark.parametrize("method", ["reversible_heun", "mccallum_foster"])
def test_gradients_over_adaptive_steps_are_exact(method, noise_type, planned):
    results = []
    for adjoint in ("backprop", "checkpoint", "reversible", "backsolve"):
        sde, y0, bm = neural(noise_type), state().requires_grad_(), motion(method, "stratonovich", noise_type)
        ts = (0.0, 0.013, 0.4, 0.41, 1.0)
        ys = sd.sdeint(sde, y0, ts, bm=bm, method=method, adjoint=adjoint, **TOLERANCES)
        loss = (torch.linspace(1, 2, ys.numel()).reshape(ys.shape) * ys**2).sum()
        grads = torch.autograd.grad(loss, [y0, *sde.parameters()], materialize_grads=True)
        results.append(torch.cat([g.flatten() for g in grads]))
    exact, *others = results
    distances = [float((x - exact).abs().sum() / exact.abs().sum()) for x in others]
    assert distances[0] < 1e-13
    assert distances[1] < 1e-13
    assert 1e-6 < distances[2] < 0.2
    lengths = torch.tensor(planned[0].times).diff()
    assert lengths.max() > 1.5 * lengths.min()
    assert planned[0].times == planned[1].times


def test_a_smaller_tolerance_is_a_smaller_error_by_more_steps(planned):
    """Root mean square over 512 paths of geometric Brownian motion. A step of h misses by
    h^3/2, and the end by h: with a fifth of the tolerance both steps and accuracy are 5^(2/3) = 2.9 times as many."""
    sde, errors = GBM("stratonovich"), []
    bm = sd.BrownianInterval(0.0, 1.0, (512, 1), dt=2.0**-4, entropy=4)
    y0 = torch.ones(512, 1)
    exact = sde.exact(1.0, y0, bm(0.0, 1.0))
    for tolerance in (1e-2, 2e-3):
        ys = sd.sdeint(
            sde, y0, (0.0, 1.0), bm=bm, method="heun", adaptive=True, dt=0.25, rtol=tolerance, atol=tolerance
        )
        errors.append((ys[-1] - exact).square().mean().sqrt().item())
    assert 2 < errors[0] / errors[1] < 4
    assert 2 < planned[1].steps / planned[0].steps < 4


def test_own_noise_and_a_stiff_start(planned):
    """y' = -100 (y - cos t): small steps first, larger ones later; the outputs lie on the chords."""

    class Stiff(sd.SDEStratonovich):
        def f(self, t, y):
            return -100 * (y - torch.cos(t))

        def g(self, _t, y):
            return torch.zeros_like(y)

    ys = sd.sdeint(Stiff("diagonal"), torch.zeros(1, 1), (0.0, 0.77, 1.0), adaptive=True, dt=0.01, rtol=1e-4, atol=1e-4)
    assert (ys[1:].flatten() - torch.cos(torch.tensor([0.77, 1.0]))).abs().max() < 0.02
    lengths = torch.tensor(planned[0].times).diff()
    assert planned[0].times[0] == 0.0
    assert planned[0].times[-1] == 1.0
    assert lengths.min() > 0
    assert lengths[0] < 0.5 * lengths.max()


def test_what_cannot_be_had_is_told():
    sde = neural("general")
    with pytest.warns(UserWarning, match=r"steps of dt_min = 0.05 had up to"):
        sd.sdeint(sde, state(), (0.0, 1.0), adaptive=True, dt=0.1, dt_min=0.05, rtol=1e-6, atol=1e-6)
    with pytest.warns(UserWarning, match="adaptive steps of euler"):
        sd.sdeint(neural("diagonal", "ito"), state(), (0.0, 1.0), method="euler", dt_min=0.01, **TOLERANCES)
    sde.f = lambda _, y: y / 0 - y / 0
    with pytest.raises(ArithmeticError, match=r"at t = 0.0 the error of a step of dt_min = 1e-05 is nan"):
        sd.sdeint(sde, state(), (0.0, 1.0), adaptive=True)


def test_outputs_on_and_between_accepted_times():
    grid = adaptive.AcceptedGrid([0.0, 0.1, 0.3, 1.0])
    assert grid.outputs([0.0, 0.1, 1.0]) == ((0, 1.0), (1, 1.0), (3, 1.0))
    between = grid.outputs([0.15, 0.65])
    assert [k for k, _ in between] == [2, 3]
    assert [w for _, w in between] == pytest.approx([0.25, 0.5])
