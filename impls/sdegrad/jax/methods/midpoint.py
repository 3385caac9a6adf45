"""The explicit midpoint method. Stratonovich; strong order 1/2, and 1 for commutative noise; ODE order 2.

Ruemelin (1982), SIAM J. Numer. Anal. 19(3). With F = f dt + g dW:

    ym = y0 + F(t0, y0) / 2
    y1 = y0 + F(t0 + dt / 2, ym)
"""

from typing import Any

from sdegrad.jax.methods.base import OneStep, tree
from sdegrad.jax.types import Field, Time


class Midpoint(OneStep):
    def step(self, field: Field, t0: Time, t1: Time, dt: Time, dW: Any, state: Any) -> Any:
        F0 = field.increment(t0, state, dt, dW)
        middle = tree(lambda y, F: y + F / 2, state, F0)
        return tree(lambda y, F: y + F, state, field.increment((t0 + t1) / 2, middle, dt, dW))
