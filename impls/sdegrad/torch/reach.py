"""Whether the gradients of an adjoint that must know its parameters reach all that an SDE depends on."""

import warnings
from collections.abc import Sequence
from typing import Any
from weakref import WeakSet

import torch
from torch import Tensor
from torch.autograd.graph import get_gradient_edge

from sdegrad.torch.checks import Start

_LOOKED_AT: WeakSet[Any] = WeakSet()


def to_look_at(sde: Any) -> bool:
    """Whether this SDE has not been looked at: once is enough, for a graph is made for it."""
    return torch.is_grad_enabled() and sde not in _LOOKED_AT


def looked_at(sde: Any, start: Start, params: Sequence[Tensor]) -> Start:
    """`start` without its graph. A warning if that leads to leaves which are not among the parameters."""
    _LOOKED_AT.add(sde)
    known = {id(p) for p in params}
    unreached = [x for x in _leaves((start.f0, start.g0)) if id(x) not in known]
    if unreached:
        shapes = ", ".join(str(tuple(x.shape)) for x in unreached[:3])
        warnings.warn(
            f"{type(sde).__name__} depends on tensors that require gradients and are not among its parameters (number: "
            f"{len(unreached)}, shapes: {shapes}); this adjoint does not reach them. Register them, pass "
            'adjoint_params=(*sde.parameters(), what is made of them), detach them, or use adjoint="backprop".',
            stacklevel=5,
        )
    return start._replace(f0=_detached(start.f0), g0=_detached(start.g0))


def _detached(x: Tensor | None) -> Tensor | None:
    return None if x is None else x.detach()


def _leaves(values: Sequence[Tensor | None]) -> list[Tensor]:
    nodes: list[Any] = [get_gradient_edge(x).node for x in values if x is not None and x.requires_grad]
    seen, leaves = set(nodes), []
    while nodes:
        node = nodes.pop()
        leaves += [node.variable] if hasattr(node, "variable") else []
        after = {n for n, _ in node.next_functions if n is not None} - seen
        seen |= after
        nodes += after
    return leaves
