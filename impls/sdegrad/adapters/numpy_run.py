"""The part that libraries on numpy share behind the contract: arrays, given increments, outputs, counts, refusals."""

from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from sdegrad.adapters.given import grid_index, path_grid
from sdegrad.contract import NUMPY, BrownianTask, Counts, Outcome, Task
from sdegrad.grid import Grid, check_times, make_grid

Field = Callable[[float, np.ndarray], np.ndarray]
Solve = Callable[[Field, Field, np.ndarray], np.ndarray]


def versions() -> str:
    return f"numpy {np.__version__}"


def unavailable(device: str) -> str | None:
    return None if device == "cpu" else "numpy computes on the CPU."


def unsupported(task: Task | BrownianTask, library: str, adaptive: bool = False) -> str | None:
    """Why a library that solves and does nothing else cannot do the task; None if it may. adaptive: whether its steps
    can be."""
    if isinstance(task, BrownianTask):
        return f"{library} has no Brownian motion to ask."
    if task.adjoint is not None:
        return f"{library} has no gradients."
    if task.rtol is not None and not adaptive:
        return f"{library} has constant steps only."
    if task.prior is not None:
        return f"{library} has no log-ratio."
    return None if task.levy_area == "none" else f"{library} has no Levy area {task.levy_area!r}."


def grid_of(task: Task) -> Grid:
    """ValueError for times that do not go forward."""
    check_times(task.ts, task.dt)
    return make_grid(task.ts[0], task.ts[-1], task.dt)


def uneven(task: Task, library: str) -> str | None:
    """Why a library whose steps are all of one length cannot do the task; None if it may."""
    grid = grid_of(task)
    if abs(grid.last - grid.dt) <= 1e-6 * grid.dt:
        return None
    return f"{library} takes steps of one length: choose a dt that divides the span."


def times(task: Task) -> np.ndarray:
    """The grid times, [steps + 1]."""
    grid = grid_of(task)
    return np.array([grid.time(k) for k in range(grid.steps + 1)])


def increments(task: Task) -> np.ndarray | None:
    """dW of the given path, [steps, paths, noise] in the dtype of the task; None where there is none given."""
    if task.noise is None:
        return None
    at = [grid_index(path_grid(task.noise), float(t)) for t in times(task)]
    return np.diff(np.asarray(task.noise.W)[at], axis=0).astype(task.dtype)


def outputs(task: Task, ys: np.ndarray) -> np.ndarray:
    """The solution at the times of the task, from that at the grid times [steps + 1, paths, dim]."""
    return np.stack([ys[k] if w == 1.0 else (1 - w) * ys[k - 1] + w * ys[k] for k, w in grid_of(task).outputs(task.ts)])


def path_seeds(task: Task) -> list[int]:
    """A seed for each path, of 31 bits."""
    return [int(s) >> 1 for s in np.random.SeedSequence(task.seed).generate_state(len(task.problem.y0))]


class NumpyRun:
    """`solve(drift, diffusion, y0)` is the library's call, with fields of (t, y), and returns the outputs.

    by_path: whether `solve` evaluates the fields path by path, with y [dim]. uncounted: why nobody can count how often,
    where `solve` has the fields in a form of its own.
    """

    def __init__(self, task: Task, solve: Solve, by_path: bool = False, uncounted: str | None = None) -> None:
        self.task, self._solve, self._by_path, self._uncounted = task, solve, by_path, uncounted
        self.y0 = np.asarray(task.problem.y0, task.dtype)
        params = {name: np.asarray(value, task.dtype) for name, value in task.problem.params.items()}
        self._drift: Field = lambda t, y: task.problem.drift(NUMPY, t, y, params)
        self._diffusion: Field = lambda t, y: task.problem.diffusion(NUMPY, t, y, params)

    def __call__(self) -> np.ndarray:
        return self._solve(self._drift, self._diffusion, self.y0)

    def outcome(self, result: Any) -> Outcome:
        return Outcome(ys=np.asarray(result))

    def count(self) -> Counts:
        if self._uncounted is not None:
            raise NotImplementedError(self._uncounted)
        counter: Counter = Counter()

        def counting(name: str, field: Field, t: float, y: np.ndarray) -> np.ndarray:
            counter[name] += 1
            return field(t, y)

        fields = partial(counting, "drift", self._drift), partial(counting, "diffusion", self._diffusion)
        self._solve(*fields, self.y0[:1] if self._by_path else self.y0)
        return Counts(steps=grid_of(self.task).steps, drift=counter["drift"], diffusion=counter["diffusion"])

    def memory(self) -> None:
        return None
