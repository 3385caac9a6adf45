"""Every public solver, Brownian class, adjoint, controller and Levy area of the libraries has rows in verification, or
stands here with the reason why not.

They are read from the libraries themselves, so that what a new release brings fails until it is checked or excluded.
"""

import inspect

import diffrax
import pytest
import torchsde
from torchsde.settings import METHODS as TORCHSDE_METHODS

import sdegrad.torch
from sdegrad.adapters.diffrax import ADJOINTS, AREAS, SOLVERS
from sdegrad.contract import Adjoint
from sdegrad.jax.adjoints.discrete import ADJOINTS as OUR_JAX_ADJOINTS
from sdegrad.methods import METHODS
from suite.verify.checks import claims_of

LIBRARIES = ("sdegrad_torch", "sdegrad_jax", "torchsde", "diffrax")

# what a library has -> why it has no rows of its own
EXCLUDED = {
    "torchsde: BrownianPath": "a BrownianInterval under another name, with its times clamped",
    "torchsde: BrownianTree": "a BrownianInterval under another name",
    "torchsde: ReverseBrownian": "asked by torchsde's adjoints, whose gradients are checked",
    "torchsde: BaseBrownian": "an interface",
    "torchsde: brownian_interval_like": "makes a BrownianInterval of the shape of a tensor",
    "torchsde: adjoint_reversible_heun": "the way back of reversible_heun, checked as its reversible adjoint",
    "diffrax: ImplicitAdjoint": "for steady states, which an SDE has not",
    "diffrax: ForwardMode": "forward-mode derivatives, which the contract does not ask for",
    "diffrax: SPaRK": "not behind the contract: no other library here has this scheme to hold it against",
    "diffrax: GeneralShARK": "not behind the contract: no other library here has this scheme to hold it against",
    "diffrax: SlowRK": "not behind the contract: no other library here has this scheme to hold it against",
    "diffrax: SEA": "not behind the contract: no other library here has this scheme to hold it against",
    "diffrax: ALIGN": "for underdamped Langevin equations, which the problems are not",
    "diffrax: ShOULD": "for underdamped Langevin equations, which the problems are not",
    "diffrax: QUICSORT": "for underdamped Langevin equations, which the problems are not",
    "diffrax: SpaceTimeTimeLevyArea": "no solver behind the contract asks for it",
    "diffrax: StepTo": "steps to given times; there is nothing to control",
    "diffrax: ClipStepSizeController": "wraps another controller, to stop at given times",
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
    return {claim.case.get(column) for claim in claims}


@pytest.mark.parametrize("name", ["sdegrad_torch", "sdegrad_jax"])
def test_our_methods_and_adjoints(rows, name):
    assert values(rows[name], "method") >= set(METHODS)
    assert set(sdegrad.torch.methods.SOLVERS) == set(METHODS)
    assert values(rows[name], "adjoint") >= set(Adjoint.__args__)


def test_our_jax_has_no_other_adjoint():
    assert set(OUR_JAX_ADJOINTS) == set(Adjoint.__args__)


def test_torchsde(rows):
    methods = {value for name, value in vars(TORCHSDE_METHODS).items() if not name.startswith("_")}
    checked = values(rows["torchsde"], "method")
    assert methods
    assert {m for m in methods if m not in checked and f"torchsde: {m}" not in EXCLUDED} == set()
    assert values(rows["torchsde"], "adjoint") >= {"reversible", "backsolve", "backprop"}
    motions = {n for n in dir(torchsde) if "brownian" in n.lower() and not n.startswith("_")} - {"BrownianInterval"}
    assert {n for n in motions if f"torchsde: {n}" not in EXCLUDED} == set()
    assert any("Brownian" in claim.subject for claim in rows["torchsde"])


def test_diffrax_solvers(rows):
    """Those that converge to a solution of an SDE, by their own word."""
    solvers = concrete(diffrax.AbstractItoSolver) | concrete(diffrax.AbstractStratonovichSolver)
    names = {cls.__name__: method for kind in SOLVERS.values() for method, cls in kind.items()}
    checked = values(rows["diffrax"], "method")
    lacking = {n for n in solvers if names.get(n) not in checked and f"diffrax: {n}" not in EXCLUDED}
    assert lacking == set()


def test_diffrax_adjoints(rows):
    adjoints = {cls.__name__: name for name, cls in ADJOINTS.items() if name}
    checked = values(rows["diffrax"], "adjoint")
    lacking = {
        n
        for n in concrete(diffrax.AbstractAdjoint)
        if adjoints.get(n) not in checked and f"diffrax: {n}" not in EXCLUDED
    }
    assert lacking == set()


def test_diffrax_areas_and_controllers():
    """Those that its adapter hands on, in tasks that the checks make."""
    have = {cls.__name__ for cls in AREAS.values()} | {"ConstantStepSize", "PIDController"}
    there = concrete(diffrax.AbstractBrownianIncrement) | concrete(diffrax.AbstractStepSizeController)
    assert {n for n in there - have if f"diffrax: {n}" not in EXCLUDED} == set()


def test_every_exclusion_is_needed():
    """Each names something that the library really has."""
    libraries = {"torchsde": torchsde, "diffrax": diffrax}
    for excluded, reason in EXCLUDED.items():
        name, _, what = excluded.partition(": ")
        assert hasattr(libraries[name], what) or what == "adjoint_reversible_heun", excluded
        assert reason
