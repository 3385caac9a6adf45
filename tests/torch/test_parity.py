"""The interface of torchsde, compared mechanically: names, arguments, defaults, shapes, errors and warnings.

What differs on purpose stands in `DIFFERENT` and `OURS`, and is explained in impls/sdegrad/torch/DIFFERENCES.md.
"""

import importlib.metadata
import inspect
import itertools
import operator
import warnings

import pytest
import torch
import torchsde

import sdegrad.torch as sd
from sdegrad.methods import NOISE_TYPES
from tests.torch.sdes import Neural, channels, state

TS = torch.tensor([0.0, 0.25, 0.5, 1.0], dtype=torch.float64)
METHODS = {
    "ito": ("euler", "milstein", "srk"),
    "stratonovich": ("midpoint", "heun", "euler_heun", "milstein", "log_ode", "reversible_heun"),
}
NOT_GENERAL = ("milstein", "srk")


pytestmark = pytest.mark.usefixtures("double")


class Latent(Neural):
    def h(self, _t, y):
        return -y


class Named(sd.BaseSDE):
    """All the methods, by other names."""

    def __init__(self):
        super().__init__("diagonal", "stratonovich")

    def mu(self, _t, y):
        return -y

    def sigma(self, _t, y):
        return torch.cos(y)

    def prior(self, _t, y):
        return -2 * y


def latent(noise_type, sde_type):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Latent(noise_type, sde_type)


def public(library):
    return [name for name in dir(library) if not name.startswith("_") and not inspect.ismodule(getattr(library, name))]


def parameters(function):
    """(name, kind, default), without the keyword-only ones, which are ours."""
    every = inspect.signature(function).parameters.values()
    return [(p.name, p.kind, p.default) for p in every if p.kind is not p.KEYWORD_ONLY]


def test_every_public_name_is_there():
    assert {*public(torchsde)} <= {*sd.__all__}


@pytest.mark.parametrize("name", public(torchsde))
def test_every_argument_has_the_same_name_place_and_default(name):
    assert parameters(getattr(sd, name)) == parameters(getattr(torchsde, name))


def test_the_comparison_sees_another_default():
    def sdeint(sde, y0, ts, bm=None, method=None, dt=1e-2):
        pass

    assert parameters(sdeint) != parameters(torchsde.sdeint)[:6]
    assert [p[0] for p in parameters(sdeint)] == [p[0] for p in parameters(torchsde.sdeint)[:6]]


OURS = {"display_binary_tree": "there is no tree to show"}
W0 = torch.zeros(3, 2, dtype=torch.float64)
MOTIONS = {
    "BrownianInterval": lambda lib: lib.BrownianInterval(0.0, 1.0, (3, 2), dtype=torch.float64, entropy=1),
    "BrownianPath": lambda lib: lib.BrownianPath(0.0, W0),
    "BrownianTree": lambda lib: lib.BrownianTree(0.0, W0, entropy=1),
    "ReverseBrownian": lambda lib: lib.ReverseBrownian(lib.BrownianInterval(-1.0, 0.0, (3, 2), dtype=torch.float64)),
    "brownian_interval_like": lambda lib: lib.brownian_interval_like(W0, entropy=1),
}


@pytest.mark.filterwarnings("ignore:BrownianInterval is optimised")  # theirs and ours, at one time
@pytest.mark.parametrize("name", MOTIONS)
def test_every_property_and_method_of_the_brownian_motions(name):
    ours, theirs = (MOTIONS[name](library) for library in (sd, torchsde))
    for attribute in [a for a in dir(theirs) if not a.startswith("_") and a not in OURS]:
        expected, got = getattr(theirs, attribute), getattr(ours, attribute)
        if isinstance(expected, torchsde.BaseBrownian):
            assert isinstance(got, sd.BaseBrownian)
        elif callable(expected):
            assert parameters(got) == parameters(expected)
            assert got() == expected()
        else:
            assert (got == expected) or (attribute == "entropy" and isinstance(got, int)), attribute
    assert parameters(ours) == parameters(theirs)
    assert name.replace("brownian_interval_like", "BrownianInterval") in repr(ours)
    times = (0.25,) if name in ("BrownianPath", "BrownianTree") else ()
    for arguments in ((0.25, 0.75), times):
        if arguments:
            assert ours(*arguments).shape == theirs(*arguments).shape == (3, 2)


@pytest.mark.parametrize("levy_area", ["none", "space-time", "davie", "foster"])
def test_what_a_query_returns(levy_area):
    for u, a in itertools.product((False, True), repeat=2):
        answers = [
            lib.BrownianInterval(0.0, 1.0, (3, 2), dtype=torch.float64, levy_area_approximation=levy_area)(
                0.25, 0.5, return_U=u, return_A=a
            )
            for lib in (sd, torchsde)
        ]
        assert shapes(answers[0]) == shapes(answers[1])


def test_names_that_annotations_mention():
    for path in ("_brownian.brownian_base", "_brownian.brownian_interval", "_brownian.derived", "_core.base_sde"):
        ours, theirs = (importlib.import_module(f"{lib.__name__}.{path}") for lib in (sd, torchsde))
        assert all(getattr(ours, name) is getattr(sd, name) for name in public(sd) if hasattr(theirs, name))
        assert operator.attrgetter(path)(sd) is ours
    assert {name for name in public(torchsde.types) if name != "annotations"} <= {*public(sd.types)}
    assert sd.__version__ == importlib.metadata.version("sdegrad")


def test_the_settings():
    for name in ("METHODS", "NOISE_TYPES", "SDE_TYPES", "LEVY_AREA_APPROXIMATIONS", "METHOD_OPTIONS"):
        ours, theirs = getattr(sd.settings, name), getattr(torchsde.settings, name)
        assert {*theirs.all()} <= {*ours.all()}
        assert all(x in ours for x in theirs.all())
        assert all(getattr(ours, k) == v for k, v in vars(theirs).items() if not k.startswith("__"))
        assert "white" not in ours


def shapes(answer):
    """Nested; a list counts as a tuple."""
    if not isinstance(answer, tuple | list):
        return None if answer is None else (*answer.shape,)
    return [shapes(x) for x in answer]


CASES = [
    (noise_type, sde_type, method)
    for noise_type, sde_type in itertools.product(NOISE_TYPES, METHODS)
    for method in METHODS[sde_type]
    if not (noise_type == "general" and method in NOT_GENERAL)
]


@pytest.mark.parametrize(("noise_type", "sde_type", "method"), CASES)
def test_results_have_the_same_shapes(noise_type, sde_type, method):
    sde, y0 = latent(noise_type, sde_type), state()
    for function, logqp, extra in itertools.product(("sdeint", "sdeint_adjoint"), (False, True), (False, True)):
        answers = []
        for library in (sd, torchsde):
            solve = getattr(library, function)
            answers.append(shapes(solve(sde, y0, TS, method=method, dt=0.25, logqp=logqp, extra=extra)))
        assert answers[0] == answers[1], (function, logqp, extra)


def test_names():
    names = {"drift": "mu", "diffusion": "sigma", "prior_drift": "prior"}
    for logqp in (False, True):
        answers = [lib.sdeint(Named(), state(), TS, dt=0.25, names=names, logqp=logqp) for lib in (sd, torchsde)]
        assert shapes(answers[0]) == shapes(answers[1])


class Bad:
    """Not an SDE."""

    noise_type, sde_type = "diagonal", "stratonovich"

    def __init__(self, **attributes):
        self.__dict__.update(attributes)


def drift(t, y):
    return -y


def solve(lib, noise_type="diagonal", sde_type="stratonovich", **arguments):
    arguments = {"sde": latent(noise_type, sde_type), "y0": state(), "ts": TS, "dt": 0.25} | arguments
    function = arguments.pop("function", "sdeint")
    return getattr(lib, function)(**arguments)


def interval(lib, size=(3, 2), **arguments):
    return lib.BrownianInterval(0.0, 1.0, size, **{"dtype": torch.float64} | arguments)


GRAD = torch.tensor(0.25, requires_grad=True)
# what is asked of either library, which does it, or warns, or raises
CALLS = {
    "no noise_type": lambda lib: solve(lib, sde=type("X", (), {"f": drift, "g": drift})()),
    "unknown noise_type": lambda lib: solve(lib, sde=Bad(noise_type="white", f=drift, g=drift)),
    "unknown sde_type": lambda lib: solve(lib, sde=Bad(sde_type="white", f=drift, g=drift)),
    "unknown types of a base class": lambda lib: lib.SDEIto("white"),
    "unknown sde_type of a base class": lambda lib: lib.BaseSDE("diagonal", "white"),
    "no drift": lambda lib: solve(lib, sde=Bad(g=drift)),
    "no diffusion": lambda lib: solve(lib, sde=Bad(f=drift)),
    "noise dimension unknown": lambda lib: solve(lib, sde=Bad(noise_type="general", f=drift, g_prod=lambda t, y, v: y)),
    "shape of the drift": lambda lib: solve(lib, sde=Bad(f=lambda t, y: y[:, :1], g=drift)),
    "shape of the diffusion": lambda lib: solve(lib, sde=Bad(f=drift, g=lambda t, y: y[:, :1])),
    "scalar noise of three": lambda lib: solve(
        lib, sde=Bad(noise_type="scalar", f=drift, g=lambda t, y: y.unsqueeze(-1).expand(3, 2, 3))
    ),
    "ts falls": lambda lib: solve(lib, ts=[0.0, 1.0, 0.5]),
    "ts with a gradient": lambda lib: solve(lib, ts=TS.clone().requires_grad_()),
    "dt with a gradient": lambda lib: solve(lib, dt=GRAD),
    "rtol with a gradient": lambda lib: solve(lib, rtol=GRAD, adaptive=True),
    "unknown method": lambda lib: solve(lib, method="rk4"),
    "method of the other calculus": lambda lib: solve(lib, method="euler"),
    "method of other noise": lambda lib: solve(lib, "general", "ito", method="srk"),
    "bm of another batch": lambda lib: solve(lib, bm=interval(lib, (4, 2))),
    "bm of another noise": lambda lib: solve(lib, bm=interval(lib, (3, 5))),
    "bm without Levy area": lambda lib: solve(lib, "diagonal", "ito", method="srk", bm=interval(lib)),
    "log_ode with too little": lambda lib: solve(
        lib, "general", method="log_ode", bm=interval(lib, (3, 3), levy_area_approximation="space-time")
    ),
    "unknown argument": lambda lib: solve(lib, step=3),
    "unknown argument of the adjoint": lambda lib: solve(lib, function="sdeint_adjoint", step=3),
    "no module": lambda lib: solve(lib, function="sdeint_adjoint", sde=Bad(f=drift, g=drift)),
    "no module, no parameters": lambda lib: solve(
        lib, function="sdeint_adjoint", sde=Bad(f=drift, g=drift), adjoint_params=()
    ),
    "adaptive euler of the other calculus": lambda lib: _first_told(
        lib, method="euler", adaptive=True, rtol=0.1, atol=0.1
    ),
    "adaptive euler": lambda lib: solve(lib, "diagonal", "ito", method="euler", adaptive=True, rtol=0.1, atol=0.1),
    "another adjoint than its own": lambda lib: solve(
        lib, function="sdeint_adjoint", method="reversible_heun", adjoint_method="midpoint"
    ),
    "adjoint_method of the other calculus": lambda lib: _backward(lib, adjoint_method="euler"),
    "adjoint_method srk": lambda lib: _backward(lib, adjoint_method="srk"),
    "adjoint_method milstein, general": lambda lib: _backward(lib, "general", adjoint_method="milstein"),
    "name without a method": lambda lib: solve(lib, sde=Bad(), names={"drift": "mu"}),
    "a point of an interval": lambda lib: interval(lib)(0.5),
    "a query in the wrong order": lambda lib: interval(lib)(0.5, 0.25),
    "interval in the wrong order": lambda lib: lib.BrownianInterval(1.0, 0.0, (3, 2)),
    "interval without a size": lambda lib: lib.BrownianInterval(0.0, 1.0),
    "two sizes": lambda lib: interval(lib, W=torch.zeros(2, 2, dtype=torch.float64)),
    "two dtypes": lambda lib: interval(lib, W=torch.zeros(3, 2, dtype=torch.float32)),
    "unknown Levy area": lambda lib: interval(lib, levy_area_approximation="exact"),
    "negative tol": lambda lib: interval(lib, tol=-1.0),
}
# What torchsde does, what we do, by name: on purpose.
DIFFERENT = {
    "a query outside": ("UserWarning", "ValueError", lambda lib: interval(lib)(0.5, 1.5)),
    "unknown option": ("", "ValueError", lambda lib: solve(lib, options={"grad_fee": True})),
    "unknown key in names": ("", "ValueError", lambda lib: solve(lib, names={"dirft": "f"})),
    "logqp without a prior": (
        "AttributeError",
        "ValueError",
        lambda lib: solve(lib, sde=Bad(f=drift, g=drift), logqp=True),
    ),
    "integers": ("NotImplementedError", "ValueError", lambda lib: interval(lib, dtype=torch.int64)),
    "one path": ("ValueError", "", lambda lib: solve(lib, y0=state()[0])),
    "NaN": ("", "ValueError", lambda lib: solve(lib, y0=state() * float("nan"))),
    "one time": ("", "ValueError", lambda lib: solve(lib, ts=[0.0])),
    "steps that miss the outputs": (
        "UserWarning",
        "",
        lambda lib: solve(lib, function="sdeint_adjoint", method="reversible_heun", dt=0.3),
    ),
    "adaptive reversible": (
        "UserWarning",
        "",
        lambda lib: solve(lib, function="sdeint_adjoint", method="reversible_heun", adaptive=True, rtol=0.1, atol=0.1),
    ),
    "adjoint_method milstein, scalar": (
        "NotImplementedError",
        "",
        lambda lib: _backward(lib, "scalar", adjoint_method="milstein"),
    ),
    "adjoint_method log_ode": ("ValueError", "", lambda lib: _backward(lib, adjoint_method="log_ode")),
    "reversible_heun as the adjoint of another": (
        "RuntimeError",
        "ValueError",
        lambda lib: _backward(lib, method="midpoint", adjoint_method="reversible_heun"),
    ),
    "a tree with cells": ("ValueError", "", lambda lib: interval(lib, tol=0.1, halfway_tree=True, dt=0.1)),
}


def _first_told(lib, **arguments):
    """Raises the first warning, if there is one before an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        solve(lib, **arguments)


def _backward(lib, noise_type="diagonal", sde_type="stratonovich", **arguments):
    y0 = state().requires_grad_()
    bm = interval(lib, (3, channels(noise_type)), levy_area_approximation="foster")
    solve(lib, noise_type, sde_type, function="sdeint_adjoint", y0=y0, bm=bm, **arguments).sum().backward()


def outcome(lib, call):
    """The exception, or else the category of the warning, or else nothing."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            call(lib)
        except Exception as error:
            return error
    return caught[0].message if caught else None


@pytest.mark.parametrize("name", CALLS)
def test_errors_and_warnings_are_the_same(name):
    theirs, ours = (outcome(lib, CALLS[name]) for lib in (torchsde, sd))
    assert isinstance(ours, type(theirs)), (theirs, ours)
    if theirs is None:
        assert ours is None


@pytest.mark.parametrize("name", DIFFERENT)
def test_errors_and_warnings_that_differ_on_purpose(name):
    theirs, ours, call = DIFFERENT[name]
    for lib, expected in ((torchsde, theirs), (sd, ours)):
        got = outcome(lib, call)
        assert ("" if got is None else type(got).__name__) == expected, got
