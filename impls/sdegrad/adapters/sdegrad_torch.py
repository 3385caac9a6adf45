"""sdegrad.torch behind the contract."""

from importlib.metadata import version
from typing import Any

import torch

import sdegrad.torch
from sdegrad.adapters import torch_run
from sdegrad.adapters.torch_motions import motion, why_not
from sdegrad.adapters.torch_run import GivenBrownian, ProblemSDE, TorchBrownianRun, TorchRun
from sdegrad.contract import BrownianTask, LevyArea, Task
from sdegrad.methods import METHODS
from sdegrad.torch.checks import has_reversal
from sdegrad.torch.methods import SOLVERS, make_scheme


def levy_area(task: Task) -> LevyArea:
    """The Levy area that the task asks for, or the one that its method needs."""
    scheme = make_scheme(task.method, task.problem.sde_type, task.problem.noise_type, task.options)
    return scheme.levy_area if task.levy_area == "none" else task.levy_area


class SdegradTorch:
    name = "sdegrad_torch"
    framework = "torch"

    def versions(self) -> tuple[str, str]:
        return version("sdegrad"), torch_run.versions()

    def unavailable(self, device: str) -> str | None:
        return torch_run.unavailable(device)

    def unsupported(self, task: Task | BrownianTask) -> str | None:
        if isinstance(task, BrownianTask):
            return why_not(task)
        if task.method not in SOLVERS or task.problem.sde_type not in METHODS[task.method].sde_types:
            return f"sdegrad.torch has no {task.problem.sde_type} method {task.method!r}."
        if task.problem.noise_type not in METHODS[task.method].order:
            return f"{task.method!r} is not for {task.problem.noise_type} noise."
        if task.adjoint == "reversible" and not has_reversal(task.method):
            return f"{task.method!r} has no reversible adjoint: its step has no closed inverse."
        if task.noise is not None and levy_area(task) not in ("none", "space-time"):
            return f"{task.method!r} needs a Levy area, which a given path has not."
        return None

    def prepare(self, task: Task) -> TorchRun:
        dtype = getattr(torch, task.dtype)
        adaptive = {"adaptive": True, "rtol": task.rtol, "atol": task.atol} if task.rtol is not None else {}
        adaptive |= {"max_steps": task.max_steps} if task.max_steps else {}
        given = None if task.noise is None else GivenBrownian(task.noise, dtype, task.device, levy_area(task))

        def solve(sde: ProblemSDE, y0: torch.Tensor, ts: torch.Tensor, return_stats: bool = False) -> Any:
            if given is None:
                channels = y0.shape[-1] + (task.prior is not None)  # of diagonal noise, that of the log-ratio too
                noise = channels if sde.noise_type == "diagonal" else task.problem.noise_dim
                bm = sdegrad.torch.BrownianInterval(
                    *(task.ts[0], task.ts[-1], (y0.shape[0], noise)),
                    dtype=dtype,
                    device=y0.device,
                    entropy=task.seed,
                    dt=task.dt,
                    levy_area_approximation=levy_area(task),
                )
            else:
                bm = given
            return sdegrad.torch.sdeint(
                sde,
                y0,
                ts,
                bm=bm,
                method=task.method,
                dt=task.dt,
                options=dict(task.options),
                adjoint=task.adjoint or "backprop",
                return_stats=return_stats,
                logqp=task.prior is not None,
                compile=task.compiled and type(sde) is ProblemSDE and not return_stats,  # not where it is counted
                **adaptive,
            )

        def steps(sde: ProblemSDE, y0: torch.Tensor, ts: torch.Tensor) -> int:
            return solve(sde, y0, ts, return_stats=True)[-1].num_steps

        return TorchRun(task, solve, steps)

    def brownian(self, task: BrownianTask) -> TorchBrownianRun:
        return TorchBrownianRun(task, motion(sdegrad.torch, task))


implementation = SdegradTorch()
