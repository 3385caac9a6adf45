"""Names, shapes and interfaces of the JAX library.

Axes: `paths` (any batch axes), `steps`, `outputs`, `dim` (state), `noise` (Brownian dimension). A state is an
array [*paths, dim] or a pytree of such arrays. The diffusion is like the state for diagonal noise and has a
trailing `noise` axis otherwise; a Brownian increment is like the state for diagonal noise and one array
[*paths, noise] otherwise.
"""

from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Array, Float, Int

from sdegrad.grid import Grid

Time = Float[Array, ""] | float
Number = float | int | np.number | Array  # known at trace time; an Array that is traced is refused
Index = Int[Array, ""] | int


@runtime_checkable
class Field(Protocol):
    """The right-hand side F(t, y; dt, dW) = f dt + g dW, in the parts that the methods ask for."""

    def at(self, t: Time, y: Any) -> Any:
        """The value of the vector fields at (t, y), to be contracted with increments later."""
        ...

    def contract(self, value: Any, dt: Time, dW: Any) -> Any: ...

    def increment(self, t: Time, y: Any, dt: Time, dW: Any) -> Any:
        """f(t, y) dt + g(t, y) dW."""
        ...

    def drift_increment(self, t: Time, y: Any, dt: Time) -> Any: ...

    def noise_increment(self, t: Time, y: Any, dW: Any) -> Any: ...


@runtime_checkable
class Method(Protocol):
    """A one-step method: what it carries from step to step, and the step."""

    def init(self, field: Field, t0: Time, y0: Any) -> Any: ...

    def step(self, field: Field, t0: Time, t1: Time, dt: Time, dW: Any, state: Any) -> Any:
        """From t0 to t1. dt is t1 - t0 up to rounding, negative in the backward pass of the backsolve
        adjoint.
        """
        ...

    def value(self, state: Any) -> Any:
        """The solution in the state."""
        ...


@runtime_checkable
class Path(Protocol):
    """A driving path: `evaluate(t0, t1)` is its increment over [t0, t1]."""

    def evaluate(self, t0: Any, t1: Any, /) -> Any: ...


@runtime_checkable
class CellPath(Path, Protocol):
    """A driving path with a grid, whose increment over grid cell k is `cell(k)`."""

    grid: Grid

    def cell(self, k: Index) -> Any: ...


class Stats(NamedTuple):
    """What a forward solve did: steps, and evaluations of drift and diffusion."""

    num_steps: int
    drift_evaluations: int
    diffusion_evaluations: int
