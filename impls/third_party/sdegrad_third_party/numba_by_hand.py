"""Euler's method as anybody would write it with numba: two loops, compiled, the noise drawn within them.

Such loops are written for one problem: these are for geometric Brownian motion.
"""

from importlib.metadata import version

import numba
import numpy as np

from sdegrad.adapters import numpy_run
from sdegrad.adapters.numpy_run import NumpyRun
from sdegrad.contract import BrownianTask, Run, Task


@numba.njit
def euler(y0: np.ndarray, mu: np.ndarray, sigma: np.ndarray, dt: float, steps: int, rng: np.random.Generator):
    """The solution at the end, [paths, dim]."""
    y = y0.copy()
    for i in range(y.shape[0]):
        for j in range(y.shape[1]):
            for _ in range(steps):
                dW = np.sqrt(dt) * rng.standard_normal()
                y[i, j] += y[i, j] * (mu[j] * dt + sigma[j] * dW)
    return y


class NumbaByHand:
    name = "numba_by_hand"
    framework = "numpy"

    def versions(self) -> tuple[str, str]:
        return version("numba"), numpy_run.versions()

    def unavailable(self, device: str) -> str | None:
        return numpy_run.unavailable(device)

    def unsupported(self, task: Task | BrownianTask) -> str | None:
        reason = numpy_run.unsupported(task, "the loop by hand")
        if reason is not None or isinstance(task, BrownianTask):
            return reason
        if task.problem.name != "gbm" or (task.method, task.problem.sde_type) != ("euler", "ito"):
            return f"this loop by hand is 'euler' for the Ito problem gbm, not {task.method!r} for {task.problem.name}."
        if task.noise is not None or len(task.ts) > 2:
            return "the loop by hand draws its own noise and keeps the end alone."
        return numpy_run.uneven(task, "the loop by hand")

    def prepare(self, task: Task) -> Run:
        steps = numpy_run.grid_of(task).steps
        mu, sigma = (np.asarray(task.problem.params[name], task.dtype) for name in ("mu", "sigma"))

        def solve(_drift: object, _diffusion: object, y0: np.ndarray) -> np.ndarray:
            return np.stack([y0, euler(y0, mu, sigma, task.dt, steps, np.random.default_rng(task.seed))])

        euler(np.ones((1, len(mu)), task.dtype), mu, sigma, task.dt, 1, np.random.default_rng())  # compiled here
        return NumpyRun(task, solve, uncounted="the loop by hand has its fields written into it.")

    def brownian(self, task: BrownianTask) -> Run:
        raise NotImplementedError(str(self.unsupported(task)))


implementation = NumbaByHand()
