"""The names of axes and arrays, and the parts of a solver.

paths: the batch, any number of axes; dim: the state; noise: the Brownian motion; outputs: the times in `ts`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Dict, NamedTuple, Optional, Tuple, Union  # noqa: F401, UP035

import torch
from jaxtyping import Float
from torch import Tensor, nn

from sdegrad.torch.brownian.levy import LevyArea

Number = float | int | Tensor
Times = Tensor | Sequence[float | int]

Time = Float[Tensor, ""]
State = Float[Tensor, "*paths dim"]
Noise = Float[Tensor, "*paths noise"]
Diffusion = Float[Tensor, "*paths dim noise"]  # that of diagonal noise is a State
Outputs = Float[Tensor, "outputs *paths dim"]


class SpaceTime(NamedTuple):
    """An increment with its space-time Levy area, W and H [*paths, noise]."""

    W: Tensor
    H: Tensor

    def __neg__(self) -> "SpaceTime":
        """The increment of the path run backwards, under which H keeps its sign."""
        return SpaceTime(-self.W, self.H)


class Area(NamedTuple):
    """An increment with its Levy area, W [*paths, noise] and A [*paths, noise, noise]."""

    W: Tensor
    A: Tensor


Increment = Tensor | SpaceTime | Area  # of a Brownian motion over a step

SDE = Any  # what the user defines: noise_type, sde_type, and drift and diffusion, by these names or others
BrownianMotion = Any  # of any library: called as bm(ta, tb), with return_U and return_A where it has Levy areas
Form = Callable[..., Any]  # of a vector field: f(t, y), g_prod(t, y, dW), f_and_g(t, y), ...
Options = Mapping[str, Any]  # of a method, by their names
Context = Any  # what autograd hands to the two passes of a function

Progress = Callable[[int, int], None]
"""Called as progress(step, steps)."""


class Stats(NamedTuple):
    """Counts of a forward solve: its steps (half steps, if adaptive), all evaluations of drift and of diffusion, and
    the rejected steps. One evaluation is at the start; where an adjoint will run the SDE again, one more at the end."""

    num_steps: int
    drift_evaluations: int
    diffusion_evaluations: int
    num_rejected: int = 0


SolverState = tuple[Any, ...]
"""The state of a method, from step to step; the first entry is the solution."""


@dataclass(frozen=True)
class Reversal:
    """The inverse of the step of a method, and the pull-back of the adjoint over it. The adjoint has the layout of the
    state.

    resume(field, t, state) -> the state at the end, with what the first pull needs; in `field`, f_and_g records.
    pull(field, vjp, state, adjoint, t0, t1, dt, dW) -> (state, adjoint) at t0, from those at t1, overwritten.
    finish(vjp, state, adjoint) -> the gradient in y0 through `Scheme.start`.
    vjp(outputs, y, cotangents) -> the adjoint of outputs in y, that in the parameters being added up elsewhere.
    exact: whether a step is undone to round-off.
    tells: whether the state holds the drift and the diffusion, which `resume` evaluates again.
    """

    resume: Callable[..., SolverState]
    pull: Callable[..., tuple[SolverState, SolverState]]
    finish: Callable[..., Tensor]
    exact: bool = True
    tells: bool = False


@dataclass(frozen=True)
class Scheme:
    """A one-step method.

    start(y0, f0, g0) -> state, from the drift and the diffusion at the initial time.
    step(field, state, t0, t1, dt, dW) -> state at t1; dt is a float, negative when it runs backwards.
    reversal: None for a method whose step has no closed inverse.
    copy: the entry of the state, if any, that is a second copy of the solution.
    levy_area: the least that the Brownian motion must provide, and what dW is: the increment itself for "none",
    `SpaceTime` for "space-time", `Area` for "foster".
    """

    start: Callable[..., SolverState]
    step: Callable[..., SolverState]
    reversal: Reversal | None = None
    levy_area: LevyArea = "none"
    copy: int | None = None


def solution_only(y0: State, f0: Tensor, g0: Tensor | None) -> SolverState:  # noqa: ARG001
    """`Scheme.start` of a method whose state is the solution alone."""
    return (y0,)


# The names that torchsde's module `types` has, for annotations.
Tensors = Sequence[Tensor]
TensorOrTensors = Tensor | Tensors
Scalar = float | Tensor
Vector = Sequence[float] | Tensor
Module = nn.Module
Modules = Sequence[nn.Module]
ModuleOrModules = nn.Module | Modules
Size = torch.Size
Sizes = Sequence[torch.Size]
