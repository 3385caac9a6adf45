"""pathwise behind the contract: loops in Rust, over SDEs of one dimension that Python functions define.

It computes in float64 and on its own noise. Paths of one initial value are one call. Its built-in processes are left
out: the contract hands over functions, not names; of its methods, `sri` is for those alone.
"""

from importlib.metadata import version

import numpy as np
import pathwise

from sdegrad.adapters import numpy_run
from sdegrad.adapters.numpy_run import Field, NumpyRun
from sdegrad.contract import BrownianTask, Run, Task

METHODS = {"euler": pathwise.euler, "milstein": pathwise.milstein}


class Pathwise:
    name = "pathwise"
    framework = "numpy"

    def versions(self) -> tuple[str, str]:
        return version("pathwise-sde"), numpy_run.versions()

    def unavailable(self, device: str) -> str | None:
        return numpy_run.unavailable(device)

    def unsupported(self, task: Task | BrownianTask) -> str | None:
        reason = numpy_run.unsupported(task, "pathwise")
        if reason is not None or isinstance(task, BrownianTask):
            return reason
        if task.problem.sde_type != "ito" or task.method not in METHODS:
            return f"pathwise has no {task.problem.sde_type} method {task.method!r} for SDEs that a user defines."
        if task.problem.y0.shape[1] > 1 or task.problem.noise_dim > 1:
            return "pathwise's SDEs that a user defines are of one dimension."
        if task.noise is not None:
            return "pathwise draws its own noise."
        return numpy_run.uneven(task, "pathwise")

    def prepare(self, task: Task) -> Run:
        steps, ends = numpy_run.grid_of(task).steps, {"t0": task.ts[0], "t1": task.ts[-1]}

        def solve(drift: Field, diffusion: Field, y0: np.ndarray) -> np.ndarray:
            def scalar(field: Field) -> object:
                return lambda x, t: float(field(t, np.array([x], y0.dtype)).item())

            sde = pathwise.sde(scalar(drift), scalar(diffusion))
            starts, of_start = np.unique(y0[:, 0], return_inverse=True)
            ys = np.empty((steps + 1, len(y0), 1))
            for i, (start, seed) in enumerate(zip(starts, numpy_run.path_seeds(task), strict=False)):
                these = np.flatnonzero(of_start == i)
                work = {"n_paths": len(these), "n_steps": steps, "x0": float(start), "seed": seed}
                ys[:, these, 0] = pathwise.simulate(sde, METHODS[task.method](), **work, **ends).T
            return numpy_run.outputs(task, ys)

        return NumpyRun(task, solve, by_path=True)

    def brownian(self, task: BrownianTask) -> Run:
        raise NotImplementedError(str(self.unsupported(task)))


implementation = Pathwise()
