"""diffrax behind the contract.

diffrax's solvers know a calculus, and no noise types. `ShARK` and `SRA1` are Stratonovich solvers there; additive noise
has one calculus, so they are offered for Ito here as well. That they, and the Milstein solvers, are kept from other
noise is by sdegrad's table of methods: diffrax would run them, and calls its commutativity condition "not checked".
"""

from collections.abc import Callable, Mapping
from importlib.metadata import version
from typing import Any

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import lineax

from sdegrad.adapters import jax_run
from sdegrad.adapters.jax_run import Field, GivenBrownian, JaxBrownianRun, JaxRun, no_motion
from sdegrad.contract import BrownianTask, Task
from sdegrad.grid import make_grid
from sdegrad.methods import METHODS, Method, NoiseType

# For additive noise, which has one calculus.
ADDITIVE = {"shark": diffrax.ShARK, "sra1": diffrax.SRA1}
SOLVERS = {
    "ito": ADDITIVE | {"euler": diffrax.Euler, "milstein": diffrax.ItoMilstein},
    "stratonovich": ADDITIVE
    | {
        "reversible_heun": diffrax.ReversibleHeun,
        "heun": diffrax.Heun,
        "midpoint": diffrax.Midpoint,
        "euler_heun": diffrax.EulerHeun,
        "milstein": diffrax.StratonovichMilstein,
        "ralston": diffrax.Ralston,
        "sea": diffrax.SEA,
        "spark": diffrax.SPaRK,
        "general_shark": diffrax.GeneralShARK,
        "slow_rk": diffrax.SlowRK,
    },
}
WITH_H = (*ADDITIVE, "sea", "spark", "general_shark", "slow_rk")
_COMMUTATIVE: dict[NoiseType, float] = {"diagonal": 1.0, "scalar": 1.0, "additive": 1.0, "general": 0.5}
_SMOOTH: dict[NoiseType, float] = {"additive": 1.5}
_SMOOTH_DIAGONAL: dict[NoiseType, float] = {"diagonal": 1.5, "scalar": 1.5}
# The methods that diffrax alone has, with the orders of its table for commutative, additive and general noise.
OWN = {
    "ralston": Method(("stratonovich",), _COMMUTATIVE, (2, 2)),
    "sea": Method(("stratonovich",), {"additive": 1.0}, (1, 1)),
    "spark": Method(("stratonovich",), _COMMUTATIVE | _SMOOTH, (3, 3)),
    "general_shark": Method(("stratonovich",), _COMMUTATIVE | _SMOOTH, (2, 3)),
    "slow_rk": Method(("stratonovich",), _COMMUTATIVE | _SMOOTH | _SMOOTH_DIAGONAL, (2, 5)),
}


def _pid(task: Task, **coefficients: Any) -> diffrax.PIDController:
    return diffrax.PIDController(task.rtol or 0.0, task.atol or 0.0, **coefficients)


# By task; beside constant steps and diffrax's usual controller. The coefficients are those it advises for SDEs.
CONTROLLERS: Mapping[str, Callable[[Task], diffrax.AbstractStepSizeController]] = {
    "pi": lambda task: _pid(task, pcoeff=0.1, icoeff=0.3),
    "clip": lambda task: diffrax.ClipStepSizeController(_pid(task), step_ts=task.ts, store_rejected_steps=100),
    "step_to": lambda task: diffrax.StepTo(jnp.asarray(task.ts)),
}
ADJOINTS = {
    None: diffrax.RecursiveCheckpointAdjoint,
    "checkpoint": diffrax.RecursiveCheckpointAdjoint,
    "backprop": diffrax.DirectAdjoint,
    "backsolve": diffrax.BacksolveAdjoint,
}
AREAS = {
    "none": diffrax.BrownianIncrement,
    "space-time": diffrax.SpaceTimeLevyArea,
    "space-time-time": diffrax.SpaceTimeTimeLevyArea,
}


def levy_area(task: Task) -> type:
    """The Levy area that the task asks for, or the one that its solver needs."""
    return AREAS["space-time" if task.method in WITH_H else task.levy_area]


class GivenPath(diffrax.AbstractBrownianPath):
    """A given path as diffrax's solvers ask for it."""

    given: GivenBrownian
    levy_area: type = eqx.field(static=True, default=diffrax.SpaceTimeLevyArea)

    # diffrax leaves it open whether these are fields or properties, which pyright is not told.
    @property
    def t0(self) -> float:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.given.t0

    @property
    def t1(self) -> float:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.given.t1

    def evaluate(self, t0: Any, t1: Any = None, left: bool = True, use_levy: bool = False) -> Any:
        del left
        if t1 is None:
            t0, t1 = self.t0, t0
        W = self.given.evaluate(t0, t1)
        return diffrax.SpaceTimeLevyArea(dt=t1 - t0, W=W, H=self.given.levy(t0, t1)) if use_levy else W


def _one_pass(task: Task) -> bool:
    """Whether diffrax's UnsafeBrownianPath will do; its other adjoints refuse that."""
    return task.one_pass and task.adjoint is None and task.rtol is None


def _estimates(solver: Any) -> bool:
    """Whether the solver estimates the error of its steps."""
    if issubclass(solver, diffrax.AbstractSRK):
        return solver.tableau.b_error is not None
    return issubclass(solver, diffrax.AbstractAdaptiveSolver)


class Diffrax:
    name = "diffrax"
    framework = "jax"
    methods = OWN
    controllers = tuple(CONTROLLERS)

    def versions(self) -> tuple[str, str]:
        return version("diffrax"), jax_run.versions()

    def unavailable(self, device: str) -> str | None:
        return jax_run.unavailable(device)

    def unsupported(self, task: Task | BrownianTask) -> str | None:
        if task.levy_area not in AREAS:
            return f"diffrax has no Levy area {task.levy_area!r}."
        if isinstance(task, BrownianTask):
            return no_motion(task, "diffrax", ("tree", "path"))
        if task.prior is not None:
            return "diffrax has no log-ratio."
        if task.method not in SOLVERS[task.problem.sde_type]:
            return f"diffrax has no {task.problem.sde_type} solver {task.method!r}."
        if task.problem.noise_type not in {**METHODS, **OWN}[task.method].order:
            return f"diffrax's {task.method!r} is not for {task.problem.noise_type} noise."
        if task.adjoint not in ADJOINTS:
            return "diffrax has no reversible adjoint."
        if task.adjoint == "backsolve" and task.problem.sde_type == "ito":
            return "diffrax's BacksolveAdjoint is for Stratonovich SDEs."
        if task.adjoint == "backsolve" and task.method == "euler_heun":
            return "diffrax's BacksolveAdjoint cannot run EulerHeun: its adjoint terms are not the pair it needs."
        if task.rtol is not None and not _estimates(SOLVERS[task.problem.sde_type][task.method]):
            return f"diffrax's {task.method!r} has no error estimate to adapt its steps by."
        return None

    def prepare(self, task: Task) -> JaxRun:
        problem, diagonal = task.problem, task.problem.noise_type == "diagonal"
        shape = jax.ShapeDtypeStruct((problem.y0.shape[1] if diagonal else problem.noise_dim,), jnp.dtype(task.dtype))
        given = None if task.noise is None else GivenBrownian.of(task.noise, task.dtype)
        steps = max(make_grid(task.ts[0], task.ts[-1], task.dt).steps, len(task.ts))
        dt0 = None if task.controller == "step_to" else task.dt

        def solve(drift: Field, diffusion: Field, y0: jax.Array, params: Any, key: jax.Array) -> Any:
            def solve_path(y0: jax.Array, key: jax.Array, path: jax.Array) -> Any:
                bm = self.path(task, shape, key) if given is None else GivenPath(given=given.one(path))
                solution = diffrax.diffeqsolve(
                    diffrax.MultiTerm(diffrax.ODETerm(drift), diffrax.ControlTerm(operator, bm)),
                    SOLVERS[problem.sde_type][task.method](**task.options),
                    *(task.ts[0], task.ts[-1], dt0, y0, params),
                    saveat=diffrax.SaveAt(ts=jnp.asarray(task.ts, y0.dtype)),
                    stepsize_controller=self.controller(task),
                    adjoint=self.adjoint(task),
                    # Accumulated times may need a few steps beyond the grid's; a tight bound keeps checkpoints few.
                    max_steps=steps + 8 if task.rtol is None else task.max_steps or 4096,
                )
                assert solution.ys is not None  # SaveAt(ts=...) asks for them
                return solution.ys, solution.stats["num_accepted_steps"]

            def operator(t: Any, y: jax.Array, params: Any) -> Any:
                g = diffusion(t, y, params)
                return lineax.DiagonalLinearOperator(g) if diagonal else g

            each = jax.vmap(solve_path, out_axes=(1, 0))
            ys, made = each(y0, jax.random.split(key, len(y0)), jnp.arange(len(y0)))
            return ys, jnp.max(made)

        return JaxRun(task, solve, by_path=True)

    def path(self, task: Task, shape: jax.ShapeDtypeStruct, key: jax.Array) -> diffrax.AbstractBrownianPath:
        """The noise of one path."""
        if _one_pass(task):
            return diffrax.UnsafeBrownianPath(shape, key, levy_area(task))
        return diffrax.VirtualBrownianTree(task.ts[0], task.ts[-1], task.dt / 2, shape, key, levy_area(task))

    def controller(self, task: Task) -> diffrax.AbstractStepSizeController:
        if task.controller is not None:
            return CONTROLLERS[task.controller](task)
        return diffrax.ConstantStepSize() if task.rtol is None else _pid(task)

    def adjoint(self, task: Task) -> diffrax.AbstractAdjoint:
        return diffrax.ForwardMode() if _one_pass(task) else ADJOINTS[task.adjoint]()

    def brownian(self, task: BrownianTask) -> JaxBrownianRun:
        shape = jax.ShapeDtypeStruct(task.shape, jnp.dtype(task.dtype))
        tol, area = task.tol or (task.dt or task.t1 - task.t0) / 2, AREAS[task.levy_area]

        def evaluate(key: jax.Array, s: Any, t: Any) -> Any:
            if task.kind == "path":
                motion = diffrax.UnsafeBrownianPath(shape, key, area)
            else:
                motion = diffrax.VirtualBrownianTree(task.t0, task.t1, tol, shape, key, area)
            if task.levy_area == "none":
                return (motion.evaluate(s, t),)
            increment = motion.evaluate(s, t, use_levy=True)
            return tuple(getattr(increment, part) for part in jax_run.AREAS[task.levy_area])

        return JaxBrownianRun(task, evaluate)


implementation = Diffrax()
