"""sdegrad.torch behind the contract."""

from importlib.metadata import version

import torch

import sdegrad.torch
from sdegrad.adapters import torch_run
from sdegrad.adapters.torch_run import GivenBrownian, ProblemSDE, TorchBrownianRun, TorchRun
from sdegrad.contract import BrownianTask, Task
from sdegrad.methods import METHODS


class SdegradTorch:
    name = "sdegrad_torch"
    framework = "torch"

    def versions(self) -> tuple[str, str]:
        return version("sdegrad"), torch_run.versions()

    def unavailable(self, device: str) -> str | None:
        return torch_run.unavailable(device)

    def unsupported(self, task: Task | BrownianTask) -> str | None:
        if isinstance(task, BrownianTask):
            return None if task.kind == "interval" else "sdegrad.torch has no Brownian tree."
        if task.method not in METHODS or METHODS[task.method].sde_type != task.problem.sde_type:
            return f"sdegrad.torch has no {task.problem.sde_type} method {task.method!r}."
        if task.adjoint == "reversible" and not METHODS[task.method].reversible:
            return f"{task.method!r} has no reversible adjoint: its step has no closed inverse."
        if task.rtol is not None:
            return "sdegrad.torch has constant steps only."
        return None

    def prepare(self, task: Task) -> TorchRun:
        dtype = getattr(torch, task.dtype)

        def solve(sde: ProblemSDE, y0: torch.Tensor, ts: torch.Tensor) -> torch.Tensor:
            if task.noise is None:
                noise = y0.shape[-1] if sde.noise_type == "diagonal" else task.problem.noise_dim
                bm = sdegrad.torch.BrownianInterval(
                    *(task.ts[0], task.ts[-1], (y0.shape[0], noise)),
                    dtype=dtype,
                    device=y0.device,
                    entropy=task.seed,
                    dt=task.dt,
                )
            else:
                bm = GivenBrownian(task.noise, dtype, task.device, task.levy_area)
            adjoint = task.adjoint or "backprop"
            return sdegrad.torch.sdeint(
                sde,
                y0,
                ts,
                bm=bm,
                method=task.method,
                dt=task.dt,
                options=dict(task.options),
                adjoint=adjoint,
            )

        return TorchRun(task, solve)

    def brownian(self, task: BrownianTask) -> TorchBrownianRun:
        return TorchBrownianRun(
            task,
            lambda: sdegrad.torch.BrownianInterval(
                task.t0,
                task.t1,
                task.shape,
                dtype=getattr(torch, task.dtype),
                device=task.device,
                entropy=task.seed,
                dt=task.dt,
                levy_area_approximation=task.levy_area,
            ),
        )


implementation = SdegradTorch()
