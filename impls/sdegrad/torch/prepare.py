"""From checked arguments to a `Solve` that is ready to run, and from its solution to what `sdeint` returns."""

from collections.abc import Callable
from dataclasses import replace
from operator import itemgetter
from typing import Any

import torch
from torch import Tensor

from sdegrad.grid import Grid, make_grid
from sdegrad.torch import checks
from sdegrad.torch.adjoints.replay import Kept
from sdegrad.torch.arguments import Setup
from sdegrad.torch.brownian.foreign import Foreign
from sdegrad.torch.brownian.interval import BrownianInterval
from sdegrad.torch.brownian.levy import LEVY_AREAS, LevyArea
from sdegrad.torch.logqp import split_log_ratio
from sdegrad.torch.methods import make_scheme
from sdegrad.torch.returned import version
from sdegrad.torch.start import Start, check_unwritten, evaluate_start
from sdegrad.torch.stepping.adaptive import AcceptedGrid, Tolerances, check_steps, plan
from sdegrad.torch.stepping.fixed import Solve, Steps, increments
from sdegrad.torch.stepping.parted import check_parted, watch
from sdegrad.torch.types import BrownianMotion, Increment, Outputs, Scheme, SolverState, State, Stats


def prepare(setup: Setup, kept: Kept | None, levy_area: LevyArea = "none") -> Solve:
    """Check the numbers and the shapes, evaluate the SDE at the start, and return what the loop over the steps needs.

    kept: of `Solve`. levy_area: the least that the backward pass needs of the Brownian motion. ValueError for what
    does not fit.
    """
    given, y0, bm = setup.given, setup.y0, setup.bm
    times = checks.read_times(given.ts, given.dt, y0.dtype)
    scheme = make_scheme(setup.method, given.sde.sde_type, given.sde.noise_type, given.options or {})
    grid = make_grid(times.ts[0], times.ts[-1], times.dt, times.eps)
    if given.tolerances is None:
        check_steps(grid.steps, given.max_steps)
    t0 = torch.tensor(grid.t0, dtype=times.dtype, device=y0.device)
    start = evaluate_start(setup.field, given.sde.noise_type, t0, grid.t1, y0, bm)
    if start.dtype != y0.dtype:
        wide = None if bm is None else _Each(bm, lambda x: x.to(start.dtype))
        return prepare(replace(setup, y0=y0.to(start.dtype), bm=wide), kept, levy_area)
    if bm is None:
        enough = LEVY_AREAS.index(scheme.levy_area) >= LEVY_AREAS.index(levy_area)
        bm = _own_noise(y0, times, start.noise, scheme.levy_area if enough else levy_area)
    checks.check_span(bm, grid, times.eps)
    checks.check_levy_area(bm, scheme.levy_area, f"method {setup.method!r}")
    checks.check_levy_area(bm, levy_area, "the adjoint_method")

    progress = setup.progress if given.tolerances is None else None

    def steps_over(grid: Grid | AcceptedGrid, levy_area: LevyArea) -> Steps:
        return Steps(grid, increments(bm, grid, times.eps, levy_area), times.dtype, y0.device, progress)

    steps = steps_over(grid, scheme.levy_area)
    increment = steps.increment(0)
    checks.check_noise(increment, start.noise, y0)
    _check_extra(setup, scheme, start)
    drawn, first = None, None
    if isinstance(bm, Foreign | _Each):  # which may write into what they returned
        first = steps.increment, _copied(increment)
    else:
        W = increment if isinstance(increment, Tensor) else increment.W
        drawn = W, version(W)
    solve = Solve(
        scheme=scheme,
        field=setup.field,
        steps=steps,
        outputs=grid.outputs(times.ts, times.eps),
        start=start,
        steps_over=steps_over,
        extra=setup.extra_solver_state,
        blocks=setup.blocks,
        kept=kept,
        drawn=drawn,
        first=first,
    )
    return solve if given.tolerances is None else _with_adaptive_steps(solve, setup, given.tolerances, times)


def _copied(noise: Increment) -> tuple[Tensor, ...]:
    """Copies of its parts, which `bm` may write over."""
    return tuple(x.clone() for x in (noise if isinstance(noise, tuple) else (noise,)))


def _own_noise(y0: State, times: checks.Times, size: tuple[int, ...], levy_area: LevyArea) -> BrownianMotion:
    """A `BrownianInterval` with cells of length dt. A y0 without paths gets a Levy area too, by an axis of one path."""
    alone = len(size) == 1 and levy_area == "foster"
    bm = BrownianInterval(
        *times.ends,
        size=(1, *size) if alone else size,
        dtype=y0.dtype,
        device=y0.device,
        dt=times.dt,
        levy_area_approximation=levy_area,
    )
    return _Each(bm, itemgetter(0)) if alone else bm


class _Each:
    """A Brownian motion with `change` applied to all that it returns: to another dtype, say."""

    def __init__(self, bm: BrownianMotion, change: Callable[[Tensor], Tensor]) -> None:
        self._bm, self._change = bm, change

    def __getattr__(self, name: str) -> Any:
        return getattr(self._bm, name)  # t0, t1, shape, levy_area_approximation, as far as it has them

    def __call__(self, ta: float, tb: float, **areas: bool) -> Any:
        answer = self._bm(ta, tb, **areas)
        return tuple(map(self._change, answer)) if isinstance(answer, tuple) else self._change(answer)


def _with_adaptive_steps(solve: Solve, setup: Setup, tolerances: Tolerances, times: checks.Times) -> Solve:
    """`solve` over the times that `plan` accepts."""
    scheme = solve.scheme

    def step(state: SolverState, a: float, b: float) -> SolverState:
        (at,) = solve.steps_over(AcceptedGrid((a, b)), scheme.levy_area).forward()
        return scheme.step(solve.field, state, at.t0, at.t1, at.dt, at.dW)

    with torch.no_grad():
        _, state = solve.begin(setup.y0)
        ends = solve.steps.grid.t0, solve.steps.grid.t1
        look = watch(scheme.copy)
        look(state, ends[0])
        grid, _ = plan(step, state, ends, times.dt, tolerances, progress=setup.progress, look=look)
    steps = solve.steps_over(grid, scheme.levy_area)
    return replace(solve, steps=steps, outputs=grid.outputs(times.ts))


def result(setup: Setup, solve: Solve, ys: Outputs, state: SolverState) -> Any:
    """ys [outputs, *paths, dim]; and, in a tuple, the log-ratio, the rest of the state and `Stats`, where wanted."""
    log_ratio = ()
    _check_kept_kind(state[0], setup.y0, solve.start.dtype)
    if solve.drawn is not None:
        W, known = solve.drawn
        check_unwritten("the Brownian increment dW", version(W) == known)
    check_parted(solve, ys, state)
    if setup.given.logqp:
        ys, *log_ratio = split_log_ratio(ys)
    answer = (ys, *log_ratio, *((state[1:],) if setup.given.extra else ()), *_stats(setup, solve))
    return answer if len(answer) > 1 else ys


def _check_kept_kind(y: State, y0: State, dtype: torch.dtype) -> None:
    if (y.shape, y.dtype) != (y0.shape, dtype):
        raise ValueError(
            f"the dtype or the shape of the solution changed on the way, from {(tuple(y0.shape), dtype)} to "
            f"{(tuple(y.shape), y.dtype)}; let the SDE return the same kind of tensors at all times."
        )


def _stats(setup: Setup, solve: Solve) -> tuple[Stats, ...]:
    if setup.counts is None:
        return ()
    grid, counts = solve.steps.grid, setup.counts
    return (Stats(grid.steps, counts.drift, counts.diffusion, grid.rejected if isinstance(grid, AcceptedGrid) else 0),)


def _check_extra(setup: Setup, scheme: Scheme, start: Start) -> None:
    if setup.extra_solver_state is None:
        return
    expected = [_kind(x) for x in scheme.start(setup.y0, start.f0, start.g0)[1:]]
    got = [_kind(x) for x in setup.extra_solver_state]
    if got != expected:
        raise ValueError(
            f"the extra_solver_state of {setup.method!r} must hold tensors of {expected}, got {got}; pass what a "
            "solve with extra=True returned last, or leave it out."
        )


def _kind(x: object) -> tuple | str:
    return (tuple(x.shape), x.dtype) if isinstance(x, Tensor) else type(x).__name__
