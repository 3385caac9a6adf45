"""What is measured: one table of cases. The bench, the asv classes and the head-to-heads all take their work here.

A case is one comparison: the same work for every implementation. Where libraries differ in how they get a gradient,
`adjoints` names what is wanted, in order of preference; an implementation is measured with the first it supports.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product
from typing import Any, Literal, get_args

from suite.problems import Problem, SDEType, make

Kind = Literal["time", "memory", "nfe", "gradient_error", "strong_error", "brownian"]
Preset = Literal["smoke", "bench", "full"]
Access = Literal["sequential", "doubly_sequential", "random"]

EXACT = (
    "reversible",
    "checkpoint",
    "backprop",
)  # the gradient of the discrete solve, in the least memory on offer
BEST = ("reversible", "backsolve")  # a gradient that stores no trajectory


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
    rtol, atol: of adaptive steps, the first of which is dt.
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
    implementations: tuple[str, ...] = ()
    yardsticks: tuple[str, ...] = ()
    dtype: Literal["float32", "float64"] = "float32"
    seed: int = 0
    presets: tuple[Preset, ...] = ("bench", "full")

    def make(self) -> Problem:
        return make(self.problem, **self.sizes, t1=self.t1, seed=self.seed, sde_type=self.sde_type)

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
        if self.kind in ("gradient_error", "strong_error"):
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
        if self.kind == "brownian":
            details.append(f"{self.t1 / self.dts[0]:.0f} intervals")
        what = {"time": "time of the solve" if self.adjoints == (None,) else "time of the gradient"}.get(
            self.kind, self.kind
        )
        sizes = f"({', '.join(details)})" if details else ""
        return " ".join(filter(None, (what.replace("_", " "), self.method, self.access, self.problem, sizes)))


SMOKE: tuple[Preset, ...] = ("smoke",)
ALWAYS: tuple[Preset, ...] = ("smoke", "bench", "full")
BENCH: tuple[Preset, ...] = ("bench", "full")
FULL: tuple[Preset, ...] = ("full",)


def _sizes(paths: int, dim: int, hidden: int) -> dict[str, int]:
    return {"paths": paths, "dim": dim, "hidden": hidden}


def dyadic(*exponents: int) -> tuple[float, ...]:
    return tuple(2.0**-e for e in exponents)


SMALL, MIDDLE = _sizes(1, 8, 8), _sizes(128, 16, 32)
LARGE, MANY = _sizes(2560, 32, 64), _sizes(32768, 16, 16)
TORCH, JAX = ("sdegrad_torch", "torchsde"), ("sdegrad_jax", "diffrax")
OURS = ("sdegrad_torch", "sdegrad_jax")
INSIDE = ("diffrax_sdegrad",)


def _time() -> Iterator[Case]:
    gradient: dict[str, Any] = {"kind": "time", "adjoints": EXACT, "any_method": True}
    floor = (*INSIDE, "torch_floor")  # at small sizes the vector fields are not what a gradient costs
    yield Case(**gradient, sizes=MIDDLE, yardsticks=INSIDE, presets=ALWAYS)
    yield Case(**gradient, sizes=SMALL, yardsticks=INSIDE)
    yield Case(**gradient, sizes=LARGE, yardsticks=floor)
    yield Case(**gradient, sizes=MANY, yardsticks=floor, presets=FULL)
    # Whole time units: where accumulating float32 times, as torchsde does, costs no extra work.
    whole: dict[str, Any] = gradient | {"t1": 100.0, "dts": (1.0,), "implementations": TORCH}
    for sizes, presets in ((MIDDLE, BENCH), (SMALL, FULL), (LARGE, FULL), (MANY, FULL)):
        yield Case(**whole, sizes=sizes, presets=presets)
        yield Case(**whole, sizes=sizes, compiled=True, presets=presets)
    yield Case(**gradient, sizes=MIDDLE, told_dt=True, implementations=TORCH)
    # Some ten steps, and some hundred.
    for rtol, first, t1 in ((1e-2, 0.01, 1.0), (1e-3, 0.001, 10.0)):
        adaptive: dict[str, Any] = {"rtol": rtol, "atol": rtol / 10, "dts": (first,), "t1": t1, "presets": FULL}
        for sizes in (MIDDLE, SMALL):
            yield Case(**gradient, sizes=sizes, implementations=JAX, yardsticks=INSIDE, **adaptive)
    for dt in (0.001, 0.0001):  # ten and a hundred times the steps of the case above
        yield Case(**gradient, sizes=SMALL, dts=(dt,), implementations=OURS, presets=FULL)


def _solve_time() -> Iterator[Case]:
    for sizes, presets in ((MIDDLE, ALWAYS), (SMALL, FULL), (LARGE, FULL), (MANY, FULL)):
        yield Case(kind="time", sizes=sizes, any_method=True, presets=presets)
        yield Case(kind="time", sizes=sizes, one_pass=True, implementations=JAX, presets=FULL)
    # The smallest vector field: what is left is what the solver itself costs.
    trivial: dict[str, Any] = {"sizes": {"paths": 1, "dim": 1, "noise_dim": 1}, "sde_type": "ito", "method": "euler"}
    yield Case(kind="time", problem="ou", **trivial, implementations=JAX, yardsticks=("jax_by_hand",))
    # What everybody can do: an ensemble of scalar paths, by Euler's method, or a better one where a library lacks it.
    plain: dict[str, Any] = {"problem": "gbm", "sde_type": "ito", "method": "euler", "dts": (1 / 256,)}
    by_hand = ("jax_by_hand", "numpy_by_hand")
    for paths, presets in ((256, ALWAYS), (16384, FULL)):
        sizes = {"paths": paths, "dim": 1}
        yield Case(kind="time", **plain, sizes=sizes, any_method=True, yardsticks=by_hand, presets=presets)


def _memory() -> Iterator[Case]:
    gradient: dict[str, Any] = {"kind": "memory", "sizes": MIDDLE, "adjoints": EXACT, "any_method": True}
    yield Case(**gradient, dts=(0.1, 0.01), presets=SMOKE)
    yield Case(**gradient, dts=(0.01, 0.001), yardsticks=INSIDE, presets=("bench",))
    yield Case(**gradient, dts=(0.1, 0.01, 0.001), yardsticks=INSIDE, presets=FULL)
    yield Case(kind="memory", sizes=MIDDLE, dts=(0.1, 0.01, 0.001), adjoints=("backprop",), presets=FULL)


def _nfe() -> Iterator[Case]:
    """Evaluations of gradients, and of a solve whose evaluations are not counted beside its strong error."""
    small: dict[str, Any] = {"kind": "nfe", "sizes": _sizes(4, 4, 8), "dts": (1 / 16, 1 / 32)}
    yield Case(**small, adjoints=EXACT, any_method=True, presets=ALWAYS)
    yield Case(**small, method="euler_heun")
    for method in ("reversible_heun", "midpoint", "heun", "euler_heun"):
        yield Case(**small, method=method, adjoints=BEST, presets=FULL)


def _gradient_error() -> Iterator[Case]:
    paper: dict[str, Any] = {"kind": "gradient_error", "problem": "neural", "dtype": "float64"}
    yield Case(**paper, adjoints=BEST, dts=dyadic(0, 4), any_method=True, presets=SMOKE)
    for method in ("reversible_heun", "heun", "midpoint"):
        work = paper | {"method": method, "yardsticks": INSIDE if method == "reversible_heun" else ()}
        yield Case(**work, adjoints=BEST, dts=dyadic(0, 3, 6), presets=("bench",))
        yield Case(**work, adjoints=BEST, dts=dyadic(*range(11)), presets=FULL)
    for problem in ("mlp_additive", "mlp_scalar", "mlp_general"):
        yield Case(
            kind="gradient_error",
            problem=problem,
            adjoints=BEST,
            dts=dyadic(*range(11)),
            dtype="float64",
            presets=FULL,
        )


def _strong_error() -> Iterator[Case]:
    many: dict[str, Any] = {"kind": "strong_error", "sizes": {"paths": 4096}, "dtype": "float64"}
    yield Case(**many, problem="gbm", dts=dyadic(3, 4, 5), any_method=True, presets=SMOKE)
    few, all_dts = dyadic(3, 5, 7), dyadic(3, 4, 5, 6, 7)
    for method in ("reversible_heun", "heun", "midpoint"):
        yield Case(**many, problem="gbm", method=method, dts=few, presets=("bench",))
    yield Case(**many, problem="scalar", method="reversible_heun", dts=few, presets=("bench",))
    yield Case(**many, problem="gbm", sde_type="ito", method="euler", dts=few, presets=("bench",))
    for problem in ("gbm", "scalar", "ou", "additive"):
        for method in ("reversible_heun", "heun", "midpoint", "euler_heun"):
            yield Case(**many, problem=problem, method=method, dts=all_dts, presets=FULL)
    yield Case(**many, problem="gbm", sde_type="ito", method="euler", dts=all_dts, presets=FULL)


def _brownian() -> Iterator[Case]:
    """The paper's grid: how the intervals are visited, of what size a sample is, and how many intervals there are."""
    for access, paths, intervals in product(get_args(Access), (1, 2560, 32768), (10, 100, 1000)):
        as_a_solve = access == "doubly_sequential" and intervals == 100
        yield Case(
            kind="brownian",
            problem="",
            method="",
            access=access,
            sizes={"paths": paths},
            dts=(1 / intervals,),
            implementations=() if as_a_solve else TORCH,
            yardsticks=("torch_tree",),
            presets=BENCH if as_a_solve and paths < 32768 else FULL,
        )


CASES: tuple[Case, ...] = (
    *_time(),
    *_solve_time(),
    *_memory(),
    *_nfe(),
    *_gradient_error(),
    *_strong_error(),
    *_brownian(),
)
PROBLEM_NAMES = sorted({case.problem for case in CASES if case.problem})
METHOD_NAMES = sorted({case.method for case in CASES if case.method})


def select(preset: Preset, problems: Iterable[str] = (), methods: Iterable[str] = ()) -> list[Case]:
    """The cases of a preset; of these problems and methods only, if any are named. ValueError for an unknown name."""
    for what, chosen, known in (("problem", problems, PROBLEM_NAMES), ("method", methods, METHOD_NAMES)):
        for name in chosen:
            if name not in known:
                raise ValueError(f"unknown {what} {name!r}; the bench has: {', '.join(known)}.")
    problems, methods = set(problems), set(methods)
    return [
        case
        for case in CASES
        if preset in case.presets
        and (not problems or case.problem in problems)
        and (not methods or case.method in methods)
    ]
