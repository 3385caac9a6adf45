"""Solutions: orders of convergence, agreement with torchsde step for step, shapes, times, noise and names."""

import collections
import functools
import math

import numpy as np
import pytest
import torch
import torchsde
from scipy import stats

import sdegrad.torch as sd
from sdegrad.methods import METHODS, NOISE_TYPES
from sdegrad.torch.methods import SOLVERS, make_scheme, reversible_heun
from sdegrad.torch.sde import make_vector_field
from tests.torch.sdes import GBM, Rotation, channels, motion, neural, state

# Of general noise, and of no Levy area.
STRATONOVICH = ["euler_heun", "heun", "midpoint", "reversible_heun"]
ODE_ORDERS = {
    "ees25": 2,
    "ees27": 2,
    "euler": 1,
    "euler_heun": 1,
    "heun": 2,
    "log_ode": 2,
    "mccallum_foster": 2,
    "midpoint": 2,
    "milstein": 1,
    "reversible_heun": 2,
    "srk": 3,
}


def methods_for(noise_type):
    return [name for name, facts in METHODS.items() if noise_type in facts.order]


def with_calculi(noise_type):
    """All (method, sde_type) that are for this noise."""
    return [(name, sde_type) for name in methods_for(noise_type) for sde_type in METHODS[name].sde_types]


PAIRS = [(name, noise_type) for noise_type in NOISE_TYPES for name in methods_for(noise_type)]


def test_every_method_of_the_table_is_there():
    assert set(SOLVERS) == set(METHODS)


@pytest.fixture(autouse=True)
def _float64():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


class Sde(sd.BaseSDE):
    """Anything, from two functions."""

    def __init__(self, f, g, noise_type="diagonal", sde_type="stratonovich"):
        super().__init__(noise_type, sde_type)
        self.f, self.g = f, g


def slope(dts, errors):
    return float(np.polyfit(np.log2(dts), np.log2(errors), 1)[0])


@pytest.mark.parametrize(("method", "sde_type"), with_calculi("diagonal"))
def test_order_without_noise(method, sde_type):
    """y' = y cos t, y = exp(sin t)."""
    sde = Sde(lambda t, y: y * torch.cos(t), lambda _, y: torch.zeros_like(y), sde_type=sde_type)
    dts, errors = 2.0 ** -np.arange(4, 8), []
    for dt in dts:
        ys = sd.sdeint(sde, torch.ones(1, 1), (0.0, 2.0), method=method, dt=dt)
        errors.append(abs(ys[-1].item() - math.exp(math.sin(2))))
    assert slope(dts, errors) == pytest.approx(ODE_ORDERS[method], abs=0.12)


PATHS = (16, 128)  # groups, paths in a group


@functools.cache
def brownian(noise, levy_area, dt):
    """Cells of length dt; cached, and so are the reference solutions on it."""
    size = (math.prod(PATHS), noise)
    return sd.BrownianInterval(0.0, 1.0, size, dt=dt, entropy=11, levy_area_approximation=levy_area)


def strong_order(sde, method, exact, y0=(1.0,), noise=1, cell=2.0**-7, library=sd, **options):
    """A 99.9 % interval of the strong order: 16 groups of 128 paths, one seed, dt from 2^-3 to 2^-7 (with an exact
    solution, and `cell` the smallest), or from 2^-2 to 2^-6 (with a reference solution on finer cells)."""
    dts = 2.0 ** -np.arange(3, 8) * (1 if cell == 2.0**-7 else 2)
    bm = brownian(noise, make_scheme(method, sde.sde_type, sde.noise_type, options).levy_area, cell)
    y0 = torch.tensor(y0).expand(math.prod(PATHS), -1).contiguous()
    truth = exact(y0, bm)
    errors = []
    with torch.no_grad():
        for dt in dts:
            ts = torch.tensor([0.0, 1.0])
            end = library.sdeint(sde, y0, ts, bm=bm, method=method, dt=dt, options=options)[-1]
            errors.append((end - truth).square().sum(-1).reshape(PATHS).mean(1).sqrt().numpy())
    orders = np.array([slope(dts, group) for group in np.array(errors).T])
    half = stats.t.ppf(1 - 0.0005, PATHS[0] - 1) * orders.std(ddof=1) / math.sqrt(PATHS[0])
    return orders.mean() - half, orders.mean() + half


def exact_order(problem, sde_type, method, exact_type=None, **options):
    sde, truth = problem(sde_type), problem(exact_type or sde_type)
    exact = lambda y0, bm: truth.exact(1.0, y0, bm(0.0, 1.0)).detach()  # noqa: E731
    return strong_order(sde, method, exact, problem.y0, **options)


@pytest.mark.parametrize(("method", "sde_type"), with_calculi("diagonal"))
def test_strong_order_of_geometric_brownian_motion(method, sde_type):
    """99.9 % interval for each method and calculus; it must lie within 0.15 of the theoretical order."""
    low, high = exact_order(GBM, sde_type, method)
    order = METHODS[method].order["diagonal"]
    assert order - 0.15 < low < high < order + 0.15


@pytest.mark.parametrize(("method", "sde_type"), with_calculi("scalar"))
def test_strong_order_of_a_rotation(method, sde_type):
    """Scalar noise in two dimensions, whose matrix is not symmetric. Again 99.9 %, within 0.15."""
    low, high = exact_order(Rotation, sde_type, method)
    order = METHODS[method].order["scalar"]
    assert order - 0.15 < low < high < order + 0.15


@pytest.mark.parametrize("problem", [GBM, Rotation])
@pytest.mark.parametrize("sde_type", ["ito", "stratonovich"])
def test_strong_order_of_milstein_without_derivatives(problem, sde_type):
    low, high = exact_order(problem, sde_type, "milstein", grad_free=True)
    assert 0.85 < low < high < 1.15


@pytest.mark.parametrize("sde_type", ["ito", "stratonovich"])
def test_the_order_check_sees_a_transposed_derivative(sde_type):
    """That is what torchsde's milstein has for scalar noise: it agrees with it in one dimension only."""
    assert exact_order(Rotation, sde_type, "milstein", library=torchsde)[1] < 0.6


@pytest.mark.parametrize(
    ("base", "problem", "order"), [("heun", Rotation, 1.0), ("ees27", GBM, 1.0), ("shark", "additive", 1.5)]
)
def test_strong_order_of_mccallum_foster_is_that_of_its_base(base, problem, order):
    if problem == "additive":
        low, high = order_by_reference(additive, "stratonovich", "mccallum_foster", base=base)
    else:
        low, high = exact_order(problem, "stratonovich", "mccallum_foster", base=base)
    assert order - 0.15 < low < high < order + 0.15


@pytest.mark.parametrize(("method", "power"), [("ees25", 6), ("ees27", 8), ("heun", 4)])
def test_a_step_and_back(method, power):
    """y' = y: forward by h and back by -h misses the start by this power of h, for y' = y (Heun's by the fourth)."""
    field = make_vector_field(Sde(lambda _, y: y, lambda _, y: torch.zeros_like(y)), {})
    hs, misses, t = 2.0 ** -np.arange(1, 4), [], torch.tensor(0.0)
    for h in hs:
        state = (torch.ones(1, 1),)
        for dt in (h, -h):
            state = SOLVERS[method].step(field, state, t, t, dt, torch.zeros(1, 1))
        misses.append(abs(state[0].item() - 1))
    assert slope(hs, misses) == pytest.approx(power, abs=0.2)


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


@pytest.mark.parametrize(("method", "sde_type"), with_calculi("diagonal"))
def test_the_order_check_sees_the_wrong_calculus(method, sde_type):
    wrong = {"ito": "stratonovich", "stratonovich": "ito"}[sde_type]
    assert exact_order(GBM, sde_type, method, exact_type=wrong)[1] < 0.2


def additive(sde_type):
    """dx = sin 2y dt + (1, t) dW, dy = -x dt + (t, 2) dW."""

    def g(t, y):
        return torch.stack((torch.ones_like(t), t, t, 2 * torch.ones_like(t))).reshape(2, 2).expand(*y.shape, 2)

    return Sde(lambda _, y: torch.stack((torch.sin(2 * y[..., 1]), -y[..., 0]), -1), g, "additive", sde_type)


def bent(sde_type):
    """dx = dW1, dy = x dW2: the noise does not commute, and the solution is the Levy area."""

    def g(_, y):
        one, zero = torch.ones_like(y[..., 0]), torch.zeros_like(y[..., 0])
        return torch.stack((one, zero, zero, y[..., 0]), -1).unflatten(-1, (2, 2))

    return Sde(lambda _, y: torch.zeros_like(y), g, "general", sde_type)


@functools.cache
def fine(problem, levy_area):
    """The solution of an SDE that is the same in both calculi by steps of 2^-8, on cells of that length."""
    sde_type, method = ("ito", "srk") if levy_area == "space-time" else ("stratonovich", "heun")
    y0, bm = torch.tensor([1.0, 0.5]).expand(math.prod(PATHS), 2).contiguous(), brownian(2, levy_area, 2.0**-8)
    with torch.no_grad():
        return sd.sdeint(problem(sde_type), y0, (0.0, 1.0), bm=bm, method=method, dt=2.0**-8)[-1]


def order_by_reference(problem, sde_type, method, **options):
    sde = problem(sde_type)
    levy_area = make_scheme(method, sde_type, sde.noise_type, options).levy_area
    return strong_order(sde, method, lambda *_: fine(problem, levy_area), (1.0, 0.5), 2, 2.0**-8, **options)


@pytest.mark.parametrize(("method", "sde_type"), with_calculi("additive"))
def test_strong_order_of_additive_noise(method, sde_type):
    """A 99.9 % interval for each method and calculus, within 0.15."""
    low, high = order_by_reference(additive, sde_type, method)
    order = METHODS[method].order["additive"]
    assert order - 0.15 < low < high < order + 0.15


@pytest.mark.parametrize("method", [name for name in methods_for("general") if name != "log_ode"])
def test_strong_order_of_noise_that_does_not_commute(method):
    """No method that knows the increments alone sees the Levy area; a 99.9 % interval for each: 1/2, within 0.15."""
    low, high = order_by_reference(bent, METHODS[method].sde_type, method)
    assert 0.35 < low < high < 0.65


def test_log_ode_sees_the_levy_area():
    """Over 32 cells the Levy area is nearly the true one, by Chen's relation, and the solution exact but for that of
    the cells: 6 times as near as by the midpoint rule, which has no Levy area, and which the wrong sign falls behind.
    """
    sde, size = bent("stratonovich"), (512, 2)
    bm = sd.BrownianInterval(0.0, 1.0, size, dt=2.0**-8, entropy=11, levy_area_approximation="foster")
    y0, errors = torch.ones(size), {}
    truth = sd.sdeint(sde, y0, (0.0, 1.0), bm=bm, method="heun", dt=2.0**-8)[-1]
    wrong = motion(lambda a, b, **_: (bm(a, b), -bm(a, b, return_A=True)[1]), "foster")
    for name, method, path in (("none", "midpoint", bm), ("right", "log_ode", bm), ("wrong", "log_ode", wrong)):
        end = sd.sdeint(sde, y0, (0.0, 1.0), bm=path, method=method, dt=2.0**-3)[-1]
        errors[name] = (end - truth).square().mean().sqrt()
    assert errors["right"] < errors["none"] / 4
    assert errors["wrong"] > errors["none"]


def log_ode_error(dt, levy_area):
    """Root mean square against steps of dt / 64 within the cells, over which the Levy area is approximate."""
    sde, size = bent("stratonovich"), (1024, 2)
    bm = sd.BrownianInterval(0.0, 0.5, size, dt=dt, entropy=11, levy_area_approximation=levy_area)
    ends = [
        sd.sdeint(sde, torch.ones(size), (0.0, 0.5), bm=bm, method=method, dt=step)[-1]
        for method, step in (("log_ode", dt), ("heun", dt / 64))
    ]
    return (ends[0] - ends[1]).square().mean().sqrt().item()


@pytest.mark.parametrize("levy_area", ["davie", "foster"])
def test_strong_order_of_log_ode(levy_area):
    """1/2 for general noise, with an area approximated over each step. 1024 paths a step size, each of its own, leave
    a slope with a standard error below 0.02 (of root mean squares known to 2 %); within 0.1."""
    dts = 2.0 ** -np.arange(1, 5)
    assert slope(dts, [log_ode_error(dt, levy_area) for dt in dts]) == pytest.approx(0.5, abs=0.1)


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


def variants():
    """The same SDE by every set of methods that says enough."""

    def f(t, y):
        return torch.sin(y) + t

    def g(t, y):
        return torch.stack((y, torch.cos(y), y + t), -1)

    def product(t, y, v):
        return (g(t, y) @ v.unsqueeze(-1)).squeeze(-1)

    return {
        "f, g": {"f": f, "g": g},
        "f_and_g": {"f_and_g": lambda t, y: (f(t, y), g(t, y))},
        "f, g_prod": {"f": f, "g_prod": product},
        "f, g, g_prod": {"f": f, "g": g, "g_prod": product},
        "f_and_g_prod": {"f_and_g_prod": lambda t, y, v: (f(t, y), product(t, y, v))},
        "g, f_and_g_prod": {"g": g, "f_and_g_prod": lambda t, y, v: (f(t, y), product(t, y, v))},
    }


class Bare:
    """No module, no base class."""

    noise_type, sde_type = "general", "stratonovich"

    def __init__(self, functions):
        self.__dict__.update(functions)


@pytest.mark.parametrize("which", variants())
@pytest.mark.parametrize("method", STRATONOVICH)
def test_every_way_to_define_an_sde(method, which):
    bm = sd.BrownianInterval(0.0, 1.0, (3, 3), dt=0.1, entropy=2)

    def solve(which):
        return sd.sdeint(Bare(variants()[which]), state(), (0.0, 1.0), bm=bm, method=method, dt=0.1)

    if method == "reversible_heun" and not variants()[which].keys() & {"g", "f_and_g"}:
        with pytest.raises(ValueError, match="needs"):
            solve(which)
    else:
        assert (solve(which) - solve("f, g")).abs().max() < 1e-14


@pytest.mark.parametrize("method", STRATONOVICH)
def test_g_beside_the_product_tells_the_noise_dimension(method):
    """And the drift alone is f_and_g_prod without noise; no Brownian motion is passed."""
    solutions = []
    for which in ("g, f_and_g_prod", "f, g"):
        torch.manual_seed(3)
        solutions.append(sd.sdeint(Bare(variants()[which]), state(), (0.0, 1.0), method=method, dt=0.1))
    assert (solutions[0] - solutions[1]).abs().max() < 1e-14


class Product:
    """An SDE that knows its drift and its diffusion together and in products alone."""

    def __init__(self, sde):
        self.noise_type, self.sde_type, self._field = sde.noise_type, sde.sde_type, make_vector_field(sde, {})

    def f_and_g_prod(self, t, y, v):
        return self._field.drift(t, y, 1.0), self._field.noise(t, y, v)


NEED_G = {
    ("log_ode", "general"),
    ("reversible_heun", "additive"),
    ("reversible_heun", "general"),
    ("shark", "additive"),
}


@pytest.mark.parametrize(("method", "noise_type"), PAIRS)
def test_an_sde_of_products_alone(method, noise_type):
    """Every method solves it that does not need the matrix g itself; entry by entry g is its product with one."""
    for sde_type in METHODS[method].sde_types:
        sde, size = neural(noise_type, sde_type), (3, channels(noise_type))
        levy_area = make_scheme(method, sde_type, noise_type, {}).levy_area
        bm = sd.BrownianInterval(0.0, 1.0, size, dt=0.1, entropy=2, levy_area_approximation=levy_area)
        options = {"bm": bm, "method": method, "dt": 0.1}
        if (method, noise_type) in NEED_G:
            with pytest.raises(ValueError, match="needs g"):
                sd.sdeint(Product(sde), state(), (0.0, 1.0), **options)
            continue
        ys = sd.sdeint(Product(sde), state(), (0.0, 1.0), **options)
        assert (ys - sd.sdeint(sde, state(), (0.0, 1.0), **options)).abs().max() < 1e-14


@pytest.mark.parametrize("noise_type", NOISE_TYPES)
def test_own_noise_for_an_sde_of_products_alone(noise_type):
    """Where each entry of the diffusion meets one channel, their number is known."""
    sde = Product(neural(noise_type))
    if noise_type in ("additive", "general"):
        with pytest.raises(ValueError, match="noise dimension is unknown"):
            sd.sdeint(sde, state(), (0.0, 1.0), dt=0.1)
    else:
        assert sd.sdeint(sde, state(), (0.0, 1.0), dt=0.1).isfinite().all()


def test_names():
    functions = variants()
    bm = sd.BrownianInterval(0.0, 1.0, (3, 3), dt=0.1, entropy=2)
    renamed = Bare(
        {
            "mu": functions["f, g"]["f"],
            "sigma": functions["f, g"]["g"],
            "both": functions["f_and_g"]["f_and_g"],
        }
    )
    results = [
        sd.sdeint(sde, state(), (0.0, 1.0), bm=bm, dt=0.1, names=names)
        for sde, names in (
            (Bare(functions["f, g"]), None),
            (renamed, {"drift": "mu", "diffusion": "sigma"}),
            (renamed, {"drift_and_diffusion": "both"}),
        )
    ]
    assert torch.equal(results[0], results[1])
    assert torch.equal(results[0], results[2])


def test_a_brownian_motion_that_answers_in_its_own_way_is_asked():
    class Halved(sd.BrownianInterval):
        def __call__(self, *times, **areas):
            return 0.5 * super().__call__(*times, **areas)

    def end(kind):
        bm = kind(0.0, 1.0, (2, 2), entropy=1, dt=0.125)
        return sd.sdeint(GBM("stratonovich"), torch.ones(2, 2), (0.0, 1.0), bm=bm, dt=0.125, method="heun")[-1]

    assert (end(Halved) - end(sd.BrownianInterval)).abs().max() > 1e-2
