"""What the library hands to functions of the user, and takes from them: as torchsde does, or a clear refusal."""

import itertools
import math

import pytest
import torch
import torchsde

import sdegrad.torch as sd
from sdegrad.methods import METHODS, NOISE_TYPES
from sdegrad.torch import checks
from sdegrad.torch.stepping.adaptive import check_steps
from tests.torch.sdes import channels, state

TS = torch.tensor([0.0, 0.3, 1.0], dtype=torch.float64)


def kind(x):
    return (type(x), x.dtype, (*x.shape,)) if isinstance(x, torch.Tensor) else type(x)


class Recording(torch.nn.Module):
    """An SDE, and what it is handed, by the name of the method."""

    ROLES = ("f", "g", "f_and_g", "g_prod", "f_and_g_prod", "h")

    def __init__(self, noise_type, sde_type, roles):
        super().__init__()
        self.noise_type, self.sde_type, self.seen = noise_type, sde_type, {}
        self.rate = torch.nn.Parameter(torch.tensor(0.5, dtype=torch.float64))
        for role in roles:
            setattr(self, role, lambda *a, role=role: self.record(role, a))

    def record(self, role, arguments):
        self.seen.setdefault(role, set()).add(tuple(map(kind, arguments)))
        _, y, *v = arguments
        g = torch.cos(y) if self.noise_type != "additive" else torch.ones_like(y)
        g = g if self.noise_type == "diagonal" else g.unsqueeze(-1).expand(*y.shape, channels(self.noise_type))
        if role in ("g_prod", "f_and_g_prod"):
            g = g * v[0] if self.noise_type == "diagonal" else (g @ v[0].unsqueeze(-1)).squeeze(-1)
        drift = -self.rate * y if role != "h" else -y
        return {"f": drift, "h": drift, "g": g, "g_prod": g}.get(role, (drift, g))


class Motion(sd.BaseBrownian):
    """A user's, which computes with its times as torchsde's users do."""

    dtype, device, levy_area_approximation, shape = torch.float64, torch.device("cpu"), "foster", ()

    def __init__(self, base):
        self._base, self.shape, self.seen = base, base.shape, set()

    def __repr__(self):
        return "Motion"

    def __call__(self, ta, tb=None, return_U=False, return_A=False):
        self.seen |= {kind(ta), kind(tb)}
        assert torch.stack((ta, tb)).diff().clamp(min=0).item() >= torch.sqrt(tb - ta).item() ** 2 * 0.99
        return self._base(float(ta), float(tb), return_U=return_U, return_A=return_A)


HANDED = [
    (noise_type, roles, method, logqp)
    for noise_type in NOISE_TYPES
    for roles, method, logqp in (
        (("f", "g"), "midpoint", False),
        (("f", "g"), "reversible_heun", False),
        (("f_and_g",), "heun", False),
        (("f", "g_prod"), "euler_heun", False),
        (("f_and_g_prod",), "midpoint", False),
        (("f", "g", "h"), "midpoint", True),
    )
]


@pytest.mark.parametrize(("noise_type", "roles", "method", "logqp"), HANDED)
def test_functions_are_handed_what_torchsde_hands_them(noise_type, roles, method, logqp):
    """On the way there and back: types, dtypes and shapes. The motion too, with times of float64."""
    seen = []
    for library in (torchsde, sd):
        sde = Recording(noise_type, "stratonovich", roles)
        wider = channels(noise_type) + (logqp and noise_type == "diagonal")
        bm = Motion(sd.BrownianInterval(0.0, 1.0, (3, wider), torch.float64, dt=0.1, entropy=1))
        options = {"bm": bm, "method": method, "dt": 0.1, "logqp": logqp, "adjoint_method": None}
        ys = library.sdeint_adjoint(sde, state().double().requires_grad_(), TS, **options)
        (sum(y.sum() for y in ys) if logqp else ys.sum()).backward()
        seen.append((sde.seen, bm.seen))
    (theirs, their_times), (ours, our_times) = seen
    assert ours.keys() <= theirs.keys() | {*roles}
    assert all(ours[role] == theirs[role] for role in ours.keys() & theirs.keys())
    assert our_times == their_times == {(torch.Tensor, torch.float64, ())}


class Reversed(sd.ReverseBrownian):
    pass


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("adaptive", [False, True])
def test_a_motion_of_the_user_is_handed_tensors_that_keep_the_grid_exact(dtype, adaptive):
    asked = []

    class Own(sd.BrownianInterval):
        def __call__(self, ta, tb=None, return_U=False, return_A=False):
            asked.append((ta, tb))
            return super().__call__(ta, tb, return_U, return_A)

    sde, ts = Recording("diagonal", "stratonovich", ("f", "g")), TS.to(dtype)
    own = Own(0.0, 1.0, (3, 2), torch.float64, entropy=1)
    sd.sdeint(sde, state().double(), ts, bm=own, dt=0.1, adaptive=adaptive, rtol=0.1, atol=0.1)
    assert {kind(t) for pair in asked for t in pair} == {(torch.Tensor, torch.float64, ())}
    if not adaptive:
        assert [float(ta) for ta, _ in asked][-9:] == [k * 0.1 for k in range(1, 10)]
    asked.clear()
    sd.sdeint(sde, state().double(), ts, bm=sd.ReverseBrownian(Own(-1.0, 0.0, (3, 2), torch.float64)), dt=0.5)
    assert {kind(t) for pair in asked for t in pair} == {(torch.Tensor, torch.float64, ())}


class Returning(torch.nn.Module):
    """What f and g are to return, made of y."""

    def __init__(self, f=lambda t, y: -y, g=lambda t, y: torch.cos(y), noise_type="diagonal", sde_type="stratonovich"):
        super().__init__()
        self.f, self.g, self.noise_type, self.sde_type = f, g, noise_type, sde_type


def to(dtype, noise_type, which):
    """An SDE whose drift (f) or diffusion (g) has this dtype."""

    def f(t, y):
        return (-y).to(dtype if which == "f" else y.dtype)

    def g(t, y):
        g = torch.cos(y) if noise_type != "additive" else torch.ones_like(y)
        g = g if noise_type == "diagonal" else g.unsqueeze(-1)
        return g.to(dtype if which == "g" else y.dtype)

    return lambda sde_type: Returning(f, g, noise_type, sde_type)


PAIRS = [(name, noise_type) for name, facts in METHODS.items() for noise_type in facts.order]
# Every pair with values of a higher and of a lower precision, and every method with another lower one.
PROMOTIONS = [
    *((*pair, torch.float32, of_values) for pair in PAIRS for of_values in (torch.float64, torch.bfloat16)),
    *((name, next(iter(facts.order)), torch.float64, torch.float32) for name, facts in METHODS.items()),
]


@pytest.mark.exhaustive(but=["*-general-*", "srk-additive-*", "milstein-scalar-*", "*-of_state9?-*"])
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:the (way back|two copies) of the")  # its dtype alone counts: steps are long
@pytest.mark.filterwarnings("ignore:adaptive steps of euler")
@pytest.mark.parametrize(("method", "noise_type", "of_state", "of_values"), PROMOTIONS)
def test_the_solution_has_the_dtype_that_all_are_promoted_to(method, noise_type, of_state, of_values):
    """For each adjoint, and adaptive steps: as torchsde. Values of a lower precision count as the state's."""
    wide, levy_area = torch.promote_types(of_state, of_values), "foster" if method == "log_ode" else "space-time"
    for which, adjoint in itertools.product("fg", ("backprop", "checkpoint", "reversible", "backsolve")):
        if adjoint == "reversible" and not checks.has_reversal(method):
            continue
        sde, y0 = to(of_values, noise_type, which)(METHODS[method].sde_type), state().to(of_state).requires_grad_()
        size = (3, 2 if noise_type == "diagonal" else 1)
        bm = sd.BrownianInterval(0.0, 1.0, size, of_state, dt=0.5, levy_area_approximation=levy_area)
        options = {"method": method, "dt": 0.5, "adjoint": adjoint, "adjoint_params": ()}
        ys = sd.sdeint(sde, y0, (0.0, 1.0), bm=bm, **options)
        assert ys.dtype == wide
        (grad,) = torch.autograd.grad(ys.sum(), y0)
        assert grad.dtype == of_state
        assert grad.isfinite().all()
        if adjoint == "backprop":
            options |= {"adaptive": True, "rtol": 0.1, "atol": 0.1}
            assert sd.sdeint(sde, y0, (0.0, 1.0), bm=bm, **options).dtype == wide


def test_the_promoted_solution_is_that_of_the_wider_state():
    sde, bm = to(torch.float64, "diagonal", "f")("stratonovich"), sd.BrownianInterval(0.0, 1.0, (3, 2), dt=0.1)
    for method in ("reversible_heun", "midpoint"):
        narrow = sd.sdeint(sde, state(), (0.0, 1.0), bm=bm, dt=0.1, method=method)
        theirs = torchsde.sdeint(sde, state(), torch.tensor([0.0, 1.0]), bm=bm, dt=0.1, method=method)
        assert theirs.dtype == narrow.dtype == torch.float64
        assert (narrow - theirs).abs().max() < 1e-6


def later(first, then):
    """A value that is another after t = 0."""
    return lambda t, y: first(y) if t == 0 else then(y)


def minus(y):
    return -y


def solve(sde=None, bm=None, y0=None, **options):
    return sd.sdeint(sde or Returning(), state() if y0 is None else y0, (0.0, 1.0), bm, **{"dt": 0.25} | options)


def changing(ta, tb):
    return torch.ones((3, 2) if ta == 0 else (1, 2))


REFUSED = {
    r"f returned \(1, 2\), and another shape at first": lambda: solve(Returning(f=later(minus, lambda y: -y[:1]))),
    r"g returned \(1, 2\), and another shape": lambda: solve(Returning(g=later(torch.cos, lambda y: y[:1]))),
    r"f returned \(\), and another shape": lambda: solve(Returning(f=later(minus, torch.sum))),
    "f returned NoneType, and another": lambda: solve(Returning(f=later(minus, lambda y: None))),
    r"f returned \(1, 3, 2\), and another": lambda: solve(Returning(f=later(minus, lambda y: y[None]))),
    r"g returned \(1, 2, 3\), and another": lambda: solve(
        Returning(g=later(lambda y: torch.ones(3, 2, 3), lambda y: torch.ones(1, 2, 3)), noise_type="general")
    ),
    "the dtype or the shape of the solution changed": lambda: solve(Returning(f=later(minus, torch.Tensor.double))),
    r"bm gave \(\(1, 2\), .* but \(\(3, 2\), ": lambda: solve(bm=changing),
    "writes into the state y": lambda: solve(Returning(f=lambda t, y: y.mul_(0.5))),
    "writes into the state y.*": lambda: solve(Returning(g=lambda t, y: y.mul_(0.5)), method="reversible_heun"),
    "must not depend on y": lambda: solve(Returning(g=lambda t, y: y.unsqueeze(-1), noise_type="additive")),
    "must not depend on y, but": lambda: solve(Returning(g=lambda t, y: t * y.unsqueeze(-1), noise_type="additive")),
    "must not depend on y, but .*": lambda: solve(
        Returning(g=lambda t, y: (1 - t) * y.unsqueeze(-1), noise_type="additive")
    ),
    "must return real tensors, got torch.complex64": lambda: solve(Returning(f=lambda t, y: y * 1j)),
    "adaptive must be True or False, got 'false'": lambda: checks.check_flags(adaptive="false"),
    "adaptive must be True or False, got 2": lambda: checks.check_flags(adaptive=2),
    "needs 1e.12 steps or more, and max_steps is 1e.07; use a larger dt": lambda: solve(dt=1e-12),
    "needs 4 steps or more, and max_steps is 3": lambda: solve(max_steps=3),
    "needs 11 steps or more, and max_steps is 10": lambda: solve(
        adaptive=True, rtol=0, atol=1e-9, dt_min=1e-12, max_steps=10
    ),
    "max_steps must be a positive number, got 'all'": lambda: check_steps(3, "all"),
    "max_steps must be a positive number, got nan": lambda: check_steps(3, math.nan),
    "hold numbers, but is on the device meta": lambda: solve(y0=torch.ones(3, 2, device="meta")),
    "dense and hold numbers, but is of the layout torch.sparse_coo": lambda: solve(y0=torch.eye(2).to_sparse()),
    r"ts must have one axis and hold numbers, got .* torch.sparse_coo": lambda: sd.sdeint(
        Returning(), state(), torch.eye(2)[1].to_sparse(), dt=0.25
    ),
    "got the class BrownianInterval; make an object of it": lambda: solve(bm=sd.BrownianInterval),
}


@pytest.mark.parametrize("message", REFUSED)
def test_refused(message):
    with pytest.raises(ValueError, match=message):
        REFUSED[message]()


@pytest.mark.parametrize("adjoint", ["backprop", "reversible"])
def test_an_sde_that_writes_to_its_state_does_no_harm_to_y0(adjoint):
    y0 = state()
    with pytest.raises(ValueError, match="writes into the state"):
        solve(Returning(f=lambda t, y: y.mul_(0.5)), y0=y0, method="reversible_heun", adjoint=adjoint)
    assert torch.equal(y0, state())


def test_a_bound_on_the_steps_can_be_lifted():
    assert solve(max_steps=4).shape == solve(max_steps=math.inf).shape == (2, 3, 2)


def test_numbers_of_torch_and_numpy_count_as_flags():
    checks.check_flags(adaptive=True, extra=0, logqp=1)
