"""sdegrad.jax behind the contract."""

from importlib.metadata import version
from typing import Any

import jax

import sdegrad.jax
from sdegrad.adapters import jax_run
from sdegrad.adapters.jax_run import Field, GivenBrownian, JaxBrownianRun, JaxRun
from sdegrad.contract import BrownianTask, Task
from sdegrad.jax.methods import SOLVERS
from sdegrad.methods import METHODS


class SdegradJax:
    name = "sdegrad_jax"
    framework = "jax"

    def versions(self) -> tuple[str, str]:
        return version("sdegrad"), jax_run.versions()

    def unavailable(self, device: str) -> str | None:
        return jax_run.unavailable(device)

    def unsupported(self, task: Task | BrownianTask) -> str | None:
        if task.levy_area not in ("none", "space-time"):
            return f"sdegrad.jax has no Levy area {task.levy_area!r}."
        if isinstance(task, BrownianTask):
            return None if task.kind == "interval" else "sdegrad.jax has no Brownian tree."
        if task.method not in SOLVERS or METHODS[task.method].sde_type != task.problem.sde_type:
            return f"sdegrad.jax has no {task.problem.sde_type} method {task.method!r}."
        if task.adjoint == "reversible" and not METHODS[task.method].reversible:
            return f"{task.method!r} has no reversible adjoint: its step has no closed inverse."
        if task.rtol is not None:
            return "sdegrad.jax has constant steps only."
        return None

    def prepare(self, task: Task) -> JaxRun:
        problem = task.problem
        paths, dim = problem.y0.shape
        shape = (paths, dim if problem.noise_type == "diagonal" else problem.noise_dim)

        def solve(drift: Field, diffusion: Field, y0: jax.Array, params: Any, key: jax.Array) -> jax.Array:
            if task.noise is None:
                bm = sdegrad.jax.BrownianInterval(
                    task.ts[0], task.ts[-1], shape, key, dtype=y0.dtype, dt=task.dt, levy_area=None
                )
            else:
                bm = GivenBrownian.of(task.noise, y0.dtype)
            return sdegrad.jax.sdeint(
                *(drift, diffusion, y0, task.ts),
                bm=bm,
                dt=task.dt,
                args=params,
                method=task.method,
                adjoint=task.adjoint,
                options=dict(task.options) or None,
                sde_type=problem.sde_type,
                noise_type=problem.noise_type,
            )

        return JaxRun(task, solve)

    def brownian(self, task: BrownianTask) -> JaxBrownianRun:
        area = None if task.levy_area == "none" else task.levy_area

        def evaluate(key: jax.Array, s: Any, t: Any) -> Any:
            bm = sdegrad.jax.BrownianInterval(
                task.t0, task.t1, task.shape, key, dtype=task.dtype, dt=task.dt, levy_area=area
            )
            return bm.evaluate(s, t)

        return JaxBrownianRun(task, evaluate)


implementation = SdegradJax()
