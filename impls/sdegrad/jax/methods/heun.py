"""Heun's method, the trapezium rule. Stratonovich; strong order 1/2, and 1 for commutative noise; ODE order
2.

Ruemelin (1982), SIAM J. Numer. Anal. 19(3). With F = f dt + g dW:

    yh = y0 + F(t0, y0)
    y1 = y0 + (F(t0, y0) + F(t1, yh)) / 2
"""

from typing import Any

from sdegrad.jax.methods.base import OneStep, tree
from sdegrad.jax.types import Field, Time


class Heun(OneStep):
    def step(self, field: Field, t0: Time, t1: Time, dt: Time, dW: Any, state: Any) -> Any:
        return self.estimated(field, t0, t1, dt, dW, state)[0]

    def estimated(self, field: Field, t0: Time, t1: Time, dt: Time, dW: Any, state: Any) -> tuple[Any, Any]:
        """The step, and how far it is from yh."""
        F0 = field.increment(t0, state, dt, dW)
        F1 = field.increment(t1, tree(lambda y, F: y + F, state, F0), dt, dW)
        y1 = tree(lambda y, F0, F1: y + (F0 + F1) / 2, state, F0, F1)
        return y1, tree(lambda F0, F1: (F1 - F0) / 2, F0, F1)
