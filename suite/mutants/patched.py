"""A mutant made of a right implementation: while it works, names inside the library mean something else."""

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pkgutil import resolve_name
from typing import Any
from unittest.mock import patch

from suite.harness import load

Changes = Mapping[str, Callable[[Any], Any]]
"""By the name that is patched, the replacement as a function of the original. A function, a method of a class or a
constant, named "module:attribute" or "module:Class.method", where the library looks it up: in the module that uses it,
not in the one that it was imported from."""


@dataclass(frozen=True)
class Patched:
    """An implementation that prepares, works and counts with the changes in force, and only then."""

    base: Any
    changes: Changes

    @property
    def name(self) -> str:
        return self.base.name

    @property
    def framework(self) -> str:
        return self.base.framework

    def versions(self) -> tuple[str, str]:
        return self.base.versions()

    def unavailable(self, device: str) -> str | None:
        return self.base.unavailable(device)

    def unsupported(self, task: Any) -> str | None:
        return self.base.unsupported(task)

    def prepare(self, task: Any) -> "PatchedRun":
        with in_force(self.changes, self.framework):
            return PatchedRun(self, self.base.prepare(task))

    def brownian(self, task: Any) -> "PatchedRun":
        with in_force(self.changes, self.framework):
            return PatchedRun(self, self.base.brownian(task))


@dataclass(frozen=True)
class PatchedRun:
    implementation: Patched
    run: Any

    def _patched(self, work: Callable[..., Any], *arguments: Any) -> Any:
        with in_force(self.implementation.changes, self.implementation.framework):
            return work(*arguments)

    def __call__(self) -> Any:
        return self._patched(self.run)

    def outcome(self, result: Any) -> Any:
        return self._patched(self.run.outcome, result)

    def count(self) -> Any:
        return self._patched(self.run.count)

    def memory(self) -> int | None:
        return self._patched(self.run.memory)


@contextmanager
def in_force(changes: Changes, framework: str) -> Iterator[None]:
    """The changes, and no program in JAX's caches that was traced with or without them."""
    with ExitStack() as stack:
        for target, change in changes.items():
            module, _, path = target.partition(":")
            owner, _, name = path.rpartition(".")
            holder = resolve_name(f"{module}:{owner}")
            stack.enter_context(patch.object(holder, name, change(getattr(holder, name))))
        if framework == "jax":
            stack.callback(_forget_programs)
            _forget_programs()
        yield


def _forget_programs() -> None:
    if "jax" in sys.modules:
        sys.modules["jax"].clear_caches()


def patched(base: str, changes: Changes) -> Callable[[], Patched]:
    """make() of a `Mutant`: the implementation of this name, changed."""
    return lambda: Patched(load(base), changes)
