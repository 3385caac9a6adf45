"""A case: one comparison, the same work for every implementation.

Where libraries differ in how they get a gradient, `adjoints` names what is wanted, in order of preference; an
implementation is measured with the first it supports.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from suite.pairs import doubled
from suite.problems import Problem, SDEType, make

Kind = Literal["time", "memory", "nfe", "gradient_error", "strong_error", "weak_error", "long", "brownian"]
Preset = Literal["smoke", "bench", "full"]
Access = Literal["sequential", "doubly_sequential", "random"]

SMOKE: tuple[Preset, ...] = ("smoke",)
ALWAYS: tuple[Preset, ...] = ("smoke", "bench", "full")
BENCH: tuple[Preset, ...] = ("bench", "full")
FULL: tuple[Preset, ...] = ("full",)


@dataclass(frozen=True, kw_only=True)
class Case:
    """What is compared.

    dts: the step sizes of solves from 0 to t1.
    adjoints: (None,) for the solve alone. access: the order of the queries of Brownian motion.
    outputs: the number of times, evenly spaced, start and end included.
    told_dt: whether the step size is given to Brownian motion where a library leaves that to its users.
    compiled: whether libraries that can compile the solve do.
    one_pass: whether the noise may be such that a second pass would not see it again.
    any_method: whether a library that lacks the method is measured with the best that it has instead.
    rtol, atol: of adaptive steps, the first of which is dt. max_steps: how many of them there may be, if not as many as
    a library allows by itself.
    implementations: those that are compared; all if empty. yardsticks: bounds that are measured beside them.
    presets: the runs that have the case.
    """

    kind: Kind
    problem: str = "mlp"
    sizes: Mapping[str, int] = field(default_factory=dict)
    t1: float = 1.0
    sde_type: SDEType = "stratonovich"
    method: str = "reversible_heun"
    access: Access | None = None
    adjoints: tuple[str | None, ...] = (None,)
    dts: tuple[float, ...] = (0.01,)
    outputs: int = 2
    told_dt: bool = False
    compiled: bool = False
    one_pass: bool = False
    any_method: bool = False
    rtol: float | None = None
    atol: float | None = None
    max_steps: int | None = None
    implementations: tuple[str, ...] = ()
    yardsticks: tuple[str, ...] = ()
    dtype: Literal["float32", "float64"] = "float32"
    seed: int = 0
    presets: tuple[Preset, ...] = ("bench", "full")

    def make(self) -> Problem:
        problem = make(self.problem, **self.sizes, t1=self.t1, seed=self.seed, sde_type=self.sde_type)
        return doubled(problem) if self.kind == "weak_error" else problem

    @property
    def rare(self) -> dict[str, Any]:
        """What a case seldom asks of a task: an older wheel, which asv measures, does not know all of it."""
        asked = {name: getattr(self, name) for name in ("compiled", "one_pass", "rtol", "atol", "max_steps")}
        return {name: value for name, value in asked.items() if value}

    @property
    def compares_times(self) -> bool:
        """Whether all are measured side by side, in turn."""
        return self.kind in ("time", "brownian")

    @property
    def takes_times(self) -> bool:
        """Whether any of what is measured is a time, for which the machine must do nothing else."""
        return self.kind not in ("nfe", "memory")

    @property
    def noise_source(self) -> str:
        """Whose noise: the library's own, made how, or a path that is given to all."""
        if self.kind in ("gradient_error", "strong_error", "weak_error"):
            return "given"
        return "own" + ", told dt" * self.told_dt + ", one pass" * self.one_pass

    @property
    def ts(self) -> tuple[float, ...]:
        last = self.outputs - 1
        return tuple(self.t1 * i / last for i in range(self.outputs))

    def __str__(self) -> str:
        details = [f"{name} {value}" for name, value in self.sizes.items()]
        if self.kind == "time":
            steps = f"{self.t1 / self.dts[0]:.0f} steps of {self.dts[0]:g}"
            details += [f"adaptive, rtol {self.rtol:g}" if self.rtol else steps]
            details += [*["told dt"] * self.told_dt, *["compiled"] * self.compiled, *["one pass"] * self.one_pass]
        of_solve = self.kind in ("time", "memory") and self.adjoints == (None,)
        if self.kind in ("memory", "long") and len(self.adjoints) == 1 and not of_solve:
            details.append(f"{self.adjoints[0]} adjoint")
        if self.kind == "long":
            details.append(f"adaptive, rtol {self.rtol:g}" if self.rtol else "constant steps")
        if self.kind == "brownian":
            details.append(f"{self.t1 / self.dts[0]:.0f} intervals")
        of_gradient = {"time": "time of the gradient", "long": "long gradient"}.get(self.kind, self.kind)
        what = f"{self.kind} of the solve" if of_solve else of_gradient
        sizes = f"({', '.join(details)})" if details else ""
        return " ".join(filter(None, (what.replace("_", " "), self.method, self.access, self.problem, sizes)))


def dyadic(*exponents: int) -> tuple[float, ...]:
    return tuple(2.0**-e for e in exponents)
