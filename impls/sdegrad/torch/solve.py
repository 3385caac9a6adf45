"""`sdeint` and `sdeint_adjoint`: check what is asked, choose the adjoint, and run."""

import warnings
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from sdegrad.methods import FACTS, SDEType
from sdegrad.torch import checks
from sdegrad.torch.adaptive import check_tolerances
from sdegrad.torch.adjoint import backprop, checkpoint, reversible
from sdegrad.torch.backsolve import USABLE, backsolve
from sdegrad.torch.prepare import Asked, ask, parts, prepare
from sdegrad.torch.types import Number, Times


def sdeint(
    sde: Any,
    y0: Tensor,
    ts: Times,
    bm: Any = None,
    method: str | None = None,
    dt: Number = 1e-3,
    adaptive: bool = False,
    rtol: Number = 1e-5,
    atol: Number = 1e-4,
    dt_min: Number = 1e-5,
    options: Mapping[str, Any] | None = None,
    names: Mapping[str, str] | None = None,
    logqp: bool = False,
    extra: bool = False,
    extra_solver_state: Any = None,
    *,
    adjoint: str = "backprop",
    adjoint_params: Iterable[Tensor] | None = None,
    **unused_kwargs: Any,
) -> Any:
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
        memory that grows like the square root of the number of steps. "reversible" (reversible_heun and
        mccallum_foster): the same to round-off, in constant memory. "backsolve": the continuous adjoint,
        approximate, in constant memory. The last two are differentiable once, and reach y0 and adjoint_params only.
    adjoint_params: what these two reach beside y0; the parameters of `sde` by default.
    adaptive: choose the steps, from dt on and not below dt_min, so that two half steps differ from a whole one by no
        more than rtol |y| + atol, in the root mean square over all entries; the solution is that of the half steps.
        Only then rtol, atol and dt_min have an effect. Gradients take the steps as constants, all adjoints alike.

    ValueError for bad arguments, before the first step; a warning for unknown ones.
    """
    _warn_unused("sdeint", unused_kwargs)
    tolerances = check_tolerances(rtol, atol, dt_min) if adaptive else None
    asked = ask(sde, y0, ts, bm, method, dt, options, names, logqp, extra, extra_solver_state, tolerances)
    checks.check_adjoint(adjoint, asked.method)
    return _run(asked, adjoint, adjoint_params, None)


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
    rtol: Number = 1e-5,
    adjoint_rtol: Number = 1e-5,  # noqa: ARG001
    atol: Number = 1e-4,
    adjoint_atol: Number = 1e-4,  # noqa: ARG001
    dt_min: Number = 1e-5,
    options: Mapping[str, Any] | None = None,
    adjoint_options: Mapping[str, Any] | None = None,
    adjoint_params: Iterable[Tensor] | None = None,
    names: Mapping[str, str] | None = None,
    logqp: bool = False,
    extra: bool = False,
    extra_solver_state: Any = None,
    **unused_kwargs: Any,
) -> Any:
    """`sdeint` with gradients in constant memory. Arguments that are not listed here are those of `sdeint`.

    adjoint_method: None for the exact adjoint of a reversible method (torchsde's name "adjoint_reversible_heun" is
        accepted too), and with every other for the continuous adjoint, solved with `method` itself where that can be,
        else with "midpoint" or "euler"; or another method of the same calculus to solve that one with.
    adjoint_params: the tensors, beside y0, that gradients reach; the parameters of `sde` by default.
    adjoint_rtol, adjoint_atol: without effect, for the way back is over the steps of the way there.
    adjoint_adaptive, adjoint_options: only their defaults; else NotImplementedError.

    ValueError for bad arguments, before the first step; a warning for unknown ones. Differentiable once.
    """
    _warn_unused("sdeint_adjoint", unused_kwargs)
    _only_defaults(adjoint_adaptive=adjoint_adaptive, adjoint_options=adjoint_options)
    tolerances = check_tolerances(rtol, atol, dt_min) if adaptive else None
    asked = ask(sde, y0, ts, bm, method, dt, options, names, logqp, extra, extra_solver_state, tolerances)
    method = asked.method
    reversed_exactly = FACTS[method].reversible and adjoint_method in (None, f"adjoint_{method}")
    return _run(asked, "reversible" if reversed_exactly else "backsolve", adjoint_params, adjoint_method)


def _run(asked: Asked, adjoint: str, adjoint_params: Iterable[Tensor] | None, adjoint_method: str | None) -> Any:
    y0 = asked.y0
    if adjoint in ("backprop", "checkpoint"):
        ys, state = {"backprop": backprop, "checkpoint": checkpoint}[adjoint](prepare(asked), y0)
        return parts(asked, ys, state)
    params = _params(asked.sde, adjoint_params)
    sde_type = asked.sde.sde_type
    backward = None if adjoint == "reversible" else _backward_method(asked.method, adjoint_method, sde_type)
    with torch.no_grad():
        solve = prepare(asked)
    if backward is None:
        return parts(asked, *reversible(solve, y0, params))
    return parts(asked, *backsolve(solve, y0, params, sde_type, backward))


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
