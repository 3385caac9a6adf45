"""Steps over a grid: their times and increments, bitwise the same forward and backward."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from sdegrad.grid import Grid
from sdegrad.torch.brownian.interval import BrownianInterval
from sdegrad.torch.brownian.levy import LevyArea
from sdegrad.torch.returned import differ
from sdegrad.torch.sde import VectorField
from sdegrad.torch.start import Start, Values, field_at
from sdegrad.torch.stepping.adaptive import AcceptedGrid
from sdegrad.torch.types import Area, BrownianMotion, Increment, Progress, Scheme, SolverState, SpaceTime, Time

_CHUNK = 64  # grid times made at once: few enough to be held for any number of steps


class Step(NamedTuple):
    """The step from grid time k to k + 1: its end times, length dt and Brownian increment dW (see `Scheme`)."""

    k: int
    t0: Time
    t1: Time
    dt: float
    dW: Increment


@dataclass(frozen=True)
class Steps:
    """The grid, and the Brownian motion on it: increment(k) is that of [grid.time(k), grid.time(k + 1)], with the Levy
    area that the scheme asks for. progress is called after each step forward."""

    grid: Grid | AcceptedGrid
    increment: Callable[[int], Increment]
    dtype: torch.dtype
    device: torch.device
    progress: Progress | None = None

    def forward(self, start: int = 0, stop: int | None = None) -> Iterator[Step]:
        """Yields the steps from grid time `start` to grid time `stop` (the end, if None)."""
        stop = self.grid.steps if stop is None else stop
        times = self.times(range(start, stop + 1))
        t0 = next(times)
        for k, t1 in enumerate(times, start):
            yield Step(k, t0, t1, self.grid.step(k), self.increment(k))
            t0 = t1
            if self.progress:
                self.progress(k + 1, self.grid.steps)

    def backward(self) -> Iterator[Step]:
        """Yields all steps, the last one first."""
        times = self.times(range(self.grid.steps, -1, -1))
        t1 = next(times)
        for k, t0 in zip(range(self.grid.steps - 1, -1, -1), times, strict=True):
            yield Step(k, t0, t1, self.grid.step(k), self.increment(k))
            t1 = t0

    def times(self, indices: Sequence[int]) -> Iterator[Time]:
        """The grid times as tensors on the device, rounded once from the float64 of the grid."""
        for i in range(0, len(indices), _CHUNK):
            chunk = [self.grid.time(k) for k in indices[i : i + _CHUNK]]
            yield from torch.tensor(chunk, dtype=self.dtype, device=self.device).unbind()


@dataclass(frozen=True)
class Solve:
    """A solve, checked and ready to run. outputs: for each output time (k, w) as `Grid.outputs` gives them.

    start: the vector field at the initial time. steps_over(grid, levy_area): the steps of the same Brownian motion over
    another grid, with another Levy area.
    extra: the state at the start beside the solution, if it is given. blocks: `compiled.Blocks` to go through, if any.
    drawn: the first increment with its version, of a Brownian motion of ours.
    kept, first: for a pass that runs the SDE again: `replay.Kept`, and for a Brownian motion of another library the
    query by index with copies of its first answer.
    """

    scheme: Scheme
    field: VectorField
    steps: Steps
    outputs: tuple[tuple[int, float], ...]
    start: Start
    steps_over: Callable[[Grid | AcceptedGrid, LevyArea], Steps]
    extra: SolverState | None = None
    blocks: Any = None
    kept: Any = None
    drawn: tuple[Tensor, int] | None = None
    first: tuple[Callable[[int], Increment], tuple[Tensor, ...]] | None = None

    def run(self, y0: Tensor) -> tuple[Tensor, SolverState]:
        """The outputs [outputs, *paths, dim] and the state at the end; autograd sees every step of it."""
        ys, state = self.begin(y0)
        later, state = self.advance(state, 0, self.steps.grid.steps)
        return torch.stack(ys + later), state

    def values(self, k: int, y: Tensor) -> Values:
        """The drift and the diffusion at grid time k, as in `Start`."""
        (t,) = self.steps.times([k])
        return field_at(self.field, t, y.detach(), self.start.noise)

    def check_values(self, y0: Tensor, y1: Tensor, at_end: Values) -> None:
        """RuntimeError if the SDE returns other values than in the solve, at the start or at the end, where they were
        `at_end`."""
        for k, y, known in ((0, y0, self.start[:2]), (self.steps.grid.steps, y1, at_end)):
            self.kept.evaluate(partial(self.values, k, y), known)

    def check_bm(self) -> None:
        """RuntimeError if a Brownian motion of another library gives another increment than at first."""
        if self.first is None:
            return
        increment, known = self.first
        again = increment(0)
        if any(map(differ, again if isinstance(again, tuple) else (again,), known)):
            raise RuntimeError(
                "bm gave another increment for the same times than before the solve, so that the backward pass would "
                'see another path; let it keep what it draws, or use adjoint="backprop".'
            )

    def begin(self, y0: Tensor) -> tuple[list[Tensor], SolverState]:
        """Returns (outputs at the initial time, state there)."""
        ys = [y0 for k, _ in self.outputs if k == 0]
        if self.extra is not None:
            return ys, (y0, *self.extra)
        return ys, self.scheme.start(y0, self.start.f0, self.start.g0)

    def advance(self, state: SolverState, start: int, stop: int) -> tuple[list[Tensor], SolverState]:
        """Step from the state at grid time `start` to `stop`. Returns (outputs after start, state at stop)."""
        ys, at, z0 = [], start, state[0]
        pending = [(k, w) for k, w in reversed(self.outputs) if start < k <= stop]
        steps = _one_by_one if self.blocks is None else self.blocks.steps
        for zs, after in steps(self, state, start, stop):
            for z1 in zs:
                at += 1
                while pending and pending[-1][0] == at:
                    ys.append(torch.lerp(z0, z1, pending.pop()[1]))
                z0 = z1
            state = after
        return ys, state

    def weights(self) -> dict[int, list[tuple[int, float]]]:
        """The adjoint of interpolation: by grid index k, the outputs i that z_k enters, with which weight."""
        weights: dict[int, list[tuple[int, float]]] = {}
        for i, (k, w) in enumerate(self.outputs):
            weights.setdefault(k, []).append((i, w))
            if w < 1:
                weights.setdefault(k - 1, []).append((i, 1 - w))
        return weights


def _one_by_one(solve: Solve, state: SolverState, start: int, stop: int) -> Iterator[tuple[tuple[Tensor], SolverState]]:
    """Yields for each step ((solution after it,), state after it)."""
    step, field = solve.scheme.step, solve.field
    for _, t0, t1, dt, dW in solve.steps.forward(start, stop):
        state = step(field, state, t0, t1, dt, dW)
        yield (state[0],), state


def increments(
    bm: BrownianMotion, grid: Grid | AcceptedGrid, eps: float, levy_area: LevyArea = "none"
) -> Callable[[int], Increment]:
    """The increments of `bm` over the cells of `grid`, by index, with what `levy_area` names; `eps` is that of the
    dtype of the times.

    A `BrownianInterval` with the same cells is queried by index, any other Brownian motion by the grid times as
    floats; so is a subclass with a `__call__` of its own.
    """
    query = _by_time(bm, grid)
    plain = isinstance(bm, BrownianInterval) and type(bm).__call__ is BrownianInterval.__call__
    if plain and bm.grid.dt == grid.dt:
        ends = bm.grid.locate(grid.t0, eps), bm.grid.locate(grid.t1, eps)
        if ends == ((0, True), (grid.steps, True)):
            query = bm.cell
    if levy_area == "none":
        return query
    if levy_area == "foster":
        return lambda k: Area(*query(k, return_A=True))

    def space_time(k: int) -> SpaceTime:
        W, U = query(k, return_U=True)
        return SpaceTime(W, U / grid.step(k) - 0.5 * W)

    return space_time


def _by_time(bm: BrownianMotion, grid: Grid | AcceptedGrid) -> Callable[..., Any]:
    """The increment of `bm` by index. A float32 end may be an ulp beyond that of `bm`, and is then taken for it."""
    first, last = max(grid.t0, float(getattr(bm, "t0", grid.t0))), min(grid.t1, float(getattr(bm, "t1", grid.t1)))
    ends = {0: first, grid.steps: last}
    return lambda k, **areas: bm(ends.get(k, grid.time(k)), ends.get(k + 1, grid.time(k + 1)), **areas)
