"""`sdeint` and `sdeint_adjoint`: check what is asked, choose the adjoint, and run."""

import warnings
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from sdegrad.grid import make_grid
from sdegrad.methods import FACTS, SDEType
from sdegrad.torch import checks
from sdegrad.torch.adjoint import backprop, checkpoint, reversible
from sdegrad.torch.backsolve import USABLE, backsolve
from sdegrad.torch.brownian import BrownianInterval
from sdegrad.torch.methods import make_scheme
from sdegrad.torch.sde import make_field
from sdegrad.torch.types import Number, Outputs, Times
from sdegrad.torch.walk import Solve, Walk, increments

REVERSIBLE_HEUN_ADJOINT = "adjoint_reversible_heun"  # torchsde's name of it


def sdeint(
    sde: Any,
    y0: Tensor,
    ts: Times,
    bm: Any = None,
    method: str | None = None,
    dt: Number = 1e-3,
    adaptive: bool = False,
    rtol: Number = 1e-5,  # noqa: ARG001
    atol: Number = 1e-4,  # noqa: ARG001
    dt_min: Number = 1e-5,  # noqa: ARG001
    options: Mapping[str, Any] | None = None,
    names: Mapping[str, str] | None = None,
    logqp: bool = False,
    extra: bool = False,
    extra_solver_state: Any = None,
    *,
    adjoint: str = "backprop",
    adjoint_params: Iterable[Tensor] | None = None,
    **unused_kwargs: Any,
) -> Outputs:
    """Solve dy = f(t, y) dt + g(t, y) dW from y0 at ts[0]; return y at the times ts, [outputs, *paths, dim].

    sde: an object with noise_type, sde_type, a drift f(t, y) [*paths, dim] and a diffusion g(t, y), which is
        [*paths, dim] for diagonal, [*paths, dim, 1] for scalar, [*paths, dim, noise] for additive and general
        noise; t is a tensor without axes. Also, or instead: f_and_g(t, y), g_prod(t, y, dW),
        f_and_g_prod(t, y, dW).
    y0: [*paths, dim], of a floating dtype, finite.
    ts: two times or more, strictly increasing. t has their dtype, or that of y0 if they are Python numbers.
    bm: called as bm(ta, tb), gives W(tb) - W(ta) [*paths, noise]. By default a `BrownianInterval` with cells
        of length dt, seeded from torch's global generator; one with the same cells is the fastest. For srk it must
        have levy_area_approximation "space-time" or more, for log_ode and general noise "davie" or "foster".
    method: one that fits sde_type and noise_type, as `sdegrad.methods.FACTS` tells; by default "midpoint"
        (Stratonovich), "srk" (Ito) or, for general noise, "euler" (Ito).
    dt: the constant step; the last one is clipped to ts[-1]. Between steps y is interpolated linearly.
    options: of the method. milstein: grad_free (False), differences in place of derivatives of g.
    names: other names of the methods of `sde`, by "drift", "diffusion", "drift_and_diffusion",
        "diffusion_prod", "drift_and_diffusion_prod".
    adjoint: how gradients are computed. "backprop": autograd through every step. "checkpoint": the same, in
        memory that grows like the square root of the number of steps. "reversible" (reversible_heun only):
        the same to round-off, in constant memory. "backsolve": the continuous adjoint, approximate, in
        constant memory. The last two are differentiable once, and reach y0 and adjoint_params only.
    adjoint_params: what these two reach beside y0; the parameters of `sde` by default.
    rtol, atol, dt_min: without effect on constant steps.
    adaptive, logqp, extra, extra_solver_state: only their defaults; else NotImplementedError.

    ValueError for bad arguments, before the first step; a warning for unknown ones.
    """
    _warn_unused("sdeint", unused_kwargs)
    _only_defaults(adaptive=adaptive, logqp=logqp, extra=extra, extra_solver_state=extra_solver_state)
    checks.check_sde(sde)
    method = checks.check_method(method, sde.sde_type, sde.noise_type)
    checks.check_adjoint(adjoint, method)
    return _run(sde, y0, ts, bm, method, dt, options, names, adjoint, adjoint_params, None)


def sdeint_adjoint(
    sde: Any,
    y0: Tensor,
    ts: Times,
    bm: Any = None,
    method: str | None = None,
    adjoint_method: str | None = None,
    dt: Number = 1e-3,
    adaptive: bool = False,
    adjoint_adaptive: bool = False,
    rtol: Number = 1e-5,  # noqa: ARG001
    adjoint_rtol: Number = 1e-5,  # noqa: ARG001
    atol: Number = 1e-4,  # noqa: ARG001
    adjoint_atol: Number = 1e-4,  # noqa: ARG001
    dt_min: Number = 1e-5,  # noqa: ARG001
    options: Mapping[str, Any] | None = None,
    adjoint_options: Mapping[str, Any] | None = None,
    adjoint_params: Iterable[Tensor] | None = None,
    names: Mapping[str, str] | None = None,
    logqp: bool = False,
    extra: bool = False,
    extra_solver_state: Any = None,
    **unused_kwargs: Any,
) -> Outputs:
    """`sdeint` with gradients in constant memory. Arguments that are not listed here are those of `sdeint`.

    adjoint_method: None for the exact reversible adjoint with method="reversible_heun" (in torchsde
        "adjoint_reversible_heun", which is accepted too), and with every other for the continuous adjoint,
        solved with `method` itself; or another method of the same calculus to solve that one with.
    adjoint_params: the tensors, beside y0, that gradients reach; the parameters of `sde` by default.
    adjoint_rtol, adjoint_atol: without effect on constant steps.
    adjoint_adaptive, adjoint_options: only their defaults; else NotImplementedError.

    ValueError for bad arguments, before the first step; a warning for unknown ones. Differentiable once.
    """
    _warn_unused("sdeint_adjoint", unused_kwargs)
    _only_defaults(adaptive=adaptive, logqp=logqp, extra=extra, extra_solver_state=extra_solver_state)
    _only_defaults(adjoint_adaptive=adjoint_adaptive, adjoint_options=adjoint_options)
    checks.check_sde(sde)
    method = checks.check_method(method, sde.sde_type, sde.noise_type)
    reversed_exactly = FACTS[method].reversible and adjoint_method in (None, REVERSIBLE_HEUN_ADJOINT)
    adjoint = "reversible" if reversed_exactly else "backsolve"
    return _run(sde, y0, ts, bm, method, dt, options, names, adjoint, adjoint_params, adjoint_method)


def _run(
    sde: Any,
    y0: Tensor,
    ts: Times,
    bm: Any,
    method: str,
    dt: Number,
    options: Mapping[str, Any] | None,
    names: Mapping[str, str] | None,
    adjoint: str,
    adjoint_params: Iterable[Tensor] | None,
    adjoint_method: str | None,
) -> Outputs:
    prepare = partial(_prepare, sde, y0, ts, bm, method, dt, options or {}, names or {})
    if adjoint == "backprop":
        return backprop(prepare(), y0)
    if adjoint == "checkpoint":
        return checkpoint(prepare(), y0)
    params = _params(sde, adjoint_params)
    backward = None if adjoint == "reversible" else _backward_method(method, adjoint_method, sde.sde_type)
    with torch.no_grad():
        solve = prepare()
    if backward is None:
        return reversible(solve, y0, params)
    return backsolve(solve, y0, params, sde.sde_type, backward)


def _prepare(
    sde: Any,
    y0: Tensor,
    ts: Times,
    bm: Any,
    method: str,
    dt: Number,
    options: Mapping[str, Any],
    names: Mapping[str, str],
) -> Solve:
    """Check the numbers and the shapes, and put together what the loop over the steps needs."""
    checks.check_state(y0)
    times = checks.read_times(ts, dt, y0.dtype)
    scheme = make_scheme(method, sde.sde_type, sde.noise_type, options)
    grid = make_grid(times.ts[0], times.ts[-1], times.dt, times.eps)
    field = make_field(sde, names)
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
    checks.check_levy_area(bm, scheme.levy_area, method)
    walk = Walk(grid, increments(bm, grid, times.eps, scheme.levy_area), times.dtype, y0.device)
    checks.check_noise(walk.increment(0), start.noise, y0)
    return Solve(scheme, field, walk, grid.outputs(times.ts, times.eps), start)


def _params(sde: Any, adjoint_params: Iterable[Tensor] | None) -> list[Tensor]:
    if adjoint_params is None and not isinstance(sde, nn.Module):
        raise ValueError(
            f"the adjoint must know its parameters, but {type(sde).__name__} is no nn.Module; derive from "
            "nn.Module, or pass adjoint_params: the tensors that gradients shall reach, () for none."
        )
    params = sde.parameters() if adjoint_params is None else adjoint_params
    return [p for p in params if p.requires_grad]


def _backward_method(method: str, adjoint_method: str | None, sde_type: SDEType) -> str:
    """The method that solves the continuous adjoint: the forward one if it can, else that for general noise."""
    usable = USABLE[sde_type]
    chosen = adjoint_method or (method if method in usable else checks.default_method(sde_type, "general"))
    if chosen not in usable:
        raise ValueError(
            f"adjoint_method {chosen!r} cannot solve the continuous adjoint of a {sde_type} SDE; use one of "
            f"{', '.join(usable)}, or method='reversible_heun' with its own, exact adjoint."
        )
    return chosen


def _warn_unused(function: str, unused: Mapping[str, Any]) -> None:
    if unused:
        warnings.warn(f"{function}: unexpected arguments {', '.join(unused)} have no effect.", stacklevel=3)


def _only_defaults(**arguments: Any) -> None:
    for name, value in arguments.items():
        if value is not None and value is not False and value != {}:
            raise NotImplementedError(f"{name}={value!r} is not available in sdegrad.torch; leave it at its default.")
