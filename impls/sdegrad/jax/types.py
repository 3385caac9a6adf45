"""Names, shapes and interfaces of the JAX library.

Axes: `paths` (any batch axes), `steps`, `outputs`, `dim` (state), `noise` (Brownian dimension). A state is an
array [*paths, dim] or a pytree of such arrays. The diffusion is like the state for diagonal noise and has a
trailing `noise` axis otherwise; a Brownian increment is like the state for diagonal noise and one array
[*paths, noise] otherwise.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

import jax
import numpy as np
from jaxtyping import Array, Float, Int, PyTree

if TYPE_CHECKING:
    from sdegrad.jax.times import AnyGrid, Fine

Time = Float[Array, ""] | float
Number = float | int | np.number | Array  # known at trace time; an Array that is traced is refused
Times = Sequence[Number] | np.ndarray | Array
Index = Int[Array, ""] | int
Args = Any  # what drift and diffusion are handed by the user
Options = Mapping[str, Any]  # of a method, by their names
Key = Any  # a JAX random key; a wrong one is refused by its value
Shape = PyTree  # of one increment: a tuple of integers, or a tree of shapes and dtypes
Structs = PyTree[jax.ShapeDtypeStruct]
Y = PyTree  # the solution, or what is like it: a drift, a cotangent; at several times with a leading axis
Diffusion = PyTree  # g(t, y)
FieldValue = PyTree  # the vector fields at one (t, y): drift and diffusion, or that by which they are found
Increment = PyTree  # of a Brownian path: an array, the like of y, or a `LevyIncrement`
Carried = PyTree  # what a method carries from step to step; for many the solution itself
Reversed = PyTree  # what the backward pass of a reversible method carries from step to step
Carry = PyTree  # what a loop carries from round to round
Cache = PyTree  # what a Brownian path keeps from query to query
Arrays = PyTree  # the arrays of an SDE that are differentiated, or their cotangents
Perturbed = PyTree[bool]  # which of the arrays are differentiated

Coefficient = Callable[[Float[Array, ""], Y, Args], PyTree]  # drift or diffusion, as a function of (t, y, args)


@runtime_checkable
class VectorField(Protocol):
    """The right-hand side F(t, y; dt, dW) = f dt + g dW, in the parts that the methods ask for."""

    def at(self, t: Time, y: Y) -> FieldValue:
        """The value of the vector fields at (t, y), to be contracted with increments later."""
        ...

    def contract(self, value: FieldValue, dt: Time, dW: Increment) -> Y: ...

    def increment(self, t: Time, y: Y, dt: Time, dW: Increment) -> Y:
        """f(t, y) dt + g(t, y) dW."""
        ...

    def drift_increment(self, t: Time, y: Y, dt: Time) -> Y: ...

    def noise_increment(self, t: Time, y: Y, dW: Increment) -> Y: ...


@runtime_checkable
class MatrixField(VectorField, Protocol):
    """A vector field whose diffusion is also known by itself, to be multiplied with several increments."""

    def matrix(self, t: Time, y: Y) -> Diffusion:
        """g(t, y)."""
        ...

    def product(self, matrix: Diffusion, dW: Increment) -> Y:
        """g dW, like y."""
        ...


Field = Any  # a `VectorField`, which is enough for a smooth method, or the `MatrixField` that others ask for
FieldOf = Callable[[Arrays], Field]  # the vector field, as a function of the arrays that are differentiated


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
class Reversible(Method, Protocol):
    """A method whose steps can be undone, and the gradient taken back over them. `field(arrays)` is the vector field.

    r: what the backward pass carries: the state as it is found again, the cotangents of its parts, and those of the
    arrays.
    """

    def reverse_init(self, state: Carried, dt: Time, dW: Increment, arrays: Arrays) -> Reversed:
        """r at the last time, where the state is `state` and all cotangents are zero. dt, dW and the arrays only give
        the shapes.
        """
        ...

    def reverse(
        self, field: FieldOf, arrays: Arrays, t0: Time, t1: Time, dt: Time, dW: Increment, r: Reversed
    ) -> Reversed:
        """r at t0, from r at t1: the inverse of the step (dt, dW), and its gradient."""
        ...

    def reverse_last(self, field: FieldOf, arrays: Arrays, t0: Time, y0: Y, r: Reversed) -> tuple[Y, Y, Arrays]:
        """The solution that the backward pass has found at t0, where it was y0, and the cotangents of y0 and of the
        arrays.
        """
        ...


@runtime_checkable
class Path(Protocol):
    """A driving path: `evaluate(t0, t1)` is its increment W over [t0, t1]. For a method that needs a Levy area,
    `evaluate(t0, t1, use_levy=True)` has the fields W and H, or A.
    """

    def evaluate(self, t0: Array, t1: Array, /) -> Increment: ...


@runtime_checkable
class CellPath(Path, Protocol):
    """A driving path with a grid, whose increment over grid cell k is `cell(k)`, and between two times with more digits
    than the time dtype has `over(s, t)`.
    """

    @property
    def grid(self) -> "AnyGrid": ...

    def cell(self, k: Index) -> Increment: ...

    def over(self, s: "Fine", t: "Fine", /) -> Increment: ...


@runtime_checkable
class CachedPath(Path, Protocol):
    """A driving path that is cheaper to ask for one interval after another, as it keeps what it drew."""

    def start(self) -> Cache:
        """The cache before the first query, an array pytree."""
        ...

    def advance(self, cache: Cache, s: Array, t: Array, /) -> tuple[Increment, Cache]:
        """(the increment over [s, t], the cache after it)."""
        ...


class Made(NamedTuple):
    """The steps that a solve consists of, those that it made in all, and how often it rejected some."""

    steps: int | Int[Array, ""]
    tried: int | Int[Array, ""]
    rejected: int | Int[Array, ""] = 0


class Stats(NamedTuple):
    """Counts of a forward solve: steps, evaluations of drift and diffusion, and, where the steps are adaptive, how
    often the error was too large; all then traced. parted: for a method that carries two copies of the solution, which
    the reversible ones are, how far these are from each other at the end, relative to the solution. Where it is 1 or
    more they have come apart: the solution is as wrong as L dt times this. NaN if it is not finite.
    """

    num_steps: int | Int[Array, ""]
    drift_evaluations: int | Int[Array, ""]
    diffusion_evaluations: int | Int[Array, ""]
    num_rejected: int | Int[Array, ""] = 0
    parted: float | Float[Array, ""] = 0.0
