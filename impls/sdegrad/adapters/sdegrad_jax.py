"""sdegrad.jax behind the contract."""

from importlib.metadata import version
from typing import Any

import jax

import sdegrad.jax
from sdegrad.adapters import jax_run
from sdegrad.adapters.jax_run import AREAS, Field, GivenBrownian, JaxBrownianRun, JaxRun, no_motion, of_steps
from sdegrad.contract import BrownianTask, Task
from sdegrad.jax.methods import make_method
from sdegrad.methods import METHODS


def levy_area(task: Task) -> str:
    """The Levy area that the task asks for, or the one that its method needs."""
    solver = make_method(task.method, task.problem.sde_type, task.problem.noise_type, task.options)
    return solver.levy_area if task.levy_area == "none" else task.levy_area


class SdegradJax:
    name = "sdegrad_jax"
    framework = "jax"

    def versions(self) -> tuple[str, str]:
        return version("sdegrad"), jax_run.versions()

    def unavailable(self, device: str) -> str | None:
        return jax_run.unavailable(device)

    def unsupported(self, task: Task | BrownianTask) -> str | None:
        if isinstance(task, BrownianTask):
            return no_motion(task, "sdegrad.jax", ("interval", "portable"))
        if task.prior is not None:
            return "sdegrad.jax has no log-ratio; let the integrand be a component of the state."
        facts = METHODS.get(task.method)
        if facts is None or task.problem.sde_type not in facts.sde_types:
            return f"sdegrad.jax has no {task.problem.sde_type} method {task.method!r}."
        if task.problem.noise_type not in facts.order:
            return f"{task.method!r} is not for {task.problem.noise_type} noise."
        if task.adjoint == "reversible" and not (facts.reversible or facts.near_reversible):
            return f"{task.method!r} has no reversible adjoint: its step has no closed inverse."
        if task.noise is not None and levy_area(task) not in ("none", "space-time"):
            return f"{task.method!r} needs a Levy area, which a given path has not."
        return None

    def prepare(self, task: Task) -> JaxRun:
        problem = task.problem
        paths, dim = problem.y0.shape
        shape = (paths, dim if problem.noise_type == "diagonal" else problem.noise_dim)
        adaptive = {"adaptive": True, "rtol": task.rtol, "atol": task.atol or 0.0} if task.rtol is not None else {}
        adaptive |= {"max_steps": task.max_steps} if task.max_steps else {}

        def solve(drift: Field, diffusion: Field, y0: jax.Array, params: Any, key: jax.Array) -> Any:
            if task.noise is None:
                bm = sdegrad.jax.BrownianInterval(
                    task.ts[0], task.ts[-1], shape, key, dtype=y0.dtype, levy_area=levy_area(task), **of_steps(task)
                )
            else:
                bm = GivenBrownian.of(task.noise, y0.dtype)
            ys, stats = sdegrad.jax.sdeint(
                *(drift, diffusion, y0, task.ts),
                bm=bm,
                dt=task.dt,
                args=params,
                method=task.method,
                adjoint=task.adjoint,
                options=dict(task.options) or None,
                sde_type=problem.sde_type,
                noise_type=problem.noise_type,
                return_stats=True,
                **adaptive,
            )
            return ys, stats.num_steps

        return JaxRun(task, solve)

    def brownian(self, task: BrownianTask) -> JaxBrownianRun:
        def evaluate(key: jax.Array, s: Any, t: Any) -> Any:
            bm = sdegrad.jax.BrownianInterval(
                *(task.t0, task.t1, task.shape, key),
                dtype=task.dtype,
                dt=task.dt,
                tol=task.tol,
                levy_area=task.levy_area,
                generator="portable" if task.kind == "portable" else "native",
            )
            increment = bm.evaluate(s, t, use_levy=True)
            return tuple(getattr(increment, part) for part in AREAS[task.levy_area])

        return JaxBrownianRun(task, evaluate)


implementation = SdegradJax()
