"""Head to head with pytest-benchmark:

    python -m pytest tests/compare -o addopts=--import-mode=importlib --benchmark-json=FILE

Among the tests each is run once, to see that it works, and with run-time checks of shapes that would slow our code
and no other. The report reads the JSON: extra_info carries the columns of the results table.
"""

import pytest

from sdegrad.registry import IMPLEMENTATIONS
from suite.asv_cases import find
from suite.cases import EXACT
from suite.harness import Trial, choose
from suite.results import IMPLEMENTATION, WORK

SIZE = "128x16x32"
TASKS = {
    "gradient_time": find("time", SIZE, adjoints=EXACT, t1=1.0, told_dt=False),
    "solve_time": find("time", SIZE, adjoints=(None,)),
}


@pytest.mark.parametrize("name", IMPLEMENTATIONS)
@pytest.mark.parametrize("measure", TASKS)
def test_time(benchmark, measure, name):
    case = TASKS[measure]
    trial = choose(name, case, "cpu")
    assert isinstance(trial, Trial)
    run = trial.implementation.prepare(trial.task(case.dts[0]))
    benchmark.group = str(case)
    row = trial.row(measure, dt=case.dts[0])
    benchmark.extra_info.update({column: row[column] for column in (*IMPLEMENTATION, *WORK, "measure")})
    benchmark.pedantic(run, rounds=10, warmup_rounds=2, iterations=1)
