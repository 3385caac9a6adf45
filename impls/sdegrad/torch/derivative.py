"""Directional derivatives of the functions of an SDE, for the methods that need them."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch._C._functorch import peek_interpreter_stack as in_transform
from torch.autograd.graph import get_gradient_edge


def with_derivative(
    function: Callable[[Tensor], Tensor], y: Tensor, along: Callable[[Tensor], Iterable[tuple[Tensor, Tensor]]]
) -> tuple[Tensor, Tensor]:
    """(value, slope) of value = function(y) and slope = sum of D column [direction], like y, over the pairs
    (column, direction) of along(value), each column like y and made of the value.

    Autograd sees both where it is on; `function` is evaluated once. The product of the Jacobian with a direction is
    had from two products with its transpose, which every operation with second derivatives has: in eager mode that is
    also faster than forward-mode differentiation (measured: 117 us against 310 us for a net of two layers). Torch's
    compiler knows derivatives of derivatives in forward mode alone.
    """
    if torch.compiler.is_compiling() or in_transform() is not None:
        return _forward_mode(function, y, along)
    keep = torch.is_grad_enabled()
    recorded = keep and y.requires_grad
    with torch.enable_grad():
        y = y if recorded else y.detach().requires_grad_()
        value = function(y)
        slope = _slope(list(along(value)), y, keep)
    if recorded or (keep and _leads_beyond(y, value, slope)):
        return value, slope
    return value.detach(), slope.detach()


def _forward_mode(
    function: Callable[[Tensor], Tensor], y: Tensor, along: Callable[[Tensor], Iterable[tuple[Tensor, Tensor]]]
) -> tuple[Tensor, Tensor]:
    """The same for torch's compiler, which computes once what the evaluations of `function` here have in common, and
    for the transforms of torch.func."""
    value = function(y)
    slope = torch.zeros_like(y)
    for i, (_, direction) in enumerate(along(value)):
        slope = slope + torch.func.jvp(lambda y, i=i: list(along(function(y)))[i][0], (y,), (direction,))[1]
    return value, slope


def _slope(pairs: list[tuple[Tensor, Tensor]], y: Tensor, keep: bool) -> Tensor:
    probe = torch.zeros_like(y, requires_grad=True)
    options: dict[str, Any] = {"create_graph": True, "materialize_grads": True}
    pulled = [
        (torch.autograd.grad(column, y, probe, **options)[0], direction)
        for column, direction in pairs
        if column.requires_grad
    ]
    live = [(product, direction) for product, direction in pulled if product.requires_grad]
    if not live:  # nothing depends on y
        return torch.zeros_like(y)
    products, directions = zip(*live, strict=True)
    return torch.autograd.grad(products, probe, directions, create_graph=keep, materialize_grads=True)[0]


def _leads_beyond(leaf: Tensor, *results: Tensor) -> bool:
    """True if the graph of the results has another leaf than this one, such as a parameter."""
    nodes = [get_gradient_edge(x).node for x in results if x.requires_grad]
    seen = set()
    while nodes:
        node = nodes.pop()
        seen.add(node)
        if not node.next_functions and node.variable is not leaf:  # pyright: ignore[reportAttributeAccessIssue]
            return True
        nodes += [after for after, _ in node.next_functions if after is not None and after not in seen]
    return False
