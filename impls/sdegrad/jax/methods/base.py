"""What the one-step methods share that carry nothing but the solution, and the arithmetic of states."""

from abc import abstractmethod
from typing import Any

import equinox as eqx
import jax

from sdegrad.jax.types import Time, VectorField


class OneStep(eqx.Module):
    """A method whose state is the solution itself."""

    levy_area = "none"
    smooth = True

    def init(self, field: VectorField, t0: Time, y0: Any) -> Any:  # noqa: ARG002
        return y0

    @abstractmethod
    def step(self, field: VectorField, t0: Time, t1: Time, dt: Time, dW: Any, state: Any) -> Any: ...

    def value(self, state: Any) -> Any:
        return state

    def copies(self, state: Any) -> tuple[Any, Any]:
        return state, state


def tree(f: Any, *states: Any) -> Any:
    """f, leaf by leaf."""
    return jax.tree.map(f, *states)
