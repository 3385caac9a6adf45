"""The least work of a gradient by reversible Heun in PyTorch: evaluations, their pull-backs, and normals.

A step forward is one evaluation of drift and diffusion and one draw of its noise; a step backward one evaluation,
one vector-Jacobian product, and the same draw. No solver is here, and no time stepping: the numbers mean nothing, the
time is a bound from below for any solver of that cost.
"""

from typing import Any

import torch

from sdegrad.adapters import torch_run
from sdegrad.adapters.torch_run import ProblemSDE, TorchRun
from sdegrad.contract import BrownianTask, Run, Task
from sdegrad.grid import make_grid


class TorchFloor:
    name = "torch_floor"
    framework = "torch"

    def versions(self) -> tuple[str, str]:
        return torch.__version__.partition("+")[0], torch_run.versions()

    def unavailable(self, device: str) -> str | None:
        return torch_run.unavailable(device)

    def unsupported(self, task: Task | BrownianTask) -> str | None:
        if isinstance(task, BrownianTask):
            return "the floor is one of gradients, not of Brownian motion."
        if task.method != "reversible_heun" or task.adjoint != "reversible" or task.rtol is not None:
            return "the floor is that of the reversible adjoint of reversible_heun with constant steps."
        if task.noise is not None:
            return "the floor draws its own noise."
        return None

    def prepare(self, task: Task) -> Run:
        steps = make_grid(task.ts[0], task.ts[-1], task.dt).steps

        def solve(sde: ProblemSDE, y0: torch.Tensor, ts: torch.Tensor) -> torch.Tensor:
            noise = y0.shape[-1] if sde.noise_type == "diagonal" else task.problem.noise_dim
            shape = (y0.shape[0], noise)
            end = _Floor.apply(sde, ts[0], steps, shape, y0, *sde.parameters())
            return torch.stack([y0.detach(), end])  # pyright: ignore[reportArgumentType]

        return TorchRun(task, solve)

    def brownian(self, task: BrownianTask) -> Run:
        raise NotImplementedError(str(self.unsupported(task)))


def _evaluate(sde: ProblemSDE, t: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return sde.f(t, y), sde.g(t, y)


class _Floor(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, sde: ProblemSDE, t: torch.Tensor, steps: int, shape: tuple[int, int], *inputs: torch.Tensor
    ) -> torch.Tensor:
        ctx.work = sde, t, steps, shape
        ctx.save_for_backward(*inputs)
        y0 = inputs[0]
        _evaluate(sde, t, y0)
        for _ in range(steps):
            _evaluate(sde, t, y0)
            torch.randn(shape, dtype=y0.dtype, device=y0.device)
        return y0.clone()

    @staticmethod
    def backward(ctx: Any, *weights: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        sde, t, steps, shape = ctx.work
        y0, *params = ctx.saved_tensors
        y = y0.detach().requires_grad_()
        gradients: tuple[torch.Tensor, ...] = ()
        for k in range(steps + 1):
            if k:
                torch.randn(shape, dtype=y0.dtype, device=y0.device)
            with torch.enable_grad():
                outputs = _evaluate(sde, t, y)
            seeds = *weights, weights[0] if outputs[1].shape == y0.shape else torch.ones_like(outputs[1])
            gradients = torch.autograd.grad(outputs, (y, *params), seeds, materialize_grads=True)
        return None, None, None, None, *gradients


implementation = TorchFloor()
