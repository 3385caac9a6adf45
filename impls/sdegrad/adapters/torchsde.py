"""torchsde behind the contract."""

from importlib.metadata import version

import torch
import torchsde
from torchsde._core.methods import select

from sdegrad.adapters import torch_run
from sdegrad.adapters.torch_motions import motion, why_not
from sdegrad.adapters.torch_run import GivenBrownian, ProblemSDE, TorchBrownianRun, TorchRun
from sdegrad.contract import BrownianTask, Task
from sdegrad.methods import NOISE_TYPES

LACKING = {
    "tree": "torchsde's BrownianTree is its BrownianInterval.",
    "portable": "torchsde's numbers are those of PyTorch's generators.",
}
SOLVERS = {
    "ito": ("euler", "milstein", "srk"),
    "stratonovich": ("midpoint", "reversible_heun", "euler_heun", "heun", "milstein", "log_ode"),
}
# The noise types whose adjoint SDEs a method solves, where it is not all of them.
OF_ADJOINT = {"srk": (), "log_ode": (), "milstein": ("diagonal",)}
# What sdeint asks of the Brownian motion that it makes itself.
LEVY_AREA = {"srk": "space-time", "log_ode": "foster"}


class Torchsde:
    name = "torchsde"
    framework = "torch"

    def versions(self) -> tuple[str, str]:
        return version("torchsde"), torch_run.versions()

    def unavailable(self, device: str) -> str | None:
        return torch_run.unavailable(device)

    def unsupported(self, task: Task | BrownianTask) -> str | None:
        if isinstance(task, BrownianTask):
            return LACKING.get(task.kind) or why_not(task)
        if task.method not in SOLVERS[task.problem.sde_type]:
            return f"torchsde has no {task.problem.sde_type} method {task.method!r}."
        noise = task.problem.noise_type
        if noise not in select(task.method, task.problem.sde_type).noise_types:
            return f"torchsde's {task.method!r} is not for {noise} noise."
        if task.noise is not None and task.method == "log_ode":
            return "'log_ode' needs a Levy area, which a given path has not."
        if task.adjoint == "checkpoint":
            return "torchsde has no checkpointed gradients."
        if task.adjoint == "reversible" and task.method != "reversible_heun":
            return f"torchsde has no reversible adjoint of {task.method!r}."
        if task.adjoint == "backsolve" and noise not in OF_ADJOINT.get(task.method, NOISE_TYPES):
            return f"torchsde cannot solve the adjoint SDE of {noise} noise by {task.method!r}."
        if task.adjoint == "backsolve" and task.method == "reversible_heun":
            return "torchsde's adjoint of reversible Heun is its reversible one."
        return None

    def prepare(self, task: Task) -> TorchRun:
        dtype = getattr(torch, task.dtype)
        area = LEVY_AREA.get(task.method, task.levy_area)
        given = None if task.noise is None else GivenBrownian(task.noise, dtype, task.device, area)
        adaptive = {"adaptive": True, "rtol": task.rtol, "atol": task.atol} if task.rtol is not None else {}

        def solve(sde: ProblemSDE, y0: torch.Tensor, ts: torch.Tensor) -> torch.Tensor:
            if given is None:
                # As sdeint makes it where none is given, but for the seed.
                channels = y0.shape[-1] + (task.prior is not None)  # of diagonal noise, that of the log-ratio too
                size = (y0.shape[0], channels if sde.noise_type == "diagonal" else task.problem.noise_dim)
                bm = torchsde.BrownianInterval(
                    *(ts[0], ts[-1], size),
                    dtype=dtype,
                    device=y0.device,
                    entropy=task.seed,
                    dt=task.brownian_dt,
                    levy_area_approximation=area,
                )
            else:
                bm = given
            arguments = {
                "bm": bm,
                "method": task.method,
                "dt": task.dt,
                "options": dict(task.options),
                "logqp": task.prior is not None,
            } | adaptive
            if task.adjoint in (None, "backprop"):
                ys = torchsde.sdeint(sde, y0, ts, **arguments)
            else:
                adjoint_method = "adjoint_reversible_heun" if task.adjoint == "reversible" else task.method
                ys = torchsde.sdeint_adjoint(sde, y0, ts, **arguments, adjoint_method=adjoint_method)
            return ys  # pyright: ignore[reportReturnType] (with logqp a tuple)

        return TorchRun(task, solve)

    def brownian(self, task: BrownianTask) -> TorchBrownianRun:
        return TorchBrownianRun(task, motion(torchsde, task))


implementation = Torchsde()
