"""From what the user asks to a solve that is ready to run, and from what it gives to what the user gets."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from sdegrad.grid import make_grid
from sdegrad.torch import checks
from sdegrad.torch.adaptive import AcceptedGrid, Tolerances, plan
from sdegrad.torch.brownian import BrownianInterval
from sdegrad.torch.log_ratio import LogRatioSDE, split_log_ratio, with_log_ratio
from sdegrad.torch.methods import make_scheme
from sdegrad.torch.sde import Field, make_field
from sdegrad.torch.types import Number, Outputs, Scheme, SolverState, Times
from sdegrad.torch.walk import Solve, Walk, increments


class Asked(NamedTuple):
    """The arguments of `sdeint`, the method chosen; with `logqp` y0 has the log-ratio as its last component."""

    sde: Any
    y0: Tensor
    ts: Times
    bm: Any
    method: str
    dt: Number
    options: Mapping[str, Any]
    field: Field
    logqp: bool
    extra: bool
    extra_solver_state: SolverState | None
    tolerances: Tolerances | None


def ask(
    sde: Any,
    y0: Tensor,
    ts: Times,
    bm: Any,
    method: str | None,
    dt: Number,
    options: Mapping[str, Any] | None,
    names: Mapping[str, str] | None,
    logqp: bool,
    extra: bool,
    extra_solver_state: Sequence[Tensor] | None,
    tolerances: Tolerances | None,
) -> Asked:
    checks.check_sde(sde)
    method = checks.check_method(method, sde.sde_type, sde.noise_type)
    checks.check_state(y0)
    field = make_field(LogRatioSDE(sde, names or {}), {}) if logqp else make_field(sde, names or {})
    y0 = with_log_ratio(y0) if logqp else y0
    if tolerances and method == "euler" and sde.noise_type != "additive":
        warnings.warn(
            "adaptive steps of euler converge to the solution for additive noise only; use milstein or srk.",
            stacklevel=3,
        )
    given = None if extra_solver_state is None else tuple(extra_solver_state)
    return Asked(sde, y0, ts, bm, method, dt, options or {}, field, logqp, extra, given, tolerances)


def prepare(asked: Asked) -> Solve:
    """Check the numbers and the shapes, and put together what the loop over the steps needs."""
    sde, y0, ts, bm, field = asked.sde, asked.y0, asked.ts, asked.bm, asked.field
    times = checks.read_times(ts, asked.dt, y0.dtype)
    scheme = make_scheme(asked.method, sde.sde_type, sde.noise_type, asked.options)
    grid = make_grid(times.ts[0], times.ts[-1], times.dt, times.eps)
    t0 = torch.tensor(grid.t0, dtype=times.dtype, device=y0.device)
    start = checks.evaluate_start(field, sde.noise_type, t0, y0, bm)
    if bm is None:
        bm = BrownianInterval(
            *(ts[0], ts[-1]),  # as they were given: the dtype says how exact they are
            size=start.noise,
            dtype=y0.dtype,
            device=y0.device,
            dt=times.dt,
            levy_area_approximation=scheme.levy_area,
        )
    checks.check_callable(bm)
    checks.check_levy_area(bm, scheme.levy_area, asked.method)
    walk = Walk(grid, increments(bm, grid, times.eps, scheme.levy_area), times.dtype, y0.device)
    checks.check_noise(walk.increment(0), start.noise, y0)
    _check_extra(asked, scheme, start)
    solve = Solve(scheme, field, walk, grid.outputs(times.ts, times.eps), start, asked.extra_solver_state)
    return solve if asked.tolerances is None else _with_adaptive_steps(solve, asked, bm, times)


def _with_adaptive_steps(solve: Solve, asked: Asked, bm: Any, times: checks.Times) -> Solve:
    """The same over the times that `plan` accepts."""
    assert asked.tolerances is not None
    scheme, walk = solve.scheme, solve.walk

    def over(grid: AcceptedGrid) -> Walk:
        return replace(walk, grid=grid, increment=increments(bm, grid, times.eps, scheme.levy_area))

    def step(state: SolverState, a: float, b: float) -> SolverState:
        (at,) = over(AcceptedGrid((a, b))).forward()
        return scheme.step(solve.field, state, at.t0, at.t1, at.dt, at.dW)

    with torch.no_grad():
        _, state = solve.begin(asked.y0)
        grid = plan(step, state, (walk.grid.t0, walk.grid.t1), times.dt, asked.tolerances)
    return replace(solve, walk=over(grid), outputs=grid.outputs(times.ts, times.eps))


def parts(asked: Asked, ys: Outputs, state: SolverState) -> Any:
    """ys, the log-ratio if asked for, the rest of the state if asked for."""
    log_ratio = ()
    if asked.logqp:
        ys, *log_ratio = split_log_ratio(ys)
    answer = (ys, *log_ratio, *((state[1:],) if asked.extra else ()))
    return answer if len(answer) > 1 else ys


def _check_extra(asked: Asked, scheme: Scheme, start: checks.Start) -> None:
    if asked.extra_solver_state is None:
        return
    expected = [tuple(x.shape) for x in scheme.start(asked.y0, start.f0, start.g0)[1:]]
    got = [tuple(x.shape) for x in asked.extra_solver_state]
    if got != expected:
        raise ValueError(
            f"the extra_solver_state of {asked.method!r} has tensors of the shapes {expected}, got {got}; pass what a "
            "solve with extra=True returned last, or leave it out."
        )
