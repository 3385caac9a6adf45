"""What libraries say of themselves, in their own words, and where.

Read from the installed library where it says so there, else quoted from its documentation.
"""

import importlib
import inspect
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from suite.harness import METHODS, diffrax_solver

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Quotation:
    """words: as they stand at `place`. value: the number that they state, if they state one."""

    place: str
    words: str
    value: float = float("nan")

    def __str__(self) -> str:
        return f"{self.place}: '{self.words}'"


def docstring(of: str, words: str) -> Quotation:
    """Words of the docstring of "module:attribute"; LookupError if they do not stand there."""
    module, _, attribute = of.partition(":")
    text = inspect.getdoc(getattr(importlib.import_module(module), attribute)) or ""
    return _checked(f"docstring of {module}.{attribute}", text, words)


def page(file: str, words: str) -> Quotation:
    """Words of a text file of this repository; LookupError if they do not stand there."""
    return _checked(file, (ROOT / file).read_text(encoding="utf-8"), words)


def _checked(place: str, text: str, words: str) -> Quotation:
    if " ".join(words.split()) not in " ".join(text.split()):
        raise LookupError(f"the {place} does not say {words!r}; read it again and quote what it says now.")
    return Quotation(place, words)


def _line(cls: type, pattern: str) -> tuple[str, str]:
    """Where a class, or the first of its bases that does, has a line that matches, and that line."""
    for owner in cls.__mro__[:-1]:
        lines, first = inspect.getsourcelines(owner)
        for number, line in enumerate(lines, start=first):
            if re.search(pattern, line):
                return f"{owner.__module__.replace('.', '/')}.py, line {number}", line.strip()
    raise LookupError(f"{cls} has no line with {pattern!r}.")


def _sdegrad(method: str, sde_type: str, noise_type: str) -> list[Quotation]:
    facts = METHODS.get(method)
    if facts is None or sde_type not in facts.sde_types or noise_type not in facts.order:
        return []
    order = facts.order[noise_type]  # pyright: ignore[reportArgumentType]
    return [Quotation(f"sdegrad/methods.py, order of {method!r}", repr(dict(facts.order)), order)]


def _torchsde(method: str, sde_type: str, noise_type: str) -> list[Quotation]:
    """The attribute strong_order of the solver, which it sets by noise type."""
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
    return [Quotation(*_line(cls, r"\bstrong_order ="), float(solver.strong_order))]


# The strong orders of diffrax's table for developers, for commutative and for additive noise, weak order after the bar.
# The page asks to double-check it.
_TABLE_PLACE = (
    "https://docs.kidger.site/diffrax/devdocs/SDE_solver_table (docs/devdocs/SDE_solver_table.md at 63a0e8b0)"
)
_TABLE = {
    "Euler": ("0.5/1.0", "1.0/1.0"),
    "Heun": ("1.0/1.0", "1.0/1.0"),
    "EulerHeun": ("0.5/1.0", "1.0/1.0"),
    "ItoMilstein": ("1.0/1.0", "1.0/1.0"),
    "StratonovichMilstein": ("1.0/1.0", "1.0/1.0"),
    "ReversibleHeun": ("1.0/1.0", "1.0/1.0"),
    "Midpoint": ("1.0/1.0", "1.0/1.0"),
    "ShARK": ("/", "1.5/2.0"),
    "SRA1": ("/", "1.5/2.0"),
}


def _diffrax(method: str, sde_type: str, noise_type: str) -> list[Quotation]:
    """strong_order() of the solver, which knows no noise types, and the table, which does."""
    cls: Any = diffrax_solver(method, sde_type)
    diffrax = importlib.import_module("diffrax")
    calculus = {"ito": diffrax.AbstractItoSolver, "stratonovich": diffrax.AbstractStratonovichSolver}[sde_type]
    if cls is None or not issubclass(cls, calculus):
        return []
    column = 1 if noise_type == "additive" else 0
    cell = _TABLE[cls.__name__][column]
    if cell == "/":
        return []
    source, first = inspect.getsourcelines(cls.strong_order)
    place = f"{cls.__module__.replace('.', '/')}.py, line {first}"
    said = Quotation(place, " ".join("".join(source).split()), float(cls().strong_order(None)))
    head = ("Commutative", "Additive")[column]
    table = Quotation(_TABLE_PLACE, f"{cls.__name__}, {head}: {cell}", float(cell.partition("/")[0]))
    return [said, table]


_ORDERS = {"sdegrad_torch": _sdegrad, "sdegrad_jax": _sdegrad, "torchsde": _torchsde, "diffrax": _diffrax}


def strong_orders(name: str, method: str, sde_type: str, noise_type: str) -> Sequence[Quotation]:
    """Every place where a library states the strong order of a method for this noise; none where it has no claims."""
    return _ORDERS[name](method, sde_type, noise_type) if name in _ORDERS else []


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


def brownian_laws(name: str) -> Sequence[Quotation]:
    """Where a library says what law its Brownian motion has."""
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
