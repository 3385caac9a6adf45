"""Networks whose Lipschitz constant is bounded by clipping their weights.

Kidger, Foster, Li, Lyons, Efficient and Accurate Gradients for Neural SDEs (2021), arXiv 2105.13493, section 5.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from sdegrad.jax.types import Index, Key
from sdegrad.networks import LIPSWISH, check_sizes, largest_entry

Tree = TypeVar("Tree")


class LipSwish(eqx.Module):
    """0.909 x sigmoid(x): smooth, and 1-Lipschitz. Chen, Behrmann, Duvenaud, Jacobsen (2019), arXiv 1906.02735."""

    def __call__(self, x: Array) -> Array:
        return LIPSWISH * jax.nn.silu(x)


class MLP(eqx.Module):
    """`depth` hidden layers of `width` with LipSwish after each, then a linear layer and `final`, if any."""

    layers: tuple[eqx.nn.Linear, ...]
    final: Callable[[Array], Array] | None

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        width: int = 16,
        depth: int = 1,
        final: Callable[[Array], Array] | None = None,
        key: Key,
    ) -> None:
        check_sizes(inputs=inputs, outputs=outputs, width=width, depth=depth)
        sizes = [inputs, *[width] * depth, outputs]
        keys = jax.random.split(key, depth + 1)
        self.layers = tuple(eqx.nn.Linear(a, b, key=k) for a, b, k in zip(sizes, sizes[1:], keys, strict=False))
        self.final = final

    def __call__(self, x: Float[Array, "*paths inputs"]) -> Float[Array, "*paths outputs"]:
        *hidden, last = self.layers
        for layer in hidden:
            x = LipSwish()(linear(layer, x))
        x = linear(last, x)
        return x if self.final is None else self.final(x)


def linear(layer: eqx.nn.Linear, x: Float[Array, "*paths inputs"]) -> Float[Array, "*paths outputs"]:
    """The layer, for any number of paths."""
    return jnp.vectorize(layer, signature="(i)->(o)")(x)


def clip_weights(tree: Tree, norm: str = "inf") -> Tree:
    """`tree` with the matrix [outputs, inputs] of every linear layer clipped, so that its operator norm is at most 1.

    norm: "inf" clips the entries to [-1/inputs, 1/inputs], which bounds the infinity norm; "one" to
    [-1/outputs, 1/outputs], which bounds the 1-norm. Biases are free. Call it once at first and after each step of the
    optimizer. ValueError for another norm, or if there is no linear layer.
    """
    layers = [x for x in jax.tree.leaves(tree, is_leaf=_is_linear) if _is_linear(x)]
    if not layers:
        raise ValueError(f"{type(tree).__name__} has no eqx.nn.Linear to clip; pass a module that has.")

    def clip(x: Any) -> Any:
        if not _is_linear(x):
            return x
        bound = largest_entry(x.weight.shape, norm)
        return eqx.tree_at(lambda layer: layer.weight, x, jnp.clip(x.weight, -bound, bound))

    return jax.tree.map(clip, tree, is_leaf=_is_linear)


def _is_linear(x: Any) -> bool:
    return isinstance(x, eqx.nn.Linear)


def running_mean(mean: Tree, tree: Tree, count: Index) -> Tree:
    """The mean of the arrays of `count` + 1 trees, from that of the first `count` and the last one: the average of
    weights over training, as `torch.optim.swa_utils.AveragedModel` makes it.
    """

    def step(mean: Any, x: Any) -> Any:
        return mean + (x - mean) / jnp.asarray(count + 1, x.dtype) if eqx.is_inexact_array(x) else x

    return jax.tree.map(step, mean, tree)
