"""`sdeint`: its arguments checked, its steps chosen, and the solve handed to an adjoint."""

import equinox as eqx
import equinox.internal as eqxi
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, PyTree

from sdegrad.grid import check_times
from sdegrad.jax import checks
from sdegrad.jax.adjoints.backward import AnySteps, parted
from sdegrad.jax.adjoints.discrete import ADJOINTS
from sdegrad.jax.adjoints.recorded import differentiable_solution
from sdegrad.jax.arguments import check_choice, check_flag, check_options, eps_of, static_grid, static_number
from sdegrad.jax.hoist import hoist
from sdegrad.jax.mesh import alike, unless
from sdegrad.jax.methods import make_method
from sdegrad.jax.sde import SDE, evaluations
from sdegrad.jax.stepping.accepted import Accepted
from sdegrad.jax.stepping.adaptive import Control, Stepper, solve
from sdegrad.jax.stepping.even import even_steps
from sdegrad.jax.stepping.fixed import Steps, matching_cells
from sdegrad.jax.stepping.march import march
from sdegrad.jax.types import Args, Carried, Coefficient, Made, Method, Number, Options, Path, Stats, Times, Y
from sdegrad.methods import METHODS

PARTED = 1.0  # the two copies of a reversible method differ by as much as the solution is large
_PARTED = (
    "the solution of sdeint is wrong, or not finite: method {method!r} has lost it. The two copies of a reversible "
    "method part like exp(L T) on an SDE that contracts at the rate L: use method='ees25', or 'heun' with "
    "adjoint='checkpoint'; a smaller dt helps where T is only just too long."
)


def sdeint(
    drift: Coefficient,
    diffusion: Coefficient,
    y0: Y,
    ts: Times,
    *,
    bm: Path,
    dt: Number | None = None,
    steps: int | None = None,
    args: Args = None,
    method: str = "reversible_heun",
    adjoint: str | None = None,
    options: Options | None = None,
    adaptive: bool = False,
    rtol: Number = 1e-3,
    atol: Number = 1e-6,
    max_steps: int = 4096,
    sde_type: str = "stratonovich",
    noise_type: str = "diagonal",
    check: bool = False,
    return_stats: bool = False,
) -> PyTree:
    """Solve dy = drift(t, y, args) dt + diffusion(t, y, args) dW from y0 at ts[0]; the solution at `ts`.

    y0: [*batch, dim], or any pytree of arrays. drift returns the like of y0; diffusion the like of y0 for
    noise_type "diagonal", and y0's shape with a trailing noise axis for "additive" (where it must not be computed with
    y), "scalar" (noise = 1) and "general". t is in the real dtype of y0. bm: a `BrownianInterval`, or anything with
    evaluate(t0, t1); its increments are like y0 for diagonal noise and [*batch, noise] otherwise. Give it the same dt:
    then the steps are its cells, and nothing is searched. srk, shark and sra1 need its levy_area "space-time", log_ode
    for general noise "foster" or "davie"; other paths are asked by evaluate(t0, t1, use_levy=True).

    method: a name in `sdegrad.methods.METHODS`, which says what each is for. options: grad_free of milstein (two
    evaluations of the diffusion in place of its derivative); base and coupling of mccallum_foster.

    The steps have length dt, the last one clipped to ts[-1]; between grid times the solution is interpolated
    linearly. ts and dt are static: numbers, or made of constants alone, as jnp.linspace(0, 1, 5) is also inside jit.
    steps, in place of dt: how many steps, of equal length, lead from each output to the next; ts may then be traced,
    but not differentiated, and one scalar a step is kept. Returns [len(ts), *y0.shape]; with return_stats, (that,
    `Stats`).

    adaptive: choose the steps, from dt on, so that the error of each is no more than rtol |y| + atol in the root mean
    square over all entries (under vmap: of each solve by itself). With atol = 0 a component that passes through zero
    asks for ever smaller steps: atol is the size below which it does not matter. Steps are clipped to end at ts.
    ts, dt, rtol and atol may then be traced, but not differentiated. There are max_steps at most, rejected ones
    included; to use them up is an error at run time, as is a tolerance that no step meets, and a solution that a
    reversible method has lost, for which steps would shrink without end. Gradients take the accepted steps as
    constants, whose ends are kept: max_steps scalars more for every adjoint, and the memory of "checkpoint" and
    "backprop" is that of max_steps steps.

    adjoint: "reversible" (exact, memory independent of the number of steps; what None means for a reversible method),
    "checkpoint" (exact, memory O(sqrt(steps)); what None means otherwise), "backprop" (exact, memory O(steps)),
    "backsolve" (the continuous adjoint: inexact, memory independent of the number of steps). "reversible" is near-exact
    for ees25 and ees27. "backprop" and "checkpoint" can be differentiated any number of times, backwards and forwards;
    the other two once backwards, and that gradient forwards (jax.jvp) where the steps are constant. Gradients reach y0,
    args, and the arrays that drift and diffusion hold or close over. bm is constant: RuntimeError for a derivative with
    respect to it; if it holds traced arrays it must be a pytree. "reversible" is exact up to round-off, which grows
    exponentially in the Lipschitz constant times the time span: where that product is above a few, compare with
    "checkpoint". Where the backward pass misses y0 by so much that the gradient is off by per cents or worse, the
    gradient is NaN.

    check: stop at run time where the two copies of the solution that a reversible method carries have parted, or it is
    not finite; `Stats.parted` says by how much. reversible_heun loses the solution of an SDE that contracts at the rate
    L where L T is above about 9, whatever dt. It costs no time, but is not the default: it puts a callback to Python
    into the program, which then can be neither exported (`jax.export`) nor kept in JAX's compilation cache; and copies
    that have parted do not prove a wrong solution, which feels (L dt)^2 / 4 of their distance only, so that solves that
    are right would be stopped where dt is small. Use it wherever L T is not known.

    drift and diffusion are run by Python once, when the solve is traced, and all steps and passes see what they were
    then: numbers that they draw from NumPy are constants, a global that changes later is not seen, nor what is written
    into an array of NumPy that they or args hold. What a callback (`jax.pure_callback`) returns must depend on its
    arguments alone, or the reversible gradient is another function's.

    Works under jit, vmap and grad; call it under jit, without which every call compiles anew. If a batch axis of y0
    is divided among devices (`jax.sharding`), so are the increments and the solution; only gradients of args are
    summed across, at every step; under `jax.shard_map`, with `rows=` of the path, once a solve (but at every step those
    of arrays that drift and diffusion close over). A NaN in y0 is refused where y0 is concrete, and passes through
    where it is traced. A double-precision y0 without JAX's x64 mode is refused too, unless jax.jit rounded it on its
    way here. Errors at run time arrive from `eqx.filter_jit` as they are, a RuntimeError; from `jax.jit` as the last
    lines of a JaxRuntimeError, or, where a call of the compiled function has succeeded before, of a ValueError, as JAX
    has it.
    ValueError, always when traced, before any step: names, shapes, dtypes, times or dt that do not fit. A warning
    for adaptive steps of euler unless the noise is additive.
    """
    flags = (("adaptive", adaptive), ("check", check), ("return_stats", return_stats))
    adaptive, check, return_stats = (check_flag(name, x) for name, x in flags)
    steps = checks.check_steps(steps, dt, adaptive)
    for name, field in (("drift", drift), ("diffusion", diffusion)):
        checks.check_callable(name, field)
    adjoint = _default_adjoint(method) if adjoint is None else adjoint
    checks.check_method(method, sde_type, noise_type, adjoint, tuple(ADJOINTS))
    solver = make_method(method, sde_type, noise_type, check_options(options))
    checks.check_solver(method, solver, adjoint, bm)
    y0 = checks.check_state(y0)
    y0, sde = alike((y0, SDE(drift, diffusion, args, noise_type)), bm)
    if steps is not None:
        ys, stats = _even(sde, y0, ts, bm, solver, adjoint, steps)
    elif adaptive:
        checks.check_adaptive(method, noise_type)
        control = checks.check_control(dt, rtol, atol, max_steps)
        ys, stats = _adaptive(sde, y0, ts, bm, solver, adjoint, control)
    else:
        ys, stats = _constant(sde, y0, ts, bm, solver, adjoint, dt)
    if check:
        ys = unless(jnp.logical_not(stats.parted <= PARTED), jnp.int32(0), [_PARTED.format(method=method)], ys)
    return (ys, stats) if return_stats else ys


def _constant(sde: SDE, y0: Y, ts: Times, bm: Path, solver: Method, adjoint: str, dt: Number | None) -> tuple[Y, Stats]:
    """The solution at ts, by steps of dt."""
    times, eps = checks.static_times(ts)
    eps, dt = max(eps, eps_of(dt)), static_number("dt", dt)
    check_times(times, dt)
    checks.check_path(bm, times, eps)

    grid = static_grid(times[0], times[-1], dt, eps)
    outputs = grid.outputs(times, eps)
    needed = {k for k, _ in outputs} | {k - 1 for k, w in outputs if w != 1}
    cells = matching_cells(bm, grid, eps)
    steps = Steps(_undifferentiated(bm), grid, tuple(sorted(needed)), cells, _dtype(y0), solver.levy_area)
    sde = hoist(sde, steps.time(0), y0)
    checks.check_fields(sde, steps, y0)
    nodes, apart = ADJOINTS[adjoint]((y0, sde), solver, steps)
    stats = _stats(sde, y0, solver, steps, Made(grid.steps, grid.steps), apart)
    return _interpolate(nodes, steps.nodes, outputs), stats


def _adaptive(sde: SDE, y0: Y, ts: Times, bm: Path, solver: Method, adjoint: str, control: Control) -> tuple[Y, Stats]:
    """The solution at ts, by adaptive steps."""
    times = checks.runtime_times(ts, bm)
    times, control = eqxi.nondifferentiable((times, control), name="ts, dt, rtol and atol of sdeint")
    outputs = Accepted(
        _undifferentiated(bm), times, jnp.arange(len(times), dtype=jnp.int32), False, _dtype(y0), solver.levy_area
    )
    sde = hoist(sde, outputs.time(0), y0)
    checks.check_fields(sde, outputs, y0)
    solved, steps, made = solve(Stepper(_unperturbed(sde), solver, outputs), _unperturbed(y0), control)
    stats = _stats(sde, y0, solver, outputs, made, parted(solver, solved.state))
    return differentiable_solution(adjoint, (y0, sde), solved, solver, steps), stats


def _even(sde: SDE, y0: Y, ts: Times, bm: Path, solver: Method, adjoint: str, count: int) -> tuple[Y, Stats]:
    """The solution at ts, by `count` steps from each to the next."""
    times = eqxi.nondifferentiable(checks.runtime_times(ts, bm), name="ts of sdeint")
    steps = even_steps(_undifferentiated(bm), times, count, _dtype(y0), solver.levy_area)
    sde = hoist(sde, steps.time(0), y0)
    checks.check_fields(sde, steps, y0)
    solved = march(solver, _unperturbed(sde), steps, _unperturbed(y0))
    made = Made(steps.capacity, steps.capacity)
    stats = _stats(sde, y0, solver, steps, made, parted(solver, solved.state))
    return differentiable_solution(adjoint, (y0, sde), solved, solver, steps), stats


def _default_adjoint(method: str) -> str:
    check_choice("method", method, tuple(METHODS))
    return "reversible" if METHODS[method].reversible else "checkpoint"


def _unperturbed(x: PyTree) -> PyTree:
    return jax.tree.map(lambda x: lax.stop_gradient(x) if eqx.is_inexact_array(x) else x, x)


def _undifferentiated(bm: Path) -> Path:
    """bm, where a derivative with respect to what it holds is an error and not zero."""
    held, rest = eqx.partition(bm, eqx.is_inexact_array)
    sentence = (
        "bm of sdeint holds an array that is differentiated, but no gradient reaches bm: put jax.lax.stop_gradient "
        "around the array, or take it into args, as a factor of the diffusion."
    )
    return eqx.combine(eqxi.nondifferentiable(held, msg=sentence), rest)


def _dtype(y0: Y) -> np.dtype:
    """The dtype of the times given to the vector fields; half precision would be too coarse."""
    real = jnp.finfo(jnp.result_type(*jax.tree.leaves(y0))).dtype
    return real if real.itemsize >= 4 else np.dtype(np.float32)


def _interpolate(zs: Y, nodes: tuple[int, ...], outputs: tuple[tuple[int, float], ...]) -> Y:
    if outputs == tuple((k, 1.0) for k in nodes):
        return zs
    at = {k: i for i, k in enumerate(nodes)}
    right = np.asarray([at[k] for k, _ in outputs])
    left = np.asarray([at[k - 1] if w != 1 else at[k] for k, w in outputs])

    def between(z: Array) -> Array:
        w = jnp.asarray([w for _, w in outputs], jnp.finfo(z.dtype).dtype).reshape(-1, *[1] * (z.ndim - 1))
        return (1 - w) * z[left] + w * z[right]

    return jax.tree.map(between, zs)


def _stats(sde: SDE, y0: Y, solver: Method, steps: AnySteps, made: Made, apart: Array) -> Stats:
    """Evaluations are counted where they are traced: they depend on the options, and some methods begin with one."""

    def step(sde: SDE, state: Carried) -> Carried:
        return solver.step(sde, steps.time(0), steps.time(1), steps.length(0), steps.noise(0), state)

    state, start = evaluations(lambda sde: solver.init(sde, steps.time(0), y0), sde)
    _, each = evaluations(step, sde, state)
    drift, diffusion = (a + b * made.tried for a, b in zip(start, each, strict=True))
    return Stats(made.steps, drift, diffusion, made.rejected, apart)
