"""sdeint behind the contract: numpy, one path at a time, steps of one length.

`sri2`, `srs2` and `kp2is` are methods of its own, of strong order 1 by the docstrings of its `itoSRI2`, `stratSRS2` and
`stratKP2iS`. They take iterated integrals, which a given path has only where noise commutes: then I = dW dW' / 2, less
dt / 2 on the diagonal for Ito.
"""

from functools import partial
from importlib.metadata import version

import numpy as np
import sdeint

from sdegrad.adapters import numpy_run
from sdegrad.adapters.numpy_run import Field, NumpyRun
from sdegrad.contract import BrownianTask, Run, Task
from sdegrad.methods import NOISE_TYPES, Method

# method -> the function, its calculus and, where it takes iterated integrals, their name
SOLVERS = {
    "euler": (sdeint.itoEuler, "ito", ""),
    "heun": (sdeint.stratHeun, "stratonovich", ""),
    "sri2": (sdeint.itoSRI2, "ito", "I"),
    "srs2": (sdeint.stratSRS2, "stratonovich", "J"),
    "kp2is": (sdeint.stratKP2iS, "stratonovich", "J"),
}
# The evaluations are those for one noise; kp2is, which solves for its step, takes more.
OWN = {m: Method((SOLVERS[m][1],), dict.fromkeys(NOISE_TYPES, 1.0), (2, 3)) for m in ("sri2", "srs2", "kp2is")}


class Sdeint:
    name = "sdeint"
    framework = "numpy"
    methods = OWN

    def versions(self) -> tuple[str, str]:
        return version("sdeint"), numpy_run.versions()

    def unavailable(self, device: str) -> str | None:
        return numpy_run.unavailable(device)

    def unsupported(self, task: Task | BrownianTask) -> str | None:
        reason = numpy_run.unsupported(task, "sdeint")
        if reason is not None or isinstance(task, BrownianTask):
            return reason
        _, sde_type, integrals = SOLVERS.get(task.method, ("", "", ""))
        if sde_type != task.problem.sde_type:
            return f"sdeint has no {task.problem.sde_type} method {task.method!r}."
        if task.noise is not None and integrals and task.problem.noise_type == "general":
            return f"{task.method!r} needs the Levy areas of general noise, which a given path has not."
        return numpy_run.uneven(task, "sdeint")

    def prepare(self, task: Task) -> Run:
        function, sde_type, integrals = SOLVERS[task.method]
        ts, given = numpy_run.times(task), numpy_run.increments(task)
        diagonal = task.problem.noise_type == "diagonal"

        def noise(path: int, generator: np.random.Generator) -> dict:
            if given is None:
                return {"generator": generator}
            dW = given[:, path]
            ito = task.dt * np.eye(dW.shape[1]) if sde_type == "ito" else 0.0
            return {"dW": dW} | ({integrals: (dW[:, :, None] * dW[:, None] - ito) / 2} if integrals else {})

        def solve(drift: Field, diffusion: Field, y0: np.ndarray) -> np.ndarray:
            def G(y: np.ndarray, t: float) -> np.ndarray:
                return np.diag(diffusion(t, y)) if diagonal else diffusion(t, y)

            one, generator = partial(function, lambda y, t: drift(t, y), G, tspan=ts), np.random.default_rng(task.seed)
            ys = np.stack([one(y0=y, **noise(path, generator)) for path, y in enumerate(y0)], 1)
            return numpy_run.outputs(task, ys)

        return NumpyRun(task, solve, by_path=True)

    def brownian(self, task: BrownianTask) -> Run:
        raise NotImplementedError(str(self.unsupported(task)))


implementation = Sdeint()
