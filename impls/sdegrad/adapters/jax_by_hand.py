"""Euler's method as anybody would write it for one problem in JAX: a scan, its noise drawn at once.

It holds the noise of all steps, and nothing can be asked of it but the solution at the end: what a general solver is
held against where the vector field costs nothing.
"""

from typing import Any

import jax
import jax.numpy as jnp

from sdegrad.adapters import jax_run
from sdegrad.adapters.jax_run import Field, JaxRun
from sdegrad.contract import BrownianTask, Run, Task
from sdegrad.grid import make_grid


class JaxByHand:
    name = "jax_by_hand"
    framework = "jax"

    def versions(self) -> tuple[str, str]:
        return jax.__version__, jax_run.versions()

    def unavailable(self, device: str) -> str | None:
        return jax_run.unavailable(device)

    def unsupported(self, task: Task | BrownianTask) -> str | None:
        if isinstance(task, BrownianTask):
            return "a scan by hand has no Brownian motion to ask."
        if task.method != "euler" or task.adjoint is not None or task.rtol is not None or len(task.ts) > 2:
            return "the scan by hand is one solve by euler with constant steps, from start to end."
        if task.noise is not None:
            return "the scan by hand draws its own noise."
        return None

    def prepare(self, task: Task) -> Run:
        grid = make_grid(task.ts[0], task.ts[-1], task.dt)
        diagonal = task.problem.noise_type == "diagonal"

        def solve(drift: Field, diffusion: Field, y0: jax.Array, params: Any, key: jax.Array) -> Any:
            noise = y0.shape[-1] if diagonal else task.problem.noise_dim
            dWs = task.dt**0.5 * jax.random.normal(key, (grid.steps, y0.shape[0], noise), y0.dtype)
            ts = jnp.asarray([grid.time(k) for k in range(grid.steps)], y0.dtype)

            def step(y: jax.Array, at: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, None]:
                t, dW = at
                g = diffusion(t, y, params)
                return y + drift(t, y, params) * task.dt + (g * dW if diagonal else (g @ dW[..., None])[..., 0]), None

            return jnp.stack([y0, jax.lax.scan(step, y0, (ts, dWs))[0]]), grid.steps

        return JaxRun(task, solve)

    def brownian(self, task: BrownianTask) -> Run:
        raise NotImplementedError(str(self.unsupported(task)))


implementation = JaxByHand()
