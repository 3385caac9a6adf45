"""`ReversibleAdjoint`: exact gradients in constant memory for `diffrax.diffeqsolve` with reversible Heun.

The forward pass is diffrax's own loop; the backward pass inverts the steps, so that nothing but the last
state is kept.
"""

import dataclasses
from typing import Any

import diffrax
import equinox as eqx
import equinox.internal as eqxi
import jax.numpy as jnp
from jaxtyping import Array, PyTree

from sdegrad.jax.diffrax.backward import Backward, Last
from sdegrad.jax.diffrax.spans import spanned
from sdegrad.jax.diffrax.terms import CachingSolver, Terms, hoist
from sdegrad.jax.diffrax.times import EvenSteps, Times
from sdegrad.jax.methods.base import tree
from sdegrad.jax.types import Args, Perturbed

# What is relied on: how diffeqsolve calls an adjoint, the fields of its state, the states of ConstantStepSize
# and ReversibleHeun.
TESTED_VERSIONS = ("0.7.2",)
LoopState = PyTree  # of diffrax's loop
Differentiable = PyTree  # ((y0, solver state), args, terms)
_SAVE_Y = diffrax.SubSaveAt(t1=True).fn
_OTHER = "or use diffrax.RecursiveCheckpointAdjoint()."
_ONCE = (
    "ReversibleAdjoint gives a gradient that cannot be differentiated backwards again; use diffrax.DirectAdjoint(), or "
    "take the second derivative forwards, with jax.jvp or jax.jacfwd of the gradient."
)


class ReversibleAdjoint(diffrax.AbstractAdjoint):
    """For `diffrax.diffeqsolve(terms, diffrax.ReversibleHeun(), ..., adjoint=ReversibleAdjoint())`.

    Gradients reach y0, args, and the arrays in the terms or closed over by them, controls included; step sizes
    are constants. They are exact up to round-off, which grows exponentially in the Lipschitz constant times
    the time span. Memory does not grow with the number of steps, but for one scalar per step where the steps
    are not of constant size. A backward step costs one evaluation of the vector fields and one
    vector-Jacobian product. Differentiable once, in reverse; works under jit and vmap.

    Takes any terms, `UnsafeBrownianPath` too; any step size controller without jumps; SaveAt(t0, t1, ts).
    ValueError when made, for an untested version of diffrax; when traced, for another solver, anything else to
    be saved, events, jumps, a passed controller state, or max_steps=None where steps are not constant.
    RuntimeError for a derivative with respect to t0, t1, dt0 or the times of SaveAt, and, at run time, for constant
    steps to an infinite t1 and for a `BrownianInterval` that does not span [t0, t1].
    """

    def __check_init__(self) -> None:
        if diffrax.__version__ not in TESTED_VERSIONS:
            tested = ", ".join(TESTED_VERSIONS)
            _refuse(
                f"is tested with diffrax {tested}, but this is diffrax {diffrax.__version__}; install a tested "
                f"version, {_OTHER}"
            )

    def loop(self, *, args: Args, terms: Terms, init_state: LoopState, **run: Any) -> tuple[LoopState, dict]:
        """Called by `diffrax.diffeqsolve`."""
        _check(run, init_state)
        for handled in ("throw", "passed_solver_state", "passed_controller_state"):
            del run[handled]
        start = init_state.y, init_state.solver_state
        tprev = spanned(init_state.tprev, terms, (run["t0"], run["t1"]))
        constant = isinstance(run["stepsize_controller"], diffrax.ConstantStepSize)
        terms = hoist(terms, init_state.tprev, init_state.y, args, cached=not constant)
        run["solver"] = CachingSolver(run["solver"])
        init_state = dataclasses.replace(init_state, y=None, solver_state=None, tprev=tprev)
        constants = "t0, t1, dt0 and SaveAt(ts=...) with ReversibleAdjoint"
        init_state, run = eqxi.nondifferentiable((init_state, run), name=constants)
        if constant:
            k, steps, t0, t1 = init_state.controller_state
            steps = eqx.error_if(steps, steps < 0, "ReversibleAdjoint needs a finite t1 for constant steps.")
            init_state = dataclasses.replace(init_state, controller_state=k)
            run["stepsize_controller"] = EvenSteps(steps, t0, t1, init_state.tnext)
        final_state = _solve((start, args, terms), self, init_state, run)
        if final_state.made_jump is not False:
            _refuse(f"cannot step over jumps; pass step_ts, not jump_ts, {_OTHER}")
        return _only_outputs(final_state), {}


def _check(run: dict, init_state: LoopState) -> None:
    solver, saveat, controller = run["solver"], run["saveat"], run["stepsize_controller"]
    if type(solver) is not diffrax.ReversibleHeun:  # isinstance holds for wrappers of it too, such as HalfSolver
        _refuse(f"cannot invert {type(solver).__name__}; pass diffrax.ReversibleHeun(), {_OTHER}")
    if not _is_simple(saveat):
        _refuse(
            "saves at SaveAt(t0=..., t1=..., ts=...) only: no steps, fn, subs, dense output or states; pass the "
            f"times as ts, and apply fn to the result, {_OTHER}"
        )
    if run["event"] is not None:
        _refuse(f"cannot stop at an event; leave event out, {_OTHER}")
    if run["passed_controller_state"] or init_state.made_jump is not False:
        _refuse(f"cannot resume a solve; leave controller_state and made_jump out, {_OTHER}")
    constant = isinstance(controller, diffrax.ConstantStepSize | diffrax.StepTo)
    if run["max_steps"] is None and not constant:
        _refuse(f"keeps one scalar per step of {type(controller).__name__}; pass max_steps, or constant steps.")


def _is_simple(saveat: diffrax.SaveAt) -> bool:
    only_times = isinstance(saveat.subs, diffrax.SubSaveAt) and not saveat.subs.steps
    states = saveat.dense or saveat.solver_state or saveat.controller_state or saveat.made_jump
    return only_times and saveat.subs.fn is _SAVE_Y and not states


def _refuse(sentence: str) -> None:
    raise ValueError(f"ReversibleAdjoint {sentence}")


def _run(differentiable: Differentiable, adjoint: ReversibleAdjoint, init_state: LoopState, run: dict) -> LoopState:
    (y, solver_state), args, terms = differentiable
    init_state = dataclasses.replace(init_state, y=y, solver_state=(solver_state, terms.start()))
    loops = {"inner_while_loop": _while_loop, "outer_while_loop": _while_loop}
    final_state, _ = adjoint._loop(args=args, terms=terms, init_state=init_state, **loops, **run)
    return final_state


def _while_loop(*args: Any, **kwargs: Any) -> Any:
    return eqxi.while_loop(*args, **{**kwargs, "kind": "lax", "checkpoints": None})


def _run_recorded(
    differentiable: Differentiable, adjoint: ReversibleAdjoint, init_state: LoopState, run: dict
) -> tuple[LoopState, Array]:
    """The final state, and the ends of the accepted steps; diffrax saves them like any other output."""
    save_state, controller = init_state.save_state, run["stepsize_controller"]
    size = len(controller.ts) - 1 if isinstance(controller, diffrax.StepTo) else run["max_steps"]
    ends = type(save_state)(0, jnp.full(size, jnp.inf, save_state.ts.dtype), None, 0)
    init_state = dataclasses.replace(init_state, save_state=(save_state, ends))
    record = diffrax.SubSaveAt(steps=True, fn=lambda *_: None)
    saveat = diffrax.SaveAt(subs=(run["saveat"].subs, record))
    final_state = _run(differentiable, adjoint, init_state, {**run, "saveat": saveat})
    save_state, ends = final_state.save_state
    return dataclasses.replace(final_state, save_state=save_state), ends.ts


@eqx.filter_custom_vjp
def _solve(differentiable: Differentiable, adjoint: ReversibleAdjoint, init_state: LoopState, run: dict) -> LoopState:
    """diffrax's final state, a function of differentiable = ((y0, solver state), args, terms)."""
    return _run(differentiable, adjoint, init_state, run)


@_solve.def_fwd
def _solve_fwd(
    perturbed: Perturbed, differentiable: Differentiable, adjoint: ReversibleAdjoint, init_state: LoopState, run: dict
) -> tuple[LoopState, Last]:
    del perturbed
    ends = run["stepsize_controller"]
    if isinstance(ends, EvenSteps):
        final = _run(differentiable, adjoint, init_state, run)
    else:
        final, ends = _run_recorded(differentiable, adjoint, init_state, run)
    times = Times(init_state.tprev, final.tprev, jnp.asarray(final.num_accepted_steps, jnp.int32), ends)
    saved = jnp.asarray(final.save_state.save_index - int(run["saveat"].subs.t1), jnp.int32)
    return final, Last(final.y, final.solver_state[0][0], times, saved, final.save_state.ts)


@_solve.def_bwd
def _solve_bwd(
    last: Last,
    a_final: LoopState,
    perturbed: Perturbed,
    differentiable: Differentiable,
    adjoint: ReversibleAdjoint,
    init_state: LoopState,
    run: dict,
) -> Differentiable:
    del adjoint
    (y0, (_, vf0)), args, terms = differentiable
    arrays, rest = eqx.partition((args, terms), perturbed[1:])
    a_ys = eqx.combine(a_final.save_state.ys, tree(jnp.zeros_like, init_state.save_state.ys))
    saveat = run["saveat"].subs
    backward = Backward(rest, last.times, None if saveat.ts is None else last.ts, a_ys)
    start = backward.start(last, arrays, at_end=saveat.t1)
    r = backward.march(arrays, last.times.count, start)
    a_y0, a_hat0, a_vf0, (a_args, a_terms) = backward.end(arrays, y0, vf0, r)
    gradients = (a_y0, (a_hat0, a_vf0)), a_args, a_terms
    return eqxi.nondifferentiable_backward(gradients, msg=_ONCE)


def _only_outputs(final_state: LoopState) -> LoopState:
    """The final state, of which only the saved solution has a gradient; a cotangent of anything else is an error."""
    ys = final_state.save_state.ys
    final_state = eqxi.nondifferentiable_backward(final_state, name="The state of the solve", symbolic=False)
    return eqx.tree_at(lambda state: state.save_state.ys, final_state, ys)
