"""The cells of a path and the leaves of a cell, from the arguments of the user."""

import math

import equinox.internal as eqxi
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from sdegrad.grid import check_times
from sdegrad.jax.arguments import check_number, eps_of, static_grid, static_number
from sdegrad.jax.brownian.positions import most_levels
from sdegrad.jax.constant import constant
from sdegrad.jax.times import AnyGrid, OneCell, time_dtype
from sdegrad.jax.types import Number

NO_DERIVATIVE = (
    "a BrownianInterval cannot be differentiated with respect to time: Brownian paths have no derivative. Keep t0, t1, "
    "dt0 and the times of increments constant; for ControlTerm(...).to_ode() take a smooth control."
)


def grid_of(t0: Number, t1: Number, dt: Number | None) -> AnyGrid:
    t0, t1 = constant((t0, t1))
    if isinstance(t0, Tracer) or isinstance(t1, Tracer):
        if dt is not None:
            raise ValueError(
                "t0 or t1 is traced, so the number of cells of length dt is not known; leave dt out, which makes the "
                "interval one cell, or pass t0 and t1 as Python or NumPy numbers."
            )
        for name, t in (("t0", t0), ("t1", t1)):
            check_number(name, t)
        ends = (jnp.asarray(t, time_dtype()) for t in (t0, t1))
        return OneCell(*eqxi.nondifferentiable(tuple(ends), msg=NO_DERIVATIVE))
    eps = max(eps_of(x) for x in (t0, t1, dt) if x is not None)
    t0, t1 = static_number("t0", t0), static_number("t1", t1)
    check_times((t0, t1), 1.0 if dt is None else static_number("dt", dt))
    return static_grid(t0, t1, t1 - t0 if dt is None else static_number("dt", dt), eps)


def levels_of(grid: AnyGrid, tol: Number | None) -> int:
    """The number of halvings after which a cell is no longer than tol."""
    double = time_dtype() == np.float64
    if isinstance(grid, OneCell):
        if tol is not None:
            raise ValueError("tol needs t0 and t1 that are not traced; leave it out, or pass them as Python numbers.")
        return 40 if double else 24
    if tol is None:
        return min(24 + max(0, math.ceil(math.log2(grid.dt))) * double, most_levels())
    tol = static_number("tol", tol)
    if not 0 < tol < math.inf:
        raise ValueError(f"tol must be positive and finite, got {tol}; leave it out for the default.")
    levels = max(0, math.ceil(math.log2(grid.dt / tol)))
    if levels > most_levels():
        double_precision = "" if double else ', or call jax.config.update("jax_enable_x64", True) first'
        raise ValueError(
            f"tol={tol} is finer than 2^-{most_levels()} of a cell of length {grid.dt}; make tol larger, or the cells "
            f"shorter by dt{double_precision}."
        )
    return levels
