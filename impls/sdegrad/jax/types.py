"""Names, shapes and interfaces of the JAX library.

Axes: `paths` (any batch axes), `steps`, `outputs`, `dim` (state), `noise` (Brownian dimension). A state is an
array [*paths, dim] or a pytree of such arrays. The diffusion is like the state for diagonal noise and has a
trailing `noise` axis otherwise; a Brownian increment is like the state for diagonal noise and one array
[*paths, noise] otherwise.
"""

from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Array, Float, Int, PyTree

Time = Float[Array, ""] | float
Number = float | int | np.number | Array  # known at trace time; an Array that is traced is refused
Index = Int[Array, ""] | int
Args = Any  # what drift and diffusion are handed by the user
Y = PyTree  # the solution, or what is like it: a drift, a cotangent; at several times with a leading axis
Increment = PyTree  # of a Brownian path: an array, the like of y, or a `LevyIncrement`
Carried = PyTree  # what a method carries from step to step; for many the solution itself
Arrays = PyTree  # the arrays of an SDE that are differentiated, or their cotangents


@runtime_checkable
class VectorField(Protocol):
    """The right-hand side F(t, y; dt, dW) = f dt + g dW, in the parts that the methods ask for."""

    def at(self, t: Time, y: Y) -> Any:
        """The value of the vector fields at (t, y), to be contracted with increments later."""
        ...

    def contract(self, value: Any, dt: Time, dW: Increment) -> Y: ...

    def increment(self, t: Time, y: Y, dt: Time, dW: Increment) -> Y:
        """f(t, y) dt + g(t, y) dW."""
        ...

    def drift_increment(self, t: Time, y: Y, dt: Time) -> Y: ...

    def noise_increment(self, t: Time, y: Y, dW: Increment) -> Y: ...


@runtime_checkable
class MatrixField(VectorField, Protocol):
    """A vector field whose diffusion is also known by itself, to be multiplied with several increments."""

    def matrix(self, t: Time, y: Y) -> Any:
        """g(t, y)."""
        ...

    def product(self, matrix: Any, dW: Increment) -> Y:
        """g dW, like y."""
        ...


Field = Any  # a `VectorField`, which is enough for a smooth method, or the `MatrixField` that others ask for


@runtime_checkable
class Method(Protocol):
    """A one-step method: what it carries from step to step, and the step.

    levy_area: what dW is: the increment itself for "none", `LevyIncrement` for "space-time" (with H) and "foster" (with
    A). smooth: whether (dt, dW) enter as the increments of a smooth path do, so that the step also solves the adjoint
    SDE, backwards in time.
    """

    @property
    def levy_area(self) -> str: ...

    @property
    def smooth(self) -> bool: ...

    def init(self, field: VectorField, t0: Time, y0: Y) -> Carried: ...

    def step(self, field: Field, t0: Time, t1: Time, dt: Time, dW: Increment, state: Carried) -> Carried:
        """The state at t1, from that at t0. dt is t1 - t0 up to rounding; negative where a smooth method goes backwards
        in time.
        """
        ...

    def value(self, state: Carried) -> Y:
        """The solution in the state."""
        ...

    def copies(self, state: Carried) -> tuple[Y, Y]:
        """The solution, and its second copy where the method carries one, which should stay near; else the same."""
        ...


@runtime_checkable
class Embedded(Method, Protocol):
    """A method that knows the error of a step."""

    def estimated(
        self, field: VectorField, t0: Time, t1: Time, dt: Time, dW: Increment, state: Carried
    ) -> tuple[Carried, Y]:
        """The step, and an estimate of its error, like the solution."""
        ...


@runtime_checkable
class Path(Protocol):
    """A driving path: `evaluate(t0, t1)` is its increment W over [t0, t1]. For a method that needs a Levy area,
    `evaluate(t0, t1, use_levy=True)` has the fields W and H, or A.
    """

    def evaluate(self, t0: Any, t1: Any, /) -> Increment: ...


@runtime_checkable
class CellPath(Path, Protocol):
    """A driving path with a grid, whose increment over grid cell k is `cell(k)`, and between two times with more digits
    than the time dtype has `over(s, t)`.
    """

    @property
    def grid(self) -> Any: ...

    def cell(self, k: Index) -> Increment: ...

    def over(self, s: Any, t: Any, /) -> Increment: ...


@runtime_checkable
class CachedPath(Path, Protocol):
    """A driving path that is cheaper to ask for one interval after another, as it keeps what it drew."""

    def start(self) -> Any:
        """What `advance` carries, an array pytree."""
        ...

    def advance(self, cache: Any, s: Any, t: Any, /) -> tuple[Any, Any]:
        """(the increment over [s, t], the cache after it)."""
        ...


class Made(NamedTuple):
    """The steps that a solve consists of, those that it made in all, and how often it rejected some."""

    steps: int | Int[Array, ""]
    tried: int | Int[Array, ""]
    rejected: int | Int[Array, ""] = 0


class Stats(NamedTuple):
    """What a forward solve did: steps, evaluations of drift and diffusion, and, where the steps are adaptive, how
    often the error was too large; all then traced. parted: for a method that carries two copies of the solution, which
    the reversible ones are, how far these are from each other at the end, relative to the solution. Where it is 1 or
    more they have come apart: the solution is as wrong as L dt times this. NaN if it is not finite.
    """

    num_steps: int | Int[Array, ""]
    drift_evaluations: int | Int[Array, ""]
    diffusion_evaluations: int | Int[Array, ""]
    num_rejected: int | Int[Array, ""] = 0
    parted: float | Float[Array, ""] = 0.0
