"""What is measured: one table of cases. The bench, the asv classes and the head-to-heads all take their work here."""

from collections.abc import Iterable, Iterator
from itertools import product
from typing import Any, get_args

from suite.case import ALWAYS, BENCH, FULL, SMOKE, Access, Case, Preset, dyadic
from suite.sweeps import INSIDE, OURS, sweeps

EXACT = (
    "reversible",
    "checkpoint",
    "backprop",
)  # the gradient of the discrete solve, in the least memory on offer
BEST = ("reversible", "backsolve")  # a gradient that stores no trajectory


def _sizes(paths: int, dim: int, hidden: int) -> dict[str, int]:
    return {"paths": paths, "dim": dim, "hidden": hidden}


SMALL, MIDDLE = _sizes(1, 8, 8), _sizes(128, 16, 32)
LARGE, MANY = _sizes(2560, 32, 64), _sizes(32768, 16, 16)
TORCH, JAX = ("sdegrad_torch", "torchsde"), ("sdegrad_jax", "diffrax")


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


def _memory() -> Iterator[Case]:
    gradient: dict[str, Any] = {"kind": "memory", "sizes": MIDDLE, "adjoints": EXACT, "any_method": True}
    yield Case(**gradient, dts=(0.1, 0.01), presets=SMOKE)
    yield Case(**gradient, dts=(0.01, 0.001), yardsticks=INSIDE, presets=("bench",))
    yield Case(**gradient, dts=(0.1, 0.01, 0.001), yardsticks=INSIDE, presets=FULL)
    yield Case(kind="memory", sizes=MIDDLE, any_method=True, dts=(0.01, 0.001))


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
    *sweeps(),
)
PROBLEM_NAMES = sorted({case.problem for case in CASES if case.problem})
KINDS = sorted({case.kind for case in CASES})
METHOD_NAMES = sorted({case.method for case in CASES if case.method})


def select(
    preset: Preset, problems: Iterable[str] = (), methods: Iterable[str] = (), kinds: Iterable[str] = ()
) -> list[Case]:
    """The cases of a preset; of these problems, methods and kinds only, if any are named. ValueError for an unknown
    name."""
    asked = {"problem": (set(problems), PROBLEM_NAMES), "method": (set(methods), METHOD_NAMES)}
    asked["kind"] = set(kinds), KINDS
    for what, (chosen, known) in asked.items():
        for name in sorted(chosen.difference(known)):
            raise ValueError(f"unknown {what} {name!r}; the bench has: {', '.join(known)}.")

    def fits(case: Case) -> bool:
        return all(not chosen or getattr(case, what) in chosen for what, (chosen, _) in asked.items())

    return [case for case in CASES if preset in case.presets and fits(case)]
