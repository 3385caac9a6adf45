"""The bench as its user meets it: filters, errors, resuming, failures that cost one row only."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sdegrad.registry import IMPLEMENTATIONS
from suite import harness, measuring, regress, results, run
from suite.cases import CASES, Case, select
from suite.context import context
from suite.worker import Worker

QUICK = Case(kind="nfe", sizes={"paths": 2, "dim": 2, "hidden": 2}, dts=(0.25, 0.125))
BUDGET = measuring.Budget(seconds=0.1)


def quiet(name, what):
    pass


@pytest.fixture
def one_case(monkeypatch):
    """The bench, cut down to one quick case."""
    monkeypatch.setattr(run, "select", lambda *_: [QUICK])
    monkeypatch.setattr(run, "report", lambda asked, name: 0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--implementation", "nobody"], "unknown implementation 'nobody'; known are: sdegrad_torch"),
        (["--problem", "nothing"], "unknown problem 'nothing'; the bench has: "),
        (["--method", "magic"], "unknown method 'magic'; the bench has: "),
        (["--device", "tpu"], "unknown device 'tpu'; known are: cpu, cuda"),
        (["--threads", "0"], "--threads must be from 1 to"),
        (["--smoke", "--problem", "scalar"], "the smoke run has no case with problem"),
    ],
)
def test_a_filter_that_names_nothing(arguments, message, tmp_path, capsys):
    assert run.main([*arguments, "--out", str(tmp_path)]) == 2
    assert f"error: {message}" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_device_that_is_not_there(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(
        harness, "why_not", lambda name, device: None if device == "cpu" else f"no {device} for {name}."
    )
    assert run.main(["--device", "cuda", "--out", str(tmp_path)]) == 2
    assert "nothing can run on device 'cuda': no cuda for sdegrad_torch." in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_device_that_is_not_there_beside_one_that_is(monkeypatch):
    for module in (harness, measuring):
        monkeypatch.setattr(module, "why_not", lambda name, device: None if device == "cpu" else "no device here.")
    rows = list(measuring.measure(QUICK, ["torchsde"], "cuda", BUDGET, quiet))
    assert [(r["status"], r["device"], r["reason"]) for r in rows] == [("skipped", "cuda", "no device here.")]
    assert run.check(run.parse(["--device", "cpu", "--device", "cuda"]))[1] == ["cpu", "cuda"]


def test_a_missing_library(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(IMPLEMENTATIONS, "absent", "no_such_library.adapter:implementation")
    assert "no_such_library is not installed; install it" in str(harness.why_not("absent", "cpu"))
    rows = list(measuring.measure(QUICK, ["absent"], "cpu", BUDGET, quiet))
    assert [r["status"] for r in rows] == ["skipped"]
    assert run.main(["--implementation", "absent", "--out", str(tmp_path)]) == 2
    assert "error: 'absent' cannot run: no_such_library is not installed" in capsys.readouterr().err


def test_a_broken_library_is_no_skip(monkeypatch):
    monkeypatch.setitem(IMPLEMENTATIONS, "broken", "sdegrad.no_such_module:implementation")
    with pytest.raises(ModuleNotFoundError):
        harness.why_not("broken", "cpu")


@pytest.mark.parametrize("damage", ["cut", "schema", "columns"])
def test_a_results_file_that_cannot_be_used(damage, tmp_path, capsys):
    path = tmp_path / "results.csv"
    results.write(path, [results.row(run="x", measure="solve_time", status="ok")])
    text = path.read_text()
    path.write_text(
        {"cut": text[:-9], "schema": text.replace(f"\n{results.SCHEMA},", "\n0,"), "columns": text[7:]}[damage]
    )
    before = path.read_bytes()
    assert run.main(["--smoke", "--implementation", "torchsde", "--out", str(tmp_path)]) == 2
    assert "nothing was changed" in capsys.readouterr().err
    assert path.read_bytes() == before


def test_resume_and_another_run(one_case, tmp_path, monkeypatch):
    arguments = ["--implementation", "torchsde", "--out", str(tmp_path)]
    assert run.main(arguments) == 0
    first = results.read(tmp_path / "results.csv")
    assert {r["implementation"] for r in first} == {"torchsde"}
    assert {r["status"] for r in first} == {"ok"}

    def never(*_):
        raise AssertionError("measured again")

    with monkeypatch.context() as m:
        m.setattr(Worker, "measure", never)
        assert run.main(arguments) == 0
    assert results.read(tmp_path / "results.csv") == first

    assert run.main(["--implementation", "sdegrad_torch", "--out", str(tmp_path)]) == 0
    both = results.read(tmp_path / "results.csv")
    assert both[: len(first)] == first
    assert {r["implementation"] for r in both} == {"torchsde", "sdegrad_torch"}

    other = replace(context(1), run="another")
    monkeypatch.setattr(run, "context", lambda threads: other)
    assert run.main(arguments) == 0
    assert {r["run"] for r in results.read(tmp_path / "results.csv")} == {"another"}
    aside = list(tmp_path.glob("results-*.csv"))
    assert len(aside) == 1
    assert results.read(aside[0]) == both


def test_an_interrupt_keeps_what_was_measured(tmp_path):
    root = Path(run.__file__).parents[1]
    command = [
        sys.executable,
        "-m",
        "suite.run",
        "--smoke",
        "--implementation",
        "sdegrad_torch",
        "--out",
        str(tmp_path),
    ]
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where the tests run in the background
    process = subprocess.Popen(command, cwd=root, stderr=subprocess.PIPE, text=True, start_new_session=True)
    signal.signal(signal.SIGINT, before)
    path = tmp_path / "results.csv"
    end = time.monotonic() + 60
    while not path.exists() and time.monotonic() < end:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "interrupted; what was measured is kept" in errors
    assert results.read(path)


@pytest.mark.parametrize("dirty", [False, True])
def test_the_other_tools_of_a_full_run_resume(dirty, tmp_path, monkeypatch):
    """Head-to-heads that are complete are not repeated, those that failed are; asv leaves out what it has."""
    asked, where = run.parse(["--full", "--out", str(tmp_path)]), replace(context(1), run="a", dirty=dirty)
    commands, code = [], 1

    def pretended(command, **_):
        commands.append(command[2])
        new = next((Path(part.partition("=")[2]) for part in command if part.startswith("--benchmark-json=")), None)
        if new:
            new.write_text("{}")
        if list(command[2:4]) == ["asv", "run"]:
            assert "--skip-existing-successful" in command
        return subprocess.CompletedProcess(command, code if new else 0)

    monkeypatch.setattr(run.subprocess, "run", pretended)
    asv = [] if dirty else ["asv", "asv"]
    run.other_tools(asked, where)
    assert not run.head_to_heads(tmp_path, "a").exists()
    code = 0
    run.other_tools(asked, where)
    assert run.head_to_heads(tmp_path, "a").exists()
    run.other_tools(asked, where)
    assert commands == ["pytest", *asv, "pytest", *asv, *asv]
    run.other_tools(asked, replace(where, run="b"))
    assert commands[-1 - len(asv)] == "pytest"


@pytest.mark.parametrize(
    ("code", "told"),
    [(0, "Nothing at HEAD"), (1, "the lines marked +"), (2, "a benchmark failed on one of the commits")],
)
def test_regress_says_what_asv_found(code, told, capsys, monkeypatch):
    """The exit code is asv's; 2 comes with the table that asv leaves out then."""
    commands = []

    def pretended(command, **_):
        commands.append(command[3])
        return subprocess.CompletedProcess(command, code if command[3] == "continuous" else 0)

    monkeypatch.setattr(regress, "commit", lambda name: {"HEAD": "b" * 40, "old": "a" * 40}[name])
    monkeypatch.setattr(regress.subprocess, "run", pretended)
    assert regress.main(["old", "--bench", "track_"]) == code
    assert commands == ["machine", "continuous", *["compare"] * (code == 2)]
    printed = capsys.readouterr()
    assert told in (printed.err if code else printed.out)


@pytest.mark.parametrize(("base", "message"), [("nowhere", "is no commit"), ("HEAD", "is HEAD itself")])
def test_regress_against_what_cannot_be_compared(base, message, capsys, monkeypatch):
    monkeypatch.setattr(regress, "commit", {"HEAD": "b" * 40}.get)
    assert regress.main([base]) == 2
    assert message in capsys.readouterr().err


FAULTY = """
import os, time
from dataclasses import replace
import numpy as np
from sdegrad.adapters.torchsde import Torchsde

class Run:
    def __init__(self, run, how): self.run, self.how = run, how
    def __call__(self):
        if self.how == "crash": os._exit(11)
        if self.how == "hang": time.sleep(60)
        if self.how == "raise": raise ArithmeticError("a bad day")
        return self.run()
    def outcome(self, result):
        outcome = self.run.outcome(result)
        return replace(outcome, ys=outcome.ys * np.nan)
    def count(self): return self()

class Faulty(Torchsde):
    def __init__(self, name): self.name = name
    def prepare(self, task): return Run(super().prepare(task), self.name.partition("_")[2])

bad_crash, bad_hang, bad_raise, bad_diverge = map(Faulty, ("bad_crash", "bad_hang", "bad_raise", "bad_diverge"))
"""


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("bad_crash", "the process died (exit code 11)"),
        ("bad_hang", "no sign of life for 10 s; the process was ended"),
        ("bad_raise", "ArithmeticError: a bad day"),
        ("bad_diverge", "Diverged: outputs are not finite; the solver diverged, a smaller dt may help."),
    ],
)
def test_a_failure_costs_its_own_row(name, reason, tmp_path, monkeypatch):
    """Of each faulty library a failed row with the reason; the one beside it is measured all the same."""
    (tmp_path / "faulty.py").write_text(FAULTY)
    info = tmp_path / "faulty-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Name: faulty\nVersion: 1\n")
    (info / "entry_points.txt").write_text(f"[sdegrad.implementations]\n{name} = faulty:{name}\n")
    monkeypatch.syspath_prepend(tmp_path)  # a spawned process inherits it
    case = Case(kind="time", sizes={"paths": 2, "dim": 2, "hidden": 2}, dts=(0.25,))
    worker = Worker(threads=1, patience=10)
    try:
        rows = list(worker.measure(case, ["torchsde", name], "cpu", BUDGET, quiet))
    finally:
        worker.close()
    assert [r["reason"] for r in rows if r["status"] == "failed" and r["implementation"] == name] == [reason]
    good = [r for r in rows if r["implementation"] == "torchsde" and r["measure"] == "solve_time"]
    assert [r["status"] for r in good] == ["ok"]
    assert float(good[0]["low"]) <= float(good[0]["value"]) <= float(good[0]["high"])


def test_times_are_paired_and_checked():
    case = Case(kind="time", sizes={"paths": 2, "dim": 2, "hidden": 2}, dts=(0.25,), adjoints=("reversible",))
    rows = list(measuring.measure(case, ["sdegrad_torch", "torchsde", "diffrax"], "cpu", BUDGET, quiet))
    found = {(r["implementation"], r["measure"]): r for r in rows}
    assert found["diffrax", "gradient_time"]["status"] == "skipped"
    assert "no reversible adjoint" in found["diffrax", "gradient_time"]["reason"]
    ratio = found["torchsde", "gradient_time_ratio"]
    assert float(ratio["low"]) <= float(ratio["value"]) <= float(ratio["high"])
    assert ("sdegrad_torch", "gradient_time_ratio") not in found
    assert found["torchsde", "gradient_time"]["steps"] == "4"


def test_gradient_error_tells_exact_from_approximate():
    sizes = {"paths": 2, "dim": 2, "hidden": 2}
    worst = {}
    for method in ("reversible_heun", "heun"):
        case = Case(
            kind="gradient_error",
            method=method,
            sizes=sizes,
            adjoints=("reversible", "backsolve"),
            dts=(0.5, 0.25),
            dtype="float64",
        )
        rows = list(measuring.measure(case, ["sdegrad_torch"], "cpu", BUDGET, quiet))
        worst[method] = max(float(r["value"]) for r in rows if r["measure"] == "gradient_error")
    assert worst["reversible_heun"] < 1e-13 < 1e-6 < worst["heun"]


def test_strong_error_and_order():
    case = Case(kind="strong_error", problem="gbm", sizes={"paths": 1000}, dts=(1 / 8, 1 / 16, 1 / 32), dtype="float64")
    rows = list(measuring.measure(case, ["sdegrad_torch"], "cpu", BUDGET, quiet))
    order = next(r for r in rows if r["measure"] == "strong_order")
    assert float(order["low"]) < 1.0 + 0.1
    assert float(order["high"]) > 0.9
    errors = [float(r["value"]) for r in rows if r["measure"] == "strong_error"]
    assert errors == sorted(errors, reverse=True)


def test_peak_memory_sees_what_is_allocated():
    def work():
        return np.ones(1_000_000).sum()

    assert 8_000_000 <= measuring.peak_memory(work) < 8_800_000


def test_the_cases_are_sound():
    """Every case can be made, is in some preset, and is there once."""
    assert len(set(map(repr, CASES))) == len(CASES)
    for case in CASES:
        assert case.presets
        if case.problem:
            assert case.make().y0.ndim == 2
    assert all(select(preset) for preset in ("smoke", "bench", "full"))
