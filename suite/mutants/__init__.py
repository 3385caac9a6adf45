"""Solvers, Brownian motions and adjoints made wrong on purpose, which verification must catch.

`MUTANTS` is the one table of them: a mutant is an implementation like any other, under its own name.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Mutant:
    """about: what is wrong, in words. effect: how large it is. after: the defect of a library that it repeats, if it
    does: where that was reported. base: the implementation whose claims it is held to. checks: those (rows of
    `suite.verify.checks.CHECKS`) among which one has to catch it. make() -> the implementation."""

    about: str
    effect: str
    after: str = ""
    base: str
    checks: tuple[str, ...]
    make: Callable[[], Any]


MUTANTS: dict[str, Mutant] = {}


def load(name: str) -> Any:
    return MUTANTS[name].make()
