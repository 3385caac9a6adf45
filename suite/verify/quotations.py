"""Who says what: the words of each library on each kind of claim.

Read from the installed library where it says so there, else quoted from its documentation.
"""

import importlib
import inspect
from collections.abc import Mapping, Sequence
from functools import partial
from types import SimpleNamespace
from typing import Any

from suite.harness import METHODS, solvers
from suite.verify import solving
from suite.verify.sources import Quotation, docstring, line, page


def _tabled(place: str, methods: Mapping[str, Any], method: str, sde_type: str, noise_type: str) -> list[Quotation]:
    """The order in a table of methods: that of sdegrad, or of methods that a library alone has."""
    facts = methods.get(method)
    if facts is None or sde_type not in facts.sde_types or noise_type not in facts.order:
        return []
    return [Quotation(f"{place}, order of {method!r}", repr(dict(facts.order)), facts.order[noise_type])]


_sdegrad = partial(_tabled, "sdegrad/methods.py", METHODS)


def _torchsde(method: str, sde_type: str, noise_type: str, attribute: str = "strong_order") -> list[Quotation]:
    """The attribute of the solver that states the order, which it sets by noise type."""
    methods = importlib.import_module("torchsde._core.methods")
    try:
        cls: Any = methods.select(method, sde_type)
    except ValueError:
        return []
    if cls.sde_type != sde_type or noise_type not in cls.noise_types:
        return []
    sde = SimpleNamespace(sde_type=sde_type, noise_type=noise_type)
    bm = SimpleNamespace(levy_area_approximation="foster", shape=(1, 1))
    solver = cls(sde=sde, bm=bm, options={}, **dict.fromkeys(("dt", "adaptive", "rtol", "atol", "dt_min")))
    return [Quotation(*line(cls, rf"\b{attribute} ="), float(getattr(solver, attribute)))]


# The strong orders of diffrax's table for developers by noise, weak order after the bar. The page asks to double-check.
_TABLE_PLACE = (
    "https://docs.kidger.site/diffrax/devdocs/SDE_solver_table (docs/devdocs/SDE_solver_table.md at 63a0e8b0)"
)
_COLUMNS = ("General", "Commutative", "Additive")
_HALF, _ONE, _BEST = "0.5/1.0", "1.0/1.0", "1.5/2.0"
_TABLE = {
    "Euler": (_HALF, _HALF, _ONE),
    "EulerHeun": (_HALF, _HALF, _ONE),
    **dict.fromkeys(("Heun", "ItoMilstein", "StratonovichMilstein"), (_HALF, _ONE, _ONE)),
    **dict.fromkeys(("ReversibleHeun", "Midpoint", "Ralston"), (_HALF, _ONE, _ONE)),
    "ShARK": ("/", "/", _BEST),
    "SRA1": ("/", "/", _BEST),
    "SEA": ("/", "/", _ONE),
    "SPaRK": (_HALF, _ONE, _BEST),
    "GeneralShARK": (_HALF, _ONE, _BEST),
    "SlowRK": (_HALF, _BEST, _BEST),
}


def _diffrax(method: str, sde_type: str, noise_type: str) -> list[Quotation]:
    """strong_order() of the solver, which knows no noise types, and the table, which does."""
    cls: Any = solvers("diffrax", sde_type).get(method)
    diffrax = importlib.import_module("diffrax")
    calculus = {"ito": diffrax.AbstractItoSolver, "stratonovich": diffrax.AbstractStratonovichSolver}[sde_type]
    if cls is None or not issubclass(cls, calculus):
        return []
    head, cell = _cell(cls.__name__, noise_type)
    if cell == "/":
        return []
    source, first = inspect.getsourcelines(cls.strong_order)
    place = f"{cls.__module__.replace('.', '/')}.py, line {first}"
    said = Quotation(place, " ".join("".join(source).split()), float(cls().strong_order(None)))
    table = Quotation(_TABLE_PLACE, f"{cls.__name__}, {head}: {cell}", float(cell.partition("/")[0]))
    return [said, table]


def _cell(solver: str, noise: str) -> tuple[str, str]:
    """The head of the column of diffrax's table for this noise, and what stands there."""
    column = {"general": 0, "additive": 2}.get(noise, 1)
    return _COLUMNS[column], _TABLE[solver][column]


_ORDERS = {"sdegrad_torch": _sdegrad, "sdegrad_jax": _sdegrad, "torchsde": _torchsde, "diffrax": _diffrax}


def strong_orders(name: str, method: str, sde_type: str, noise_type: str) -> Sequence[Quotation]:
    """Every place where a library states the strong order of a method for this noise; none where it has no claims.

    noise_type: one of the library, or "commutative": general noise whose columns commute.
    """
    known = "general" if noise_type == "commutative" and name != "diffrax" else noise_type
    if name in _ORDERS:
        return _ORDERS[name](method, sde_type, known)
    return _tabled(f"adapter of {name}", solving.own_methods(name), method, sde_type, known)


def weak_orders(name: str, method: str, sde_type: str, noise_type: str) -> Sequence[Quotation]:
    """Every place where a library states the weak order of a method for this noise."""
    if name == "torchsde":
        return _torchsde(method, sde_type, noise_type, "weak_order")
    cls: Any = solvers(name, sde_type).get(method) if name == "diffrax" else None
    if cls is None or noise_type == "general":
        return []
    head, cell = _cell(cls.__name__, noise_type)
    if cell == "/":
        return []
    return [Quotation(_TABLE_PLACE, f"{cls.__name__}, {head}: {cell}", float(cell.partition("/")[2]))]


_README = "below 1e-13 in float64 where the Lipschitz constant times the time span is at most 2"


def exact_gradients(name: str) -> Sequence[Quotation]:
    """Where a library says that the gradient of its reversible adjoint is that of the discrete solve."""
    if name in ("sdegrad_torch", "sdegrad_jax"):
        return [page("README.md", _README)]
    if name != "torchsde":
        return []
    return [
        Quotation(
            "torchsde DOCUMENTATION.md at 1c26bc41, Advice on adjoint methods",
            "a special pair of solvers which when used in conjunction have almost zero numerical error",
        ),
        docstring("torchsde._core.methods:reversible_heun", "it is possible to reconstruct its input"),
    ]


_INTERVALS = ("exact", "dyadic", "portable", "given")  # kinds that are made as a BrownianInterval, where there is one


def brownian_laws(name: str, kind: str) -> Sequence[Quotation]:
    """Where a library says what law its Brownian motion of this kind has."""
    if kind not in (("exact",) if name == "diffrax" else _INTERVALS):
        return []
    if name == "sdegrad_torch":
        return [docstring("sdegrad.torch:BrownianInterval", "exact in law, jointly for all queries")]
    if name == "sdegrad_jax":
        return [docstring("sdegrad.jax:BrownianInterval", "The law is exact at every point, and jointly for points")]
    if name == "diffrax":
        words = "exactly matches the distribution of the Brownian motion and its Lévy areas at all query times"
        return [docstring("diffrax:VirtualBrownianTree", words)]
    if name == "torchsde":
        words = "corresponding to the increment `W(0.3) - W(0.2)` for a Brownian motion `W` defined over `[0, 1]`"
        return [Quotation("torchsde DOCUMENTATION.md at 1c26bc41, Brownian motion", words)]
    return []


def _sdeints(name: str, in_torch: str, in_jax: str, **of_others: Quotation) -> Sequence[Quotation]:
    """Words of the docstring of our sdeint, or of another library."""
    if name == "sdegrad_torch":
        return [docstring("sdegrad.torch:sdeint", in_torch)]
    if name == "sdegrad_jax":
        return [docstring("sdegrad.jax:sdeint", in_jax)]
    return [of_others[name]] if name in of_others else []


def reversible_gradients(name: str) -> Sequence[Quotation]:
    """Where a library says that the reversible adjoint of all its reversible methods is exact."""
    in_torch = "the same to round-off, in constant memory"
    return _sdeints(name, in_torch, '"reversible" (exact, memory independent of the number of steps')


def adaptive_gradients(name: str) -> Sequence[Quotation]:
    """Where a library says what the gradient of adaptive steps is."""
    in_torch = "All adjoints take the steps as constants."
    return _sdeints(name, in_torch, "Gradients take the accepted steps as constants")


def checkpointed_gradients(name: str) -> Sequence[Quotation]:
    """Where a library says that its checkpointed gradient is that of the discrete solve."""
    in_torch = '"checkpoint": the same, in memory that grows like the square root of the number of steps'
    found = _sdeints(name, in_torch, '"checkpoint" (exact, memory O(sqrt(steps))')
    if name == "diffrax":
        return [docstring("diffrax:RecursiveCheckpointAdjoint", "differentiating the numerical solution directly")]
    return found


def recursive_checkpoints(name: str, adjoint: str) -> Sequence[Quotation]:
    """Where a library says that a gradient keeps less than the square root of the steps, and evaluates more for it."""
    said = {
        "checkpoint": (
            "RecursiveCheckpointAdjoint.__init__",
            "will take `O(n log n)` time in the number of steps",
        ),
        "backprop": ("DirectAdjoint", "several nested layers of `jax.lax.scan`s and `jax.checkpoint`s"),
    }
    return [docstring(f"diffrax:{said[adjoint][0]}", said[adjoint][1])] if name == "diffrax" and adjoint in said else []


def evaluations(name: str, method: str) -> str:
    """Where a library says how often a step of the method evaluates the fields."""
    if name in ("sdegrad_torch", "sdegrad_jax"):
        return str(Quotation(f"sdegrad/methods.py, nfe of {method!r}", repr(METHODS[method].nfe)))
    return ""


def memory(name: str, adjoint: str) -> Sequence[Quotation]:
    """Where a library says how the memory of an adjoint grows with the number of steps."""
    in_torch = {
        "reversible": "the same to round-off, in constant memory",
        "checkpoint": "memory that grows like the square root of the number of steps",
        "backsolve": "approximate, in constant memory",
    }
    in_jax = {
        "reversible": '"reversible" (exact, memory independent of the number of steps',
        "checkpoint": '"checkpoint" (exact, memory O(sqrt(steps))',
        "backprop": '"backprop" (exact, memory O(steps))',
        "backsolve": "inexact, memory independent of the number of steps",
    }
    if adjoint in {"sdegrad_torch": in_torch, "sdegrad_jax": in_jax}.get(name, {}):
        return _sdeints(name, in_torch.get(adjoint, ""), in_jax[adjoint])
    return []


def hermite(name: str, method: str) -> Sequence[Quotation]:
    """Where a library says that an output between steps of the method is on a cubic, by the slopes at both ends."""
    if name != "diffrax":
        return []
    said = {"heun": ("Heun", "2nd-order Hermite interpolation"), "midpoint": ("Midpoint", "2nd order Hermite")}
    return [docstring(f"diffrax:{cls}", words) for cls, words in [said[method]]] if method in said else []


def interpolation(name: str, method: str) -> Sequence[Quotation]:
    """Where a library says what an output between steps is."""
    found = _sdeints(
        name, "Between steps y is interpolated linearly.", "between grid times the solution is interpolated"
    )
    cls: Any = solvers(name, METHODS[method].sde_type).get(method) if name == "diffrax" else None
    return found if cls is None else [Quotation(*line(cls, "LocalLinearInterpolation"))]


def refusals(name: str) -> Sequence[Quotation]:
    """Where a library says what it does with bad arguments."""
    return _sdeints(
        name, "ValueError for bad arguments, before the first step", "ValueError, always when traced, before"
    )


def levy_areas(name: str) -> Sequence[Quotation]:
    """Where a library says what law its approximate Levy areas have."""
    if name == "sdegrad_torch":
        words = "has the exact covariance with W and H over a grid cell and the exact variance"
        return [docstring("sdegrad.torch:BrownianInterval.__init__", words)]
    if name == "sdegrad_jax":
        return [docstring("sdegrad.jax:BrownianInterval", "A has the exact covariance with W and H over a cell")]
    return []


def determined(name: str) -> Sequence[Quotation]:
    """Where a library says what its noise is a function of."""
    if name == "sdegrad_torch":
        return [docstring("sdegrad.torch:BrownianInterval", "a pure function of (entropy, shape, dtype, device, grid)")]
    if name == "sdegrad_jax":
        return [docstring("sdegrad.jax:BrownianInterval", "The same numbers in any order of queries")]
    return []
