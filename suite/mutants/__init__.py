"""Solvers, Brownian motions and adjoints made wrong on purpose, which verification must catch.

`MUTANTS` is the one table of them: a mutant is an implementation like any other, under its own name. Each area of the
libraries has a module here with a table of its own.
"""

from typing import Any

from suite.mutants import adjoints, brownian, solvers
from suite.mutants.mutant import Mutant

MUTANTS: dict[str, Mutant] = {**brownian.MUTANTS, **solvers.MUTANTS, **adjoints.MUTANTS}


def load(name: str) -> Any:
    return MUTANTS[name].make()
