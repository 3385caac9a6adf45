"""A solve with the adjoint that was chosen for it."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch._C._functorch import peek_interpreter_stack as in_transform

from sdegrad.methods import METHODS
from sdegrad.torch import checks
from sdegrad.torch.adjoints.backsolve import BacksolveOptions, backsolve, predictions
from sdegrad.torch.adjoints.discrete import backprop, checkpoint, reversible
from sdegrad.torch.adjoints.replay import Kept
from sdegrad.torch.adjoints.unreached import check_reached, unchecked
from sdegrad.torch.arguments import Setup
from sdegrad.torch.methods import make_scheme
from sdegrad.torch.prepare import prepare, result
from sdegrad.torch.stepping.adaptive import Tolerances
from sdegrad.torch.types import SDE, Options
from sdegrad.torch.warn import warn


def run(setup: Setup, adjoint: str, adjoint_params: Iterable[Tensor] | None, options: BacksolveOptions | None) -> Any:
    """Solve with this adjoint, and return what `sdeint` returns. options: those of "backsolve", None for others."""
    y0 = setup.y0
    kept = None if adjoint == "backprop" else Kept(setup.given.sde, y0.device)
    if adjoint in ("backprop", "checkpoint"):
        solve = prepare(setup, kept)
        y0 = y0.to(solve.start.dtype)
        return result(setup, solve, *{"backprop": backprop, "checkpoint": checkpoint}[adjoint](solve, y0))
    _check_transform(adjoint)
    params = _params(setup.given.sde, adjoint_params)
    check = adjoint_params is None and unchecked(setup.given.sde)
    with torch.set_grad_enabled(check):
        solve = prepare(replace(setup, y0=y0.detach()), kept, options.scheme.levy_area if options else "none")
    if torch.is_grad_enabled():
        checks.check_constant(solve.steps.increment(0))
    if check:
        solve = replace(solve, start=check_reached(setup.given.sde, solve.start, params))
    y0 = y0.to(solve.start.dtype)
    solved = reversible(solve, y0, params) if options is None else backsolve(solve, y0, params, options)
    return result(setup, solve, *solved)


def _check_transform(adjoint: str) -> None:
    if in_transform() is not None:
        raise RuntimeError(
            f'adjoint="{adjoint}" is for backward() and torch.autograd.grad, not for the transforms of torch.func; use '
            'adjoint="backprop" there.'
        )


def _params(sde: SDE, adjoint_params: Iterable[Tensor] | None) -> list[Tensor]:
    if adjoint_params is None and not isinstance(sde, nn.Module):
        raise ValueError(
            f"the adjoint must know its parameters, but {type(sde).__name__} is no nn.Module; derive from "
            "nn.Module, or pass adjoint_params: the tensors that gradients shall reach, () for none."
        )
    if isinstance(adjoint_params, Tensor) or not isinstance(adjoint_params, Iterable | None):
        raise ValueError(
            f"adjoint_params is a {type(adjoint_params).__name__}, but must be a sequence of tensors; pass (it,)."
        )
    params = list(sde.parameters() if adjoint_params is None else adjoint_params)
    for p in params:
        if not isinstance(p, Tensor):
            raise ValueError(f"adjoint_params must be tensors, got a {type(p).__name__} among them; leave it out.")
    return list({id(p): p for p in params if p.requires_grad}.values())  # each once


def backsolve_options(
    setup: Setup,
    adjoint_method: str | None = None,
    options: Options | None = None,
    tolerances: Tolerances | None = None,
) -> BacksolveOptions:
    """The method that solves the continuous adjoint: the forward one if it can, else that for general noise."""
    sde_type, noise_type = setup.given.sde.sde_type, setup.given.sde.noise_type
    usable = [name for name in checks.fitting(sde_type, noise_type) if not METHODS[name].reversible]
    method = adjoint_method or (setup.method if setup.method in usable else checks.default_method(sde_type, "general"))
    if method not in usable:
        raise ValueError(
            f"adjoint_method {method!r} cannot solve the continuous adjoint of a {sde_type} SDE with {noise_type} "
            f"noise; use one of {', '.join(usable)}, or method='reversible_heun' with its own, exact adjoint."
        )
    if adjoint_method and METHODS[setup.method].reversible:
        warn(f"the adjoint of {setup.method!r} by {method!r} is approximate; its own, adjoint_method=None, is exact.")
    scheme = make_scheme(method, sde_type, noise_type, options or {})
    return BacksolveOptions(scheme, predictions(method, noise_type), tolerances, setup.given.dt)
