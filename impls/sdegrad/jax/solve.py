"""`sdeint`: from what the user says to the solve on the integer grid."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, PyTree

from sdegrad.grid import Grid, check_times, make_grid
from sdegrad.jax import checks
from sdegrad.jax.adjoint import ADJOINTS
from sdegrad.jax.methods import SOLVERS
from sdegrad.jax.sde import SDE
from sdegrad.jax.steps import Steps, matching_cells
from sdegrad.jax.types import Number, Path, Stats
from sdegrad.methods import METHODS


def sdeint(
    drift: Callable[[Float[Array, ""], Any, Any], Any],
    diffusion: Callable[[Float[Array, ""], Any, Any], Any],
    y0: PyTree,
    ts: Sequence[Number] | np.ndarray | Array,
    *,
    bm: Path,
    dt: Number,
    args: Any = None,
    method: str = "reversible_heun",
    adjoint: str | None = None,
    options: Mapping[str, Any] | None = None,
    sde_type: str = "stratonovich",
    noise_type: str = "diagonal",
    return_stats: bool = False,
) -> Any:
    """Solve dy = drift(t, y, args) dt + diffusion(t, y, args) dW from y0 at ts[0]; the solution at `ts`.

    y0: [*batch, dim], or any pytree of arrays. drift returns the like of y0; diffusion the like of y0 for
    noise_type "diagonal", and y0's shape with a trailing noise axis for "additive", "scalar" (noise = 1) and
    "general". t is in the real dtype of y0. bm: a `BrownianInterval`, or anything with evaluate(t0, t1); its
    increments are like y0 for diagonal noise and [*batch, noise] otherwise. Give it the same dt: then the
    steps are its cells, and nothing is searched.

    The steps have length dt, the last one clipped to ts[-1]; between grid times the solution is interpolated
    linearly. ts and dt are static. Returns [len(ts), *y0.shape]; with return_stats, (that, `Stats`).

    adjoint: "reversible" (exact, memory independent of the number of steps; what None means for a reversible
    method), "checkpoint" (exact, memory O(sqrt(steps)); what None means otherwise), "backprop" (exact, memory
    O(steps)), "backsolve" (the continuous adjoint: inexact, memory independent of the number of steps).
    "backprop" and "checkpoint" can be differentiated more than once, and "backprop" forwards; the other two
    only once, backwards. Gradients reach y0, args, and the arrays that drift and diffusion hold or close
    over. bm is constant; if it holds traced arrays it must be a pytree. "reversible" is exact up to round-off,
    which grows exponentially in the Lipschitz constant times the time span: where that product is above a
    few, compare with "checkpoint".

    Works under jit, vmap and grad; call it under jit, without which every call compiles anew. A NaN in y0 is
    refused where y0 is concrete, and passes through where it is traced.
    ValueError, always when traced, before any step: names, shapes, dtypes, times or dt that do not fit.
    """
    adjoint = adjoint or _default_adjoint(method)
    checks.check_method(method, sde_type, noise_type, adjoint, tuple(ADJOINTS))
    if options:
        raise ValueError(f"method {method!r} has no options, got {dict(options)}; leave options out.")
    times, eps = checks.static_times(ts)
    dt = checks.static_number("dt", dt)
    check_times(times, dt)
    y0 = checks.check_state(y0)
    checks.check_path(bm, times, eps)

    grid = make_grid(times[0], times[-1], dt, eps)
    outputs = grid.outputs(times, eps)
    steps = _steps(bm, grid, outputs, eps, y0)
    sde = _hoist(SDE(drift, diffusion, args, noise_type), steps, y0)
    checks.check_fields(sde, steps, y0)
    nodes = ADJOINTS[adjoint]((y0, sde), SOLVERS[method], steps)
    ys = _interpolate(nodes, steps.nodes, outputs)
    return (ys, _stats(method, grid)) if return_stats else ys


def _default_adjoint(method: str) -> str:
    checks.check_choice("method", method, tuple(METHODS))
    return "reversible" if METHODS[method].reversible else "checkpoint"


def _steps(bm: Path, grid: Grid, outputs: tuple[tuple[int, float], ...], eps: float, y0: Any) -> Steps:
    needed = {k for k, _ in outputs} | {k - 1 for k, w in outputs if w != 1}
    real = jnp.finfo(jnp.result_type(*jax.tree.leaves(y0))).dtype
    dtype = real if real.itemsize >= 4 else np.dtype(np.float32)  # half precision would be too coarse
    bm = jax.tree.map(lambda x: lax.stop_gradient(x) if eqx.is_inexact_array(x) else x, bm)
    return Steps(bm, grid, tuple(sorted(needed)), matching_cells(bm, grid, eps), dtype)


def _hoist(sde: SDE, steps: Steps, y0: Any) -> SDE:
    """With the arrays that drift and diffusion close over as leaves, so that gradients reach them."""
    drift, diffusion = (
        eqx.filter_closure_convert(fn, steps.time(0), y0, sde.args) for fn in (sde.drift, sde.diffusion)
    )
    return SDE(drift, diffusion, sde.args, sde.noise_type)


def _interpolate(zs: Any, nodes: tuple[int, ...], outputs: tuple[tuple[int, float], ...]) -> Any:
    if [k for k, _ in outputs] == list(nodes):
        return zs
    at = {k: i for i, k in enumerate(nodes)}
    right = np.asarray([at[k] for k, _ in outputs])
    left = np.asarray([at[k - 1] if w != 1 else at[k] for k, w in outputs])

    def between(z: Array) -> Array:
        w = jnp.asarray([w for _, w in outputs], jnp.finfo(z.dtype).dtype).reshape(-1, *[1] * (z.ndim - 1))
        return (1 - w) * z[left] + w * z[right]

    return jax.tree.map(between, zs)


def _stats(method: str, grid: Grid) -> Stats:
    row = METHODS[method]
    start = 1 if row.reversible else 0  # a reversible method keeps the vector fields from step to step
    return Stats(grid.steps, row.nfe[0] * grid.steps + start, row.nfe[1] * grid.steps + start)
