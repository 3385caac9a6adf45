"""Gradients: the exact ones against backpropagation, the continuous one by convergence, and their memory."""

import itertools
import weakref
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy import stats
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter, tree_map

import sdegrad.torch as sd
from sdegrad.methods import METHODS, NOISE_TYPES
from sdegrad.tableaux import LowStorage
from sdegrad.torch import methods
from sdegrad.torch.adjoints import backsolve
from sdegrad.torch.adjoints import discrete as adjoints
from sdegrad.torch.methods import mccallum_foster
from sdegrad.torch.methods.low_storage import low_storage
from tests.torch.sdes import GBM, channels, motion, neural, state

TOLERANCE = 1e-13
PAIRS = [(name, noise_type) for name, facts in METHODS.items() for noise_type in facts.order]
DTS = (1.0, 0.5, 0.1, 0.07, 0.05, 0.02, 0.01, 2.0**-7)
TS = (
    *(tuple(np.linspace(0, 1, n).tolist()) for n in (2, 5, 11)),
    (0.0, 0.3, 1.0),
    (0.0, 0.013, 0.4, 0.41, 1.0),
    (0.0, 0.001, 0.0015, 0.003, 0.25, 0.251, 0.5, 0.7501, 0.99, 0.9999, 1.0),
)


pytestmark = pytest.mark.usefixtures("double")


def gradients(sde, y0, ts, dt, adjoint, method="reversible_heun", bm=None, **options):
    """The gradient in (y0, parameters) of a loss that tells the outputs apart, as one vector."""
    shape = (*y0.shape[:-1], channels(sde.noise_type) if y0.shape[-1] == 2 else y0.shape[-1])
    levy_area = methods.make_scheme(method, sde.sde_type, sde.noise_type, options.get("options", {})).levy_area
    bm = bm or sd.BrownianInterval(ts[0], ts[-1], shape, dt=dt, entropy=3, levy_area_approximation=levy_area)
    y0 = y0.clone().requires_grad_()
    ys = sd.sdeint(sde, y0, ts, bm=bm, method=method, dt=dt, adjoint=adjoint, **options)
    loss = (torch.linspace(1, 2, ys.numel()).reshape(ys.shape) * ys**2).sum()
    grads = torch.autograd.grad(loss, [y0, *sde.parameters()], materialize_grads=True)
    return torch.cat([g.reshape(-1) for g in grads])


def distance(a, b):
    """Relative L1 distance."""
    return float((a - b).abs().sum() / torch.maximum(a.abs().sum(), b.abs().sum()))


@pytest.mark.exhaustive(but=["*-diagonal", "*-additive", "*-scalar", "0.07-general", "0.5-general"])
@pytest.mark.parametrize("noise_type", NOISE_TYPES)
@pytest.mark.parametrize("dt", DTS)
def test_reversible_is_backprop_to_round_off(noise_type, dt):
    """The times are the same for every noise: all steps with all outputs for one, and each with some for the others."""
    sde, y0 = neural(noise_type), state()
    for ts in TS if noise_type == "general" or dt == 0.07 else TS[4:5]:
        expected = gradients(sde, y0, ts, dt, "backprop")
        assert expected.abs().sum() > 1
        assert distance(gradients(sde, y0, ts, dt, "reversible"), expected) < TOLERANCE


BASES = [
    *((noise_type, base) for noise_type in NOISE_TYPES for base in mccallum_foster.ANY_NOISE),
    *(("additive", base) for base in ("shark", "sra1")),
]


@pytest.mark.exhaustive(but=["diagonal-*", "scalar-*", "general-heun", "additive-shark"])
@pytest.mark.slow
@pytest.mark.parametrize(("noise_type", "base"), BASES)
def test_mccallum_foster_is_exact_too(noise_type, base):
    """With the coupling 0.99 round-off on the way back grows to three times itself in 100 steps, which every base takes
    with one noise."""
    method, options = "mccallum_foster", {"base": base, "coupling": 0.99}
    sde, y0 = neural(noise_type), state()
    many = noise_type == "general" or base not in mccallum_foster.ANY_NOISE
    for ts, dt in ((TS[3], 1.0), (TS[4], 0.07), *([(TS[5], 0.01)] if many else ())):
        exact, retraced = (gradients(sde, y0, ts, dt, a, method, options=options) for a in ("backprop", "reversible"))
        assert distance(exact, retraced) < TOLERANCE


def near_reversible_rate(method, noise):
    """A 99.9 % interval of the rate at which gradients in y0 of the way back near those of backpropagation, by mean
    distance over 16 groups of 16 paths. noise: a factor of g."""
    sde, dts, errors = neural("general"), 2.0 ** -(np.arange(3, 7) if noise else np.arange(4)), []
    g = sde.g
    sde.g = lambda t, y: noise * g(t, y)
    bm = sd.BrownianInterval(0.0, 2.0, (256, 3), dt=dts[-1], entropy=3)
    for dt in dts:
        grads = []
        for adjoint in ("backprop", "reversible"):
            y0 = state(batch=(256,)).requires_grad_()
            ys = sd.sdeint(sde, y0, (0.0, 2.0), bm=bm, method=method, dt=dt, adjoint=adjoint)
            grads.append(torch.autograd.grad(ys.square().sum(), y0)[0])
        errors.append((grads[0] - grads[1]).norm(dim=1).reshape(16, 16).mean(1).log2().numpy())
    slopes = np.polyfit(np.log2(dts), np.array(errors), 1)[0]
    half = stats.t.ppf(1 - 0.0005, 15) * slopes.std(ddof=1) / 4
    return slopes.mean() - half, slopes.mean() + half


@pytest.mark.parametrize(
    ("method", "noise", "rate"), [("ees25", 0.0, 5), ("ees27", 0.0, 7), ("ees25", 1.0, 2), ("ees27", 1.0, 3)]
)
@pytest.mark.slow
def test_near_reversible_adjoint_nears_backprop(method, noise, rate):
    """By the power 5 (EES(2,5)), 7 (EES(2,7)) of the step without noise, for the step back misses by one power more; an
    increment dW counts for half a power, which leaves 2 and 3 at least, and half a power more where the misses of the
    steps are independent of each other."""
    low, high = near_reversible_rate(method, noise)
    assert rate - 0.3 < low < high < rate + 1


@pytest.mark.filterwarnings("ignore:the way back of the reversible adjoint ended off")
def test_the_check_of_near_reversibility_sees_a_method_that_is_not(monkeypatch):
    """Heun's step back misses by the fourth power."""
    monkeypatch.setitem(methods.SOLVERS, "ees25", low_storage(LowStorage((0.0, -1.0), (1.0, 0.5), (0.0, 1.0))))
    assert near_reversible_rate("ees25", 0.0)[1] < 4


@pytest.mark.parametrize("noise_type", NOISE_TYPES)
@pytest.mark.parametrize("method", ["ees25", "ees27"])
def test_near_reversible_adjoint_of_every_noise(method, noise_type):
    """In all parameters, with outputs between the steps, as `sdeint_adjoint` has it too."""
    sde, y0, ts = neural(noise_type), state(), TS[4]
    exact, near = (gradients(sde, y0, ts, 0.02, adjoint, method) for adjoint in ("backprop", "reversible"))
    assert 0 < distance(near, exact) < {"ees25": 1e-6, "ees27": 1e-9}[method]


@pytest.mark.parametrize("noise_type", NOISE_TYPES)
def test_reversible_on_a_path_asked_by_time_and_away_from_zero(noise_type):
    sde, y0, ts = neural(noise_type), state(), (2.0, 2.31, 3.0)
    for bm_dt in (None, 0.013):
        bm = sd.BrownianInterval(1.5, 3.5, (3, channels(noise_type)), dt=bm_dt, entropy=1)
        exact, retraced = (gradients(sde, y0, ts, 0.1, a, bm=bm) for a in ("backprop", "reversible"))
        assert distance(exact, retraced) < TOLERANCE


class Unfaithful:
    """A Brownian motion that after `faithful` queries is off by 10^-9, less than one ulp of time makes."""

    def __init__(self, bm, faithful):
        self.bm, self.left = bm, faithful

    def __call__(self, ta, tb):
        self.left -= 1
        return self.bm(ta, tb) * (1 if self.left >= 0 else 1 + 1e-9)


def test_the_check_sees_unfaithful_noise():
    """The first cell is asked for twice before the ten steps there, and once more before the ten back."""
    sde, y0, ts = neural("general"), state(), (0.0, 1.0)
    bm = sd.BrownianInterval(0.0, 1.0, (3, 3), dt=0.1, entropy=3)
    expected = gradients(sde, y0, ts, 0.1, "backprop", bm=bm)
    assert distance(gradients(sde, y0, ts, 0.1, "reversible", bm=Unfaithful(bm, 23)), expected) < TOLERANCE
    assert distance(gradients(sde, y0, ts, 0.1, "reversible", bm=Unfaithful(bm, 12)), expected) > TOLERANCE


@pytest.mark.parametrize("entry", range(4))
@pytest.mark.filterwarnings("ignore:the way back")
def test_the_check_sees_a_wrong_adjoint(entry, monkeypatch):
    sde, y0, ts = neural("diagonal"), state(), (0.0, 0.5, 1.0)
    expected = gradients(sde, y0, ts, 0.1, "backprop")
    right = methods.SOLVERS["reversible_heun"]

    def pull(*arguments):
        before, adjoint = right.reversal.pull(*arguments)
        adjoint = list(adjoint)
        adjoint[entry] = adjoint[entry] * (1 + 1e-11)
        return before, tuple(adjoint)

    wrong = replace(right, reversal=replace(right.reversal, pull=pull))
    monkeypatch.setitem(methods.SOLVERS, "reversible_heun", wrong)
    assert distance(gradients(sde, y0, ts, 0.1, "reversible"), expected) > TOLERANCE


@pytest.mark.parametrize(("method", "noise_type"), PAIRS)
def test_checkpoint_is_backprop(method, noise_type):
    """Where the checkpoints lie depends on the times alone: all of these for two methods, one with a Levy area."""
    sde, y0 = neural(noise_type, METHODS[method].sde_type), state()
    all_times = (method, noise_type) in (("reversible_heun", "general"), ("srk", "diagonal"))
    for ts, dt in itertools.product(TS[3:], (1.0, 0.07)) if all_times else [(TS[4], 0.07)]:
        expected = gradients(sde, y0, ts, dt, "backprop", method)
        assert distance(gradients(sde, y0, ts, dt, "checkpoint", method), expected) < TOLERANCE


class PerCopy(torch.nn.Module):
    """A linear layer with weights of their own, [copies, out, in], for each copy of a batch [copies, paths, in]."""

    def __init__(self, weights, bias):
        super().__init__()
        self.weights, self.bias = weights, bias

    def forward(self, x):
        return x @ self.weights.mT + self.bias


def shifted(x, h):
    """Copies of x, each entry up by h in the first half of them and down in the second: [2 entries, *x.shape]."""
    steps = h * torch.eye(x.numel()).reshape(-1, *x.shape)
    return x.detach() + torch.cat((steps, -steps))


@pytest.mark.parametrize(
    ("method", "noise_type", "adjoint"),
    [("reversible_heun", "general", "reversible"), *((*pair, "backprop") for pair in PAIRS)],
)
def test_adjoint_agrees_with_finite_differences(method, noise_type, adjoint):
    """In y0 and in the largest weights of the diffusion, whose derivatives some methods themselves use. All ends of the
    differences are copies in one batch."""
    sde, y0, ts, h = neural(noise_type, METHODS[method].sde_type), state(), (0.0, 0.37, 1.0), 1e-6
    levy_area = methods.make_scheme(method, sde.sde_type, noise_type, {}).levy_area
    size = (3, channels(noise_type))
    bm = sd.BrownianInterval(0.0, 1.0, size, dt=0.1, entropy=3, levy_area_approximation=levy_area)
    layer = sde.diffusion[0]

    def losses(y, path):
        ys = sd.sdeint(sde, y, ts, bm=path, method=method, dt=0.1, adjoint=adjoint).movedim(0, -3)
        weights = torch.linspace(1, 2, 3 * y0.numel()).reshape(3, *y0.shape)
        return (weights * ys**2).sum((-3, -2, -1))

    exact = torch.autograd.grad(losses(y0.requires_grad_(), bm), (y0, layer.weight))

    ends, weights = shifted(y0, h), shifted(layer.weight, h)
    starts = torch.cat((ends, y0.detach().expand(len(weights), *y0.shape)))
    sde.diffusion[0] = PerCopy(torch.cat((layer.weight.detach().expand(len(ends), -1, -1), weights)), layer.bias)
    expand = lambda x: x.expand(len(starts), *x.shape)  # noqa: E731
    path = motion(lambda ta, tb, **areas: tree_map(expand, bm(ta, tb, **areas)), levy_area)
    with torch.no_grad():
        parts = losses(starts, path).split([len(ends), len(weights)])
    for part, gradient in zip(parts, exact, strict=True):
        up, down = part.chunk(2)
        assert distance((up - down) / (2 * h), gradient.flatten()) < 1e-7


@pytest.mark.exhaustive(but=["midpoint-*", "euler_heun-*", "euler-*"])
@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "noise_type", "rate"),
    [
        ("midpoint", "general", 0.35),
        ("euler_heun", "additive", 0.7),
        ("reversible_heun", "general", 0.35),
        ("euler", "general", 0.35),
        ("ees27", "diagonal", 0.7),
        ("mccallum_foster", "general", 0.35),
        ("log_ode", "general", 0.35),
    ],
)
def test_backsolve_converges_to_backprop(method, noise_type, rate):
    """The slope of log2 error over log2 dt, of 64 paths, dt from 2^-2 to 2^-7: nearly the strong order. What
    test_backsolve.py has not: methods with a reversible adjoint, noise that does not commute, networks."""
    assert _backsolve_rate(method, noise_type) > rate


@pytest.mark.slow
def test_the_check_sees_a_backsolve_without_ito_correction(monkeypatch):
    monkeypatch.setattr(backsolve, "_transposed", backsolve._mirrored)
    assert _backsolve_rate("euler", "general") < 0.2


def _backsolve_rate(method, noise_type):
    sde, y0 = neural(noise_type, METHODS[method].sde_type), state(batch=(64,))
    exponents, errors = np.arange(2, 8), []
    for exponent in exponents:
        size = (64, channels(noise_type))
        bm = sd.BrownianInterval(0.0, 1.0, size, dt=2.0**-7, entropy=3, levy_area_approximation="foster")
        exact, solved = (
            gradients(sde, y0, (0.0, 0.3, 1.0), 2.0**-exponent, a, method, bm) for a in ("backprop", "backsolve")
        )
        errors.append(distance(exact, solved))
    return -np.polyfit(exponents, np.log2(errors), 1)[0]


class LiveBytes(TorchDispatchMode):
    """The peak of the bytes of the tensors made inside, as long as they live."""

    def __init__(self):
        super().__init__()
        self.live = self.peak = 0
        self.seen = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for tensor in tree_iter(out):
            if isinstance(tensor, torch.Tensor):
                self._add(tensor.untyped_storage())
        return out

    def _add(self, storage):
        key, size = storage._cdata, storage.nbytes()
        if key not in self.seen:
            self.seen.add(key)
            self.live += size
            self.peak = max(self.peak, self.live)
            weakref.finalize(storage, self._remove, key, size)

    def _remove(self, key, size):
        self.seen.discard(key)
        self.live -= size


def waves(ta, tb):
    """A smooth path that takes no memory."""
    frequencies = torch.arange(1.0, 129.0).reshape(64, 2)
    return torch.sin(frequencies * tb) - torch.sin(frequencies * ta)


def peak(adjoint, steps, method="reversible_heun"):
    with LiveBytes() as live:
        gradients(neural("diagonal"), state(batch=(64,)), (0.0, 1.0), 1 / steps, adjoint, method, waves)
    return live.peak


@pytest.mark.exhaustive(but=["reversible-reversible_heun"])
@pytest.mark.slow
@pytest.mark.parametrize(("adjoint", "method"), [("reversible", "reversible_heun"), ("backsolve", "midpoint")])
def test_memory_does_not_grow_with_the_steps(adjoint, method):
    """But for the times, which come in chunks of 256, two of which may be alive."""
    assert peak(adjoint, 600, method) <= peak(adjoint, 40, method) + 2 * 256 * 8


@pytest.mark.slow
def test_the_memory_check_sees_backprop_and_checkpoint_grow():
    backprop, checkpoint = ([peak(adjoint, n) for n in (40, 160)] for adjoint in ("backprop", "checkpoint"))
    assert backprop[1] > 3 * backprop[0]
    assert 1.4 * checkpoint[0] < checkpoint[1] < 0.4 * backprop[1]


def test_one_evaluation_and_one_vjp_a_step():
    counts = {"f": 0, "vjp": 0}

    class Counting(sd.SDEStratonovich):
        def f(self, _t, y):
            counts["f"] += 1
            y = torch.sin(y)
            if y.requires_grad:
                y.register_hook(lambda _: counts.update(vjp=counts["vjp"] + 1))
            return y

        def g(self, _t, y):
            return torch.cos(y)

    y0 = state().requires_grad_()
    ys = sd.sdeint_adjoint(Counting("diagonal"), y0, (0.0, 1.0), method="reversible_heun", dt=0.1)
    assert counts == {"f": 11, "vjp": 0}
    ys.sum().backward()
    assert counts == {"f": 22, "vjp": 11}


def twice():
    """The relative distance of the gradients of two backward passes of one solve."""
    y0 = state().requires_grad_()
    ys = sd.sdeint_adjoint(neural("diagonal"), y0, (0.0, 1.0), method="reversible_heun", dt=0.1)
    return distance(*(torch.autograd.grad(ys.sum(), y0, retain_graph=True)[0] for _ in range(2)))


def test_a_second_way_back_is_the_same():
    assert twice() == 0


@pytest.mark.filterwarnings("ignore:the way back")
def test_the_check_sees_a_way_back_that_overwrites_what_it_starts_from(monkeypatch):
    right = methods.SOLVERS["reversible_heun"]

    def resume(field, t, state):
        return state[0], *right.reversal.resume(field, t, state)[1:]

    wrong = replace(right, reversal=replace(right.reversal, resume=resume))
    monkeypatch.setitem(methods.SOLVERS, "reversible_heun", wrong)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        twice()


@pytest.mark.slow
def test_adjoint_params_that_are_not_leaves():
    """As a context from an encoder: the gradient goes on through it."""
    weight = torch.tensor(0.4, requires_grad=True)

    class Context:
        noise_type, sde_type = "diagonal", "stratonovich"

        def __init__(self, c):
            self.f, self.g = (lambda _t, y: c * y), (lambda _t, y: torch.sin(c * y))

    results = []
    for adjoint in ("backprop", "reversible", "backsolve"):
        context = weight.exp()
        bm = sd.BrownianInterval(0.0, 1.0, (3, 2), dt=2.0**-9, entropy=0)
        options = {"adjoint": adjoint, "adjoint_params": (context,), "bm": bm, "dt": 2.0**-9}
        ys = sd.sdeint(Context(context), state(), (0.0, 1.0), method="reversible_heun", **options)
        results.append(torch.autograd.grad(ys.square().sum(), weight)[0])
    assert distance(results[0], results[1]) < TOLERANCE
    assert distance(results[0], results[2]) < 0.05


@pytest.mark.parametrize("adjoint", ["reversible", "backsolve"])
def test_unused_parameters_get_zero_and_frozen_ones_nothing(adjoint):
    sde = neural("diagonal")
    frozen = sde.drift[0].weight.requires_grad_(False)
    y0 = state()
    ys = sd.sdeint(sde, y0, (0.0, 1.0), method="reversible_heun", dt=0.1, adjoint=adjoint)
    ys.sum().backward()
    assert frozen.grad is None
    assert y0.grad is None
    assert torch.equal(sde.unused.grad, torch.zeros(2))
    assert sde.drift[2].weight.grad.abs().sum() > 0


@pytest.mark.parametrize("power", [1, 2])
@pytest.mark.parametrize("method", ["reversible_heun", "mccallum_foster", "ees25"])
def test_second_derivatives_of_the_reversible_adjoint_are_refused(method, power):
    """Of a linear loss too, whose gradient torch takes for a constant."""
    y0 = state().requires_grad_()
    ys = sd.sdeint_adjoint(neural("diagonal"), y0, (0.0, 1.0), method=method, dt=0.1)
    (gradient,) = torch.autograd.grad((ys**power).sum(), y0, create_graph=True)
    with pytest.raises(RuntimeError, match=r'cannot be differentiated again.*adjoint="backprop"'):
        gradient.sum().backward()


@pytest.mark.filterwarnings("ignore:the two copies")  # the solve says so first
@pytest.mark.slow
def test_a_way_back_that_goes_astray_is_told():
    """Lipschitz constant x time of 40: round-off grows by about e^40."""
    y0 = torch.ones(1, 1).requires_grad_()
    sde = GBM("stratonovich", mu=-40.0, sigma=0.1)
    ys = sd.sdeint_adjoint(sde, y0, (0.0, 1.0), method="reversible_heun", dt=1e-3)
    with pytest.warns(UserWarning, match="smaller dt, float64"):
        ys.sum().backward()


@pytest.mark.parametrize("dtype", adjoints.DRIFT_LIMIT)
def test_no_warning_where_the_way_back_is_good(dtype, recwarn):
    sde = neural("general").to(dtype)
    y0 = torch.zeros(3, 2, dtype=dtype).requires_grad_()
    sd.sdeint_adjoint(sde, y0, (0.0, 1.0), method="reversible_heun", dt=1e-2).sum().backward()
    assert not [w for w in recwarn if "way back" in str(w.message)]


def test_sdeint_adjoint_chooses_as_it_says():
    sde, y0, ts = neural("diagonal"), state().requires_grad_(), (0.0, 1.0)

    def through_adjoint(**options):
        bm = sd.BrownianInterval(0.0, 1.0, (3, 2), dt=0.1, entropy=3)
        ys = sd.sdeint_adjoint(sde, y0, ts, bm=bm, dt=0.1, **options)
        return torch.autograd.grad((torch.linspace(1, 2, 12).reshape(2, 3, 2) * ys**2).sum(), y0)[0].flatten()

    def through_sdeint(adjoint, method):
        return gradients(sde, y0.detach(), ts, 0.1, adjoint, method)[:6]

    reversible = through_sdeint("reversible", "reversible_heun")
    assert torch.equal(through_adjoint(method="reversible_heun"), reversible)
    named = through_adjoint(method="reversible_heun", adjoint_method="adjoint_reversible_heun")
    assert torch.equal(named, reversible)
    assert torch.equal(through_adjoint(), through_sdeint("backsolve", "midpoint"))
    assert torch.equal(through_adjoint(method="heun"), through_sdeint("backsolve", "heun"))
    assert not torch.equal(through_adjoint(method="heun", adjoint_method="midpoint"), through_adjoint(method="heun"))


@pytest.mark.filterwarnings("ignore:the two copies")
@pytest.mark.parametrize(("y0", "rate"), [([[1.0]], [-6.0]), ([[1.0, 1e6]], [-6.0, 0.0]), ([[1.0], [1e6]], [-6.0])])
def test_a_lost_way_is_seen_beside_larger_entries(y0, rate):
    """Of another channel, and of another path: the gradient in the first rate is far from that of backpropagation."""
    y0, rate = torch.tensor(y0).float(), torch.tensor(rate).float().requires_grad_()
    sde = SimpleNamespace(noise_type="diagonal", sde_type="stratonovich", f=lambda t, y: rate * y)
    sde.g = lambda t, y: 0.1 * torch.ones_like(y)
    bm = sd.BrownianInterval(0.0, 3.0, tuple(y0.shape), entropy=1, dt=0.01, dtype=torch.float32)
    options = {"bm": bm, "dt": 0.01, "method": "reversible_heun", "adjoint": "reversible", "adjoint_params": (rate,)}
    ys = sd.sdeint(sde, y0, [0.0, 3.0], **options)
    with pytest.warns(UserWarning, match="the way back of the reversible adjoint ended off"):
        ys[-1].sum().backward()


def test_an_entry_that_is_small_by_chance_is_no_alarm(recwarn):
    """One that starts at zero and ends near it, beside others; many of them, in single precision."""
    torch.manual_seed(0)
    y0 = torch.zeros(4096, 2, dtype=torch.float32)
    rate = torch.tensor(-1.0, dtype=torch.float32, requires_grad=True)
    sde = SimpleNamespace(noise_type="diagonal", sde_type="stratonovich", f=lambda t, y: rate * y)
    sde.g = lambda t, y: torch.cos(y).flip(-1)
    bm = sd.BrownianInterval(0.0, 2.0, (4096, 2), entropy=1, dt=0.02, dtype=torch.float32)
    options = {"bm": bm, "dt": 0.02, "method": "reversible_heun", "adjoint": "reversible", "adjoint_params": (rate,)}
    sd.sdeint(sde, y0, [0.0, 2.0], **options)[-1].square().sum().backward()
    assert not recwarn.list
