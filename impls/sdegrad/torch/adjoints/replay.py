"""A pass that runs the SDE again must meet the SDE of the forward pass.

What the SDE is made of is kept, and put back while such a pass runs: parameters, buffers, submodules, hooks, the mode
(`training`) and all other attributes that were assigned, added or deleted in between, as `torch.func.functional_call`
does; what the lists and dictionaries among these hold; and the state of autocast. What was written over in place cannot
be, nor can the class of a module, random numbers that the SDE draws, or what it has from elsewhere: these are detected,
by the versions of the tensors and by evaluations at the start and at the end, whose values are known, and raise a
RuntimeError. What makes no difference at either end passes unseen.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from sdegrad.torch.returned import differ, version
from sdegrad.torch.types import SDE, Form

_INTERNAL = vars(nn.Module()).keys() - {"training"}
_HELD = [  # the dictionaries of a module: what it is made of, and its hooks
    key for key in vars(nn.Module()) if key in ("_parameters", "_buffers", "_modules") or key.startswith("_forward_")
]
_ABSENT = object()
Place = dict[Any, Any] | list[Any]  # where an SDE finds what it is made of
REMEDY = 'call backward() first, or use adjoint="backprop", which does not run the SDE again'


@contextmanager
def without_hooks(params: Iterable[Tensor]) -> Iterator[None]:
    """A `with` block in which the hooks of these tensors are not called: they are for the whole gradient, with which
    autograd calls them at its end, and not for the parts that it is summed up of."""
    hooks = [(p._backward_hooks, dict(p._backward_hooks)) for p in params if p._backward_hooks]
    for held, _ in hooks:
        held.clear()
    try:
        yield
    finally:
        for held, own in hooks:
            held.update(own)


class Kept:
    """The parts of an SDE: parameters, buffers, attributes. Made before the forward pass, and settled after it: what
    the SDE itself writes in that pass (a count of its calls, running statistics) is left as it is."""

    def __init__(self, sde: SDE, device: torch.device) -> None:
        self._name = type(sde).__name__
        self._autocast = [(kind, *_autocast(kind)) for kind in {"cpu", device.type}]
        modules = list(_modules(sde))
        self._kinds = [(name, module, type(module)) for name, module in modules]
        self._places = [(name, place, _entries(place)) for name, place in _places(sde, modules)]
        self._versions = [(f"{name}{key}", x, version(x)) for name, key, x in self._tensors()]
        containers = [x for _, _, values in self._places for x in values.values() if type(x) in (list, dict)]
        self._containers = [(place, _entries(place)) for place in containers]
        self._written: list[set[Any]] = [set() for _ in self._places]

    def _tensors(self) -> Iterator[tuple[str, str, Tensor]]:
        for name, _, values in self._places:
            for key, value in values.items():
                parts = value.values() if isinstance(value, dict) else value
                for x in parts if isinstance(value, tuple | list | dict) else (value,):
                    if isinstance(x, Tensor):
                        yield name, key, x

    def settle(self) -> None:
        """Call it after the forward pass: from now on, what changes is put back or detected."""
        self._written = [{key for key, *_ in _changes(place, values)} for _, place, values in self._places]
        self._versions = [(name, x, known) for name, x, known in self._versions if version(x) == known]
        self._containers = [(place, values) for place, values in self._containers if not [*_changes(place, values)]]

    @contextmanager
    def restored(self) -> Iterator[None]:
        """Put the SDE back, for a `with` block. RuntimeError if a tensor was written over since the forward pass."""
        for name, x, known in self._versions:
            if version(x) != known:
                raise RuntimeError(
                    f"the tensor {name!r} of {self._name} was written over between the solve and its backward pass, "
                    f"which would see another SDE: {REMEDY}, or assign a new tensor."
                )
        for name, module, kind in self._kinds:
            if type(module) is not kind:
                raise RuntimeError(
                    f"the class of {name!r} in {self._name} was changed between the solve and its backward pass (by "
                    f"a parametrization, say), which would see another SDE: {REMEDY}."
                )
        later = [
            (place, *change)
            for (_, place, values), written in zip(self._places, self._written, strict=True)
            for change in _changes(place, values)
            if change[0] not in written
        ]
        later += [(place, *change) for place, values in self._containers for change in _changes(place, values)]
        try:
            for place, key, _, value in later:
                _put(place, key, value)
            with ExitStack() as autocasts:
                for kind, enabled, dtype in self._autocast:
                    if _autocast(kind) != (enabled, dtype):
                        autocasts.enter_context(torch.autocast(kind, dtype, enabled))
                yield
        finally:
            for place, key, value, _ in reversed(later):
                _put(place, key, value)

    def around(self, function: Form) -> Form:
        """`function`, called with the SDE put back, for calls that come later."""

        def call(*arguments: Any) -> Any:
            with self.restored():
                return function(*arguments)

        return call

    def evaluate(self, function: Callable[[], Any], known: Any) -> Any:
        """Return function(), which must equal the tensors `known` from the forward pass, except where these are None.

        RuntimeError if they differ by more than round-off, or if it draws random numbers.
        """
        of = [x for x in known if x is not None]
        states = _random_states(of)
        values = function()
        if any(not torch.equal(a, b) for a, b in zip(states, _random_states(of), strict=True)):
            raise RuntimeError(
                f"{self._name} draws random numbers (dropout, say), so that the backward pass meets another SDE than "
                'the solve did; call eval() on what draws them, or use adjoint="backprop" or "checkpoint".'
            )
        if any(differ(x, y) for x, y in zip(values, known, strict=True) if y is not None):
            raise RuntimeError(
                f"{self._name} returns other values than in the solve, for the same t and y, so that the backward pass "
                f"would see another SDE: something that it depends on has changed. {REMEDY[0].upper()}{REMEDY[1:]}."
            )
        return values


def returns(inputs: Iterable[Tensor]) -> bool:
    """Whether a backward pass may come to these inputs of the forward one."""
    return torch.is_grad_enabled() and any(x.requires_grad for x in inputs)


def _autocast(kind: str) -> tuple[bool, torch.dtype]:
    return torch.is_autocast_enabled(kind), torch.get_autocast_dtype(kind)


def _modules(sde: SDE) -> Iterator[tuple[str, nn.Module]]:
    """The SDE, or what it holds, as far as these are modules, and all their submodules."""
    own = {"": sde} if isinstance(sde, nn.Module) else getattr(sde, "__dict__", {})
    for key, value in own.items():
        if isinstance(value, nn.Module):
            for name, module in value.named_modules():
                yield ".".join(filter(None, (key, name))), module


def _places(sde: SDE, modules: Iterable[tuple[str, nn.Module]]) -> Iterator[tuple[str, dict[Any, Any]]]:
    """The dictionaries in which the SDE finds what it is made of."""
    if not isinstance(sde, nn.Module):
        yield "", getattr(sde, "__dict__", {})
    for name, module in modules:
        prefix = f"{name}." if name else ""
        attributes = vars(module)
        for place in (attributes, *(attributes.get(key) for key in _HELD)):
            if isinstance(place, dict):
                yield prefix, place


def _by_key(place: Place) -> dict[Any, Any]:
    return dict(enumerate(place)) if isinstance(place, list) else place


def _entries(place: Place) -> dict[Any, Any]:
    return {key: value for key, value in _by_key(place).items() if key not in _INTERNAL}


def _changes(place: Place, values: Mapping[Any, Any]) -> Iterator[tuple[Any, Any, Any]]:
    """Yields (key, value in `place`, value in `values`) where they are not the same; _ABSENT where it is not there."""
    if not (place or values):
        return  # most hooks, quickly
    entries = _by_key(place)
    keys = entries.keys() - _INTERNAL | values.keys()
    # In a list the order in which entries can be put back: the last are taken away first, or added last.
    for key in sorted(keys, reverse=len(entries) > len(values)) if isinstance(place, list) else keys:
        now, then = entries.get(key, _ABSENT), values.get(key, _ABSENT)
        if now is not then:
            yield key, now, then


def _put(place: Place, key: Any, value: Any) -> None:
    if isinstance(place, list):
        place[key : key + 1] = [] if value is _ABSENT else [value]
    elif value is _ABSENT:
        place.pop(key, None)
    else:
        place[key] = value


def _random_states(tensors: list[Tensor]) -> list[Tensor]:
    """The states of torch's default generators, on the CPU and on the device of the tensors."""
    states = [torch.get_rng_state()]
    return states + [torch.cuda.get_rng_state(x.device) for x in tensors[:1] if x.is_cuda]
