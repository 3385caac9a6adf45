"""An adjoint that runs the SDE again meets the SDE of the solve: what was bound anew is put back, the rest an error."""

import operator
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.func import functional_call
from torch.nn.utils import parametrizations, prune

import sdegrad.torch as sd

TS = (0.0, 0.5, 1.0)
AGAIN = [
    ("midpoint", "backsolve"),
    ("milstein", "backsolve"),
    ("midpoint", "checkpoint"),
    ("reversible_heun", "checkpoint"),
    ("reversible_heun", "reversible"),
    ("mccallum_foster", "reversible"),
    ("ees27", "reversible"),
]


class Context(sd.SDEStratonovich):
    """A network with a frozen factor, a context, a count of its calls, and what draws or normalises if asked for."""

    def __init__(self, layer=None):
        super().__init__("diagonal")
        self.net = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), layer or nn.Identity(), nn.Linear(8, 2))
        self.register_buffer("factor", torch.ones(2))
        self.register_buffer("calls", torch.zeros((), dtype=torch.int64))
        self.context, self.scale, self.outside = (torch.zeros(2),), 1.0, SimpleNamespace(factor=torch.ones(2), late=0.0)
        self.bins, self.table = [1.0, 1.0, 1.0, 1.0], {"gain": torch.ones(2)}

    def f(self, t, y):
        self.calls += 1
        return (
            self.net(y.to(self.factor.dtype)) * self.factor * self.scale * self.outside.factor * self.table["gain"]
            + self.context[0] * self.bins[min(int(4 * t), 3)]
            + self.outside.late * t
        )

    def g(self, _t, y):
        return 0.5 * torch.cos(y)


class Model(nn.Module):
    def __init__(self, layer=None):
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.sde = Context(layer)

    def forward(self, y0, method="midpoint", adjoint="backprop", bm=None):
        bm = bm or sd.BrownianInterval(0.0, 1.0, y0.shape, y0.dtype, dt=0.125, entropy=1)
        return sd.sdeint(self.sde, y0, TS, bm=bm, dt=0.125, method=method, adjoint=adjoint)


pytestmark = pytest.mark.usefixtures("double")


Y0 = torch.linspace(0.2, 1.0, 6, dtype=torch.float64).reshape(3, 2)


def gradient(ys, params):
    grads = torch.autograd.grad(ys.square().sum(), params, materialize_grads=True)
    return torch.cat([g.flatten() for g in grads])


def near(method, adjoint):
    """To backpropagation, relative: what the continuous adjoint and the nearly reversible method miss is O(dt)."""
    if adjoint == "backsolve":
        return 0.03
    return 1e-6 if method == "ees27" else 1e-12


def assert_near(got, expected, method, adjoint):
    assert expected.abs().max() > 0.1
    assert (got - expected).abs().max() < near(method, adjoint) * expected.abs().max()


@pytest.mark.parametrize(("method", "adjoint"), AGAIN)
def test_new_weights_of_functional_call_get_the_gradient_of_backpropagation(method, adjoint):
    """And where they are made of another tensor, that gets what follows by the chain rule."""
    grads, model = [], Model()
    for how in ("backprop", adjoint):
        weights = {name: (1.3 * p.detach()).requires_grad_() for name, p in model.named_parameters()}
        grads.append(gradient(functional_call(model, weights, (Y0, method, how)), [*weights.values()]))
    assert_near(grads[1], grads[0], method, adjoint)
    factor = torch.tensor(1.3, requires_grad=True)
    weights = {name: factor * p.detach() for name, p in model.named_parameters()}
    of_factor = gradient(functional_call(model, weights, (Y0, method, adjoint)), [factor])
    torch.testing.assert_close(of_factor[0], grads[1] @ nn.utils.parameters_to_vector(model.parameters()))


def rebind(model):
    model.sde.context = (torch.full((2,), 3.0),)
    model.sde.scale = 7.0
    model.sde.factor = torch.full((2,), 5.0)
    model.sde.net[0] = nn.Linear(2, 8)
    model.sde.net[2].register_forward_hook(lambda _module, _inputs, y: 2 * y)
    prune.random_unstructured(model.sde.net[3], "weight", 0.5)  # a hook, attributes, and another parameter
    model.eval()


@pytest.mark.filterwarnings("ignore:the way back of the reversible adjoint ended off")  # ees27 in long steps
@pytest.mark.parametrize(("method", "adjoint"), AGAIN)
def test_what_is_bound_anew_is_put_back_for_the_way_back_alone(method, adjoint):
    """The mode too: batch norm in training, with the statistics of the batch."""
    grads = []
    for change in (lambda model: None, rebind):
        model = Model(nn.BatchNorm1d(8))
        sde, params = model.sde, list(model.parameters())
        ys = model(Y0, method, adjoint)
        change(model)
        now = [sde.context, sde.scale, sde.factor, sde.net[0], sde.net[2].training]
        grads.append(gradient(ys, params))
        after = [sde.context, sde.scale, sde.factor, sde.net[0], sde.net[2].training]
        assert all(map(operator.is_, now, after))
    assert grads[0].abs().max() > 0.1
    assert torch.equal(*grads)


IN_CONTAINERS = {
    "an entry of a list, which is read at neither end": lambda sde: sde.bins.__setitem__(1, 5.0),
    "a longer list": lambda sde: sde.bins.insert(0, 5.0),
    "a shorter list": lambda sde: sde.bins.__delitem__(slice(0, 2)),
    "an entry of a dictionary": lambda sde: sde.table.__setitem__("gain", torch.full((2,), 3.0)),
    "an empty dictionary": lambda sde: sde.table.clear(),
}


@pytest.mark.parametrize("change", IN_CONTAINERS.values(), ids=IN_CONTAINERS)
@pytest.mark.parametrize(("method", "adjoint"), [("midpoint", "backsolve"), *AGAIN[-3:-1]])
def test_what_lists_and_dictionaries_hold_is_put_back_for_the_way_back_alone(method, adjoint, change):
    grads = []
    for change_or_not in (lambda sde: None, change):
        model = Model()
        model.sde.context = (torch.ones(2),)
        ys = model(Y0, method, adjoint)
        change_or_not(model.sde)
        bins, table = list(model.sde.bins), dict(model.sde.table)
        grads.append(gradient(ys, list(model.parameters())))
        assert model.sde.bins == bins
        assert model.sde.table == table
    assert grads[0].abs().max() > 0.1
    assert torch.equal(*grads)


def test_a_list_that_the_sde_writes_itself_is_left_to_it():
    model = Model()
    times = model.sde.times = []
    f = model.sde.f
    model.sde.f = lambda t, y: times.append(float(t)) or f(t, y)
    ys = model(Y0, "midpoint", "backsolve")
    solved = list(times)
    ys.sum().backward()
    assert len(times) > len(solved) > 0
    assert times[: len(solved)] == solved


@pytest.mark.filterwarnings("ignore:the way back of the reversible adjoint ended off")  # to bfloat16
@pytest.mark.parametrize("solved", [True, False])
@pytest.mark.parametrize(("method", "adjoint"), AGAIN)
def test_the_way_back_has_the_autocast_of_the_solve(method, adjoint, solved):
    """PyTorch advises to call backward outside of it. `solved`: whether the solve is in it, or the way back."""
    grads = []
    for how in ("backprop", adjoint):
        model = Model().float()
        model.sde.context, model.sde.table, model.sde.outside.factor = (0.0,), {"gain": 1.0}, 1.0
        with torch.autocast("cpu", torch.bfloat16, enabled=solved):
            ys = model(Y0.float(), method, how)
        with torch.autocast("cpu", torch.bfloat16, enabled=not solved and how != "backprop"):
            grads.append(gradient(ys, list(model.parameters())))
    assert grads[0].abs().max() > 0.1
    exact = adjoint == "reversible" and not solved
    limit = 1e-4 if exact else near(method, adjoint) + 2 * torch.finfo(torch.bfloat16).eps
    assert (grads[1] - grads[0]).abs().max() < limit * grads[0].abs().max()


def step_of_an_optimizer(model):
    for p in model.parameters():
        p.grad = torch.ones_like(p)
    torch.optim.SGD(model.parameters(), 0.1).step()


WRITTEN = {
    "tensor 'net.0.weight' of Context was written over": step_of_an_optimizer,
    "tensor 'factor' of Context was written over": lambda model: model.sde.factor.mul_(2),
    "tensor 'context' of Context was written over": lambda model: model.sde.context[0].add_(1),
    "class of 'net.0' in Context was changed": lambda model: parametrizations.weight_norm(model.sde.net[0]),
}
ELSEWHERE = {
    "data of a parameter": lambda model: model.sde.net[0].weight.data.mul_(1.5),
    "what an object of its own holds": lambda model: setattr(model.sde.outside, "factor", torch.full((2,), 1.5)),
    "what makes no difference at the start": lambda model: setattr(model.sde.outside, "late", 0.5),
}


@pytest.mark.parametrize("message", WRITTEN)
@pytest.mark.parametrize(("method", "adjoint"), AGAIN)
def test_what_is_written_over_is_an_error(method, adjoint, message):
    model = Model()
    ys = model(Y0, method, adjoint)
    WRITTEN[message](model)
    with pytest.raises(RuntimeError, match=f"{message}.*call backward.. first"):
        ys.sum().backward()


@pytest.mark.parametrize("change", ELSEWHERE.values(), ids=ELSEWHERE)
@pytest.mark.parametrize(("method", "adjoint"), AGAIN)
def test_what_changes_unseen_is_an_error_by_its_values(method, adjoint, change):
    model = Model()
    ys = model(Y0, method, adjoint)
    change(model)
    with pytest.raises(RuntimeError, match=r"other values than in the solve|end elsewhere than before"):
        ys.sum().backward()


@pytest.mark.parametrize(("method", "adjoint"), AGAIN)
def test_weak_dropout_is_an_error_or_drawn_again(method, adjoint):
    """One unit in a thousand. A checkpoint takes its steps again with the same random numbers."""
    grads = []
    for how in ("backprop", adjoint):
        model = Model(nn.Dropout(1e-3))
        torch.manual_seed(3)
        ys = model(Y0, method, how)
        if how in ("reversible", "backsolve"):
            with pytest.raises(RuntimeError, match="Context draws random numbers"):
                ys.sum().backward()
            return
        grads.append(gradient(ys, list(model.parameters())))
    assert_near(grads[1], grads[0], method, adjoint)


@pytest.mark.filterwarnings("ignore:the way back of the reversible adjoint ended off")  # ees27 in long steps
@pytest.mark.parametrize(("method", "adjoint"), AGAIN)
def test_what_the_sde_writes_itself_is_no_error(method, adjoint):
    """Counts and running statistics; two solves before the first way back, and two ways back."""
    model = Model(nn.BatchNorm1d(8))
    first, second = model(Y0, method, adjoint), model(Y0 + 1, method, adjoint)
    loss = first.square().sum() + second.square().sum()
    params = list(model.parameters())
    once, twice = (torch.autograd.grad(loss, params, retain_graph=True, materialize_grads=True) for _ in range(2))
    assert all(map(torch.equal, once, twice))
    assert model.sde.calls > 0


@pytest.mark.parametrize("keeps", [False, True])
@pytest.mark.parametrize(("method", "adjoint"), AGAIN)
def test_a_motion_whose_increments_change_is_an_error(method, adjoint, keeps):
    """By a generator of its own: a checkpoint takes its steps again with the same numbers of torch's. Or it keeps them,
    and they are written over before the way back, as is what was handed out."""
    model, own = Model(), torch.Generator().manual_seed(0)
    kept = 0.125**0.5 * torch.randn(8, 3, 2, generator=own)

    def bm(ta, tb):
        return kept[round(ta.item() / 0.125)] if keeps else (tb - ta).sqrt() * torch.randn(3, 2, generator=own)

    ys = model(Y0, method, adjoint, bm=bm)
    kept.normal_(generator=own)
    with pytest.raises(RuntimeError, match=r"bm gave another increment|end elsewhere than before"):
        ys.sum().backward()


@pytest.mark.parametrize(("method", "adjoint"), [("reversible_heun", "reversible"), ("midpoint", "backsolve")])
def test_such_a_motion_is_an_error_where_its_dtype_is_promoted(method, adjoint):
    model, own = Model(), torch.Generator().manual_seed(0)
    y0 = Y0.float()
    ys = model(y0, method, adjoint, bm=lambda ta, tb: torch.randn(3, 2, generator=own, dtype=y0.dtype) / 3)
    assert ys.dtype == torch.float64
    with pytest.raises(RuntimeError, match="bm gave another increment"):
        ys.sum().backward()


def test_second_derivatives_meet_the_same_sde():
    seconds = []
    for change in (lambda model: None, rebind):
        model, y0 = Model(), Y0.clone().requires_grad_()
        ys = model(y0, "midpoint", "backsolve")
        (first,) = torch.autograd.grad(ys.square().sum(), y0, create_graph=True)
        change(model)
        seconds.append(torch.autograd.grad(first.square().sum(), y0)[0])
    assert torch.equal(*seconds)


@pytest.mark.parametrize(("method", "adjoint"), [("reversible_heun", "reversible"), ("midpoint", "backsolve")])
def test_an_sde_that_is_no_module_is_kept_too(method, adjoint):
    class Plain:
        noise_type, sde_type = "diagonal", "stratonovich"

        def __init__(self):
            self.rate, self.net = torch.tensor(0.7, requires_grad=True), Model().sde.net

        def f(self, _t, y):
            return -self.rate * self.net(y)

        def g(self, _t, y):
            return 0.1 * torch.ones_like(y)

    grads = []
    for change in (False, True):
        sde, bm = Plain(), sd.BrownianInterval(0.0, 1.0, (3, 2), dt=0.125, entropy=1)
        params = [sde.rate, *sde.net.parameters()]
        ys = sd.sdeint(sde, Y0, TS, bm=bm, dt=0.125, method=method, adjoint=adjoint, adjoint_params=params)
        if change:
            sde.rate, sde.net[0] = torch.tensor(2.0), nn.Linear(2, 8)
        grads.append(gradient(ys, params))
    assert torch.equal(*grads)


@pytest.mark.parametrize("compiled", [False, pytest.param(True, marks=pytest.mark.slow)])
@pytest.mark.parametrize(("method", "adjoint"), [("reversible_heun", "reversible"), ("heun", "backsolve")])
def test_hooks_of_a_parameter_are_called_with_its_whole_gradient_alone(method, adjoint, compiled):
    """As by backpropagation: one that masks, scales or negates would do so at every step and at the end."""

    class Rate(torch.nn.Module):
        noise_type, sde_type = "diagonal", "stratonovich"

        def __init__(self):
            super().__init__()
            self.rate = torch.nn.Parameter(torch.tensor(1.0, dtype=torch.float64))

        def f(self, t, y):
            return self.rate * y

        def g(self, t, y):
            return 0.1 * self.rate * torch.ones_like(y)

    def gradient(adjoint, hooked):
        sde, calls = Rate(), []
        if hooked:
            sde.rate.register_hook(lambda g: (calls.append(g), -2 * g)[1])
        bm = sd.BrownianInterval(0.0, 1.0, (8, 1), entropy=1, dt=0.125, dtype=torch.float64)
        y0 = torch.ones(8, 1, dtype=torch.float64)
        ys = sd.sdeint(sde, y0, [0.0, 1.0], bm=bm, dt=0.125, method=method, adjoint=adjoint, compile=compiled)
        ys[-1].square().sum().backward()
        return sde.rate.grad, calls

    hooked, calls = gradient(adjoint, True)
    plain, _ = gradient(adjoint, False)
    assert len(calls) == 1
    torch.testing.assert_close(hooked, -2 * plain)
    torch.testing.assert_close(
        hooked, gradient("backprop", True)[0], rtol=0.1 if adjoint == "backsolve" else 1e-12, atol=0
    )


def test_hooks_of_a_parameter_and_second_derivatives():
    """Once for the first derivative, once for the second."""
    rate, calls = torch.tensor(1.0, dtype=torch.float64, requires_grad=True), []
    rate.register_hook(calls.append)
    sde = SimpleNamespace(
        noise_type="diagonal", sde_type="stratonovich", f=lambda t, y: rate * y, g=lambda t, y: 0.1 * torch.ones_like(y)
    )
    y0 = torch.ones(2, 1, dtype=torch.float64)
    bm = sd.BrownianInterval(0.0, 1.0, (2, 1), entropy=1, dt=0.25, dtype=torch.float64)
    options = {"method": "heun", "adjoint": "backsolve", "adjoint_params": (rate,)}
    ys = sd.sdeint(sde, y0, [0.0, 1.0], bm=bm, dt=0.25, **options)
    (first,) = torch.autograd.grad(ys[-1].sum(), rate, create_graph=True)
    assert len(calls) == 1
    torch.autograd.grad(first, rate)
    assert len(calls) == 2
