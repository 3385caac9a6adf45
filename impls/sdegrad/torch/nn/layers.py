"""Networks whose Lipschitz constant is bounded by clipping their weights.

Kidger, Foster, Li, Lyons, Efficient and Accurate Gradients for Neural SDEs (2021), arXiv 2105.13493, section 5.
"""

from typing import TypeVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from sdegrad.networks import LIPSWISH, check_sizes, largest_entry

AnyModule = TypeVar("AnyModule", bound=nn.Module)


class LipSwish(nn.Module):
    """0.909 x sigmoid(x): smooth, and 1-Lipschitz. Chen, Behrmann, Duvenaud, Jacobsen (2019), arXiv 1906.02735."""

    def forward(self, x: Tensor) -> Tensor:
        return LIPSWISH * nn.functional.silu(x)


class MLP(nn.Module):
    """`depth` hidden layers of `width` with LipSwish after each, then a linear layer and `final`, if any."""

    def __init__(
        self, inputs: int, outputs: int, *, width: int = 16, depth: int = 1, final: nn.Module | None = None
    ) -> None:
        super().__init__()
        check_sizes(inputs=inputs, outputs=outputs, width=width, depth=depth)
        hidden = [layer for i in range(depth) for layer in (nn.Linear(width if i else inputs, width), LipSwish())]
        self.layers = nn.Sequential(*hidden, nn.Linear(width, outputs), *(() if final is None else (final,)))

    def forward(self, x: Float[Tensor, "*paths inputs"]) -> Float[Tensor, "*paths outputs"]:
        return self.layers(x)


@torch.no_grad()
def clip_weights(module: AnyModule, norm: str = "inf") -> AnyModule:
    """Clip the matrix [outputs, inputs] of every linear layer in place, so that its operator norm is at most 1.

    norm: "inf" clips the entries to [-1/inputs, 1/inputs], which bounds the infinity norm; "one" to
    [-1/outputs, 1/outputs], which bounds the 1-norm. Biases are free. Call it once at first and after each step of the
    optimizer. Returns the module. ValueError for another norm, or if there is no linear layer.
    """
    layers = [layer for layer in module.modules() if isinstance(layer, nn.Linear)]
    if not layers:
        raise ValueError(f"{type(module).__name__} has no nn.Linear to clip; pass a module that has.")
    for layer in layers:
        bound = largest_entry(tuple(layer.weight.shape), norm)
        layer.weight.clamp_(-bound, bound)
    return module
