"""Every public solver, Brownian class, adjoint, controller and Levy area of the libraries has rows in verification, or
stands here with the reason why not.

They are read from the libraries themselves, so that what a new release brings fails until it is checked or excluded.
"""

import inspect

import diffrax
import pytest
import torchsde
from torchsde.settings import LEVY_AREA_APPROXIMATIONS as TORCHSDE_AREAS
from torchsde.settings import METHOD_OPTIONS as TORCHSDE_OPTIONS
from torchsde.settings import METHODS as TORCHSDE_METHODS

import sdegrad.jax
import sdegrad.torch
from sdegrad.adapters import jax_run
from sdegrad.adapters.diffrax import ADJOINTS, AREAS, CONTROLLERS, SOLVERS
from sdegrad.contract import Adjoint, Task
from sdegrad.jax.adjoints.discrete import ADJOINTS as OUR_JAX_ADJOINTS
from sdegrad.methods import METHODS
from suite.verify import solving
from suite.verify.checks import claims_of
from suite.verify.intervals import SITUATIONS

LIBRARIES = ("sdegrad_torch", "sdegrad_jax", "torchsde", "diffrax")

# what a library has -> why it has no rows of its own
_LANGEVIN = "for underdamped Langevin equations, whose noise is not of the whole state, as it is in all problems"
_ADJOINT = "the way back of reversible_heun alone, checked as its reversible adjoint"
EXCLUDED = {
    "torchsde: BaseBrownian": "an interface",
    "torchsde: brownian_interval_like": "makes a BrownianInterval of the shape of a tensor",
    "torchsde: adjoint_reversible_heun": _ADJOINT,
    "diffrax: ImplicitAdjoint": "for steady states, which an SDE has not: 'rewriting the derivative' of a root find",
    "diffrax: ForwardMode": "'Enables support for forward-mode automatic differentiation', which the contract has not",
    "diffrax: ALIGN": _LANGEVIN,
    "diffrax: ShOULD": _LANGEVIN,
    "diffrax: QUICSORT": _LANGEVIN,
    "sdegrad.torch: brownian_interval_like": "makes a BrownianInterval of the shape of a tensor",
    "sdegrad.torch: BaseBrownian": "an interface",
}


def concrete(base):
    """The public final classes of diffrax below `base`."""
    classes = [x for x in vars(diffrax).values() if inspect.isclass(x) and issubclass(x, base)]
    return {c.__name__ for c in classes if not c.__name__.startswith("Abstract")}


@pytest.fixture(scope="module")
def rows():
    """{library: its claims, but for the controls}."""
    return {name: [claim for claim in claims_of(name) if not claim.control] for name in LIBRARIES}


def values(claims, column):
    return {claim.case[column] for claim in claims if claim.case.get(column) is not None}


def lacking(library, there, checked):
    """What is there of a library, neither checked nor excluded."""
    return {what for what in there if what not in checked and f"{library}: {what}" not in EXCLUDED}


@pytest.mark.parametrize("name", ["sdegrad_torch", "sdegrad_jax"])
def test_our_methods_and_adjoints(rows, name):
    methods, adjoints = (set(sdegrad.torch.methods.SOLVERS), set(OUR_JAX_ADJOINTS))
    if name == "sdegrad_jax":
        methods = set(sdegrad.jax.methods.SOLVERS)
    assert methods == set(METHODS)
    assert adjoints == set(Adjoint.__args__)
    assert values(rows[name], "method") >= methods
    assert values(rows[name], "adjoint") >= adjoints


def test_the_options_of_our_methods(rows):
    """Those that their classes and functions take, by their names."""
    for name in ("sdegrad_torch", "sdegrad_jax"):
        options = {key for case in values(rows[name], "options") for key, _ in case}
        assert options == {"grad_free", "base", "coupling"}


@pytest.mark.parametrize("library", [torchsde, sdegrad.torch])
def test_brownian_motions_of_the_api_of_torchsde(rows, library):
    """By the kind of motion that makes each."""
    kinds = {
        "BrownianInterval": "exact",
        "BrownianTree": "points",
        "BrownianPath": "path",
        "ReverseBrownian": "reversed",
    } | ({"VirtualBrownianTree": "tree"} if library is sdegrad.torch else {})
    name = {"torchsde": "torchsde", "sdegrad.torch": "sdegrad_torch"}[library.__name__]
    asked = {SITUATIONS[s].given.get("kind", "exact") for s in values(rows[name], "situation")}
    checked = {motion for motion, kind in kinds.items() if kind in asked}
    motions = {n for n in dir(library) if "rownian" in n and not n.startswith("_") and callable(getattr(library, n))}
    assert motions >= set(kinds)
    assert lacking(library.__name__, motions, checked) == set()


@pytest.mark.parametrize(("library", "name"), [("torchsde", "torchsde"), ("sdegrad.torch", "sdegrad_torch")])
def test_levy_areas_of_the_api_of_torchsde(rows, library, name):
    modes = {v for n, v in vars(TORCHSDE_AREAS).items() if not n.startswith("_")}
    asked = {SITUATIONS[s].given.get("levy_area", "space-time") for s in values(rows[name], "situation")}
    assert len(modes) == 4
    assert lacking(library, modes, asked | values(rows[name], "mode")) == set()


def test_levy_areas_in_jax(rows):
    for name, there in (("sdegrad_jax", set(jax_run.AREAS)), ("diffrax", set(AREAS))):
        asked = {SITUATIONS[s].given.get("levy_area", "space-time") for s in values(rows[name], "situation")}
        assert there - asked - values(rows[name], "mode") == set()
    assert {cls.__name__ for cls in AREAS.values()} == concrete(diffrax.AbstractBrownianIncrement)


def test_torchsde(rows):
    methods = {value for name, value in vars(TORCHSDE_METHODS).items() if not name.startswith("_")}
    assert methods
    assert lacking("torchsde", methods, values(rows["torchsde"], "method")) == set()
    assert values(rows["torchsde"], "adjoint") >= {"reversible", "backsolve", "backprop"}
    options = {value for name, value in vars(TORCHSDE_OPTIONS).items() if not name.startswith("_")}
    assert options <= {key for case in values(rows["torchsde"], "options") for key, _ in case}


def test_diffrax_solvers(rows):
    """Those that converge to a solution of an SDE, by their own word."""
    solvers = concrete(diffrax.AbstractItoSolver) | concrete(diffrax.AbstractStratonovichSolver)
    checked = values(rows["diffrax"], "method")
    known = {cls.__name__ for kind in SOLVERS.values() for method, cls in kind.items() if method in checked}
    assert lacking("diffrax", solvers, known) == set()


def test_diffrax_adjoints(rows):
    checked = values(rows["diffrax"], "adjoint")
    known = {cls.__name__ for name, cls in ADJOINTS.items() if name in checked}
    assert lacking("diffrax", concrete(diffrax.AbstractAdjoint), known) == set()


def test_diffrax_motions(rows):
    asked = {SITUATIONS[s].given.get("kind", "exact") for s in values(rows["diffrax"], "situation")}
    known = {"VirtualBrownianTree"} | ({"UnsafeBrownianPath"} if "path" in asked else set())
    assert lacking("diffrax", concrete(diffrax.AbstractBrownianPath), known) == set()


def test_diffrax_controllers(rows):
    """Those of its adapter that tasks of the checks ask for; constant steps and PID are the usual ones."""
    made = {
        name: make(Task(problem=None, method="", dt=1.0, ts=(0.0, 1.0), rtol=1.0, atol=1.0))
        for name, make in CONTROLLERS.items()
    }
    asked = values(rows["diffrax"], "controller") | {solving.to_times("diffrax")}
    known = {type(made[name]).__name__ for name in made if name in asked} | {"ConstantStepSize", "PIDController"}
    assert set(CONTROLLERS) == asked
    assert lacking("diffrax", concrete(diffrax.AbstractStepSizeController), known) == set()


@pytest.mark.parametrize("name", LIBRARIES)
def test_adaptive_steps_of_every_library(rows, name):
    """Ours and torchsde have one controller each, that of adaptive=True."""
    assert any(claim.check == "adaptive" and claim.case["controller"] is None for claim in rows[name])


def test_every_exclusion_is_needed(rows):
    """Each names something that the library really has, and that has no rows."""
    libraries = {"torchsde": torchsde, "diffrax": diffrax, "sdegrad.torch": sdegrad.torch}
    for excluded, reason in EXCLUDED.items():
        name, _, what = excluded.partition(": ")
        assert hasattr(libraries[name], what) or what == "adjoint_reversible_heun", excluded
        assert reason
