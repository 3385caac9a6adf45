"""One given path, and the steps that a library takes over it against those of the published formula, to rounding.

The formulas are `schemes`, in NumPy alone, so libraries that hold have the same numbers as one another too, and the
same error constant. The problems depend on time and break every symmetry that could hide a wrong index. Nothing is
random.
"""

from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any

import numpy as np

from suite.harness import METHODS, Task
from suite.paths import Path, make_path
from suite.problems import Problem, make
from suite.verify import schemes, solving, step_programs
from suite.verify.claims import (
    BURRAGE,
    CASTELL,
    CONSTRUCTED,
    FOSTER,
    KIDGER,
    KLOEDEN,
    MCCALLUM,
    NEGATIVE,
    POSITIVE,
    ROESSLER,
    SHMELEV,
    Claim,
)
from suite.verify.findings import Effort, Finding, Unsupported, at_most

CELLS, PATHS, DIM, NOISE = 16, 3, 3, 3  # square, so that a transposed diffusion has the right shape
ROUNDING = 1e-12  # of some ten operations of size 1 a step, growing by the Lipschitz constant over time 1

FORMULAS: Mapping[str, str] = {
    "euler": KLOEDEN,
    "milstein": KLOEDEN,
    "euler_heun": KLOEDEN,
    "heun": BURRAGE,
    "midpoint": BURRAGE,
    "srk": ROESSLER,
    "sra1": ROESSLER,
    "shark": FOSTER,
    "reversible_heun": KIDGER,
    "log_ode": CASTELL,
    "mccallum_foster": MCCALLUM,
    "ees25": SHMELEV,
    "ees27": SHMELEV,
}
VARIANTS: Mapping[str, tuple[Mapping[str, Any], ...]] = {
    "milstein": ({}, {"grad_free": True}),
    "mccallum_foster": ({}, {"base": "ees25", "coupling": 0.99}),
}
SPAN = 0.7  # no step is a number of single precision, in which times would otherwise be as good
# name -> (dt in spans, grid times in cells of the path)
GRIDS: Mapping[str, tuple[float, tuple[int, ...]]] = {
    "even steps": (1 / 4, (0, 4, 8, 12, 16)),
    "a last step that is cut short": (3 / 8, (0, 6, 12, 16)),
    "backwards in time": (-1 / 4, (16, 12, 8, 4, 0)),
}
_QUICK = {("milstein", "scalar"), ("srk", "diagonal"), ("heun", "general"), ("shark", "additive")}


def claims(name: str) -> Iterator[Claim]:
    for method, grid in product(METHODS, GRIDS):
        facts, variants = METHODS[method], ({},) if name == "diffrax" else VARIANTS.get(method, ({},))
        noises = facts.order if grid == "even steps" else [next(iter(facts.order))]
        for noise_type, sde_type, options in product(noises, facts.sde_types, variants):
            if grid != "even steps" and (options or sde_type != facts.sde_type):
                continue
            yield _claim(name, method, noise_type, sde_type, options, grid)
    for kind, scale in ((NEGATIVE, 1 + 1e-10), (POSITIVE, 1 + 1e-15)):
        subject = f"the steps of the formula times {'1 + 1e-10' if scale > 1 + 1e-12 else '1 + 1e-15'}"
        yield Claim(
            kind=kind,
            check="agreement",
            implementation=name,
            subject=subject,
            claim=_WORDS,
            expected=ROUNDING,
            source=CONSTRUCTED[kind],
            case=_case("euler", "diagonal", "ito", {}, "even steps"),
            spoil={"scale": scale},
            preset="quick",
        )


_WORDS = "on a given path it takes the steps of the published scheme, to rounding"


def _case(method: str, noise_type: str, sde_type: str, options: Mapping[str, Any], grid: str) -> dict[str, Any]:
    return {
        "problem": f"twisted_{noise_type}",
        "method": method,
        "sde_type": sde_type,
        "options": tuple(options.items()),
        "grid": grid,
    }


def _claim(name: str, method: str, noise_type: str, sde_type: str, options: Mapping[str, Any], grid: str) -> Claim:
    with_options = "".join(f", {key}={value}" for key, value in options.items())
    levy = method == "log_ode" and noise_type == "general"
    return Claim(
        kind="theory",
        check="agreement",
        implementation=name,
        subject=f"{method}{with_options}, {sde_type}, {noise_type} noise, {grid}",
        claim=_WORDS,
        expected=ROUNDING,
        source=FORMULAS[method],
        case=_case(method, noise_type, sde_type, options, grid),
        preset="quick" if (method, noise_type) in _QUICK and grid == "even steps" and not options else "default",
        may_lack=levy or grid == "backwards in time",
    )


def posed(case: Mapping[str, Any], seed: int) -> tuple[Problem, Path]:
    """The problem of a case, and the path that every library gets."""
    noise = {"noise_dim": NOISE} if case["problem"].endswith(("additive", "general")) else {}
    problem = make(case["problem"], paths=PATHS, dim=DIM, **noise, seed=seed, sde_type=case["sde_type"])
    return problem, make_path(0.0, SPAN, CELLS, PATHS, problem.noise_dim, seed)


@solving.remembered
def _steps(name: str, case: tuple[tuple[str, Any], ...], seed: int) -> np.ndarray:
    """The solution at every grid time, by the library [points, paths, dim]."""
    known = dict(case)
    problem, path = posed(known, seed)
    dt, points = GRIDS[known["grid"]]
    backwards = dt < 0
    uneven = len(set(np.diff(points))) > 1
    task = Task(
        problem=problem,
        method=known["method"],
        options=dict(known["options"]),
        dt=SPAN * dt,
        ts=tuple(float(path.times[k]) for k in points),
        noise=path,
        dtype="float64",
        controller=solving.to_times(name) if uneven else None,
    )
    try:
        return solving.outcome(name, task).ys
    except ValueError as refused:
        if backwards:
            raise Unsupported(f"it does not solve backwards in time: {refused}") from refused
        raise


def measure(claim: Claim, effort: Effort) -> Finding:
    case = claim.case
    problem, path = posed(case, effort.seed)
    _, points = GRIDS[case["grid"]]
    options = dict(case["options"])
    expected = schemes.solve(problem, case["method"], path, np.array(points), options)
    if "scale" in claim.spoil:
        ys = expected * claim.spoil["scale"]
    else:
        ys = _steps(claim.implementation, tuple(case.items()), effort.seed)
    worst = np.abs(ys - expected).max(initial=0.0) / np.abs(expected).max() if ys.shape == expected.shape else np.inf
    return at_most(claim.expected, float(worst))


def script(claim: Claim) -> str | None:
    """A program that shows the failure with the library alone."""
    case = claim.case
    return step_programs.agreement(claim.implementation, case["method"], case["problem"], case["grid"])
