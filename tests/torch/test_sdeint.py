"""Solutions: shapes, dtypes, times and noise."""

import pytest
import torch

import sdegrad.torch as sd
from sdegrad.methods import METHODS
from sdegrad.torch.methods import make_scheme
from tests.torch.sdes import GBM, PAIRS, Sde, channels, motion, neural, state

pytestmark = pytest.mark.usefixtures("double")


@pytest.mark.parametrize(("method", "noise_type"), PAIRS)
def test_any_batch_shape(method, noise_type):
    sde, flat = neural(noise_type, METHODS[method].sde_type), state(batch=(6,))
    noise = channels(noise_type)
    levy_area = make_scheme(method, sde.sde_type, noise_type, {}).levy_area
    path = sd.BrownianInterval(0.0, 1.0, (6, noise), dt=0.1, entropy=2, levy_area_approximation=levy_area)

    def reshaped(*batch):
        def bm(a, b, **areas):
            answer = path(a, b, **areas)
            parts = answer if isinstance(answer, tuple) else (answer,)
            parts = tuple((x if batch else x[0]).reshape(*batch, *x.shape[1:]) for x in parts)
            return parts if isinstance(answer, tuple) else parts[0]

        return motion(bm, levy_area)

    expected = sd.sdeint(sde, flat, (0.0, 1.0), bm=path, method=method, dt=0.1)
    for batch in ((2, 3), (1, 3, 1, 2)):
        y0 = flat.reshape(*batch, 2)
        ys = sd.sdeint(sde, y0, (0.0, 1.0), bm=reshaped(*batch), method=method, dt=0.1)
        assert ys.shape == (2, *batch, 2)
        assert (ys.reshape(2, 6, 2) - expected).abs().max() < 1e-14
    one = sd.sdeint(sde, flat[0], (0.0, 1.0), bm=reshaped(), method=method, dt=0.1)
    assert (one - expected[:, 0]).abs().max() < 1e-14


@pytest.mark.parametrize("adjoint", ["backprop", "reversible", "checkpoint", "backsolve"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_dtypes(dtype, adjoint):
    """Solution, gradients and, for times that are Python numbers, t have the dtype of the state."""
    sde, y0, seen = neural("general").to(dtype), state().to(dtype).requires_grad_(), set()
    sde.drift.register_forward_pre_hook(lambda _, args: seen.add(args[0].dtype))
    ys = sd.sdeint(sde, y0, [0, 1], method="reversible_heun", dt=0.1, adjoint=adjoint)
    ys.sum().backward()
    assert ys.dtype == y0.grad.dtype == dtype
    assert seen == {dtype}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("dt", "steps"), [(0.1, 10), (0.07, 15), (0.01, 100), (3.0, 1)])
def test_both_passes_see_the_same_times(dtype, dt, steps):
    """Grid times, rounded once to the dtype of ts, and bitwise the same on the way back."""
    seen = []

    def f(t, y):
        seen.append(t.clone())
        return -y

    y0 = state().to(dtype).requires_grad_()
    sde = Sde(f, lambda _, y: torch.ones_like(y))
    ts = torch.tensor([0.0, 1.0], dtype=dtype)
    sd.sdeint_adjoint(sde, y0, ts, method="reversible_heun", dt=dt)[-1].sum().backward()
    expected = torch.tensor([min(k * dt, 1.0) for k in range(steps + 1)], dtype=torch.float64).to(dtype)
    forward, backward = torch.stack(seen[: steps + 1]), torch.stack(seen[steps + 1 :])
    assert torch.equal(forward, expected)
    assert torch.equal(backward, expected.flip(0))


def test_outputs_are_interpolated_and_start_at_y0():
    """On the grid the solution itself, in between the chord; an output within round-off of t0 is y0."""
    sde, y0 = neural("diagonal"), state()
    bm = sd.BrownianInterval(0.0, 1.0, (3, 2), dt=0.25, entropy=2)
    options = {"bm": bm, "method": "heun", "dt": 0.25}
    grid = sd.sdeint(sde, y0, (0.0, 0.25, 0.5, 0.75, 1.0), **options)
    ys = sd.sdeint(sde, y0, (0.0, 1e-16, 0.05, 0.3, 0.45, 1.0), **options)
    for got, k, w in (
        (ys[0], 0, 0.0),
        (ys[1], 0, 0.0),
        (ys[2], 0, 0.2),
        (ys[3], 1, 0.2),
        (ys[4], 1, 0.8),
        (ys[5], 3, 1.0),
    ):
        assert (got - (1 - w) * grid[k] - w * grid[k + 1]).abs().max() < 1e-15


def test_own_noise_follows_the_global_generator():
    def solve(seed):
        torch.manual_seed(seed)
        return sd.sdeint(neural("general"), state(), (0.0, 1.0), dt=0.1)

    assert torch.equal(solve(1), solve(1))
    assert not torch.equal(solve(1), solve(2))


@pytest.mark.parametrize("t1", [0.3, 1.0, 2.1])
def test_own_noise_has_the_cells_of_the_solve_in_float32(t1):
    """And one made with float64 ends serves float32 times, with or without the step."""
    asked = []

    class Recording(sd.BrownianInterval):
        def cell(self, k, **options):
            asked.append(k)
            return super().cell(k, **options)

    sde, y0, ts = neural("diagonal").float(), state().float(), torch.tensor([0.0, t1], dtype=torch.float32)
    for dt in (0.1, None):
        bm = Recording(0.0, t1, (3, 2), dtype=torch.float32, dt=dt, entropy=0)
        assert sd.sdeint(sde, y0, ts, bm=bm, dt=0.1).isfinite().all()
        assert asked == ([0, *range(round(t1 / 0.1))] if dt else [])
        asked.clear()


def test_a_brownian_motion_that_answers_in_its_own_way_is_asked():
    class Halved(sd.BrownianInterval):
        def __call__(self, *times, **areas):
            return 0.5 * super().__call__(*times, **areas)

    def end(kind):
        bm = kind(0.0, 1.0, (2, 2), entropy=1, dt=0.125)
        return sd.sdeint(GBM("stratonovich"), torch.ones(2, 2), (0.0, 1.0), bm=bm, dt=0.125, method="heun")[-1]

    assert (end(Halved) - end(sd.BrownianInterval)).abs().max() > 1e-2
