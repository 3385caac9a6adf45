"""A check for the adjoints that must know their parameters: do gradients reach everything the SDE depends on?"""

from collections.abc import Sequence
from typing import Any
from weakref import WeakSet

import torch
from torch import Tensor
from torch.autograd.graph import get_gradient_edge

from sdegrad.torch.start import Start
from sdegrad.torch.types import SDE
from sdegrad.torch.warn import warn

_CHECKED: WeakSet[SDE] = WeakSet()


def unchecked(sde: SDE) -> bool:
    """True if `sde` was not checked before. Once is enough, and the check costs a graph."""
    return torch.is_grad_enabled() and sde not in _CHECKED


def check_reached(sde: SDE, start: Start, params: Sequence[Tensor]) -> Start:
    """Return `start` without its graph. Warn if the graph leads to leaves that are not among `params`."""
    _CHECKED.add(sde)
    unreached = _leaves((start.f0, start.g0), params)
    if unreached:
        shapes = ", ".join(str(tuple(x.shape)) for x in unreached[:3])
        warn(
            f"{type(sde).__name__} depends on tensors that require gradients and are not among its parameters (number: "
            f"{len(unreached)}, shapes: {shapes}); this adjoint does not reach them. Register them, pass "
            'adjoint_params=(*sde.parameters(), what is made of them), detach them, or use adjoint="backprop".'
        )
    return start._replace(f0=_detached(start.f0), g0=_detached(start.g0))


def _detached(x: Tensor | None) -> Tensor | None:
    return None if x is None else x.detach()


def _leaves(values: Sequence[Tensor | None], known: Sequence[Tensor]) -> list[Tensor]:
    """The leaves of the graph of `values` that are reached without passing through a tensor in `known`."""
    edges: list[Any] = [tuple(get_gradient_edge(x)[:2]) for x in values if x is not None and x.requires_grad]
    seen = {tuple(get_gradient_edge(x)[:2]) for x in known}
    leaves = []
    while edges:
        edge = edges.pop()
        if edge not in seen and edge[0] is not None:
            seen.add(edge)
            leaves += [edge[0].variable] if hasattr(edge[0], "variable") else []
            edges += edge[0].next_functions
    return leaves
