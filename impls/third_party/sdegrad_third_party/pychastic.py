"""pychastic behind the contract: JAX, Ito SDEs, float32, its own noise; gradients are JAX's, through its loop.

Its SDEs do not depend on time, so time is a component of the state. `wagner_platen` is a method of its own, of strong
order 1.5.
"""

from dataclasses import replace
from importlib.metadata import version
from typing import Any

import jax
import jax.numpy as jnp
from pychastic.sde_problem import SDEProblem
from pychastic.sde_solver import SDESolver

from sdegrad.adapters import jax_run, numpy_run
from sdegrad.adapters.jax_run import Field, JaxRun
from sdegrad.contract import BrownianTask, Run, Task
from sdegrad.methods import NOISE_TYPES, Method

OWN = {"wagner_platen": Method(("ito",), dict.fromkeys(NOISE_TYPES, 1.5), (6, 15))}
METHODS = ("euler", "milstein", "wagner_platen")


class Pychastic:
    name = "pychastic"
    framework = "jax"
    methods = OWN

    def versions(self) -> tuple[str, str]:
        return version("pychastic"), jax_run.versions()

    def unavailable(self, device: str) -> str | None:
        return jax_run.unavailable(device)

    def unsupported(self, task: Task | BrownianTask) -> str | None:
        if isinstance(task, BrownianTask):
            return numpy_run.unsupported(task, "pychastic")
        if task.problem.sde_type != "ito" or task.method not in METHODS:
            return f"pychastic has no {task.problem.sde_type} method {task.method!r}."
        if task.adjoint not in (None, "backprop"):
            return f"pychastic has no gradients by {task.adjoint!r}."
        if task.noise is not None:
            return "pychastic draws its own noise."
        if task.dtype != "float32":
            return "pychastic computes in float32."
        return numpy_run.unsupported(replace(task, adjoint=None), "pychastic") or numpy_run.uneven(task, "pychastic")

    def prepare(self, task: Task) -> Run:
        grid, diagonal = numpy_run.grid_of(task), task.problem.noise_type == "diagonal"
        solver = SDESolver(scheme=task.method, dt=task.dt)

        def solve(drift: Field, diffusion: Field, y0: jax.Array, params: Any, key: jax.Array) -> Any:
            def a(x: jax.Array) -> jax.Array:
                return jnp.append(drift(x[-1], x[:-1], params), 1.0)

            def b(x: jax.Array) -> jax.Array:
                g = diffusion(x[-1], x[:-1], params)
                return jnp.pad(jnp.diag(g) if diagonal else g, ((0, 1), (0, 0)))

            x0 = jnp.pad(y0, ((0, 0), (0, 1)), constant_values=task.ts[0])
            problem = SDEProblem(a, b, x0, task.ts[-1] - task.ts[0])
            seed = jax.random.randint(key, (), 0, 2**31 - 1)  # no constant, or the noise would be compiled in
            found = solver.solve_many(problem, n_trajectories=None, seed=seed, progress_bar=False)
            made = found["solution_values"].shape[1]
            if made != grid.steps:
                raise ValueError(f"pychastic made {made} steps where there are {grid.steps}: it rounds span / dt down.")
            ys = jnp.concatenate([y0[None], jnp.swapaxes(found["solution_values"], 0, 1)[..., :-1]])
            return jnp.stack([(1 - w) * ys[k - 1] + w * ys[k] for k, w in grid.outputs(task.ts)]), grid.steps

        return JaxRun(task, solve, by_path=True, forwards=False)

    def brownian(self, task: BrownianTask) -> Run:
        raise NotImplementedError(str(self.unsupported(task)))


implementation = Pychastic()
