"""`sdeint` and `sdeint_adjoint`: the two functions that solve an SDE."""

from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor

from sdegrad.torch import checks
from sdegrad.torch.arguments import Arguments, read_arguments
from sdegrad.torch.eager import eager
from sdegrad.torch.run import backsolve_options, run
from sdegrad.torch.stepping.adaptive import check_tolerances
from sdegrad.torch.types import SDE, BrownianMotion, Number, Options, Progress, SolverState, Times
from sdegrad.torch.warn import warn

MAX_STEPS = 10_000_000  # hours, for most SDEs


@eager
def sdeint(
    sde: SDE,
    y0: Tensor,
    ts: Times,
    bm: BrownianMotion | None = None,
    method: str | None = None,
    dt: Number = 1e-3,
    adaptive: bool = False,
    rtol: Number = 1e-5,
    atol: Number = 1e-4,
    dt_min: Number = 1e-5,
    options: Options | None = None,
    names: Mapping[str, str] | None = None,
    logqp: bool = False,
    extra: bool = False,
    extra_solver_state: SolverState | None = None,
    *,
    adjoint: str = "backprop",
    adjoint_params: Iterable[Tensor] | None = None,
    return_stats: bool = False,
    progress: Progress | None = None,
    compile: bool = False,
    max_steps: float | int = MAX_STEPS,
    **unused_kwargs: Any,
) -> Any:
    """Solve dy = f(t, y) dt + g(t, y) dW from y0 at ts[0]; return y at the times ts, [outputs, *paths, dim].

    sde: an object with noise_type, sde_type, a drift f(t, y) [*paths, dim] and a diffusion g(t, y), which is
        [*paths, dim] for diagonal, [*paths, dim, 1] for scalar, [*paths, dim, noise] for additive and general
        noise; t is a tensor without axes. Also, or instead: f_and_g(t, y), g_prod(t, y, dW),
        f_and_g_prod(t, y, dW).
    y0: [*paths, dim], of a floating dtype, finite; any axes before dim, or none.
    ts: two times or more, strictly increasing. t has their dtype, or that of y0 if they are Python numbers; grid times
        are computed in float64, so half precision rounds what f and g see of t and not the grid.
    bm: called as bm(ta, tb), gives W(tb) - W(ta) [*paths, noise]. By default a `BrownianInterval` with cells
        of length dt, seeded from torch's global generator; one with the same cells is the fastest. For srk it must
        have levy_area_approximation "space-time" or more, for log_ode and general noise "davie" or "foster".
    method: one that fits sde_type and noise_type, as `sdegrad.methods.METHODS` tells; by default "midpoint"
        (Stratonovich), "srk" (Ito) or, for general noise, "euler" (Ito).
    dt: the constant step; the last one is clipped to ts[-1]. Between steps y is interpolated linearly.
    options: of the method. milstein: grad_free (False), differences in place of derivatives of g. mccallum_foster: base
        ("midpoint"), coupling (0.999).
    names: other names of the methods of `sde`, by "drift", "diffusion", "drift_and_diffusion",
        "diffusion_prod", "drift_and_diffusion_prod", "prior_drift".
    logqp: return (ys, log-ratio [outputs - 1, *paths]) for an sde with a prior drift h(t, y): over each interval
        between two outputs the integral of |u|^2 / 2, u = g^-1 (f - h), whose mean is the Kullback-Leibler divergence
        of the two processes. Diagonal noise then has one more channel, unused, which a given bm must have too.
    extra: return the rest of the state of the method at ts[-1] too, as a last item: (f, g, zh) of reversible_heun,
        (z,) of mccallum_foster, () of others. extra_solver_state: the same at ts[0], to go on from another solve.
    adjoint: how gradients are computed. "backprop": autograd through every step. "checkpoint": the same, in
        memory that grows like the square root of the number of steps, beside a few kilobytes a step of autograd's own
        record, which no batch makes larger. "reversible" (reversible_heun and mccallum_foster): the same to round-off,
        in constant memory; with ees25 and ees27 only nearly the same, since they undo a step up to a high power of dt.
        "backsolve": the continuous adjoint, approximate, in constant memory. The last two reach y0 and adjoint_params
        only; the reversible one is differentiable once, backsolve twice (the second time in memory that grows with the
        steps), the others always.
    adjoint_params: what these two reach beside y0; the parameters of `sde` by default, with a warning, once for an sde,
        if it depends on other tensors that require gradients.
    return_stats: return `Stats` of the forward pass too, as the very last item.
    max_steps: of the solve, and of an adaptive one the steps that are tried: ValueError beyond, so that a slip in dt
        does not hang. math.inf for no bound.
    progress: called as progress(step, steps) after each step of the forward pass; with `adaptive`, as
        progress(part, 1000) after each accepted one, by time.
    compile: run blocks of steps as compiled functions, forward and, with the adjoint "reversible" or by autograd, back;
        `progress` is then called after each block. It pays for many solves with small networks: the first call takes
        tens of seconds, later ones reuse it for every seed, dt, ts, number of steps and value of the parameters. f and
        g must be of torch alone and not depend on the values of tensors in Python. Needs torch's compiler, and on the
        CPU one for C++. No effect on the search for adaptive steps and on the backward pass of "backsolve".
    adaptive: choose the steps, from dt on and not below dt_min, so that two half steps differ from a whole one by no
        more than rtol |y| + atol, in the root mean square over all entries; the solution is that of the half steps.
        Only then rtol, atol and dt_min have an effect. All adjoints take the steps as constants.

    ValueError for bad arguments, before the first step; a warning for unknown ones.
    """
    _warn_unused("sdeint", unused_kwargs)
    checks.check_no_gradient(rtol=rtol, atol=atol, dt_min=dt_min)
    checks.check_flags(adaptive=adaptive)
    tolerances = check_tolerances(rtol, atol, dt_min, max_steps) if adaptive else None
    setup = read_arguments(
        Arguments(
            sde=sde,
            y0=y0,
            ts=ts,
            bm=bm,
            method=method,
            dt=dt,
            tolerances=tolerances,
            options=options,
            names=names,
            logqp=logqp,
            extra=extra,
            extra_solver_state=extra_solver_state,
            return_stats=return_stats,
            progress=progress,
            compile=compile,
            max_steps=max_steps,
        )
    )
    checks.check_adjoint(adjoint, setup.method)
    return run(setup, adjoint, adjoint_params, backsolve_options(setup) if adjoint == "backsolve" else None)


@eager
def sdeint_adjoint(
    sde: SDE,
    y0: Tensor,
    ts: Times,
    bm: BrownianMotion | None = None,
    method: str | None = None,
    adjoint_method: str | None = None,
    dt: Number = 1e-3,
    adaptive: bool = False,
    adjoint_adaptive: bool = False,
    rtol: Number = 1e-5,
    adjoint_rtol: Number = 1e-5,
    atol: Number = 1e-4,
    adjoint_atol: Number = 1e-4,
    dt_min: Number = 1e-5,
    options: Options | None = None,
    adjoint_options: Options | None = None,
    adjoint_params: Iterable[Tensor] | None = None,
    names: Mapping[str, str] | None = None,
    logqp: bool = False,
    extra: bool = False,
    extra_solver_state: SolverState | None = None,
    *,
    return_stats: bool = False,
    progress: Progress | None = None,
    compile: bool = False,
    max_steps: float | int = MAX_STEPS,
    **unused_kwargs: Any,
) -> Any:
    """`sdeint` with gradients in constant memory. Arguments that are not listed here are those of `sdeint`.

    adjoint_method: None for the adjoint "reversible" of a method that has one (torchsde's name,
        "adjoint_reversible_heun", is accepted too), and with every other for the continuous adjoint, solved with
        `method` itself; or another one-step method for this calculus and noise to solve that one with.
    adjoint_options: of that method, as `options`.
    adjoint_params: the tensors, beside y0, that gradients reach; the parameters of `sde` by default.
    adjoint_adaptive: choose steps for the continuous adjoint, by adjoint_rtol and adjoint_atol on the error of the
        state and of all its adjoints. Otherwise it is solved over the steps of the forward pass. The reversible adjoint
        always retraces those, for which it is exact, and warns if adjoint_adaptive is set.

    ValueError for bad arguments, before the first step; a warning for unknown ones.
    """
    _warn_unused("sdeint_adjoint", unused_kwargs)
    checks.check_no_gradient(rtol=rtol, atol=atol, dt_min=dt_min, adjoint_rtol=adjoint_rtol, adjoint_atol=adjoint_atol)
    checks.check_flags(adaptive=adaptive, adjoint_adaptive=adjoint_adaptive)
    tolerances = check_tolerances(rtol, atol, dt_min, max_steps) if adaptive else None
    own_steps = (
        check_tolerances(adjoint_rtol, adjoint_atol, dt_min, max_steps, "adjoint_") if adjoint_adaptive else None
    )
    setup = read_arguments(
        Arguments(
            sde=sde,
            y0=y0,
            ts=ts,
            bm=bm,
            method=method,
            dt=dt,
            tolerances=tolerances,
            options=options,
            names=names,
            logqp=logqp,
            extra=extra,
            extra_solver_state=extra_solver_state,
            return_stats=return_stats,
            progress=progress,
            compile=compile,
            max_steps=max_steps,
        )
    )
    if adjoint_method not in (None, f"adjoint_{setup.method}") or not checks.has_reversal(setup.method):
        backwards = backsolve_options(setup, adjoint_method, adjoint_options or {}, own_steps)
        return run(setup, "backsolve", adjoint_params, backwards)
    if adjoint_options:
        raise ValueError(f"the reversible adjoint has no options, got adjoint_options={adjoint_options}; leave it out.")
    if adjoint_adaptive:
        warn("adjoint_adaptive has no effect: the reversible adjoint retraces its steps.")
    return run(setup, "reversible", adjoint_params, None)


def _warn_unused(function: str, unused: Mapping[str, Any]) -> None:
    if unused:
        warn(f"{function}: unexpected arguments {', '.join(unused)} have no effect.")
