"""The one place where the suite meets sdegrad: which implementation does what of a case, and the rows it gives."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from importlib.metadata import entry_points
from itertools import pairwise
from random import Random
from typing import Any

from sdegrad.contract import BrownianTask, Counts, Implementation, Run, Task, sum_of_squares
from sdegrad.grid import make_grid
from sdegrad.methods import METHODS, Method
from sdegrad.registry import GROUP, compared, known, load
from suite import statistics
from suite.case import Case
from suite.given import given_path
from suite.paths import Path
from suite.provenance import package_digest
from suite.results import MEASURES, Row, row, wrong_value

# What the rest of the suite needs of sdegrad, it takes from here.
__all__ = ["METHODS", "BrownianTask", "Counts", "Run", "Task", "compared", "load", "make_grid", "sum_of_squares"]


def part(name: str) -> Any:
    """A module of sdegrad by its name there, such as "torch.nn"."""
    return import_module(f"sdegrad.{name}")


@dataclass(frozen=True)
class Trial:
    """An implementation at work on a case: with which of the adjoints, or which kind of Brownian object."""

    implementation: Implementation
    case: Case
    device: str
    adjoint: Any = None
    brownian: Any = None

    @property
    def name(self) -> str:
        return self.implementation.name

    def task(self, dt: float, noise: Path | None = None, adjoint: Any = "as chosen") -> Task:
        return Task(
            problem=self.case.make(),
            method=self.case.method,
            dt=dt,
            ts=self.case.ts,
            adjoint=self.adjoint if adjoint == "as chosen" else adjoint,
            noise=noise,
            brownian_dt=dt if self.case.told_dt else None,
            seed=self.case.seed,
            dtype=self.case.dtype,
            device=self.device,  # pyright: ignore[reportArgumentType]
            **self.case.rare,
        )

    def brownian_task(self) -> BrownianTask:
        """Each interval of the grid once, in order or at random; doubly sequential: forwards over all of them, then
        backwards, as a solve and its adjoint do."""
        dt = self.case.dts[0]
        steps = make_grid(0.0, self.case.t1, dt).steps
        forwards = tuple(pairwise(self.case.t1 * i / steps for i in range(steps + 1)))
        queries = {
            "sequential": forwards,
            "doubly_sequential": forwards + forwards[::-1],
            "random": tuple(Random(self.case.seed).sample(forwards, steps)),
        }
        return BrownianTask(
            queries=queries[self.case.access or "sequential"],
            shape=(self.case.sizes["paths"],),
            kind=self.brownian,
            t1=self.case.t1,
            dt=dt,
            seed=self.case.seed,
            device=self.device,  # pyright: ignore[reportArgumentType]
        )

    def row(self, measure: str, value: Any = None, dt: float | None = None, **columns: Any) -> Row:
        version, framework = self.implementation.versions()
        if isinstance(value, statistics.Estimate):
            columns |= {"low": value.low, "high": value.high}
            value = value.value
        wrong = None if value is None else wrong_value(measure, value)
        if wrong:
            raise ValueError(f"{measure} must be {wrong}, got {value!r}.")
        return work_row(
            *(self.case, self.device, self.name, measure, dt),
            **{
                "version": version,
                "framework": framework,
                "adjoint": self.adjoint,
                "brownian": self.brownian,
                "value": value,
                "status": "ok",
            }
            | columns,
        )


def work_row(case: Case, device: str, name: str, measure: str, dt: float | None = None, **columns: Any) -> Row:
    """A row with the columns that the case fixes."""
    work: dict[str, Any] = {
        "problem": case.problem,
        "method": case.method,
        "access": case.access,
        "dtype": case.dtype,
        "seed": case.seed,
    }
    if case.problem:
        problem = case.make()
        work |= {
            "problem_version": problem.version,
            "noise_type": problem.noise_type,
            "noise_source": case.noise_source,
            "batch": problem.y0.shape[0],
            "dim": problem.y0.shape[1],
            "noise_dim": problem.noise_dim,
            "hidden": problem.hidden,
            "outputs": case.outputs,
            "rtol": case.rtol,
            "atol": case.atol,
            "compiled": "compiled" if case.compiled else None,
        }
    else:
        work |= {"batch": case.sizes["paths"], "steps": make_grid(0.0, case.t1, case.dts[0]).steps}
    if dt is not None:
        work |= {"dt": float(dt), "steps": None if case.rtol else make_grid(0.0, case.t1, dt).steps}
    return row(
        device=device,
        implementation=name,
        measure=measure,
        unit=MEASURES[measure],
        tool="harness",
        **work | columns,
    )


def missing_row(case: Case, device: str, name: str, status: str, reason: str) -> Row:
    """The row of an implementation that was skipped in this case or failed at it."""
    return work_row(case, device, name, main_measure(case), main_dt(case), status=status, reason=reason)


def main_dt(case: Case) -> float | None:
    """The step size at which times are compared; None where there is not one."""
    return case.dts[0] if case.kind == "time" else None


def main_measure(case: Case) -> str:
    """The measure that a case is about, under which skips and failures are filed."""
    gradient = case.adjoints != (None,)
    return {
        "time": "gradient_time" if gradient else "solve_time",
        "memory": "gradient_memory" if gradient else "solve_memory",
        "nfe": "nfe_drift",
        "gradient_error": "gradient_error",
        "strong_error": "strong_error",
        "weak_error": "weak_error",
        "long": "gradient_memory",
        "brownian": "brownian_time",
    }[case.kind]


def why_not(name: str, device: str) -> str | None:
    """Why `name` cannot run here at all, with the remedy; None if it can. A broken library raises."""
    try:
        implementation = load(name)
    except ModuleNotFoundError as missing:
        if missing.name is None or missing.name.partition(".")[0] == "sdegrad":
            raise
        return f"{missing.name} is not installed; install it: python -m pip install -c constraints.txt {missing.name}."
    if implementation.name != name:
        return f"it is registered as {name!r} and names itself {implementation.name!r}; give it one name."
    return _sentence("unavailable", implementation.unavailable(device))


def _sentence(method: str, answer: Any) -> str | None:
    """The answer of a library, if it is one that the contract knows."""
    if answer is None or (isinstance(answer, str) and answer.strip()):
        return answer
    raise TypeError(f"{method} must return a sentence or None, got {answer!r}.")


_CHOICES = ({"brownian": "interval"}, {"brownian": "tree"})  # the better first


def choose(name: str, case: Case, device: str) -> Trial | str:
    """The implementation with the first method and adjoint (or kind of Brownian motion) that it supports; or, as a
    sentence, why it supports none."""
    implementation, noise = load(name), given_path(case)
    reasons: list[str] = []
    for variant in _alternatives(case, {**METHODS, **own_methods(name)}):
        for choice in _CHOICES if case.kind == "brownian" else [{"adjoint": adjoint} for adjoint in case.adjoints]:
            trial = Trial(implementation, variant, device, **choice)
            work = trial.brownian_task() if trial.brownian else trial.task(case.dts[0], noise)
            reason = _sentence("unsupported", implementation.unsupported(work))
            if reason is None:
                return trial
            if variant is case or repr(variant.method) not in reason:
                reasons.append(reason)
    return " ".join(dict.fromkeys(reasons))


def own_methods(name: str) -> Mapping[str, Method]:
    """What an implementation says of the methods that it alone has."""
    return getattr(load(name), "methods", {})  # the contract has it only since lately


def _alternatives(case: Case, methods: Mapping[str, Method]) -> Iterator[Case]:
    """The case; then, if any method will do, the case with each other method, the best first.

    The best have at least the order of the one named, and of these the fewest evaluations.
    """
    yield case
    if case.any_method:
        noise = case.make().noise_type
        wanted = methods[case.method].order[noise]
        others = [method for method in methods if method != case.method and noise in methods[method].order]
        for method in sorted(others, key=lambda m: (methods[m].order[noise] < wanted, sum(methods[m].nfe))):
            for sde_type in methods[method].sde_types:
                yield replace(case, method=method, sde_type=sde_type)


def solvers(name: str, sde_type: str) -> Any:
    """The methods of torchsde or diffrax, by the suite's names; of diffrax with its classes."""
    return import_module(f"sdegrad.adapters.{name}").SOLVERS[sde_type]


def describe(failure: BaseException) -> str:
    text = " ".join(str(failure).split())
    return f"{type(failure).__name__}: {text[:300]}" if text else type(failure).__name__


def source(name: str) -> str:
    """A digest of the package that is measured under this name, and of the versions of what it requires.

    Empty for sdegrad's own, whose sources and pinned libraries are part of every run. Nothing is imported.
    """
    top = known()[name].partition(":")[0].partition(".")[0]
    if top == "sdegrad":
        return ""
    distributions = [point.dist for point in entry_points(group=GROUP, name=name) if point.dist]
    return package_digest(name, distributions, top)


def names() -> tuple[str, ...]:
    """All implementations that there are, third parties' and yardsticks included."""
    return tuple(known())


def taking_part(case: Case, chosen: Sequence[str] = ()) -> list[str]:
    """The implementations that a case compares; of those chosen only, if any are."""
    compares = [*(case.implementations or compared()), *case.yardsticks]
    if not chosen:
        return compares
    return [name for name in chosen if name in compares or not case.implementations]
