"""The part that JAX libraries share behind the contract: arrays, compilation, given noise, gradients, counts."""

from collections import Counter
from collections.abc import Callable
from functools import cached_property, partial
from types import SimpleNamespace
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from sdegrad.adapters.given import GivenPath, grid_index, is_time, path_grid
from sdegrad.adapters.jax_counts import DIFFERENTIATE, Field, counted
from sdegrad.contract import BrownianTask, Counts, Outcome, Path, Task
from sdegrad.grid import Grid

XP = SimpleNamespace(**vars(jnp) | {"silu": jax.nn.silu, "sigmoid": jax.nn.sigmoid})


def versions() -> str:
    return f"jax {jax.__version__}"


def unavailable(device: str) -> str | None:
    try:
        jax.devices(device)
    except RuntimeError:
        return f"JAX sees no {device} device here."
    return None


class _Table:
    """The arrays of a path, out of sight of every transformation: hashed by identity, constants once compiled."""

    def __init__(self, path: Path, dtype: Any) -> None:
        self.W, self.integral = np.asarray(path.W, dtype), np.asarray(path.integral, dtype)
        self.grid = path_grid(path)


class GivenBrownian(eqx.Module):
    """A given path, asked by time, traced or not; of all paths [paths, noise], or of `one` of them [noise].

    The arrays are static: a continuous adjoint carries a gradient for every array that it finds in its terms, and
    nobody wants that of the noise.
    """

    table: _Table = eqx.field(static=True)
    path: jax.Array | None = None

    @staticmethod
    def of(path: Path, dtype: Any) -> "GivenBrownian":
        return GivenBrownian(_Table(path, dtype))

    def one(self, path: jax.Array) -> "GivenBrownian":
        return GivenBrownian(self.table, path)

    @property
    def grid(self) -> Grid:
        return self.table.grid

    @property
    def shape(self) -> tuple[int, ...]:
        return self.table.W.shape[1 if self.path is None else 2 :]

    @property
    def t0(self) -> float:
        return self.grid.t0

    @property
    def t1(self) -> float:
        return self.grid.t1

    def evaluate(self, s: Any, t: Any, use_levy: bool = False) -> Any:
        """W(t) - W(s); with use_levy also the space-time Levy area, as the fields W and H."""
        W = self.values.increment(self._index(s), self._index(t))
        return SimpleNamespace(W=W, H=self.levy(s, t)) if use_levy else W

    def levy(self, s: Any, t: Any) -> jax.Array:
        """Space-time Levy area H over [s, t]."""
        return self.values.levy(self._index(s), self._index(t))

    @property
    def values(self) -> GivenPath:
        return GivenPath(self.grid, partial(self._at, self.table.W), partial(self._at, self.table.integral))

    def _at(self, array: np.ndarray, index: Any) -> jax.Array:
        return jnp.asarray(array)[index] if self.path is None else jnp.asarray(array)[index, self.path]

    def _index(self, t: Any) -> Any:
        """The grid index of time t; an error, at run time if t is traced, unless it is one."""
        grid, eps = self.grid, float(jnp.finfo(jnp.result_type(t, jnp.float32)).eps)
        if not isinstance(t, Tracer):
            return grid_index(grid, float(t), eps)
        k = jnp.clip(jnp.round((t - grid.t0) / grid.dt), 0, grid.steps)
        k = eqx.error_if(
            k,
            ~is_time(grid, t, k, grid.t0 + k * grid.dt, eps),
            f"the given Brownian path was asked off its grid of spacing {grid.dt!r}; use a step size that is a "
            "multiple of the spacing, or the library's own noise.",
        )
        return k.astype(int)


def of_steps(task: Task) -> dict[str, Any]:
    """What a Brownian motion of ours is told of the steps: cells are for those of one length, and to half the first of
    the others the tree of diffrax goes, too.
    """
    return {"dt": task.dt} if task.rtol is None else {"tol": task.dt / 2}


def planned_memory(compiled: Any) -> int:
    """Bytes of temporaries and outputs as XLA has planned them: exact, while a device's own peak cannot be reset."""
    plan = compiled.memory_analysis()
    return plan.temp_size_in_bytes + plan.output_size_in_bytes


class JaxRun:
    """`solve(drift, diffusion, y0, params, key)` is the library's call, compiled once, when first needed. It returns
    the outputs and the number of its steps, as in `Counts`.

    by_path: whether `solve` evaluates the fields path by path, under vmap. forwards: whether it differentiates them
    forwards; by default as the methods of that name do in sdegrad and diffrax.
    """

    def __init__(
        self,
        task: Task,
        solve: Callable[..., tuple[jax.Array, Any]],
        by_path: bool = False,
        forwards: bool | None = None,
    ) -> None:
        self.task, self._solve, self._by_path = task, solve, by_path
        self._forwards = task.method in DIFFERENTIATE if forwards is None else forwards
        self._device = jax.devices(task.device)[0]
        with jax.enable_x64(task.dtype == "float64"), jax.default_device(self._device):
            self._arguments = (
                jnp.asarray(task.problem.y0, task.dtype),
                {name: jnp.asarray(value, task.dtype) for name, value in task.problem.params.items()},
                jax.random.key(task.seed),
            )

    @cached_property
    def _compiled(self) -> Any:
        problem = self.task.problem
        with jax.enable_x64(self.task.dtype == "float64"), jax.default_device(self._device):
            return self._compile(
                lambda t, y, p: problem.drift(XP, t, y, p),
                lambda t, y, p: problem.diffusion(XP, t, y, p),
                self._arguments,
            )

    def _compile(self, drift: Field, diffusion: Field, arguments: tuple[Any, ...], parts: int = 2) -> Any:
        """The outputs, the gradients or None, and the number of steps: the first `parts` of these."""

        def forward(*arguments: Any) -> tuple[jax.Array, None, Any]:
            ys, steps = self._solve(drift, diffusion, *arguments)
            return ys, None, steps

        def loss(*arguments: Any) -> tuple[jax.Array, tuple[jax.Array, Any]]:
            ys, _, steps = forward(*arguments)
            return self.task.loss(XP, ys), (ys, steps)

        def gradient(*arguments: Any) -> tuple[jax.Array, Any, Any]:
            gradients, (ys, steps) = jax.grad(loss, argnums=(0, 1), has_aux=True)(*arguments)
            return ys, gradients, steps

        work = forward if self.task.adjoint is None else gradient
        return jax.jit(lambda *arguments: work(*arguments)[:parts]).lower(*arguments).compile()

    def __call__(self) -> Any:
        return jax.block_until_ready(self._compiled(*self._arguments))

    def outcome(self, result: Any) -> Outcome:
        ys, gradients = result
        if gradients is None:
            return Outcome(ys=np.asarray(ys))
        y0, params = gradients
        return Outcome(
            ys=np.asarray(ys),
            gradients={"y0": np.asarray(y0)} | {k: np.asarray(v) for k, v in params.items()},
        )

    def count(self) -> Counts:
        counter: Counter = Counter()
        problem, forwards = self.task.problem, self._forwards
        y0, *rest = self._arguments
        # A callback under vmap is called for every path: one path will do.
        arguments = (y0[:1] if self._by_path else y0, *rest)
        with jax.enable_x64(self.task.dtype == "float64"), jax.default_device(self._device):
            work = self._compile(
                counted(lambda t, y, p: problem.drift(XP, t, y, p), counter, "drift", forwards),
                counted(lambda t, y, p: problem.diffusion(XP, t, y, p), counter, "diffusion", forwards),
                arguments,
                parts=3,
            )
            *_, steps = jax.block_until_ready(work(*arguments))
            jax.effects_barrier()
        return Counts(steps=int(steps), **counter)

    def memory(self) -> int:
        return planned_memory(self._compiled)

    def operations(self) -> int:
        return sum(" = " in line for line in self._compiled.as_text().splitlines())


def no_motion(task: BrownianTask, library: str, kinds: tuple[str, ...]) -> str | None:
    """Why a library with these kinds of Brownian motion cannot do the task; None if it can."""
    if task.kind not in kinds:
        return f"{library} has no Brownian motion of kind {task.kind!r}, only: {', '.join(kinds)}."
    if task.options:
        return f"{library}'s Brownian motions have no {', '.join(task.options)}."
    return "a Brownian motion in JAX is made of a key." if task.seed is None else None


AREAS = {"none": "W", "space-time": "WH", "space-time-time": "WHK", "davie": "WHA", "foster": "WHA"}
"""The parts of an increment, by Levy area."""


class JaxBrownianRun:
    """The queries of a `BrownianTask`, one after another, compiled. `evaluate(key, s, t)` gives the `parts` of
    `AREAS`."""

    def __init__(self, task: BrownianTask, evaluate: Callable[[jax.Array, Any, Any], Any]) -> None:
        self.task = task
        with jax.enable_x64(task.dtype == "float64"), jax.default_device(jax.devices(task.device)[0]):
            queries = jnp.asarray(task.queries, task.dtype)
            self._arguments = (jax.random.key(task.seed or 0), queries)

            def work(key: jax.Array, queries: jax.Array) -> Any:
                return jax.lax.map(lambda query: evaluate(key, query[0], query[1]), queries)

            self._compiled = jax.jit(work).lower(*self._arguments).compile()

    def __call__(self) -> Any:
        return jax.block_until_ready(self._compiled(*self._arguments))

    def outcome(self, result: Any) -> Outcome:
        W, *values = map(np.asarray, result)
        areas: dict[str, Any] = dict(zip(AREAS[self.task.levy_area][1:], values, strict=True))
        return Outcome(ys=W, **areas)

    def count(self) -> Counts:
        return Counts(steps=len(self.task.queries), drift=0, diffusion=0)

    def memory(self) -> int:
        return planned_memory(self._compiled)
