"""Head to head with pytest-benchmark, over the bench's cases of times: `nox -s compare`, or

    python -m pytest tests/compare -o addopts=--import-mode=importlib --benchmark-json=FILE

A group is a case; `--benchmark-group-by=param:name` groups by library, and `--benchmark-compare` and
`--benchmark-histogram` work as ever. Beside each time stand evaluations, memory and the error of the gradient in
extra_info, with the columns of the results table; the report reads them. Among the tests each case of the smoke run is
run once, to see that it works, and with run-time checks of shapes that would slow our code and no other.
"""

from dataclasses import replace

import pytest

from suite.asv_cases import WORKS, quiet, works
from suite.harness import Trial, choose, main_measure, taking_part, why_not
from suite.measuring import gradient_error, nfe
from suite.results import IMPLEMENTATION, WORK
from suite.sweeping import peak_memory


def pairs():
    """Each case with each implementation that takes part in it."""
    for work in works("time"):
        for name in taking_part(WORKS[work]):
            yield pytest.param(work, name, id=f"{work}-{name}")


@pytest.mark.exhaustive(
    but=["*-sdegrad_torch", "*-torchsde", "*-sdegrad_jax", "*-numpy_by_hand", "*-jax_by_hand", "*-torch_floor"]
)
@pytest.mark.slow
@pytest.mark.parametrize(("work", "name"), list(pairs()))
def test_time(benchmark, work, name):
    case = WORKS[work]
    if not benchmark.enabled and "smoke" not in case.presets:
        pytest.skip("large work is done where it is timed: nox -s compare")
    reason = why_not(name, "cpu")
    trial = reason or choose(name, case, "cpu")
    if not isinstance(trial, Trial):
        pytest.skip(trial)
    run = trial.implementation.prepare(trial.task(case.dts[0]))
    benchmark.group = work
    row = trial.row(main_measure(case), dt=case.dts[0])
    benchmark.extra_info.update({column: row[column] for column in (*IMPLEMENTATION, *WORK, "measure")})
    benchmark.pedantic(run, rounds=10, warmup_rounds=2, iterations=1)
    if benchmark.enabled:  # what takes long to find, only where numbers are wanted
        benchmark.extra_info.update(beside(trial, run))


def beside(trial, run):
    """What stands beside the time, by the names of the measures: evaluations a step, memory, error of the gradient."""
    (dt,), memory = trial.case.dts, run.memory()
    counted = nfe(replace(trial, case=replace(trial.case, dts=(2 * dt, dt))), quiet)
    found = {row["measure"]: float(row["value"]) for row in counted}
    found["gradient_memory" if trial.adjoint else "solve_memory"] = peak_memory(run) if memory is None else memory
    if trial.adjoint and "smoke" in trial.case.presets:  # else the path to be given takes gigabytes
        (error,) = [r for r in gradient_error(trial, quiet) if r["measure"] == "gradient_error"]
        found["gradient_error"] = float(error["value"])
    return found
