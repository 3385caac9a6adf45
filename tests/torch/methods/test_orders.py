"""Orders of convergence, strong and without noise, and those of a step and back."""

import functools
import math

import numpy as np
import pytest
import torch
import torchsde
from scipy import stats

import sdegrad.torch as sd
from sdegrad.methods import METHODS
from sdegrad.torch.methods import SOLVERS, make_scheme
from sdegrad.torch.sde import make_vector_field
from tests.torch.sdes import GBM, Rotation, Sde, methods_for, motion, remembered, with_calculi

pytestmark = pytest.mark.usefixtures("double")
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
    errors, path = [], remembered(bm) if library is sd else bm
    with torch.no_grad():
        for dt in dts:
            ts = torch.tensor([0.0, 1.0])
            end = library.sdeint(sde, y0, ts, bm=path, method=method, dt=dt, options=options)[-1]
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
@pytest.mark.slow
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


@pytest.mark.slow
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
@pytest.mark.slow
def test_strong_order_of_log_ode(levy_area):
    """1/2 for general noise, with an area approximated over each step. 1024 paths a step size, each of its own, leave
    a slope with a standard error below 0.02 (of root mean squares known to 2 %); within 0.1."""
    dts = 2.0 ** -np.arange(1, 5)
    assert slope(dts, [log_ode_error(dt, levy_area) for dt in dts]) == pytest.approx(0.5, abs=0.1)
