"""The continuous adjoint: its gradients converge to those of the exact solution, to the order of its method."""

import functools
import math

import numpy as np
import pytest
import torch
from scipy import stats

import sdegrad.torch as sd
from sdegrad.methods import METHODS
from sdegrad.torch.adjoints import backsolve
from sdegrad.torch.stepping import adaptive
from tests.torch.sdes import channels, neural, remembered, state

PATHS = (16, 128)  # groups, paths in a group
DTS = 2.0 ** -np.arange(3, 6)
TS = (0.0, 0.5, 1.0)


@pytest.fixture(autouse=True)
def _float64_on_one_thread():
    """The tensors are too small for more."""
    threads = torch.get_num_threads()
    torch.set_default_dtype(torch.float64)
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
    torch.set_default_dtype(torch.float32)


CELLS = 2.0**-8
CHANNELS = {"diagonal": 2, "scalar": 1, "additive": 3, "general": 3}


class ByPath(sd.BaseSDE):
    """Every path has its own b and c: so the gradients of a sum over paths are those of each."""

    def __init__(self, noise_type, sde_type):
        super().__init__(noise_type, sde_type)
        rows = () if noise_type == "diagonal" else (CHANNELS[noise_type],)
        generator = torch.Generator().manual_seed(0)
        self.b = torch.randn(math.prod(PATHS), 2, generator=generator).mul_(0.2).requires_grad_()
        self.c = torch.randn(math.prod(PATHS), 2, *rows, generator=generator).mul_(0.25).requires_grad_()


class Sinh(ByPath):
    """dy = s(y) (b dt + c o dW) for each of two components, s(y) = sqrt(1 + y^2): y = sinh(asinh y0 + b t + c W)."""

    def f(self, _t, y):
        square = self.c**2 if self.noise_type == "diagonal" else (self.c**2).sum(-1)
        return torch.sqrt(1 + y * y) * self.b + (0.5 * square * y if self.sde_type == "ito" else 0.0)

    def g(self, _t, y):
        s = torch.sqrt(1 + y * y)
        return (s if self.noise_type == "diagonal" else s.unsqueeze(-1)) * self.c

    def solution(self, y0, bm):
        ends = []
        for t in TS:
            W = bm(0.0, t)
            noise = self.c * W if self.noise_type == "diagonal" else (self.c @ W.unsqueeze(-1)).squeeze(-1)
            ends.append(torch.sinh(torch.asinh(y0) + self.b * t + noise))
        return torch.stack(ends)


class Waves(ByPath):
    """dy = sin(5 b y + t) dt + (1 + t) c dW, whose solution is that of SRA1 with steps of 2^-8."""

    def f(self, t, y):
        return torch.sin(5 * self.b * y + t)

    def g(self, t, _y):
        return (1 + t) * self.c

    def solution(self, y0, bm):
        return sd.sdeint(self, y0, TS, bm=bm, method="sra1", dt=CELLS)


def gradient(sde, y0, ys):
    """By path, in all that the solution depends on: [paths, all]."""
    grads = torch.autograd.grad((ys[1:] ** 2).sum(), (y0, sde.b, sde.c))
    return torch.cat([x.flatten(1) for x in grads], 1)


@functools.cache
def truth(noise_type, sde_type):
    """(sde, y0, bm, gradient of the solution)."""
    sde = (Waves if noise_type == "additive" else Sinh)(noise_type, sde_type)
    y0 = torch.linspace(-1, 1, 2 * math.prod(PATHS)).reshape(-1, 2).requires_grad_()
    size, dt = (len(y0), CHANNELS[noise_type]), CELLS if noise_type == "additive" else DTS[-1]
    bm = sd.BrownianInterval(0.0, 1.0, size, dt=dt, entropy=7, levy_area_approximation="foster")
    return sde, y0, remembered(bm), gradient(sde, y0, sde.solution(y0, bm))


def order(method, noise_type, sde_type):
    """A 99.9 % interval of the strong order of the gradients, by mean distance over 16 groups of 128 paths."""
    sde, y0, bm, exact = truth(noise_type, sde_type)
    errors = []
    for dt in DTS:
        params = sde.b, sde.c
        ys = sd.sdeint(sde, y0, TS, bm=bm, method=method, dt=dt, adjoint="backsolve", adjoint_params=params)
        errors.append((gradient(sde, y0, ys) - exact).norm(dim=1).reshape(PATHS).mean(1).log2().numpy())
    slopes = np.polyfit(np.log2(DTS), np.array(errors), 1)[0]
    half = stats.t.ppf(1 - 0.0005, PATHS[0] - 1) * slopes.std(ddof=1) / math.sqrt(PATHS[0])
    return slopes.mean() - half, slopes.mean() + half


TRIPLES = [
    (method, noise_type, sde_type)
    for method, facts in METHODS.items()
    if not facts.reversible
    for noise_type in facts.order
    for sde_type in facts.sde_types
]


@pytest.mark.exhaustive(but=["*-general-*", "milstein-scalar-*", "sra1-*-ito", "srk-diagonal-ito"])
@pytest.mark.slow
@pytest.mark.parametrize(("method", "noise_type", "sde_type"), TRIPLES)
def test_order_of_the_gradients(method, noise_type, sde_type):
    """A 99.9 % interval for each: no less than the strong order within 0.3, and not an order more. The general noise
    of this problem commutes, and so its order is 1 for the Stratonovich methods."""
    expected = 1.0 if noise_type == "general" and sde_type == "stratonovich" else METHODS[method].order[noise_type]
    low, high = order(method, noise_type, sde_type)
    assert expected - 0.3 < low < high < expected + 1


def test_the_order_check_sees_the_missing_ito_correction(monkeypatch):
    monkeypatch.setattr(backsolve, "_transposed", backsolve._mirrored)
    low, high = order("euler", "general", "ito")
    assert low < 0.5 - 0.3
    assert high < 0.3


def small(adjoint, noise_type, sde_type, method, dt, ts=(0.0, 0.3, 1.0), squared=False, cells=2.0**-8, **options):
    """The gradient of a loss in (y0, parameters) as one vector; if squared, that of the square of the gradient."""
    sde, y0 = neural(noise_type, sde_type), state().requires_grad_()
    bm = sd.BrownianInterval(0.0, 1.0, (3, channels(noise_type)), dt=cells, entropy=3, levy_area_approximation="foster")
    options = {"bm": bm, "method": method, "dt": dt, **options}
    if adjoint == "sdeint_adjoint":
        ys = sd.sdeint_adjoint(sde, y0, ts, **options)
    else:
        ys = sd.sdeint(sde, y0, ts, adjoint=adjoint, **options)
    inputs = [y0, *sde.parameters()]
    grads = torch.autograd.grad(ys.square().sum(), inputs, create_graph=squared, materialize_grads=True)
    if squared:
        grads = torch.autograd.grad(sum((g * g).sum() for g in grads), inputs, materialize_grads=True)
    return torch.cat([g.flatten() for g in grads])


def distance(a, b):
    return float((a - b).abs().sum() / b.abs().sum())


SECOND = [
    ("midpoint", "general", "stratonovich"),
    ("ees25", "additive", "stratonovich"),
    ("log_ode", "general", "stratonovich"),
    ("euler", "diagonal", "ito"),
    ("milstein", "scalar", "ito"),
    ("srk", "diagonal", "ito"),
]


@pytest.mark.exhaustive(but=["midpoint-*", "euler-*", "milstein-*"])
@pytest.mark.slow
@pytest.mark.parametrize(("method", "noise_type", "sde_type"), SECOND)
def test_second_derivatives_converge_to_those_of_backprop(method, noise_type, sde_type):
    """Of the squared length of the gradient: the distance falls like a root of dt at least, from 2^-2 to 2^-5."""
    errors = [
        distance(*(small(a, noise_type, sde_type, method, dt, squared=True) for a in ("backsolve", "backprop")))
        for dt in (2.0**-2, 2.0**-5)
    ]
    assert errors[1] < 8**-0.5 * errors[0]
    assert errors[1] < 1e-2


@pytest.mark.slow
def test_the_check_of_second_derivatives_sees_a_path_that_is_left_out(monkeypatch):
    """The state along which the way back goes, taken for a constant."""
    pull = backsolve._pull
    monkeypatch.setattr(backsolve, "_pull", lambda function, y, a, params: pull(function, y.detach(), a, params))
    case = ("general", "stratonovich", "midpoint", 2.0**-5)
    assert distance(*(small(a, *case, squared=True) for a in ("backsolve", "backprop"))) > 3e-2


def test_third_derivatives_are_refused():
    y0 = state().requires_grad_()
    ys = sd.sdeint(neural("diagonal"), y0, (0.0, 1.0), method="midpoint", dt=0.5, adjoint="backsolve")
    (first,) = torch.autograd.grad(ys.square().sum(), y0, create_graph=True)
    (second,) = torch.autograd.grad(first.square().sum(), y0, create_graph=True)
    with pytest.raises(RuntimeError, match="no third derivatives"):
        second.sum().backward()


@pytest.fixture
def planned(monkeypatch):
    """The lengths of the steps that were chosen on the way back, by tolerance."""
    lengths = {}

    def plan(step, state, ends, dt, tolerances, values):
        grid, state = adaptive.plan(step, state, ends, dt, tolerances, values)
        lengths.setdefault(tolerances.rtol, []).extend(np.diff(grid.times))
        return grid, state

    monkeypatch.setattr(backsolve, "plan", plan)
    return lengths


@pytest.mark.exhaustive(but=["heun-*"])
@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "noise_type", "sde_type", "tolerances"),
    [
        ("heun", "diagonal", "stratonovich", (1e-1, 3e-3, 1e-3)),
        ("milstein", "diagonal", "ito", (1e-1, 3e-3, 1e-3)),
        ("srk", "scalar", "ito", (1e-2, 1e-4, 1e-5)),
    ],
)
def test_own_steps_on_the_way_back(method, noise_type, sde_type, tolerances, planned):
    """A smaller tolerance gives more steps and gradients that are nearer to those of the smallest; these are near those
    of the numerical solution, whose steps are 2^-5 long."""
    case = (noise_type, sde_type, method, 2.0**-5)
    first, second, last = (
        small("sdeint_adjoint", *case, adjoint_adaptive=True, adjoint_rtol=x, adjoint_atol=x) for x in tolerances
    )
    assert all(max(lengths) < 0 and sum(lengths) == pytest.approx(-1) for lengths in planned.values())
    steps = [len(lengths) for lengths in planned.values()]
    assert steps[0] < steps[1] < steps[2]
    assert distance(second, last) < 0.5 * distance(first, last)
    assert distance(last, small("backprop", *case)) < 0.02


@pytest.mark.slow
def test_own_steps_have_second_derivatives(planned):
    case = ("diagonal", "stratonovich", "heun", 2.0**-5)
    options = {"adjoint_adaptive": True, "adjoint_rtol": 1e-2, "adjoint_atol": 1e-2, "squared": True}
    assert distance(small("sdeint_adjoint", *case, **options), small("backprop", *case, squared=True)) < 2e-2
    assert planned


@pytest.mark.slow
def test_the_method_of_the_way_back():
    """The forward one by default, any other of the same calculus and noise on request, with its options."""

    def solve(method, adjoint_method=None, **options):
        return small(
            "sdeint_adjoint", "diagonal", "ito", method, 0.1, adjoint_method=adjoint_method, cells=0.1, **options
        )

    for method in ("euler", "milstein", "srk"):
        assert torch.equal(solve(method), solve(method, method))
        assert torch.equal(solve(method), small("backsolve", "diagonal", "ito", method, 0.1, cells=0.1))
    assert not torch.equal(solve("euler"), solve("euler", "milstein"))
    assert not torch.equal(solve("euler", "milstein"), solve("euler", "srk"))
    free = solve("euler", "milstein", adjoint_options={"grad_free": True})
    assert 0 < distance(free, solve("euler", "milstein")) < 0.05


def test_the_reversible_adjoint_retraces_adaptive_steps_and_says_so():
    options = {"adaptive": True, "rtol": 1e-2, "atol": 1e-2}
    case = ("general", "stratonovich", "reversible_heun", 0.1)
    exact = small("backprop", *case, **options)
    with pytest.warns(UserWarning, match="adjoint_adaptive has no effect: the reversible adjoint retraces"):
        retraced = small("sdeint_adjoint", *case, adjoint_adaptive=True, **options)
    assert distance(retraced, exact) < 1e-13


def test_an_approximate_adjoint_in_place_of_the_exact_one_is_told():
    with pytest.warns(UserWarning, match="adjoint of 'reversible_heun' by 'midpoint' is approximate; its own"):
        small("sdeint_adjoint", "diagonal", "stratonovich", "reversible_heun", 0.1, adjoint_method="midpoint")
