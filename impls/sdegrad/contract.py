"""The contract between an SDE library and the suite that measures it. It is only ever added to.

An implementation translates: names, shapes, noise. It is given a `Task`, says whether it can do it
(`unsupported`), does everything that need not be timed (`prepare`: building, compiling, warming up), and returns
a `Run`, whose call does the work once and returns when the device is idle.

Axes, everywhere: `paths` (batch), `dim` (state), `noise` (Brownian dimension), `outputs` (times in `ts`).
State is [paths, dim]; drift [paths, dim]; diffusion [paths, dim] for diagonal noise and [paths, dim, noise] for
every other (scalar: noise = 1); outputs [outputs, paths, dim].
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np

from sdegrad.methods import NoiseType, SDEType

Adjoint = Literal["reversible", "backprop", "checkpoint", "backsolve"]
Framework = Literal["torch", "jax"]
LevyArea = Literal["none", "space-time", "davie", "foster"]
Motion = Literal["interval", "tree", "dyadic", "portable", "points", "path", "reversed", "given"]


class Problem(Protocol):
    """An SDE, written once. `xp` is an array namespace (array API, and `sigmoid`, `silu`) of the caller's framework;
    that of NumPy is `NUMPY`."""

    @property
    def name(self) -> str: ...
    @property
    def t0(self) -> float: ...
    @property
    def t1(self) -> float: ...
    @property
    def sde_type(self) -> SDEType: ...
    @property
    def noise_type(self) -> NoiseType: ...
    @property
    def noise_dim(self) -> int: ...
    @property
    def y0(self) -> np.ndarray: ...
    @property
    def params(self) -> Mapping[str, np.ndarray]: ...
    def drift(self, xp: Any, t: Any, y: Any, params: Mapping[str, Any]) -> Any: ...
    def diffusion(self, xp: Any, t: Any, y: Any, params: Mapping[str, Any]) -> Any: ...


class Path(Protocol):
    """A Brownian path on a grid of `times` [points], the same for every library: W(t) and the integral of W up to t,
    both [points, paths, noise] in float64 and zero at times[0]."""

    @property
    def times(self) -> np.ndarray: ...
    @property
    def W(self) -> np.ndarray: ...
    @property
    def integral(self) -> np.ndarray: ...


def _sigmoid(x: Any) -> Any:
    return 0.5 * (1 + np.tanh(0.5 * x))


NUMPY: Any = SimpleNamespace(**vars(np) | {"sigmoid": _sigmoid, "silu": lambda x: x * _sigmoid(x)})


def sum_of_squares(xp: Any, ys: Any) -> Any:
    return xp.sum(ys * ys)


@dataclass(frozen=True, kw_only=True)
class Task:
    """A solve to be done. Gradients are of `loss(xp, ys)` with respect to (y0, params).

    noise: None for the library's own Brownian motion, seeded with `seed`; a `Path` for a given one. A query of
    a given path is snapped to grid time k of the path if it is within (k + 8) ulp of it, and 1/16 of a step, and is
    an error if not.
    adjoint: None for the solve alone. rtol: None for constant steps of `dt`, else adaptive from `dt`.
    brownian_dt: the step size that the library's own Brownian motion is made for, where it takes such a hint; None
    for the library's default.
    one_pass: the library's own Brownian motion is queried once for each step and never again, so that it may draw
    increments that it could not give a second time, where the library has such.
    max_steps: of adaptive steps, tried ones included; None for the library's default.
    compiled: compile the solve, where the library offers to (in JAX it is compiled anyway).
    prior: the drift (xp, t, y, params) of another SDE with the same diffusion, whose log-ratio is wanted too.
    dt and ts are in the time units of the problem; ts includes start and end.
    controller: the step-size controller, by a name that the library gives it; None for the one that goes with rtol.
    dtype: the least precision; a library that has float64 alone does a task of float32 in it.
    """

    problem: Problem
    method: str
    dt: float
    ts: tuple[float, ...]
    adjoint: Adjoint | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    rtol: float | None = None
    atol: float | None = None
    max_steps: int | None = None
    noise: Path | None = None
    brownian_dt: float | None = None
    one_pass: bool = False
    compiled: bool = False
    levy_area: LevyArea = "none"
    seed: int = 0
    dtype: Literal["float32", "float64"] = "float32"
    device: Literal["cpu", "cuda"] = "cpu"
    loss: Callable[[Any, Any], Any] = sum_of_squares
    prior: Callable[[Any, Any, Any, Mapping[str, Any]], Any] | None = None
    controller: str | None = None


@dataclass(frozen=True, kw_only=True)
class BrownianTask:
    """Queries of a Brownian object.

    kind: "interval" (exact) or "tree" (Virtual Brownian Tree, to `tol`); where a library has them also "dyadic" (an
    interval whose values do not depend on other queries), "portable" (one of the same numbers on every device),
    "points" (a motion known by its values at times, with both ends), "path" (one without an end), "reversed" (an
    interval run backwards) and "given" (an interval made to have an increment and a space-time Levy area over all of
    it, which are drawn by their law).
    queries: the pairs (s, t), asked in this order. dt: the step size to expect, where the library takes a hint.
    levy_area: "space-time-time" is for H and K. seed: None for what the library does where none is given.
    options: more arguments of the object, by its own names.
    """

    queries: tuple[tuple[float, float], ...]
    shape: tuple[int, ...]
    t0: float = 0.0
    t1: float = 1.0
    kind: Motion = "interval"
    dt: float | None = None
    tol: float | None = None
    levy_area: LevyArea | Literal["space-time-time"] = "none"
    seed: int | None = 0
    dtype: Literal["float32", "float64"] = "float32"
    device: Literal["cpu", "cuda"] = "cpu"
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The results of a run, as numpy. Solving: ys [outputs, paths, dim] and, with an adjoint, gradients {"y0": ...,
    parameter: ...}; log_ratio [outputs - 1, paths]: with a prior, the log-ratio of the two SDEs over each interval
    between outputs, whose mean is the Kullback-Leibler divergence of the first from the prior. Brownian queries: ys
    holds W [queries, *shape]; H and K, of the same shape, are the space-time and space-time-time Levy areas,
    A [queries, *shape, noise] is the Levy area: None where the task has none."""

    ys: np.ndarray
    gradients: Mapping[str, np.ndarray] | None = None
    H: np.ndarray | None = None
    log_ratio: np.ndarray | None = None
    K: np.ndarray | None = None
    A: np.ndarray | None = None


@dataclass(frozen=True, kw_only=True)
class Counts:
    """Function evaluations of one run: of drift and diffusion, and of their vector-Jacobian products, those of rejected
    steps too. steps: those that the solution consists of. Of adaptive steps these are the accepted ones alone; where
    the solution is that of the two halves of a step, each half is one."""

    steps: int
    drift: int
    diffusion: int
    drift_vjp: int = 0
    diffusion_vjp: int = 0


class Run(Protocol):
    """The prepared work. Only `__call__` is timed, and never the first one, which may compile."""

    def __call__(self) -> Any:
        """Do the work once. Returns the framework's own arrays, when the device is idle."""
        ...

    def outcome(self, result: Any) -> Outcome:
        """The result of a call, as numpy."""
        ...

    def count(self) -> Counts:
        """Do the work once more with counting vector fields, untimed. NotImplementedError, with the reason as a
        sentence, where nobody can count them."""
        ...

    def memory(self) -> int | None:
        """Peak bytes of one call above what was there before, where the framework knows them: by the accelerator's
        counters, or as the compiler has planned them. None where only watching the allocators can tell."""
        ...

    # And, where a library has it, `operations(self) -> int`: how many operations the compiled program has, or how many
    # a call sends to the framework one by one. It is the same on every machine, where a time is not.


@runtime_checkable
class Implementation(Protocol):
    """A library behind the contract. framework: "torch", "jax" or another, such as "numpy"; libraries of one
    framework are compared first."""

    @property
    def name(self) -> str: ...
    @property
    def framework(self) -> str: ...

    def versions(self) -> tuple[str, str]:
        """(version of the library, framework and its version), e.g. ("0.2.6", "torch 2.13.0")."""
        ...

    def unavailable(self, device: str) -> str | None:
        """Why nothing can run on `device` ("cpu", "cuda") here, in a sentence; None if it can."""
        ...

    def unsupported(self, task: Task | BrownianTask) -> str | None:
        """Why this library cannot do `task`, in a sentence; None if it can."""
        ...

    def prepare(self, task: Task) -> Run: ...

    def brownian(self, task: BrownianTask) -> Run: ...

    # And, where a library has methods that `sdegrad.methods.METHODS` does not know, `methods: Mapping[str, Method]`:
    # what it says of them, by the names by which tasks ask for them. And, where it has step-size controllers beside the
    # usual ones, `controllers`, their names; "step_to" is one that steps to the times in `ts` alone, whatever dt is.
