"""An implementation at work on a task, for the checks, which share what was measured."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache, wraps
from typing import Any, ParamSpec, TypeVar

from suite import mutants
from suite.harness import BrownianTask, load
from suite.verify.findings import Unsupported

P = ParamSpec("P")
R = TypeVar("R")
_memories: list[Any] = []
_looks = [0]


def remembered(measure: Callable[P, R]) -> Callable[P, R]:
    """A measurement that claims share: the last two are kept, of each of two looks, until `forget`."""

    @lru_cache(maxsize=4)
    def of_look(look: int, *args: P.args, **kwargs: P.kwargs) -> R:
        del look
        return measure(*args, **kwargs)

    @wraps(measure)
    def of_this_look(*args: P.args, **kwargs: P.kwargs) -> R:
        return of_look(_looks[-1], *args, **kwargs)

    _memories.append(of_look)
    return of_this_look


@contextmanager
def second_look() -> Iterator[None]:
    """What is measured in it was not measured outside; claims that share a measurement share its repetition, too."""
    _looks.append(1)
    try:
        yield
    finally:
        _looks.pop()


def forget() -> None:
    """What is measured from here on is measured anew."""
    for memory in _memories:
        memory.cache_clear()


def implementation(name: str) -> Any:
    """The implementation, or mutant, of this name."""
    return mutants.load(name) if name in mutants.MUTANTS else load(name)


def own_methods(name: str) -> Mapping[str, Any]:
    """The methods that an implementation, or mutant, alone has, by its own words; none if it cannot be loaded."""
    try:
        return getattr(implementation(name), "methods", {})
    except Exception:  # whatever a library raises when it is imported: each of its rows will say so
        return {}


def controllers(name: str) -> tuple[str, ...]:
    """The step-size controllers that an implementation, or mutant, has beside its usual ones; as `own_methods`."""
    try:
        return tuple(getattr(implementation(name), "controllers", ()))
    except Exception:  # as above
        return ()


def to_times(name: str) -> str | None:
    """The controller of an implementation that makes steps to the output times alone; None where the last of constant
    steps is cut short by itself."""
    return "step_to" if "step_to" in controllers(name) else None


def prepared(name: str, task: Any) -> Any:
    """The run of a task. `Unsupported`, with the reason, where the implementation cannot do it."""
    library = implementation(name)
    reason = library.unsupported(task)
    if reason is not None:
        raise Unsupported(reason)
    return library.brownian(task) if isinstance(task, BrownianTask) else library.prepare(task)


def outcome(name: str, task: Any) -> Any:
    """What comes of doing a task once."""
    run = prepared(name, task)
    return run.outcome(run())
