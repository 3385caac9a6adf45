"""Adaptive steps: step doubling under a PI controller. The times are planned first, then solved over like any others.

So every adjoint works as for constant steps: it is the gradient of the solution over the accepted times, which count as
constants. What is kept of a plan is its times, a float each; the reversible adjoint retraces them exactly.
"""

import itertools
import math
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from numbers import Real
from operator import itemgetter
from typing import Any, NamedTuple

import torch
from torch import Tensor

from sdegrad.torch.types import Progress, SolverState
from sdegrad.torch.warn import warn

SAFETY = 0.9
SMALLEST, LARGEST = 0.2, 1.4  # factors of the step
PROPORTIONAL, INTEGRAL = 0.13, 1 / 4.5  # exponents after an accepted step
INTEGRAL_REJECTED = 1 / 1.5
THOUSAND = 1000  # parts of the time span, the unit of progress


class Tolerances(NamedTuple):
    """A step is accepted if its error is at most rtol |y| + atol, in the root mean square over all entries, or if it is
    dt_min long. At most max_steps steps are tried."""

    rtol: float
    atol: float
    dt_min: float
    max_steps: float | int = math.inf


@dataclass(frozen=True)
class AcceptedGrid:
    """Accepted times, unevenly spaced, with the interface of `sdegrad.grid.Grid`."""

    times: Sequence[float]
    dt: float = math.nan  # steps differ
    rejected: int = 0  # steps that were tried beside the accepted ones

    @property
    def t0(self) -> float:
        return self.times[0]

    @property
    def t1(self) -> float:
        return self.times[-1]

    @property
    def steps(self) -> int:
        return len(self.times) - 1

    def time(self, k: int) -> float:
        return self.times[k]

    def step(self, k: int) -> float:
        return self.times[k + 1] - self.times[k]

    def outputs(self, ts: Sequence[float]) -> tuple[tuple[int, float], ...]:
        return tuple(map(self._output, ts))

    def _output(self, t: float) -> tuple[int, float]:
        k = bisect_left(self.times, t)  # the first time that is not before t
        return (k, 1.0) if self.times[k] == t else (k, (t - self.times[k - 1]) / self.step(k - 1))


def plan(
    step: Callable[[SolverState, float, float], SolverState],
    state: SolverState,
    ends: tuple[float, float],
    dt: float,
    tolerances: Tolerances,
    values: Callable[[SolverState], Tensor] = itemgetter(0),
    progress: Progress | None = None,
    look: Callable[[SolverState, float], None] = lambda _state, _t: None,
) -> tuple[AcceptedGrid, SolverState]:
    """Returns (grid, state at the end). The grid has the times of the accepted steps and those half way between, where
    the solution is that of the half steps.

    step(state, a, b) -> the state at b, from that at a; time may run backwards. dt: the first step. values: what of the
    state the error is measured in. look: called with each accepted state and its time. A warning if steps of dt_min
    were accepted in spite of their error; ArithmeticError where that is not finite.
    """
    (t, t1), h, previous, times, worst, rejected = ends, dt, None, [ends[0]], 1.0, 0
    for tried in itertools.count(1):
        if t == t1:
            break
        check_steps(tried, tolerances.max_steps)
        end = t + math.copysign(h, t1 - t) if h * (1 + 1e-6) < abs(t1 - t) else t1  # so that no sliver is left
        middle = 0.5 * (t + end)
        whole, halves = step(state, t, end), step(step(state, t, middle), middle, end)
        error = _error(values(whole), values(halves), tolerances)
        if error <= 1 or h <= tolerances.dt_min:
            if not math.isfinite(error):
                raise ArithmeticError(
                    f"at t = {t} the error of a step of dt_min = {tolerances.dt_min} is {error}: the solution grows "
                    "beyond all bounds there, or the SDE returns NaN; check it, or make dt_min smaller."
                )
            worst = max(worst, error)
            times += [middle, end]
            t, state = end, halves
            look(state, t)
            if progress:
                progress(round(THOUSAND * (t - ends[0]) / (t1 - ends[0])), THOUSAND)
        else:
            rejected += 1
        factor, previous = _factor(error, previous)
        h = max(h * factor, tolerances.dt_min)
    if worst > 1:
        warn(
            f"steps of dt_min = {tolerances.dt_min} had up to {worst:.1e} times the error asked for; make dt_min "
            "smaller or the tolerances larger."
        )
    return AcceptedGrid(times, rejected=rejected), state


@torch.no_grad()
def _error(whole: Tensor, halves: Tensor, tolerances: Tolerances) -> float:
    scale = (torch.maximum(whole.abs(), halves.abs()) * tolerances.rtol).add_(tolerances.atol)
    scale.clamp_(min=torch.finfo(scale.dtype).tiny)  # where atol and y are zero
    return float(((whole - halves) / scale).square().mean().sqrt())


def _factor(error: float, previous: float | None) -> tuple[float, float | None]:
    """The factor of the step, and the ratio to remember: that of the last accepted step."""
    if not math.isfinite(error):
        return SMALLEST, previous
    ratio = SAFETY / max(error, 1e-7)
    if error > 1:
        return max(SMALLEST, ratio**INTEGRAL_REJECTED), previous
    growth = ratio**INTEGRAL * (ratio / (previous or ratio)) ** PROPORTIONAL
    return min(LARGEST, max(1.0, growth)), ratio


def check_tolerances(rtol: Any, atol: Any, dt_min: Any, max_steps: float | int, prefix: str = "") -> Tolerances:
    """ValueError, naming them with the prefix, unless they are finite, not negative, and dt_min and one of the
    tolerances positive."""
    for name, value in ((f"{prefix}rtol", rtol), (f"{prefix}atol", atol), ("dt_min", dt_min)):
        number = value.numel() == 1 if isinstance(value, Tensor) else isinstance(value, Real)
        if not (number and 0 <= float(value) < math.inf):
            raise ValueError(f"{name} must be finite and not negative, got {value}; pass e.g. {name}=1e-4.")
    if dt_min == 0 or rtol == atol == 0:
        raise ValueError(f"dt_min and {prefix}rtol or {prefix}atol must be positive, got {dt_min}, {rtol}, {atol}.")
    return Tolerances(float(rtol), float(atol), float(dt_min), max_steps)


def check_steps(steps: float | int, max_steps: Any) -> None:
    """ValueError if max_steps is no positive number, or less than the number of steps."""
    if not (isinstance(max_steps, Real) and float(max_steps) > 0):
        raise ValueError(f"max_steps must be a positive number, got {max_steps!r}; pass math.inf for no bound.")
    if steps > max_steps:
        raise ValueError(
            f"the solve needs {steps:.3g} steps or more, and max_steps is {max_steps:.3g}; use a larger dt (or "
            "tolerances), or pass a larger max_steps."
        )
