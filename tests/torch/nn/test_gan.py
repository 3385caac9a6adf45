"""The generator and the discriminator: the equation that is solved, exact gradients, and what data may look like."""

from itertools import pairwise

import numpy as np
import pytest
import torch

from sdegrad.torch import BrownianInterval
from sdegrad.torch.nn import Discriminator, Generator, clip_weights
from sdegrad.torch.nn.series import fill

TS = torch.tensor([0.0, 0.2, 0.25, 0.9, 1.0, 1.7], dtype=torch.float64)
PATHS, CHANNELS = 3, 2
pytestmark = pytest.mark.usefixtures("double")


def series(seed=0):
    return torch.randn(len(TS), PATHS, CHANNELS, generator=torch.Generator().manual_seed(seed))


def mask(seed=1):
    return torch.rand(len(TS), PATHS, CHANNELS, generator=torch.Generator().manual_seed(seed)) < 0.6


def discriminator(**options):
    torch.manual_seed(0)
    return Discriminator(CHANNELS, hidden=5, width=7, **options)


def exact_score(model, ts, ys, steps=50):
    """m.H_T by Runge-Kutta's method of order 4, on each line between two data. ts [times], ys [times, channels]."""
    h = model.initial(torch.cat((ts[:1], ys[0])))
    for k in range(len(ts) - 1):
        dt, slope = (ts[k + 1] - ts[k]) / steps, (ys[k + 1] - ys[k]) / (ts[k + 1] - ts[k])
        velocity = torch.cat((torch.ones(1), slope))
        for i in range(steps):
            t = ts[k] + i * dt

            def field(t, h):
                return model.field(torch.cat((t.reshape(1), h))).reshape(-1, len(velocity)) @ velocity  # noqa: B023

            k1 = field(t, h)
            k2 = field(t + dt / 2, h + dt / 2 * k1)
            k3 = field(t + dt / 2, h + dt / 2 * k2)
            k4 = field(t + dt, h + dt * k3)
            h = h + dt / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
    return model.readout(h)[0]


@pytest.mark.slow
def test_the_score_is_that_of_the_cde_to_second_order():
    model, ys = discriminator(), series()
    with torch.no_grad():
        exact = torch.stack([exact_score(model, TS, y) for y in ys.unbind(1)])
        errors = [(model(TS, ys, substeps=n) - exact).abs().max() for n in (8, 16, 32)]
    assert errors[2] < 1e-4
    assert all(3.5 < coarse / fine < 4.5 for coarse, fine in pairwise(errors))


@pytest.mark.parametrize("method", ["reversible_heun", "midpoint", "mccallum_foster"])
def test_data_on_the_lines_between_data_change_nothing(method):
    model, ys = discriminator(), series()
    ts2, ys2 = (torch.stack((x[:-1], (x[:-1] + x[1:]) / 2), 1).flatten(0, 1) for x in (TS, ys))
    ts2, ys2 = torch.cat((ts2, TS[-1:])), torch.cat((ys2, ys[-1:]))
    torch.testing.assert_close(model(ts2, ys2, method=method), model(TS, ys, substeps=2, method=method))


@pytest.mark.parametrize(("times", "substeps"), [(6, 1), (6, 3), (3, 49)])  # 49 * (1 / 49) is rounded below 1
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.slow
def test_gradients_are_exact(masked, times, substeps):
    model = discriminator(masked=masked)
    found = []
    for adjoint in ("reversible", "backprop"):
        ys = series()[:times].requires_grad_()
        score = model(TS[:times], ys, mask()[:times] if masked else None, substeps=substeps, adjoint=adjoint)
        found.append(torch.autograd.grad(score.square().sum(), (ys, *model.parameters())))
    for a, b in zip(*found, strict=True):
        assert (a - b).abs().max() <= 1e-13 * max(1, b.abs().max())
    assert (found[1][0] != 0).any()


def test_a_step_takes_one_evaluation():
    model, calls = discriminator(), []
    model.field.register_forward_hook(lambda *_: calls.append(1))
    with torch.no_grad():
        model(TS, series(), substeps=2)
    assert len(calls) == 2 * (len(TS) - 1) + 1


def test_a_gradient_penalty_is_differentiable():
    model, ys = discriminator(), series().requires_grad_()
    (slope,) = torch.autograd.grad(model(TS, ys, adjoint="backprop").sum(), ys, create_graph=True)
    penalty = slope.square().sum()
    gradient = torch.autograd.grad(penalty, model.field.layers[0].weight)[0]
    assert (gradient != 0).any()


def test_missing_values_are_filled_from_both_sides():
    ys, seen = series(), mask()
    seen[:, 0, 0], seen[:, 0, 1] = False, torch.tensor([0, 0, 1, 0, 0, 0], dtype=torch.bool)
    found = fill(TS.reshape(-1, 1, 1).expand(-1, PATHS, 1), torch.where(seen, ys, torch.nan), seen)
    for p, c in np.ndindex(PATHS, CHANNELS):
        at = seen[:, p, c].numpy()
        expected = np.interp(TS, TS[at], ys[at, p, c]) if at.any() else np.zeros(len(TS))
        np.testing.assert_allclose(found[:, p, c], expected, atol=1e-14)


def test_missing_values_enter_by_the_mask_alone():
    model, ys, seen = discriminator(masked=True), series(), mask()
    scores = [model(TS, torch.where(seen, ys, x), seen) for x in (torch.nan, 7.0)]
    assert torch.equal(*scores)
    assert (model(TS, ys, torch.ones_like(seen)) != scores[0]).all()
    ys = torch.where(seen, ys, torch.nan).requires_grad_()
    (gradient,) = torch.autograd.grad(model(TS, ys, seen).sum(), ys)
    assert ((gradient != 0) == seen).all()


def test_series_that_end_early_are_padded_by_their_last_value():
    model, ys = discriminator(), series()
    ts = torch.stack((TS, TS + 0.1 * TS**2, torch.where(torch.arange(6) < 4, TS, TS[3])), 1)
    ys[4:, 2] = ys[3, 2]
    alone = torch.stack([model(ts[:n, p], ys[:n, p]) for p, n in enumerate((6, 6, 4))])
    torch.testing.assert_close(model(ts, ys), alone)


@pytest.mark.parametrize(("norm", "order", "dual"), [("inf", torch.inf, 1), ("one", 1, torch.inf)])
def test_the_clipped_discriminator_is_lipschitz(norm, order, dual):
    """Its field with the constant |v|, hence the score in its start with the exponential of the length of the path."""
    model, ys = discriminator(), series()
    ts, x = TS[:3], torch.randn(CHANNELS)
    moved = ys[:3] + 1e-3 * x
    length = torch.linalg.vector_norm(
        torch.cat((ts.diff()[:, None, None].expand(2, PATHS, 1), ys[:3].diff(dim=0)), -1), dual, -1
    )
    bound = 1e-3 * torch.linalg.vector_norm(x, order) * length.sum(0).exp()

    def slope(v):
        def field(h):
            return model.field(torch.cat((torch.ones(1), h))).reshape(5, 1 + CHANNELS) @ v

        return torch.linalg.matrix_norm(torch.autograd.functional.jacobian(field, torch.randn(5)), order)

    def moves():
        return (model(ts, moved, substeps=8) - model(ts, ys[:3], substeps=8)).abs()

    vs = torch.randn(50, 1 + CHANNELS)
    for p in model.parameters():
        torch.nn.init.uniform_(p, 0, 9) if p.dim() == 2 else torch.nn.init.zeros_(p)
    assert any(slope(v) > torch.linalg.vector_norm(v, dual) for v in vs)
    assert (moves() > bound).any()
    clip_weights(model, norm)
    assert all(slope(v) <= torch.linalg.vector_norm(v, dual) for v in vs)
    assert (moves() <= bound).all()
    assert (moves() > 0).all()


def test_the_generator_solves_its_sde_and_its_gradients_are_exact():
    torch.manual_seed(0)
    model, found = Generator(CHANNELS, hidden=5, noise=2), []
    for adjoint in ("reversible", "backprop"):
        torch.manual_seed(1)
        ys = model(TS, PATHS, dt=0.1, adjoint=adjoint)
        found.append((ys, *torch.autograd.grad(ys.square().sum(), tuple(model.parameters()))))
    for a, b in zip(*found, strict=True):
        assert (a - b).abs().max() <= 1e-13 * max(1, b.abs().max())
    assert found[0][0].shape == (len(TS), PATHS, CHANNELS)
    v = torch.zeros(PATHS, model.initial_noise)
    first, second = (model(TS, PATHS, dt=0.1, initial=v) for _ in range(2))
    assert torch.equal(first[0], second[0])  # the start is V's alone
    assert (first[1:] != second[1:]).all()


@pytest.mark.slow
def test_a_generator_and_a_discriminator_learn():
    """The discriminator, trained against a fixed generator, tells its paths from those of a line."""
    torch.manual_seed(0)
    G, D, ts = Generator(1), Discriminator(1), torch.arange(5.0)
    clip_weights(D)
    optimizer = torch.optim.Adam(D.parameters(), lr=1e-2, maximize=True)
    gaps = []
    for _ in range(10):
        with torch.no_grad():
            fake = G(ts, 32, dt=1.0)
        gap = D(ts, fake).mean() - D(ts, torch.ones_like(fake) * ts[:, None, None]).mean()
        optimizer.zero_grad()
        gap.backward()
        optimizer.step()
        clip_weights(D)
        gaps.append(gap.item())
    assert gaps[-1] > gaps[0] + 0.03


BAD = {
    r"ts must be finite and increasing": {"ts": TS.flip(0)},
    r"ts must be \[times\] or \[times, \*paths\], so \(6,\) or \(6, 3\), got shape \(5,\)": {"ts": TS[:5]},
    r"ys must be .* 2 channels, got shape \(6, 3, 1\)": {"ys": series()[..., :1]},
    r"ys has 1 values that are NaN": {"ys": series().index_put((torch.tensor(0),) * 3, torch.tensor(torch.nan))},
    r"masked=False, but there is a mask": {"mask": mask()},
    r"substeps must be a positive integer": {"substeps": 0},
}


@pytest.mark.parametrize("sentence", BAD)
def test_bad_input(sentence):
    with pytest.raises(ValueError, match=sentence):
        discriminator()(**{"ts": TS, "ys": series(), **BAD[sentence]})


def test_bad_masks_and_sizes():
    for wrong in (None, mask()[:-1], mask().double()):
        with pytest.raises(ValueError, match="mask"):
            discriminator(masked=True)(TS, series(), wrong)
    with pytest.raises(ValueError, match="paths must be a positive integer"):
        Generator(1)(TS, 0, dt=0.1)


def test_times_are_read_like_those_of_sdeint():
    """Lists, and other dtypes than that of the weights; a gradient in them is refused, as nobody computes it."""
    ys, ts = torch.randn(4, 5, 2), torch.arange(4.0, dtype=torch.float32)
    discriminator, generator = Discriminator(2), Generator(1)
    assert torch.equal(discriminator([0.0, 1.0, 2.0, 3.0], ys), discriminator(ts.double(), ys))
    v, bm = torch.randn(5, 4), BrownianInterval(0.0, 3.0, (5, 3), entropy=1, dt=1.0)
    with torch.no_grad():
        known = [generator(times, 5, dt=1.0, initial=v, bm=bm) for times in (ts, ts.double(), ts.tolist())]
    assert all(torch.allclose(known[0], other) for other in known)
    with pytest.raises(ValueError, match="ts requires a gradient, which is not computed"):
        discriminator(ts.requires_grad_(), ys)
