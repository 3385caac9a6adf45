"""diffrax with our parts plugged into it: `ReversibleAdjoint`, and a `BrownianInterval` as its noise."""

from typing import Any

import diffrax
import jax

import sdegrad.jax
from sdegrad.adapters.diffrax import Diffrax
from sdegrad.adapters.jax_run import JaxBrownianRun, of_steps
from sdegrad.contract import BrownianTask, Task


class DiffraxSdegrad(Diffrax):
    name = "diffrax_sdegrad"

    def unsupported(self, task: Task | BrownianTask) -> str | None:
        if isinstance(task, BrownianTask):
            return "the Brownian motion of diffrax_sdegrad is that of sdegrad_jax; ask that one."
        if task.adjoint not in ("reversible", "backprop"):  # the latter to hold it against
            return "diffrax_sdegrad is the reversible adjoint in diffrax; for any other gradient ask diffrax itself."
        if task.method != "reversible_heun":
            return f"diffrax's {task.method!r} has no closed inverse, and so no reversible adjoint."
        return None

    def path(self, task: Task, shape: jax.ShapeDtypeStruct, key: jax.Array) -> Any:
        return sdegrad.jax.BrownianInterval(task.ts[0], task.ts[-1], shape, key, **of_steps(task))

    def adjoint(self, task: Task) -> diffrax.AbstractAdjoint:
        return sdegrad.jax.ReversibleAdjoint() if task.adjoint == "reversible" else super().adjoint(task)

    def brownian(self, task: BrownianTask) -> JaxBrownianRun:
        raise NotImplementedError(str(self.unsupported(task)))


implementation = DiffraxSdegrad()
