"""The arguments that `sdeint` and `sdeint_adjoint` share: as the caller gives them, and checked."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from sdegrad.torch import checks
from sdegrad.torch.brownian.foreign import as_ours
from sdegrad.torch.logqp import LogRatioSDE, with_log_ratio
from sdegrad.torch.sde import Counts, VectorField, make_vector_field
from sdegrad.torch.stepping.adaptive import Tolerances
from sdegrad.torch.types import SDE, BrownianMotion, Number, Options, Progress, SolverState, Times
from sdegrad.torch.warn import warn


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """The arguments as given, unchecked but for the tolerances, which are None for constant steps."""

    sde: SDE
    y0: Tensor
    ts: Times
    bm: BrownianMotion | None
    method: str | None
    dt: Number
    tolerances: Tolerances | None
    options: Options | None
    names: Mapping[str, str] | None
    logqp: bool
    extra: bool
    extra_solver_state: SolverState | None
    return_stats: bool
    progress: Progress | None
    compile: bool
    max_steps: float | int


@dataclass(frozen=True, kw_only=True)
class Setup:
    """The arguments, and what follows from them before the SDE is evaluated.

    method: the one that is used. y0: with `logqp`, it has the log-ratio as its last component. bm: None, or a Brownian
    motion that can be queried by floats. field: the vector field of y. counts: of its evaluations, for `return_stats`.
    progress: called once for each step. blocks: `adjoints.compiled.Blocks`, for `compile`.
    """

    given: Arguments
    method: str
    y0: Tensor
    bm: BrownianMotion | None
    field: VectorField
    extra_solver_state: SolverState | None
    counts: Counts | None
    progress: Progress | None
    blocks: Any


def read_arguments(given: Arguments) -> Setup:
    """Check the arguments, but for the times and the Brownian motion. ValueError for what does not fit."""
    sde, y0, bm = given.sde, given.y0, given.bm
    checks.check_sde(sde)
    checks.check_mappings(options=given.options, names=given.names)
    checks.check_flags(logqp=given.logqp, extra=given.extra, return_stats=given.return_stats, compile=given.compile)
    if given.tolerances and (given.method or checks.default_method(sde.sde_type, sde.noise_type)) == "euler":
        _warn_of_euler(sde.noise_type)
    method = checks.check_method(given.method, sde.sde_type, sde.noise_type)
    checks.check_state(y0)
    checks.check_callable(bm)
    checks.check_progress(given.progress)
    bm = None if bm is None else as_ours(bm, y0.device)
    blocks = _blocks(sde, y0, given.return_stats) if given.compile else None
    counts = Counts() if given.return_stats else None
    return Setup(
        given=given,
        method=method,
        y0=with_log_ratio(y0) if given.logqp else y0,
        bm=bm,
        field=_vector_field(given, bm, counts),
        extra_solver_state=None if given.extra_solver_state is None else checks.as_state(given.extra_solver_state),
        counts=counts,
        progress=None if given.progress is None else _each_step_once(given.progress),
        blocks=blocks,
    )


def _vector_field(given: Arguments, bm: BrownianMotion | None, counts: Counts | None) -> VectorField:
    shape = getattr(bm, "shape", None)
    channels = shape[-1] if shape else None
    names = given.names or {}
    if given.logqp:
        return make_vector_field(LogRatioSDE(given.sde, names), {}, channels, counts)
    return make_vector_field(given.sde, names, channels, counts)


def _warn_of_euler(noise_type: str) -> None:
    if noise_type != "additive":
        warn("adaptive steps of euler converge to the solution for additive noise only; use milstein or srk.")


def _blocks(sde: SDE, y0: Tensor, return_stats: bool) -> Any:
    from sdegrad.torch.adjoints.compiled import (
        make_blocks,  # here, because torch's compiler takes seconds to import
    )

    return make_blocks(sde, y0, return_stats)


def _each_step_once(progress: Progress) -> Progress:
    """`progress` without the calls for steps that a checkpoint takes a second time, in the backward pass."""
    last = 0

    def forward_only(step: int, steps: int) -> None:
        nonlocal last
        if step > last:
            last = step
            progress(step, steps)

    return forward_only
