"""`ReversibleAdjoint`: exact gradients in constant memory for `diffrax.diffeqsolve` with reversible Heun.

The forward pass is diffrax's own loop. The backward pass inverts the steps of `diffrax.ReversibleHeun`
algebraically (Kidger, Foster, Li, Lyons 2021, arXiv 2105.13493, algorithm 2), so nothing but the last state
is kept. With F = f dt + g dW and hat, F0 = F(hat0), F1 = F(hat1) as there, a step and its inverse are

    hat1 = 2 y0 - hat0 + F0,    y1 = y0 + (F0 + F1) / 2
    hat0 = 2 y1 - hat1 - F1,    y0 = y1 - (F0 + F1) / 2

Both passes must visit bitwise the same times: an ulp of time is another Brownian increment.
"""

import dataclasses
from typing import Any, NamedTuple

import diffrax
import equinox as eqx
import equinox.internal as eqxi
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array

from sdegrad.jax.methods.base import tree

# The adjoint relies on how these versions call it, and on the fields of their loop state.
TESTED_VERSIONS = ("0.7.2",)


class ReversibleAdjoint(diffrax.AbstractAdjoint):
    """The reversible adjoint, as `diffrax.diffeqsolve(terms, diffrax.ReversibleHeun(), ..., adjoint=this)`.

    Gradients reach y0, args, the arrays in the terms (those of a control too), and the arrays that the vector
    fields of an ODETerm or ControlTerm close over; step sizes count as constants. They are exact to round-off,
    which grows exponentially in the Lipschitz constant times the time span. Memory does not grow with the
    number of steps, but for one scalar per step where the steps are not of constant size. A backward step
    costs one evaluation of the vector fields and one vector-Jacobian product. Once differentiable, in reverse.

    Takes any terms, `UnsafeBrownianPath` too; any step size controller without jumps; SaveAt(t0, t1, ts).
    ValueError, when made: an untested version of diffrax; when traced: another solver, anything else to be
    saved, events, jumps, a passed controller state, or an unbounded number of steps that are not constant.
    """

    def __check_init__(self) -> None:
        if diffrax.__version__ not in TESTED_VERSIONS:
            raise ValueError(
                f"ReversibleAdjoint is tested with diffrax {', '.join(TESTED_VERSIONS)}, but this is diffrax "
                f"{diffrax.__version__}; install a tested version, or use diffrax.RecursiveCheckpointAdjoint()."
            )

    def loop(
        self,
        *,
        args: Any,
        terms: Any,
        init_state: Any,
        throw: bool,
        passed_solver_state: bool,
        passed_controller_state: bool,
        **run: Any,
    ) -> tuple[Any, dict]:
        """Called by `diffrax.diffeqsolve`."""
        del throw, passed_solver_state  # a passed one is differentiated like any other
        _check(run, init_state, passed_controller_state)
        if isinstance(run["stepsize_controller"], diffrax.ConstantStepSize):
            run["stepsize_controller"] = _EvenSteps(*init_state.controller_state[1:])
            init_state = dataclasses.replace(init_state, controller_state=init_state.controller_state[0])
        start = init_state.y, init_state.solver_state
        init_state = dataclasses.replace(init_state, y=None, solver_state=None)
        terms = _hoist(terms, init_state.tprev, start[0], args)
        final_state = _solve((start, args, terms), self, init_state, run)
        if final_state.made_jump is not False:
            raise ValueError(
                "ReversibleAdjoint cannot step over jumps; leave out jump_ts (step_ts is fine), or use "
                "diffrax.RecursiveCheckpointAdjoint()."
            )
        return _only_outputs(final_state), {}


class _EvenSteps(eqx.Module):
    """`diffrax.ConstantStepSize` in arithmetic that no compiler can round in two ways.

    As diffrax writes it, XLA may turn the division into a product by a constant reciprocal, and fuse the
    product with the sum, in one pass and not in the other. It cannot where the divisor is not seen to be
    constant, and where an absolute value stands between product and sum.
    """

    steps: Array
    t0: Array
    t1: Array

    def time(self, k: Array) -> Array:
        divisor = self.steps + (k < 0).astype(self.steps.dtype)
        fraction = k.astype(self.t0.dtype) / divisor.astype(self.t0.dtype)
        return jnp.where(k >= self.steps, self.t1, self.t0 + jnp.abs((self.t1 - self.t0) * fraction))

    def adapt_step_size(self, t0: Any, t1: Any, *unused: Any) -> tuple[bool, Any, Array, bool, Array, Any]:
        """As `diffrax.AbstractStepSizeController`. The state is the number of the step just made."""
        del t0
        k = unused[-1] + 1
        return True, t1, self.time(k), False, k, diffrax.RESULTS.successful


class _Times(eqx.Module):
    """The times of the accepted steps, of which there are `count`."""

    first: tuple[Array, Array]
    last: Array
    count: Array
    between: Any  # _EvenSteps, or the end of every step

    def __call__(self, k: Array) -> Array:
        steps = self.between
        time = steps.time(k) if isinstance(steps, _EvenSteps) else steps[jnp.maximum(k - 1, 0)]
        time = jnp.where(k == 1, self.first[1], time)
        time = jnp.where(k >= self.count, self.last, time)
        return jnp.where(k == 0, self.first[0], time)


class _Last(NamedTuple):
    """What the forward pass leaves for the backward pass: states at the last time, and the outputs' times."""

    y: Any
    hat: Any
    times: _Times
    saved: Array
    ts: Array


def _run(differentiable: Any, adjoint: ReversibleAdjoint, init_state: Any, run: dict) -> Any:
    (y, solver_state), args, terms = differentiable
    init_state = dataclasses.replace(init_state, y=y, solver_state=solver_state)
    final_state, _ = adjoint._loop(
        args=args,
        terms=terms,
        init_state=init_state,
        inner_while_loop=_while_loop,
        outer_while_loop=_while_loop,
        **run,
    )
    return final_state


def _while_loop(*args: Any, **kwargs: Any) -> Any:
    return eqxi.while_loop(*args, **{**kwargs, "kind": "lax", "checkpoints": None})


@eqx.filter_custom_vjp
def _solve(differentiable: Any, adjoint: ReversibleAdjoint, init_state: Any, run: dict) -> Any:
    return _run(differentiable, adjoint, init_state, run)


@_solve.def_fwd
def _solve_fwd(
    perturbed: Any, differentiable: Any, adjoint: ReversibleAdjoint, init_state: Any, run: dict
) -> tuple[Any, _Last]:
    del perturbed
    if isinstance(run["stepsize_controller"], _EvenSteps):
        final, between = _run(differentiable, adjoint, init_state, run), run["stepsize_controller"]
    else:
        final, between = _run_recorded(differentiable, adjoint, init_state, run)
    first = init_state.tprev, init_state.tnext
    times = _Times(first, final.tprev, jnp.asarray(final.num_accepted_steps, jnp.int32), between)
    saved = final.save_state.save_index - int(run["saveat"].subs.t1)
    return final, _Last(final.y, final.solver_state[0], times, jnp.asarray(saved, jnp.int32), final.save_state.ts)


def _run_recorded(differentiable: Any, adjoint: ReversibleAdjoint, init_state: Any, run: dict) -> tuple[Any, Array]:
    """The final state, and the ends of the accepted steps: saved by diffrax, like any output."""
    save_state, controller = init_state.save_state, run["stepsize_controller"]
    size = len(controller.ts) - 1 if isinstance(controller, diffrax.StepTo) else run["max_steps"]
    ends = type(save_state)(0, jnp.full(size, jnp.inf, save_state.ts.dtype), None, 0)
    init_state = dataclasses.replace(init_state, save_state=(save_state, ends))
    record = diffrax.SubSaveAt(steps=True, fn=lambda *_: None)
    saveat = diffrax.SaveAt(subs=(run["saveat"].subs, record))
    final = _run(differentiable, adjoint, init_state, {**run, "saveat": saveat})
    save_state, ends = final.save_state
    return dataclasses.replace(final, save_state=save_state), ends.ts


class _Reverse(NamedTuple):
    """The backward pass at time k. `after` is the control of the step after it, F the product with that."""

    k: Array
    saved: Array  # how many outputs are not later than time k
    ahead: Any  # y + F / 2
    hat: Any
    after: Any
    a_y: Any  # cotangents
    a_hat: Any
    a_F: Any
    a_after: Any
    a_arrays: Any


class _Backward(eqx.Module):
    """The equation and its outputs, as the backward pass sees them. `arrays` is what is differentiated of
    (args, terms), `rest` what is not.
    """

    rest: Any
    times: _Times
    ts: Array | None  # of the outputs; None if all are at the ends
    a_ys: Any  # their cotangents, [outputs, *y.shape]

    def control(self, k: Array, arrays: Any) -> Any:
        """The increment of the step after time k."""
        _, terms = eqx.combine(arrays, self.rest)
        return terms.contr(self.times(k), self.times(k + 1))

    def product(self, y: Any, vf: Any, control: Any, arrays: Any) -> Any:
        """F, like y."""
        _, terms = eqx.combine(arrays, self.rest)
        F = terms.prod(vf, control)
        return tree(lambda y, F: jnp.broadcast_to(F, y.shape).astype(y.dtype), y, F)

    def start(self, last: _Last, arrays: Any, at_end: bool) -> _Reverse:
        """At the last time; an empty step follows."""
        k = last.times.count
        after, a_y, a_arrays = tree(jnp.zeros_like, (jax.eval_shape(self.control, k, arrays), last.y, arrays))
        here = tree(lambda a: a[last.saved], self.a_ys) if at_end else a_y
        return _Reverse(k, last.saved, last.y, last.hat, after, here, a_y, a_y, after, a_arrays)

    def step(self, arrays: Any, r: _Reverse) -> _Reverse:
        """The inverse of the step that ends at time k, and its gradient."""
        before = self.control(r.k - 1, arrays)

        def products(hat: Any, arrays: Any, after: Any, before: Any) -> tuple[Any, Any]:
            args, terms = eqx.combine(arrays, self.rest)
            vf = terms.vf(self.times(r.k), hat, args)
            return self.product(hat, vf, after, arrays), self.product(hat, vf, before, arrays)

        (F, G), pull = jax.vjp(products, r.hat, arrays, r.after, before)
        y = tree(lambda ahead, F: ahead - F / 2, r.ahead, F)
        saved, a_here, a_previous = self._outputs(r.k, r.saved, r.a_y)
        half = tree(lambda a: a / 2, a_here)
        v_hat, v_arrays, v_after, a_before = pull((r.a_F, half))
        v_control = self._pull_control(r.k, arrays, tree(jnp.add, r.a_after, v_after))
        a_hat = tree(jnp.add, r.a_hat, v_hat)
        return _Reverse(
            k=r.k - 1,
            saved=saved,
            ahead=tree(lambda y, G: y - G / 2, y, G),
            hat=tree(lambda y, hat, G: 2 * y - hat - G, y, r.hat, G),
            after=before,
            a_y=tree(lambda here, previous, hat: here + previous + 2 * hat, a_here, a_previous, a_hat),
            a_hat=tree(jnp.negative, a_hat),
            a_F=tree(jnp.add, half, a_hat),
            a_after=a_before,
            a_arrays=tree(lambda a, v, w: a + v + w, r.a_arrays, v_arrays, v_control),
        )

    def end(self, arrays: Any, y0: Any, field0: Any, r: _Reverse) -> tuple[Any, Any, Any]:
        """At the first time: the cotangents of (y, hat), of the vector field that diffrax evaluated there, and
        of the arrays.
        """
        field0, static = eqx.partition(field0, eqx.is_inexact_array)

        def product(field0: Any, after: Any, arrays: Any) -> Any:
            return self.product(y0, eqx.combine(field0, static), after, arrays)

        a_field0, v_after, v_arrays = jax.vjp(product, field0, r.after, arrays)[1](r.a_F)
        v_control = self._pull_control(r.k, arrays, tree(jnp.add, r.a_after, v_after))
        a_arrays = tree(lambda a, v, w: a + v + w, r.a_arrays, v_arrays, v_control)

        def add_outputs(a_y: Array, a_ys: Array) -> Array:
            here = (jnp.arange(len(a_ys), dtype=jnp.int32) < r.saved).reshape(-1, *[1] * a_y.ndim)
            return a_y + jnp.sum(jnp.where(here, a_ys, 0), axis=0)

        return (tree(add_outputs, r.a_y, self.a_ys), r.a_hat), a_field0, a_arrays

    def _pull_control(self, k: Array, arrays: Any, a_control: Any) -> Any:
        """Nothing but zeros for Brownian motion; then the increment is not computed again either."""
        (a_arrays,) = jax.vjp(lambda arrays: self.control(k, arrays), arrays)[1](a_control)
        return a_arrays

    def _outputs(self, k: Array, saved: Array, a_y: Any) -> tuple[Array, Any, Any]:
        """a_y and zeros, with the cotangents of the outputs inside the step that ends at time k shared among
        its end and its start; and the number of outputs before.
        """
        start = (saved, a_y, tree(jnp.zeros_like, a_y))
        if self.ts is None:
            return start
        ts, t0, t1 = self.ts, self.times(k - 1), self.times(k)

        def share(carry: tuple[Array, Any, Any]) -> tuple[Array, Any, Any]:
            i, here, previous = carry[0] - 1, *carry[1:]
            w = (ts[i] - t0) / (t1 - t0)
            add = lambda w: lambda a, a_ys: a + w.astype(jnp.finfo(a.dtype).dtype) * a_ys[i]  # noqa: E731
            return i, tree(add(w), here, self.a_ys), tree(add(1 - w), previous, self.a_ys)

        return lax.while_loop(lambda carry: (carry[0] > 0) & (ts[carry[0] - 1] > t0), share, start)


@_solve.def_bwd
def _solve_bwd(
    last: _Last,
    a_final: Any,
    perturbed: Any,
    differentiable: Any,
    adjoint: ReversibleAdjoint,
    init_state: Any,
    run: dict,
) -> Any:
    del adjoint
    (y0, (_, field0)), args, terms = differentiable
    arrays, rest = eqx.partition((args, terms), perturbed[1:])
    saveat, save_state = run["saveat"].subs, init_state.save_state
    a_ys = eqx.combine(a_final.save_state.ys, tree(jnp.zeros_like, save_state.ys))
    backward = _Backward(rest, last.times, None if saveat.ts is None else last.ts, a_ys)
    start = backward.start(last, arrays, at_end=saveat.t1)
    r = lax.while_loop(lambda r: r.k > 0, lambda r: backward.step(arrays, r), start)
    (a_y0, a_hat0), a_field0, (a_args, a_terms) = backward.end(arrays, y0, field0, r)
    return (a_y0, (a_hat0, a_field0)), a_args, a_terms


def _only_outputs(final_state: Any) -> Any:
    """Gradients come by way of the saved solution alone; a cotangent of anything else is an error."""
    ys = final_state.save_state.ys
    final_state = eqxi.nondifferentiable_backward(final_state, name="The state of the solve", symbolic=False)
    return eqx.tree_at(lambda state: state.save_state.ys, final_state, ys)


def _hoist(terms: Any, t: Array, y: Any, args: Any) -> Any:
    """With the arrays that the vector fields close over as leaves, so that gradients reach them."""
    kinds = (diffrax.ODETerm, diffrax.ControlTerm)

    def hoist(term: Any) -> Any:
        if not isinstance(term, kinds):
            return term
        converted = eqx.filter_closure_convert(term.vector_field, t, y, args)
        return eqx.tree_at(lambda term: term.vector_field, term, converted)

    return jax.tree.map(hoist, terms, is_leaf=lambda term: isinstance(term, kinds))


def _check(run: dict, init_state: Any, passed_controller_state: bool) -> None:
    solver, saveat, controller = run["solver"], run["saveat"], run["stepsize_controller"]
    other = "or use diffrax.RecursiveCheckpointAdjoint()."
    if not isinstance(solver, diffrax.ReversibleHeun):
        raise ValueError(
            f"ReversibleAdjoint needs a solver that can be inverted, not {type(solver).__name__}; use "
            f"diffrax.ReversibleHeun(), {other}"
        )
    subs = saveat.subs
    if not isinstance(subs, diffrax.SubSaveAt) or subs.steps or subs.fn is not diffrax.SubSaveAt(t1=True).fn:
        raise ValueError(
            f"ReversibleAdjoint saves at SaveAt(t0=..., t1=..., ts=...) only, not with steps, fn or subs; give "
            f"the times as ts and apply fn to the result, {other}"
        )
    if saveat.dense or saveat.solver_state or saveat.controller_state or saveat.made_jump:
        raise ValueError(
            f"ReversibleAdjoint saves no dense output and no states; ask for the times in SaveAt(ts=...), {other}"
        )
    if run["event"] is not None:
        raise ValueError(f"ReversibleAdjoint cannot stop at an event; leave event out, {other}")
    if passed_controller_state or init_state.made_jump is not False:
        raise ValueError(
            f"ReversibleAdjoint cannot resume a step size controller; leave out controller_state and "
            f"made_jump, {other}"
        )
    bounded = isinstance(controller, (diffrax.ConstantStepSize, diffrax.StepTo))
    if run["max_steps"] is None and not bounded:
        raise ValueError(
            f"ReversibleAdjoint keeps one scalar per step with {type(controller).__name__}; pass max_steps, or "
            f"use diffrax.ConstantStepSize()."
        )
