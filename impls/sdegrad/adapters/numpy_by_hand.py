"""Euler's and Heun's methods as anybody would write them in numpy: a loop over the steps, all paths at once."""

from importlib.metadata import version

import numpy as np

from sdegrad.adapters import numpy_run
from sdegrad.adapters.numpy_run import Field, NumpyRun
from sdegrad.contract import BrownianTask, Run, Task

METHODS = {"ito": ("euler",), "stratonovich": ("heun",)}


class NumpyByHand:
    name = "numpy_by_hand"
    framework = "numpy"

    def versions(self) -> tuple[str, str]:
        return version("numpy"), numpy_run.versions()

    def unavailable(self, device: str) -> str | None:
        return numpy_run.unavailable(device)

    def unsupported(self, task: Task | BrownianTask) -> str | None:
        reason = numpy_run.unsupported(task, "the loop by hand")
        if reason is None and isinstance(task, Task) and task.method not in METHODS[task.problem.sde_type]:
            return f"the loop by hand has no {task.problem.sde_type} method {task.method!r}."
        return reason

    def prepare(self, task: Task) -> Run:
        problem, ts, given = task.problem, numpy_run.times(task), numpy_run.increments(task)
        diagonal = problem.noise_type == "diagonal"
        shape = (len(problem.y0), problem.noise_dim)

        def times(g: np.ndarray, dW: np.ndarray) -> np.ndarray:
            return g * dW if diagonal else (g @ dW[..., None])[..., 0]

        def solve(drift: Field, diffusion: Field, y0: np.ndarray) -> np.ndarray:
            rng = np.random.default_rng(task.seed)
            ys = np.empty((len(ts), *y0.shape), y0.dtype)
            ys[0] = y = y0
            for k in range(len(ts) - 1):
                t, dt = float(ts[k]), float(ts[k + 1] - ts[k])
                dW = dt**0.5 * rng.standard_normal(shape, y0.dtype) if given is None else given[k]
                f, g = drift(t, y), diffusion(t, y)
                if task.method == "heun":
                    z = y + f * dt + times(g, dW)
                    f, g = (f + drift(t + dt, z)) / 2, (g + diffusion(t + dt, z)) / 2
                ys[k + 1] = y = y + f * dt + times(g, dW)
            return numpy_run.outputs(task, ys)

        return NumpyRun(task, solve)

    def brownian(self, task: BrownianTask) -> Run:
        raise NotImplementedError(str(self.unsupported(task)))


implementation = NumpyByHand()
