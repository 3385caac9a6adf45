"""sdepy behind the contract: numpy, Euler's method for Ito SDEs, all paths at once.

An SDE is a subclass of `sdepy.integrator` with the coefficients `A` and the differentials `dZ` by name, in shapes
[dim, paths]; here one name for each Brownian motion, so that every type of noise fits.
"""

from importlib.metadata import version
from typing import Any

import numpy as np
import sdepy

from sdegrad.adapters import numpy_run
from sdegrad.adapters.numpy_run import Field, NumpyRun
from sdegrad.contract import BrownianTask, Run, Task


class Process(sdepy.integrator):
    """fields: (drift, diffusion). increments(t, dt): dW [noise, paths]."""

    def __init__(self, fields: tuple[Field, Field], y0: np.ndarray, increments: Any, diagonal: bool) -> None:
        shape = y0.shape[1:]
        super().__init__(paths=len(y0), xshape=shape, wshape=shape, dtype=y0.dtype, getinfo=False)
        self._drift, self._diffusion = fields
        self._y0, self._increments, self._diagonal = y0, increments, diagonal

    def begin(self) -> None:
        self.itervars["xw"][0][...] = self._y0.T

    def store(self, i: int, k: int) -> None:
        self.itervars["xx"][i] = self.itervars["xw"][k]

    def A(self, t: float, x: np.ndarray) -> dict[str, np.ndarray]:
        g = self._diffusion(t, x.T)
        parts = {"dw": g.T} if self._diagonal else {f"dw{j}": g[..., j].T for j in range(g.shape[-1])}
        return {"dt": self._drift(t, x.T).T} | parts

    def dZ(self, t: float, dt: float) -> dict[str, Any]:
        dW = self._increments(t, dt)
        return {"dt": dt} | ({"dw": dW} if self._diagonal else {f"dw{j}": each for j, each in enumerate(dW)})


class Sdepy:
    name = "sdepy"
    framework = "numpy"

    def versions(self) -> tuple[str, str]:
        return version("sdepy"), numpy_run.versions()

    def unavailable(self, device: str) -> str | None:
        return numpy_run.unavailable(device)

    def unsupported(self, task: Task | BrownianTask) -> str | None:
        reason = numpy_run.unsupported(task, "sdepy")
        if reason is None and isinstance(task, Task) and (task.method, task.problem.sde_type) != ("euler", "ito"):
            return f"sdepy has no {task.problem.sde_type} method {task.method!r}: it has 'euler' for Ito SDEs."
        return reason

    def prepare(self, task: Task) -> Run:
        ts, given, noise = numpy_run.times(task), numpy_run.increments(task), task.problem.noise_dim
        diagonal = task.problem.noise_type == "diagonal"

        def solve(drift: Field, diffusion: Field, y0: np.ndarray) -> np.ndarray:
            if given is None:
                rng = np.random.default_rng(task.seed)
                increments = sdepy.wiener_source(paths=len(y0), vshape=(noise,), dtype=y0.dtype, rng=rng)
            else:
                steps = iter(given)
                increments = lambda t, dt: next(steps).T  # noqa: E731
            process = Process((drift, diffusion), y0, increments, diagonal)(ts)
            return numpy_run.outputs(task, np.swapaxes(np.asarray(process), 1, 2))

        return NumpyRun(task, solve)

    def brownian(self, task: BrownianTask) -> Run:
        raise NotImplementedError(str(self.unsupported(task)))


implementation = Sdepy()
