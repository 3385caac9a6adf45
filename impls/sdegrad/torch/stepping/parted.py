"""A check of reversible solves: such a method carries two copies of the solution, which part when it goes wrong."""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch._C._functorch import peek_interpreter_stack as in_transform

from sdegrad.torch.stepping.fixed import Solve
from sdegrad.torch.types import Outputs, SolverState
from sdegrad.torch.warn import warn

LIMIT = 1.0
"""The distance of the copies at the end above which there is a warning, relative to the size of the outputs, or to a
first step of the drift where that is larger (for a solution that is zero at the outputs).

While all is well the distance is about that of a step. It is random: for geometric Brownian motion on [0, 1], the
largest of 1000 paths, it was mostly below 0.3 of the size for sigma = 1 and 0.5 for sigma = 2 at dt up to 0.5, where
the solution itself is off by more, but a run with sigma = 2 and dt = 0.1 reached 1.04. For y' = -L y the distance grows
like e^(L t), while the copy that is returned feels (L dt)^2 / 4 of it, since the other one is off on alternating sides;
of a drift that bends it feels the square. So a solve is hardly affected below 1, and not to be trusted far above."""

FAR, EVERY = 10.0, 16
"""Adaptive steps shrink as the copies part, which steer the error then, and would come to no end. So every few steps it
is looked whether the copies are this many times farther apart than the solution was ever large."""


@torch.no_grad()
def check_parted(solve: Solve, ys: Outputs, state: SolverState) -> None:
    """Warn if they have parted at the end of the solve."""
    copy, f0 = solve.scheme.copy, solve.start.f0
    if copy is None or f0 is None or in_transform() is not None:
        return  # in one of torch.func nothing is known of values
    distance, size, rate = torch.stack([_largest(x) for x in (state[0] - state[copy], ys, f0)]).tolist()
    size = max(size, rate * solve.steps.grid.step(0))
    if not distance <= LIMIT * size:
        warn(
            "the two copies of the solution that this reversible method carries have parted, by "
            f"{distance / size if size else math.inf:.1e} of its size: the solution is wrong, or about to be. Over "
            "long times reversible_heun does so for every SDE that forgets its start, at a rate L, say: use "
            "method='mccallum_foster' with options={'coupling': c}, c a little below 1 - L dt (its gradients are exact "
            "too), method='heun' with adjoint='checkpoint', or a smaller dt."
        )


def watch(copy: int | None) -> Callable[[SolverState, float], None]:
    """A function of accepted states and their times: ArithmeticError where the copies, the first and this one, are FAR
    apart."""
    size, number = 0.0, -1

    def look(state: SolverState, t: float) -> None:
        nonlocal size, number
        number += 1
        if copy is None or number % EVERY:
            return
        distance, now = torch.stack([_largest(x) for x in (state[0] - state[copy], state[0])]).tolist()
        size = max(size, now)
        if distance > FAR * size:
            raise ArithmeticError(
                f"at t = {t} the two copies of the solution that this reversible method carries are {distance:.1e} "
                f"apart, and the solution was {size:.1e} large at most, so that steps shrink without end. Over long "
                "times reversible_heun does so for every SDE that forgets its start, at a rate L where L T exceeds 9: "
                "use method='ees25' (its gradient is near-exact), or 'heun' with adjoint='checkpoint'."
            )

    return look


def _largest(x: Tensor) -> Tensor:
    return torch.linalg.vector_norm(x.float() if x.dtype.itemsize < 4 else x, math.inf)
