"""The part that PyTorch libraries share behind the contract: the SDE as a module, given noise, gradients, counts."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import array_api_compat.torch as array_api
import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from sdegrad.adapters.given import GivenPath, grid_index, path_grid
from sdegrad.contract import BrownianTask, Counts, Outcome, Path, Problem, Task
from sdegrad.grid import make_grid

XP = SimpleNamespace(**vars(array_api) | {"silu": torch.nn.functional.silu, "sigmoid": torch.sigmoid})

Solve = Callable[["ProblemSDE", torch.Tensor, torch.Tensor], torch.Tensor]


def versions() -> str:
    return f"torch {torch.__version__.partition('+')[0]}"


def unavailable(device: str) -> str | None:
    if device == "cuda" and not torch.cuda.is_available():
        return "PyTorch sees no CUDA device here."
    return None


def synchronise(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def allocated(run: Callable[[], Any], device: str) -> int | None:
    """Peak bytes that a call allocates on the device, by its counters; None on the CPU, which has none."""
    if device == "cpu":
        return None
    run()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    run()
    return torch.cuda.max_memory_allocated() - before


def no_prior(*_: Any) -> Any:
    raise NotImplementedError("the task has no prior drift.")


class ProblemSDE(torch.nn.Module):
    """A `Problem` as the module with f, g, noise_type and sde_type that torchsde's API expects."""

    def __init__(self, problem: Problem, dtype: torch.dtype, device: str) -> None:
        super().__init__()
        self.noise_type, self.sde_type = problem.noise_type, problem.sde_type
        self._drift, self._diffusion = problem.drift, problem.diffusion
        self.prior: Callable[..., Any] = no_prior
        # Not a ParameterDict: its look-ups would be on the hot path of every library.
        self.values = {}
        for name, value in problem.params.items():
            self.values[name] = torch.nn.Parameter(torch.tensor(value, dtype=dtype, device=device))
            self.register_parameter(name, self.values[name])

    def f(self, t: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return self._drift(XP, t, y, self.values)

    def g(self, t: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return self._diffusion(XP, t, y, self.values)

    def h(self, t: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return self.prior(XP, t, y, self.values)


class _CountVjp(torch.autograd.Function):
    """The identity, counting the times that a gradient passes."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, counter: Counter, name: str) -> torch.Tensor:
        ctx.counter, ctx.name = counter, name
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        ctx.counter[ctx.name] += 1
        return gradients[0], None, None


class CountingSDE(ProblemSDE):
    def __init__(self, problem: Problem, dtype: torch.dtype, device: str, counter: Counter) -> None:
        super().__init__(problem, dtype, device)
        self.counter = counter

    def f(self, t: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        self.counter["drift"] += 1
        return _CountVjp.apply(super().f(t, y), self.counter, "drift_vjp")  # pyright: ignore[reportReturnType]

    def g(self, t: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        self.counter["diffusion"] += 1
        return _CountVjp.apply(super().g(t, y), self.counter, "diffusion_vjp")  # pyright: ignore[reportReturnType]


class _CountOperations(TorchDispatchMode):
    """Counts what is sent to the kernels, backward passes included."""

    number = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.number += 1
        return func(*args, **(kwargs or {}))


class GivenBrownian:
    """A given path as a Brownian object with torchsde's call signature. It keeps float64 and returns `dtype`."""

    def __init__(self, path: Path, dtype: torch.dtype, device: str, levy_area: str) -> None:
        W, integral = (torch.tensor(np.asarray(x), device=device) for x in (path.W, path.integral))
        self.path = GivenPath(path_grid(path), W.__getitem__, integral.__getitem__)
        self._eps = torch.finfo(dtype).eps
        self.shape, self.dtype, self.device = W.shape[1:], dtype, W.device
        self.levy_area_approximation = levy_area

    def _index(self, t: Any) -> int:
        return grid_index(self.path.grid, float(t), self._eps)

    def __call__(self, ta: Any, tb: Any = None, return_U: bool = False, return_A: bool = False) -> Any:
        if return_A:
            raise NotImplementedError("a given path has W and its time integral, but no Levy area.")
        a, b = (0, self._index(ta)) if tb is None else (self._index(ta), self._index(tb))
        W = self.path.increment(a, b).to(self.dtype)
        return (W, self.path.area(a, b).to(self.dtype)) if return_U else W


class TorchRun:
    """`solve(sde, y0, ts)` is the library's call; everything around it is the same for all of them.

    steps(sde, y0, ts): the number of its steps, for a library that tells it; constant steps are known without.
    """

    def __init__(self, task: Task, solve: Solve, steps: Callable[..., int] | None = None) -> None:
        self.task, self._solve, self._steps = task, solve, steps
        dtype = getattr(torch, task.dtype)
        self.sde = ProblemSDE(task.problem, dtype, task.device)
        self.sde.prior = task.prior or no_prior
        self.y0 = torch.tensor(task.problem.y0, dtype=dtype, device=task.device)
        self.ts = torch.tensor(task.ts, dtype=dtype, device=task.device)

    def _work(self, sde: ProblemSDE) -> tuple[torch.Tensor, Sequence[torch.Tensor | None]]:
        if self.task.adjoint is None:
            with torch.no_grad():
                return self._solve(sde, self.y0, self.ts), ()
        y0 = self.y0.detach().requires_grad_()
        ys = self._solve(sde, y0, self.ts)
        loss = self.task.loss(XP, ys if self.task.prior is None else ys[0])
        return ys, torch.autograd.grad(loss, [y0, *sde.parameters()], allow_unused=True)

    def __call__(self) -> Any:
        result = self._work(self.sde)
        synchronise(self.task.device)
        return result

    def outcome(self, result: Any) -> Outcome:
        ys, gradients = result
        ys, *log_ratio = (ys,) if self.task.prior is None else ys
        names = ["y0", *self.sde.values] if gradients else []
        inputs = [self.y0, *self.sde.values.values()]
        return Outcome(
            ys=ys.detach().cpu().numpy(),
            log_ratio=log_ratio[0].detach().cpu().numpy() if log_ratio else None,
            gradients={
                name: (torch.zeros_like(x) if g is None else g).cpu().numpy()
                for name, x, g in zip(names, inputs, gradients, strict=False)
            }
            or None,
        )

    def count(self) -> Counts:
        counter: Counter = Counter()
        self._work(CountingSDE(self.task.problem, self.y0.dtype, self.task.device, counter))
        return Counts(steps=self._number_of_steps(), **counter)

    def _number_of_steps(self) -> int:
        task = self.task
        if self._steps is not None:
            with torch.no_grad():
                return self._steps(self.sde, self.y0, self.ts)
        if task.rtol is not None:
            raise NotImplementedError("this library does not tell how many adaptive steps it took.")
        return make_grid(task.ts[0], task.ts[-1], task.dt, torch.finfo(self.y0.dtype).eps).steps

    def memory(self) -> int | None:
        return allocated(self, self.task.device)

    def operations(self) -> int:
        with _CountOperations() as counting:
            self()
        return counting.number


class TorchBrownianRun:
    """The queries of a `BrownianTask`, one after another, on a Brownian motion made afresh at each call.

    motion: the class. options: its arguments beside the common ones; by default those of torchsde's interval.
    """

    def __init__(
        self, task: BrownianTask, motion: Callable[..., Any], options: Mapping[str, Any] | None = None
    ) -> None:
        interval = {"dt": task.dt, "levy_area_approximation": task.levy_area}
        self.task, self._motion = task, motion
        self._options = {**(interval if options is None else options), **task.options}
        self._wanted = {"return_U": task.levy_area != "none", "return_A": task.levy_area in ("davie", "foster")}

    def __call__(self) -> Any:
        task = self.task
        bm = self._motion(
            *(task.t0, task.t1, task.shape),
            dtype=getattr(torch, task.dtype),
            device=task.device,
            entropy=task.seed,
            **self._options,
        )
        if self.task.levy_area == "none":
            result = [bm(s, t) for s, t in self.task.queries]
        else:
            result = [bm(s, t, **self._wanted) for s, t in self.task.queries]
        synchronise(self.task.device)
        return result

    def outcome(self, result: Any) -> Outcome:
        if self.task.levy_area == "none":
            return Outcome(ys=torch.stack(result).cpu().numpy())
        W, U, *A = (torch.stack(parts).cpu().numpy() for parts in zip(*result, strict=True))
        h = np.array([t - s for s, t in self.task.queries]).reshape(-1, *[1] * (W.ndim - 1))
        return Outcome(ys=W, H=U / h - W / 2, A=A[0] if A else None)

    def count(self) -> Counts:
        return Counts(steps=len(self.task.queries), drift=0, diffusion=0)

    def memory(self) -> int | None:
        return allocated(self, self.task.device)
