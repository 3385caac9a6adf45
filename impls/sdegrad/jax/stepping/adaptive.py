"""Adaptive steps: a PI controller on the error of every step, with a bounded number of steps, inside jit.

The error is that of the embedded Euler step where the method has one (`estimated`), and otherwise the difference
between a step and its two halves, which then are what is accepted. The Brownian path is fixed: a smaller step after a
rejected one asks the same path for less of it, so that what was seen there is not forgotten, and nothing is biased.
Steps are clipped to end at the output times.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int, PyTree

from sdegrad.jax.mesh import unless
from sdegrad.jax.methods.base import largest, tree
from sdegrad.jax.sde import SDE
from sdegrad.jax.stepping.accepted import Accepted, Solved, middle
from sdegrad.jax.types import Cache, Carried, CellPath, Embedded, Made, Method, Y

SAFETY = 0.9
SMALLEST, LARGEST = 0.2, 5.0  # factors of the step
PROPORTIONAL, INTEGRAL = 0.1, 0.9  # exponents, to be divided by the order of the error
OVERSHOOT = 1.01  # of a step that would stop just short of an output
# A solve ends where the two copies of a reversible method are this many times farther apart than the solution was ever
# large: they steer the error then, for which steps shrink without end.
FAR = 10.0


class Control(eqx.Module):
    """An error is accepted up to rtol |y| + atol, root mean square over all entries."""

    dt: Float[Array, ""]
    rtol: Float[Array, ""]
    atol: Float[Array, ""]
    max_steps: int = eqx.field(static=True)


class _Run(NamedTuple):
    """The solve at time t, before the step to `end`, which is carried so that all uses of it see the same bits."""

    t: Float[Array, ""]
    end: Float[Array, ""]
    h: Float[Array, ""]  # what the step would be, were it not clipped
    state: Carried
    error: Float[Array, ""]  # of the last accepted step
    times: Float[Array, "times"]
    accepted: Int[Array, ""]
    tried: Int[Array, ""]
    size: Float[Array, ""]  # of the solution so far, at most
    cache: Cache


class Stepper(eqx.Module):
    """Makes the steps. outputs: the output times, as steps."""

    sde: SDE
    method: Method
    outputs: Accepted

    @property
    def halves(self) -> bool:
        """Whether a step is made in two halves."""
        return not isinstance(self.method, Embedded)

    def init(self, y0: Y) -> Carried:
        return self.method.init(self.sde, self.outputs.time(0), y0)

    def end(self, t: Array, h: Array, target: Array) -> Array:
        """The end of a step from t of at most h, rounded down to the cells of the path, or halves of them, or of these,
        by h / 8 at most. So round-off in h does not reach the times, where the path, being rough, would magnify it;
        and a path that is a tree finds them near its root.
        """
        bm = self.outputs.bm
        origin, unit = (bm.grid.t0, bm.grid.dt) if isinstance(bm, CellPath) else (self.outputs.times[0], 1.0)
        spacing = jnp.ldexp(jnp.full_like(h, unit), jnp.frexp(h / unit)[1] - 4)
        rounded = origin + jnp.floor((t + h - origin) / spacing + 1e-3) * spacing
        return jnp.where(t + OVERSHOOT * h < target, rounded, target)

    def __call__(self, run: _Run) -> tuple[Carried, Y, Cache]:
        """The state at run.end, the error of the solution there, and the cache of the path."""
        if isinstance(self.method, Embedded):
            made, cache = self._step(self.method.estimated, run.cache, run.t, run.end, run.state)
            return *made, cache
        half, step, value = middle(run.t, run.end), self.method.step, self.method.value
        whole, cache = self._step(step, run.cache, run.t, run.end, run.state)
        state, cache = self._step(step, cache, run.t, half, run.state)
        state, cache = self._step(step, cache, half, run.end, state)
        return state, tree(jnp.subtract, value(whole), value(state)), cache

    def _step(self, step: Callable, cache: Cache, a: Array, b: Array, state: Carried) -> tuple[PyTree, Cache]:
        t0, t1, dt = (t.astype(self.outputs.dtype) for t in (a, b, b - a))
        dW, cache = self.outputs.advance(cache, a, b)
        return step(self.sde, t0, t1, dt, dW, state), cache


def solve(step: Stepper, y0: Y, control: Control) -> tuple[Solved, Accepted, Made]:
    """The solution from y0 at the first output to the last, its steps and their number; not differentiable. A run-time
    error where max_steps do not suffice, or no step is small enough.
    """
    value, ts = step.method.value, step.outputs.times

    def to(run: _Run, target: Array) -> tuple[_Run, tuple[Y, Array]]:
        run = run._replace(end=step.end(run.t, run.h, target))
        run = lax.while_loop(
            lambda r: (r.t < target) & (r.end > r.t) & (r.tried < control.max_steps) & ~_far(step, r),
            lambda r: _attempt(step, control, target, r),
            run,
        )
        return run, (value(run.state), run.accepted)

    times = jnp.full(control.max_steps + 1, ts[-1]).at[0].set(ts[0])
    zero, one = jnp.int32(0), jnp.ones_like(control.dt)
    start = _Run(ts[0], ts[0], control.dt, step.init(y0), one, times, zero, zero, largest(y0), step.outputs.start())
    run, (ys, nodes) = lax.scan(to, start, ts[1:])
    ys = _check(tree(lambda y0, ys: jnp.concatenate([y0[None], ys]), y0, ys), run, ts[-1], control, _far(step, run))
    nodes = jnp.concatenate([zero[None], nodes]) * (2 if step.halves else 1)
    steps = replace(step.outputs, times=run.times, nodes=nodes, halved=step.halves)
    made = Made(nodes[-1], run.tried * (3 if step.halves else 1), run.tried - run.accepted)
    return Solved(ys, run.state), steps, made


def _attempt(step: Stepper, control: Control, target: Array, run: _Run) -> _Run:
    state, miss, cache = step(run)
    error = _scaled(miss, step.method.value(run.state), step.method.value(state), control)
    accept = error <= 1  # which NaN is not
    factor = _factor(error, run.error, 1.5 if step.halves else 1.0)
    h = factor * (run.end - run.t)
    h = jnp.where((run.end == target) & (factor >= 1), jnp.maximum(h, run.h), h)  # it was clipped, and fits
    t = jnp.where(accept, run.end, run.t)
    return _Run(
        t,
        step.end(t, h, target),
        h,
        tree(lambda new, old: jnp.where(accept, new, old), state, run.state),
        jnp.where(accept, error, run.error),
        run.times.at[run.accepted + 1].set(run.end),  # to be overwritten if rejected; the last one is not
        run.accepted + accept.astype(jnp.int32),
        run.tried + 1,
        jnp.where(accept, jnp.maximum(run.size, largest(step.method.value(state))), run.size),
        cache,
    )


def _far(step: Stepper, run: _Run) -> Bool[Array, ""]:
    """Whether the copies of the solution are FAR apart."""
    y, other = step.method.copies(run.state)
    if y is other:
        return jnp.bool_(False)
    return largest(tree(jnp.subtract, y, other)) > FAR * run.size  # not where it is NaN: that has its own sentence


def _scaled(miss: Y, y0: Y, y1: Y, control: Control) -> Float[Array, ""]:
    """Root mean square of the error, in units of what is accepted."""

    def squares(miss: Array, y0: Array, y1: Array) -> Array:
        size = jnp.maximum(jnp.abs(y0), jnp.abs(y1))
        scale = control.atol.astype(size.dtype) + control.rtol.astype(size.dtype) * size
        scale = jnp.maximum(scale, jnp.finfo(size.dtype).tiny)  # where atol and y are zero
        return jnp.sum((jnp.abs(miss) / scale) ** 2).astype(control.dt.dtype)

    total = sum(jax.tree.leaves(tree(squares, miss, y0, y1)))
    return jnp.sqrt(total / sum(y.size for y in jax.tree.leaves(y0)))


def _factor(error: Array, previous: Array, order: float) -> Array:
    """The next step by this one: less than 1 after a rejected one. order: that of the error in the
    step, where there is noise.
    """
    error, previous = jnp.maximum(error, 1e-6), jnp.maximum(previous, 1e-6)
    factor = SAFETY * (error ** -(INTEGRAL + PROPORTIONAL) * previous**PROPORTIONAL) ** (1 / order)
    return jnp.where(jnp.isnan(error), SMALLEST, jnp.clip(factor, SMALLEST, jnp.where(error <= 1, LARGEST, SAFETY)))


def _check(ys: Y, run: _Run, end: Array, control: Control, far: Array) -> Y:
    """ys, if the run has come to its end."""
    sentences = [
        f"sdeint has used up max_steps = {control.max_steps} adaptive steps, accepted or not, before the end of ts; "
        "make max_steps, rtol or atol larger; with atol=0 a component near zero asks for ever smaller steps.",
        "sdeint found no adaptive step small enough for rtol and atol: the solution grows beyond all bounds, or is "
        "NaN, or the tolerances are finer than its dtype; check drift and diffusion, or make rtol or atol larger.",
        "sdeint has lost the solution on the way, so that adaptive steps shrink without end: the two copies of a "
        "reversible method part like exp(L T) on an SDE that contracts at the rate L; use method='ees25', or 'heun' "
        "with adjoint='checkpoint'.",
    ]
    failed = run.t < end
    stuck = failed & (run.tried < control.max_steps)
    return unless(failed, jnp.where(far, 2, stuck.astype(jnp.int32)), sentences, ys)
