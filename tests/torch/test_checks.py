"""Bad input is refused, before any work, by a ValueError that names the value and what to do."""

import math
import warnings

import pytest
import torch

import sdegrad.torch as sd
from sdegrad.torch import checks
from tests.torch.sdes import motion, neural, state

Y0 = state()
JAGGED = torch.jagged
TS = (0.0, 1.0)


class Shapes(sd.BaseSDE):
    """Drift and diffusion of given shapes."""

    def __init__(self, noise_type, f, g):
        super().__init__(noise_type, "stratonovich")
        self.shapes = f, g

    def f(self, _t, y):
        return y.new_zeros(self.shapes[0])

    def g(self, _t, y):
        return y.new_zeros(self.shapes[1])


class Untyped:
    def f(self, _t, y):
        return y

    g = f


class Typed(Untyped):
    noise_type, sde_type = "diagonal", "stratonovich"


class Odd(Untyped):
    noise_type, sde_type = "diagonal", "malliavin"


class Empty:
    noise_type, sde_type = "diagonal", "stratonovich"


class Fields(Typed):
    """Drift and diffusion that return as given of (t, y)."""

    def __init__(self, noise_type="diagonal", **fields):
        self.noise_type = noise_type
        vars(self).update(fields)


class Writing(Typed):
    """Its product writes into dW."""

    def g_prod(self, _t, _y, dW):
        return dW.mul_(2)


DIAGONAL = neural("diagonal")
BM = sd.BrownianInterval(0.0, 1.0, (3, 2), dt=0.1)
SPACE_TIME = sd.BrownianInterval(0.0, 1.0, (3, 3), dt=0.1, levy_area_approximation="space-time")

# what is said -> the call that must be refused
REFUSED = {
    "no attribute noise_type": lambda: sd.sdeint(Untyped(), Y0, TS),
    "unknown sde_type 'malliavin'; it must be one of ito, stratonovich": lambda: sd.sdeint(Odd(), Y0, TS),
    "unknown noise_type 'white'; it must be one of diagonal": lambda: sd.SDEIto("white"),
    "must define a drift": lambda: sd.sdeint(Empty(), Y0, TS),
    "unknown method 'rk4'; the methods are ees25, ees27, euler,": lambda: sd.sdeint(DIAGONAL, Y0, TS, method="rk4"),
    "'euler' converges in the ito sense, but the SDE has sde_type 'stratonovich'": lambda: sd.sdeint(
        DIAGONAL, Y0, TS, method="euler"
    ),
    "'heun' converges in the stratonovich sense": lambda: sd.sdeint(neural("diagonal", "ito"), Y0, TS, method="heun"),
    "unknown adjoint 'magic'": lambda: sd.sdeint(DIAGONAL, Y0, TS, adjoint="magic"),
    "'heun' has no reversible adjoint; use ees25, ees27, mccallum_foster, reversible_heun": lambda: sd.sdeint(
        DIAGONAL, Y0, TS, method="heun", adjoint="reversible"
    ),
    "'milstein' is for diagonal, additive, scalar noise, but the SDE has noise_type 'general'; use one of": lambda: (
        sd.sdeint(neural("general"), Y0, TS, method="milstein")
    ),
    "'srk' converges in the ito sense": lambda: sd.sdeint(DIAGONAL, Y0, TS, method="srk"),
    "'srk' needs a Brownian motion with the Levy area 'space-time', but bm has 'none'": lambda: sd.sdeint(
        neural("diagonal", "ito"), Y0, TS, bm=BM
    ),
    "'log_ode' needs .* Levy area 'foster', but bm has 'space-time'": lambda: sd.sdeint(
        neural("general"), Y0, TS, method="log_ode", bm=SPACE_TIME
    ),
    "'midpoint' does not take the option a=1; it has no options": lambda: sd.sdeint(DIAGONAL, Y0, TS, options={"a": 1}),
    "'milstein' does not take the option a=1; its options are grad_free": lambda: sd.sdeint(
        DIAGONAL, Y0, TS, method="milstein", options={"a": 1}
    ),
    r"extra_solver_state of 'midpoint' must hold tensors of \[\], got \[\(\(3, 2\), torch.float32\)\]": lambda: (
        sd.sdeint(DIAGONAL, Y0, TS, extra_solver_state=(Y0,))
    ),
    "logqp needs the drift f, the diffusion g and the prior drift h, but Neural has no h": lambda: sd.sdeint(
        DIAGONAL, Y0, TS, logqp=True
    ),
    "dt=1e-320 makes more steps .* than there are numbers": lambda: sd.sdeint(DIAGONAL, Y0, TS, dt=1e-320),
    "dt=0.1 makes more steps .* than there are numbers": lambda: sd.sdeint(DIAGONAL, Y0, (-1e308, 1e308), dt=0.1),
    "dt a number; got .*10000": lambda: sd.sdeint(DIAGONAL, Y0, TS, dt=10**400),
    "dt a number; got .* 0.125": lambda: sd.sdeint(DIAGONAL, Y0, TS, dt="0.125"),
    "ta must be a number .* got 1000": lambda: BM(10**400, 1.0),
    "ta must be a number .* got '0'": lambda: BM("0", "0.5"),
    "there is no cell one": lambda: BM.cell("one"),
    "there is no cell None": lambda: BM.cell(None),
    "rtol must be finite and not negative, got -1": lambda: sd.sdeint(DIAGONAL, Y0, TS, adaptive=True, rtol=-1),
    "dt_min must be finite .* got inf": lambda: sd.sdeint(DIAGONAL, Y0, TS, adaptive=True, dt_min=math.inf),
    "dt_min and rtol or atol must be positive": lambda: sd.sdeint(DIAGONAL, Y0, TS, adaptive=True, rtol=0, atol=0),
    "the base 'shark' is not for diagonal noise; use one of ees25": lambda: sd.sdeint(
        DIAGONAL, Y0, TS, method="mccallum_foster", options={"base": "shark"}
    ),
    r"coupling must be a number in \(0, 1\], got 1.5": lambda: sd.sdeint(
        DIAGONAL, Y0, TS, method="mccallum_foster", options={"coupling": 1.5}
    ),
    "adjoint_method 'srk' cannot .* stratonovich SDE with diagonal noise; use one of ees25": lambda: sd.sdeint_adjoint(
        DIAGONAL, Y0, TS, adjoint_method="srk"
    ),
    "adjoint_method 'milstein' cannot .* general noise": lambda: sd.sdeint_adjoint(
        neural("general"), Y0, TS, adjoint_method="milstein"
    ),
    "the adjoint_method needs a Brownian motion with the Levy area 'space-time', but bm has 'none'": lambda: (
        sd.sdeint_adjoint(neural("diagonal", "ito"), Y0, TS, bm=BM, method="euler", adjoint_method="srk")
    ),
    "'midpoint' does not take the option grad_free=True": lambda: sd.sdeint_adjoint(
        DIAGONAL, Y0, TS, adjoint_options={"grad_free": True}
    ),
    "reversible adjoint has no options, got": lambda: sd.sdeint_adjoint(
        DIAGONAL, Y0, TS, method="reversible_heun", adjoint_options={"grad_free": True}
    ),
    "adjoint_rtol must be finite and not negative, got -1": lambda: sd.sdeint_adjoint(
        DIAGONAL, Y0, TS, adjoint_adaptive=True, adjoint_rtol=-1
    ),
    "progress must be callable as progress.step, steps., got 3": lambda: checks.check_progress(3),
    "y0 must be a tensor of a floating dtype, got list": lambda: checks.check_state([1.0, 2.0]),
    "ts must be numbers in a sequence or tensor, dt a number; got 01, 0.1": lambda: checks.read_times(
        "01", 0.1, torch.float32
    ),
    r"bm gave a Levy area of \(\(3, 3\), .* need \(\(3, 3, 3\), ": lambda: sd.sdeint(
        neural("general"), Y0, TS, method="log_ode", bm=motion(lambda *_, **__: (torch.ones(3, 3),) * 2, "foster")
    ),
    "adjoint_method 'adjoint_reversible_heun' cannot": lambda: sd.sdeint_adjoint(
        DIAGONAL, Y0, TS, method="heun", adjoint_method="adjoint_reversible_heun"
    ),
    "pass adjoint_params|no nn.Module": lambda: sd.sdeint_adjoint(Typed(), Y0, TS),
    "floating dtype, got torch.int64": lambda: sd.sdeint(DIAGONAL, torch.ones(3, 2, dtype=torch.int64), TS),
    r"shape \(\*paths, dim\) and be non-empty, got \(\)": lambda: sd.sdeint(DIAGONAL, torch.tensor(1.0), TS),
    r"non-empty, got \(0, 2\)": lambda: sd.sdeint(DIAGONAL, torch.ones(0, 2), TS),
    "y0 has NaN": lambda: sd.sdeint(DIAGONAL, Y0 * math.nan, TS),
    "y0 has NaN or inf": lambda: sd.sdeint(DIAGONAL, Y0 / 0, TS),
    "at least two times": lambda: sd.sdeint(DIAGONAL, Y0, (0.0,)),
    "0.2 follows 0.5": lambda: sd.sdeint(DIAGONAL, Y0, (0.0, 0.5, 0.2)),
    "1.0 follows 1.0": lambda: sd.sdeint(DIAGONAL, Y0, torch.tensor([0.0, 1.0, 1.0])),
    "inf follows 0.0": lambda: sd.sdeint(DIAGONAL, Y0, (0.0, math.inf)),
    r"one axis and hold numbers, got the shape \(1, 2\)": lambda: sd.sdeint(DIAGONAL, Y0, torch.tensor([[0.0, 1.0]])),
    "ts requires a gradient": lambda: sd.sdeint(DIAGONAL, Y0, torch.tensor(TS, requires_grad=True)),
    "got dt=0.0": lambda: sd.sdeint(DIAGONAL, Y0, TS, dt=0.0),
    "got dt=-0.1": lambda: sd.sdeint(DIAGONAL, Y0, TS, dt=-0.1),
    "got dt=nan": lambda: sd.sdeint(DIAGONAL, Y0, TS, dt=math.nan),
    r"drift must have the shape \(3, 2\) for a state of shape \(3, 2\), got \(3, 1\)": lambda: sd.sdeint(
        Shapes("diagonal", (3, 1), (3, 2)), Y0, TS
    ),
    r"diffusion \(diagonal noise\) must have the shape \(3, 2\) .* got \(3, 2, 2\)": lambda: sd.sdeint(
        Shapes("diagonal", (3, 2), (3, 2, 2)), Y0, TS
    ),
    r"diffusion \(scalar noise\) must have the shape \(3, 2, 1\) .* got \(3, 2, 4\)": lambda: sd.sdeint(
        Shapes("scalar", (3, 2), (3, 2, 4)), Y0, TS
    ),
    r"diffusion \(general noise\) must .* got \(3, 2\)": lambda: sd.sdeint(Shapes("general", (3, 2), (3, 2)), Y0, TS),
    r"diffusion \(additive noise\) must .* got \(2, 4\)": lambda: sd.sdeint(Shapes("additive", (3, 2), (2, 4)), Y0, TS),
    r"bm gave an increment of \(\(3, 2\), .* but the SDE and y0 need \(\(3, 3\), ": lambda: sd.sdeint(
        neural("general"), Y0, TS, bm=BM
    ),
    "an increment of .*float32.* but the SDE and y0 need .*float64": lambda: sd.sdeint(
        neural("diagonal").double(), Y0.double(), TS, bm=BM
    ),
    r"bm gave an increment of \(\(5,\), ": lambda: sd.sdeint(DIAGONAL, Y0, TS, bm=lambda *_: torch.ones(5)),
    "bm gave an increment of float": lambda: sd.sdeint(DIAGONAL, Y0, TS, bm=lambda ta, tb: float(tb - ta)),
    "bm must be callable": lambda: sd.sdeint(DIAGONAL, Y0, TS, bm=torch.ones(3, 2)),
    "bm gave an increment of tuple": lambda: sd.sdeint(DIAGONAL, Y0, TS, bm=lambda *_: (Y0,)),
    "an object, got the class Typed; make one, e.g. Typed": lambda: sd.sdeint(Typed, Y0, TS),
    "floating dtype, got torch.float8": lambda: sd.sdeint(DIAGONAL, Y0.to(torch.float8_e4m3fn), TS),
    "y0 must be dense .* nested": lambda: sd.sdeint(DIAGONAL, torch.nested.nested_tensor([Y0[0]], layout=JAGGED), TS),
    "ts must have one axis and hold numbers, .* on meta": lambda: sd.sdeint(DIAGONAL, Y0, torch.ones(2, device="meta")),
    "drift must be on the device of y0, cpu, got meta": lambda: sd.sdeint(Fields(f=lambda t, y: y.to("meta")), Y0, TS),
    "f_and_g must return two tensors, .* got .3, 2.": lambda: sd.sdeint(Fields(f_and_g=lambda t, y: y), Y0, TS),
    "writes into the state y or the time t": lambda: sd.sdeint(Fields(f=lambda t, y: y * t.add_(1)), Y0, TS),
    "writes into the Brownian increment dW": lambda: sd.sdeint(Writing(), Y0, TS, dt=0.1),
    "must not depend on y, but it is another at": lambda: sd.sdeint(
        Fields("additive", g=lambda t, y: torch.sin(2 * math.pi * y).unsqueeze(-1)), Y0, TS
    ),
    "grad_free of milstein must be True or False, got 'no'": lambda: sd.sdeint(
        DIAGONAL, Y0, TS, method="milstein", options={"grad_free": "no"}
    ),
    "rtol must be finite .* got tensor": lambda: sd.sdeint(DIAGONAL, Y0, TS, adaptive=True, rtol=torch.ones(2)),
    "'noise_type', but .* no such method": lambda: sd.sdeint(DIAGONAL, Y0, TS, names={"drift": "noise_type"}),
    "unknown key 'dirft' in names": lambda: sd.sdeint(DIAGONAL, Y0, TS, names={"dirft": "f"}),
    "has no such method": lambda: sd.sdeint(DIAGONAL, Y0, TS, names={"drift": "mu"}),
}


@pytest.mark.parametrize("message", REFUSED)
def test_refused(message):
    with pytest.raises(ValueError, match=message):
        REFUSED[message]()


@pytest.mark.parametrize("function", [sd.sdeint, sd.sdeint_adjoint])
def test_unknown_arguments_are_told_but_do_no_harm(function):
    with pytest.warns(UserWarning, match="unexpected arguments step"):
        function(DIAGONAL, Y0, TS, dt=0.1, step=3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        function(DIAGONAL, Y0, TS, dt=0.1)
