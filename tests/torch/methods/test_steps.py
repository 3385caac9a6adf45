"""Steps: those of torchsde and of the paper, in the right calculus, with the evaluations of the table."""

import collections

import pytest
import torch
import torchsde

import sdegrad.torch as sd
from sdegrad.methods import METHODS, NOISE_TYPES
from sdegrad.torch.methods import SOLVERS, make_scheme, reversible_heun
from sdegrad.torch.sde import make_vector_field
from tests.torch.sdes import PAIRS, Sde, channels, neural, state, with_calculi

pytestmark = pytest.mark.usefixtures("double")


def test_every_method_of_the_table_is_there():
    assert set(SOLVERS) == set(METHODS)


@pytest.mark.parametrize("noise_type", NOISE_TYPES)
def test_the_fused_step_of_reversible_heun_is_that_of_the_paper(noise_type):
    field, t, dt = make_vector_field(neural(noise_type).double(), {}), torch.linspace(0.0, 1.0, 11), 0.1
    dWs = dt**0.5 * torch.randn(10, *state().shape[:-1], channels(noise_type), generator=torch.manual_seed(1))
    y0 = state().double()
    known = reversible_heun.start(y0, *field.f_and_g(t[0], y0))
    for k, dW in enumerate(dWs):
        fused, plain = (
            step(field, known, t[k], t[k + 1], dt, dW)
            for step in (SOLVERS["reversible_heun"].step, reversible_heun.step)
        )
        assert max((a - b).abs().max() for a, b in zip(fused, plain, strict=True)) < 4e-15
        assert (fused[0] - known[0]).abs().max() > 1e-2
        known = fused


class OwnNoise(sd.BaseSDE):
    """Diagonal noise whose entries depend on their own component, beside a drift that mixes them."""

    def __init__(self, sde_type):
        super().__init__("diagonal", sde_type)

    def f(self, t, y):
        return torch.sin(y) @ torch.tensor([[0.3, 0.5], [-1.0, 0.2]]) + t

    def g(self, t, y):
        return torch.cos(y * torch.tensor([0.7, 1.1]) + t) + 0.5


def differences_from_torchsde(sde, method, **options):
    """Over the outputs, at the same and at half the step."""
    y0, ts = state(), torch.tensor([0.0, 0.1, 0.125, 0.63, 1.0])
    levy_area = make_scheme(method, sde.sde_type, sde.noise_type, options).levy_area
    if method == "log_ode":  # which asks for it even where it does not use it
        levy_area = "davie"
    size = (3, channels(sde.noise_type))
    bm = sd.BrownianInterval(0.0, 1.0, size, dt=2.0**-4, entropy=5, levy_area_approximation=levy_area)

    def solve(library, dt):
        with torch.no_grad():
            return library.sdeint(sde, y0, ts, bm=bm, method=method, dt=dt, options=options)

    theirs = solve(torchsde, 2.0**-4)
    return [(solve(sd, dt) - theirs).abs().max().item() for dt in (2.0**-4, 2.0**-5)]


THEIRS = ("euler", "euler_heun", "heun", "log_ode", "midpoint", "milstein", "reversible_heun", "srk")


@pytest.mark.parametrize(("method", "noise_type"), [pair for pair in PAIRS if pair[0] in THEIRS])
def test_torchsde_takes_the_same_steps(method, noise_type):
    """Milstein: where torchsde's is right, see `test_the_order_check_sees_a_transposed_derivative`."""
    for sde_type in METHODS[method].sde_types:
        sde = OwnNoise(sde_type) if noise_type == "diagonal" else neural(noise_type, sde_type)
        same, other = differences_from_torchsde(sde, method)
        if (method, noise_type) == ("milstein", "scalar"):
            assert same > 1e-3
        else:
            assert same < 1e-12
        assert other > 1e-6


@pytest.mark.parametrize("sde_type", ["ito", "stratonovich"])
@pytest.mark.parametrize("noise_type", ["diagonal", "scalar", "additive"])
def test_torchsde_takes_the_same_steps_without_derivatives(sde_type, noise_type):
    same, other = differences_from_torchsde(neural(noise_type, sde_type), "milstein", grad_free=True)
    assert same < 1e-12
    assert other > 1e-6


def bias(method, sde_type, library=sd):
    """Of dx = cos y dW1, dy = sin(x + y) dW2 (Ito), against Euler with smaller steps on the same 2048 paths: the mean
    difference beyond 0.02, which the steps of 2^-5 explain, in standard errors; the larger of the two components."""
    size, ts = (2048, 2), torch.tensor([0.0, 1.0])

    def g(_, y):
        return torch.stack((torch.cos(y[..., 1]), torch.sin(y[..., 0] + y[..., 1])), -1)

    def f(_, y):
        angle = y[..., 0] + y[..., 1]
        return torch.stack((torch.zeros_like(angle), -0.25 * torch.sin(2 * angle)), -1)

    def zero(_, y):
        return torch.zeros_like(y)

    levy_area = make_scheme(method, sde_type, "diagonal", {}).levy_area
    bm = sd.BrownianInterval(0.0, 1.0, size, dt=2.0**-7, entropy=5, levy_area_approximation=levy_area)
    y0 = torch.tensor([0.3, 0.5]).expand(size).contiguous()
    sde = Sde(zero if sde_type == "ito" else f, g, "diagonal", sde_type)
    with torch.no_grad():
        end = library.sdeint(sde, y0, ts, bm=bm, method=method, dt=2.0**-5)[-1]
        truth = sd.sdeint(Sde(zero, g, "diagonal", "ito"), y0, ts, bm=bm, method="euler", dt=2.0**-7)[-1]
    difference = end - truth
    return float(((difference.mean(0).abs() - 0.02) / difference.std(0)).max()) * 2048**0.5


@pytest.mark.parametrize(("method", "sde_type"), with_calculi("diagonal"))
def test_the_calculus_is_right_where_entries_of_diagonal_noise_depend_on_all_components(method, sde_type):
    """One-sided level 3e-7 for each of ten tests."""
    assert bias(method, sde_type) < 5


def test_the_check_of_the_calculus_sees_a_transposed_derivative():
    assert bias("milstein", "stratonovich", library=torchsde) > 10


@pytest.mark.parametrize("noise_type", NOISE_TYPES)
def test_torchsde_has_the_same_reversible_gradient(noise_type):
    sde, ts = neural(noise_type), torch.tensor([0.0, 0.25, 1.0])
    bm = sd.BrownianInterval(0.0, 1.0, (3, channels(noise_type)), dt=2.0**-4, entropy=5)
    results = []
    for library in (sd, torchsde):
        y0 = state().requires_grad_()
        ys = library.sdeint_adjoint(sde, y0, ts, bm=bm, method="reversible_heun", dt=2.0**-4)
        inputs = [y0, *sde.drift.parameters(), *sde.diffusion.parameters()]
        results.append(torch.cat([g.flatten() for g in torch.autograd.grad(ys.square().sum(), inputs)]))
    assert (results[0] - results[1]).abs().max() < 1e-12 * results[0].abs().max()


@pytest.mark.parametrize("method", METHODS)
def test_evaluations_are_those_of_the_table(method):
    """Per step: what 20 steps take more than 10."""
    facts = METHODS[method]
    noise_type = "diagonal" if "diagonal" in facts.order else "additive"
    network, counts = neural(noise_type, facts.sde_type), collections.Counter()

    def counting(name, weight):
        def count(t, y):
            counts[name] += weight
            return getattr(network, name)(t, y)

        return count

    for steps, weight in ((20, 0.1), (10, -0.1)):
        sde = Sde(counting("f", weight), counting("g", weight), noise_type, facts.sde_type)
        sd.sdeint(sde, state(), (0.0, 1.0), method=method, dt=1 / steps)
    assert (counts["f"], counts["g"]) == pytest.approx(facts.nfe)
