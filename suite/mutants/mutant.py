"""The class of mutants."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Mutant:
    """about: what is wrong, in words. effect: how large it is. after: the defect of a library that it repeats, if it
    does: where that was reported. base: the implementation whose claims it is held to. checks: those (rows of
    `suite.verify.checks.CHECKS`) among which one has to catch it. make() -> the implementation (`patched.patched`
    makes it of a right one)."""

    about: str
    effect: str
    after: str = ""
    base: str
    checks: tuple[str, ...]
    make: Callable[[], Any]
