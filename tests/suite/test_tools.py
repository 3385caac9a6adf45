"""Harness, asv and pytest-benchmark on the same case: they agree by the rule of `reports.agreement`.

Each measures in processes of its own. Where a neighbour disturbs one of them, all measure once more, at most ROUNDS
times, and the hulls of their intervals grow; what they then still disagree on is in the tools.
"""

import json
import os
import subprocess
import sys

import pytest

from reports import agreement, readers
from reports.data import tidy
from suite.asv_cases import find
from suite.cases import EXACT
from suite.measuring import Budget, measure
from suite.provenance import ROOT, git

ROUNDS = 3
NAME, CASE = "sdegrad_torch", find("time", "128x16x32", adjoints=EXACT, t1=1.0, told_dt=False)


def by_harness():
    cases = (CASE, find("nfe", method="reversible_heun"))
    return [row for case in cases for row in measure(case, [NAME], "cpu", Budget(seconds=1.0), lambda *_: None)]


def by_asv(folder):
    """In an environment that exists, with folders of its own, so that nothing is added to the history."""
    settings = json.loads((ROOT / "asv.conf.json").read_text()) | {"repo": str(ROOT)}
    settings |= {"benchmark_dir": str(ROOT / "suite"), "matrix": {}}
    settings |= {name: str(folder / name) for name in ("env_dir", "results_dir", "html_dir")}
    folder.mkdir()
    (folder / "asv.conf.json").write_text(json.dumps(settings))
    environment = os.environ | {"HOME": str(folder), "ASV_PYTHONPATH": str(ROOT / "impls")}
    asv = (sys.executable, "-m", "asv", "--config", str(folder / "asv.conf.json"))
    subprocess.run([*asv, "machine", "--yes"], env=environment, check=True, capture_output=True)
    wanted = rf"{NAME}.*cpu.*(time of the gradient .*paths 128.* of 0.01\)|nfe reversible_heun)"
    options = ("-E", f"existing:{sys.executable}", "--set-commit-hash", git("rev-parse", "HEAD"))
    chosen = ("--bench", rf"(time_gradient|track_nfe_drift)\W.*{wanted}")
    done = subprocess.run([*asv, "run", *options, *chosen], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    return readers.from_asv(folder / "results_dir")


def by_pytest_benchmark(folder):
    file = folder / "benchmark.json"
    test = f"tests/compare/test_gradient.py::test_time[{CASE}-{NAME}]"
    bare = ("-o", "addopts=--import-mode=importlib", f"--benchmark-json={file}")
    done = subprocess.run([sys.executable, "-m", "pytest", test, *bare], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    return readers.from_pytest_benchmark(file)


@pytest.mark.slow
def test_the_three_tools_agree(tmp_path, request):
    if not request.config.getoption("--plants"):
        pytest.skip("takes a minute; with --plants")
    rows, found = [], []
    for number in range(ROUNDS):
        folder = tmp_path / str(number)
        new = [*by_harness(), *by_asv(folder), *by_pytest_benchmark(folder)]
        rows += [row | {"run": str(number)} for row in new]
        found = list(agreement.disagreements(agreement.shared(tidy(rows))))
        if not found:
            break
    assert not found
    shared = agreement.shared(tidy(rows))
    tools = {m: set(shared[shared["measure"] == m]["tool"]) for m in ("gradient_time", "nfe_drift")}
    assert tools == {"gradient_time": {"harness", "asv", "pytest-benchmark"}, "nfe_drift": {"harness", "asv"}}
    for row in rows:  # another unit
        if row["tool"] == "asv" and row["status"] == "ok":
            row |= {"value": repr(1000 * float(row["value"])), "low": "", "high": ""}
    assert len(list(agreement.disagreements(agreement.shared(tidy(rows))))) == 2
