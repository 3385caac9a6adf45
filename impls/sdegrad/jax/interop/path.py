"""`DiffraxPath`: a `BrownianInterval` as diffrax's solvers ask for it."""

from typing import Any

import diffrax
import jax
import jax.numpy as jnp

from sdegrad.jax.brownian import BrownianInterval

_AREAS = {None: diffrax.BrownianIncrement, "space-time": diffrax.SpaceTimeLevyArea}


class DiffraxPath(diffrax.AbstractBrownianPath):
    """A `BrownianInterval` as the control of a `diffrax.ControlTerm`.

    For the solvers that need space-time Levy area, make the interval with levy_area="space-time"; those that
    need space-time-time Levy area refuse it. It is cheapest where the steps of the solve are cells of the
    interval: give it the dt of the solve, if that divides the time span.
    """

    interval: BrownianInterval

    @property
    def t0(self) -> float:
        return self.interval.t0

    @property
    def t1(self) -> float:
        return self.interval.t1

    @property
    def levy_area(self) -> type:
        return _AREAS[self.interval.levy_area]

    def evaluate(self, t0: Any, t1: Any = None, left: bool = True, use_levy: bool = False) -> Any:
        """The increment W over [t0, t1], or over [self.t0, t0] if t1 is None. With use_levy, a value of class
        `levy_area`: the length of the interval and W, and H where there is one.

        ValueError for times outside the interval; if they are traced, the increment is NaN instead.
        """
        del left  # the path has no jumps
        t0, t1 = (self.t0, t0) if t1 is None else (t0, t1)
        increment = self.interval.evaluate(t0, t1)
        W, area = (increment, {}) if self.interval.levy_area is None else (increment.W, {"H": increment.H})
        if not use_levy:
            return W
        length = jnp.asarray(t1) - jnp.asarray(t0)
        return self.levy_area(dt=jax.tree.map(lambda w: length.astype(w.dtype), W), W=W, **area)
