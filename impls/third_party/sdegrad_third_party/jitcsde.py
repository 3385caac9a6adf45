"""jitcsde behind the contract: C, made of symbolic expressions; a path at a time, on its own noise, in float64.

`sriw1` is a method of its own: Roessler's SRIW1, or SRA1 where the noise is additive, for diagonal noise, with adaptive
steps; an infinite tolerance keeps them constant. Stratonovich SDEs it converts."""

import shutil
import tempfile
from contextlib import chdir
from importlib.metadata import version
from types import SimpleNamespace

import jitcsde
import numpy as np
import symengine

from sdegrad.adapters import numpy_run
from sdegrad.contract import NUMPY, BrownianTask, Run, Task
from sdegrad.methods import Method

OWN = {"sriw1": Method(("ito", "stratonovich"), {"diagonal": 1.5}, (2, 4))}
_BY_ELEMENT = ("asinh", "cos", "cosh", "exp", "log", "sin", "sinh", "sqrt", "tan", "tanh")
_XP = {name: np.vectorize(getattr(symengine, name), otypes=[object]) for name in _BY_ELEMENT}
_XP |= {"sigmoid": lambda x: 1 / (1 + _XP["exp"](-x)), "silu": lambda x: x / (1 + _XP["exp"](-x))}
XP = SimpleNamespace(**vars(NUMPY) | _XP)


def compiled(task: Task) -> jitcsde.jitcsde:
    problem, t = task.problem, np.array(jitcsde.t, dtype=object)
    y = np.array([jitcsde.y(i) for i in range(problem.y0.shape[1])])
    fields = (field(XP, t, y, problem.params).tolist() for field in (problem.drift, problem.diffusion))
    sde = jitcsde.jitcsde(*fields, ito=problem.sde_type == "ito", verbose=False)
    with tempfile.TemporaryDirectory() as empty, chdir(empty):  # its setuptools reads the pyproject.toml it is in
        sde.compile_C(simplify=False)
    if not task.rtol:
        longest = task.dt * (1 + 1e-9)  # so that rounding leaves no rest of a step
        sde.set_integration_parameters(atol=float("inf"), first_step=longest, max_step=longest)
    else:
        sde.set_integration_parameters(atol=task.atol or 0.0, rtol=task.rtol, first_step=task.dt)
    return sde


class Jitcsde:
    name = "jitcsde"
    framework = "numpy"
    methods = OWN

    def versions(self) -> tuple[str, str]:
        return version("jitcsde"), numpy_run.versions()

    def unavailable(self, device: str) -> str | None:
        if shutil.which("cc") is None:
            return "jitcsde needs a C compiler, and there is no cc here; install one."
        return numpy_run.unavailable(device)

    def unsupported(self, task: Task | BrownianTask) -> str | None:
        if isinstance(task, BrownianTask):
            return numpy_run.unsupported(task, "jitcsde")
        if task.method != "sriw1" or task.problem.noise_type != "diagonal":
            return f"jitcsde has 'sriw1' for diagonal noise, not {task.method!r} for {task.problem.noise_type} noise."
        return "jitcsde draws its own noise." if task.noise else numpy_run.unsupported(task, "jitcsde", adaptive=True)

    def prepare(self, task: Task) -> Run:
        sde, ts = compiled(task), task.ts if task.rtol else numpy_run.times(task)

        def one(y0: np.ndarray, seed: int) -> np.ndarray:
            sde.set_seed(seed)
            sde.set_initial_value(y0, ts[0])
            return np.stack([y0, *(sde.integrate(t) for t in ts[1:])])

        def solve(_drift: object, _diffusion: object, y0: np.ndarray) -> np.ndarray:
            ys = np.stack(list(map(one, y0.astype(float), numpy_run.path_seeds(task))), 1)
            return ys if task.rtol else numpy_run.outputs(task, ys)

        return numpy_run.NumpyRun(task, solve, uncounted="jitcsde has the fields in compiled C, where nothing counts.")

    def brownian(self, task: BrownianTask) -> Run:
        raise NotImplementedError(str(self.unsupported(task)))


implementation = Jitcsde()
