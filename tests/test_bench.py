"""The bench as its user meets it: filters, errors, resuming, failures that cost one row only."""

import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from reports import tables
from reports.data import settings, tidy
from reports.readers import from_results
from sdegrad.contract import Counts
from sdegrad.registry import IMPLEMENTATIONS
from suite import harness, measuring, results, run, sweeping
from suite import provenance as places
from suite.cases import CASES, Case, select
from suite.provenance import context
from suite.work import check_libraries
from suite.worker import Worker
from tests.reports.synthetic import row
from tests.suite.toy import ESCAPE, install

TOY = Case(kind="nfe", problem="gbm", method="euler", sde_type="ito", sizes={"paths": 2}, dts=(0.25, 0.125))
QUICK = Case(kind="nfe", sizes={"paths": 2, "dim": 2, "hidden": 2}, dts=(0.25, 0.125))
BUDGET = measuring.Budget(seconds=0.1)


def quiet(name, what):
    pass


@pytest.fixture
def library(tmp_path, monkeypatch):
    """Install toy libraries under these names, for this process and those that it starts."""
    folder = tmp_path / "libraries"
    monkeypatch.syspath_prepend(folder)
    monkeypatch.delitem(sys.modules, "toy", raising=False)
    yield lambda *names, **elsewhere: install(folder, *names, **elsewhere)
    sys.modules.pop("toy", None)


@pytest.fixture
def one_case(monkeypatch):
    """The bench, cut down to one quick case."""
    monkeypatch.setattr(run, "select", lambda *_: [TOY])
    monkeypatch.setattr(run, "report", lambda asked, name: 0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--implementation", "nobody"], "unknown implementation 'nobody'; known are: sdegrad_torch"),
        (["--problem", "nothing"], "unknown problem 'nothing'; the bench has: "),
        (["--method", "magic"], "unknown method 'magic'; the bench has: "),
        (["--kind", "speed"], "unknown kind 'speed'; the bench has: "),
        (["--device", "tpu"], "unknown device 'tpu'; known are: cpu, cuda"),
        (["--threads", "0"], "--threads must be from 1 to"),
        (
            ["--full", "--kind", "long", "--implementation", "jax_by_hand", "--implementation", "diffrax"],
            "'jax_by_hand' takes part in no case of this run",
        ),
        (["--smoke", "--problem", "scalar"], "the smoke run has no case with problem"),
    ],
)
def test_a_filter_that_names_nothing(arguments, message, tmp_path, capsys):
    assert run.main([*arguments, "--out", str(tmp_path)]) == 2
    assert f"error: {message}" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


class Nowhere:
    def why_not(self, name, device):
        return None if device == "cpu" else f"no {device} for {name}."


def test_a_device_that_is_not_there(library, one_case, tmp_path, capsys):
    with pytest.raises(ValueError, match=r"nothing can run on device 'cuda': no cuda for a. no cuda for b. Use"):
        check_libraries(run.parse([]), ["a", "b"], ["cuda"], Nowhere())
    check_libraries(run.parse(["--implementation", "a"]), ["a", "b"], ["cuda", "cpu"], Nowhere())
    library("alpha")
    assert run.main(["--device", "cuda", "--implementation", "alpha", "--out", str(tmp_path / "out")]) == 2
    assert "error: 'alpha' cannot run: alpha sees no cuda here." in capsys.readouterr().err
    assert not (tmp_path / "out" / "results.csv").exists()


def test_a_device_that_is_not_there_beside_one_that_is(monkeypatch):
    for module in (harness, measuring):
        monkeypatch.setattr(module, "why_not", lambda name, device: None if device == "cpu" else "no device here.")
    rows = list(measuring.measure(QUICK, ["torchsde"], "cuda", BUDGET, quiet))
    assert [(r["status"], r["device"], r["reason"]) for r in rows] == [("skipped", "cuda", "no device here.")]
    assert run.check(run.parse(["--device", "cpu", "--device", "cuda"]))[1] == ["cpu", "cuda"]


@pytest.mark.parametrize(
    ("module", "reason"),
    [
        ("no_such_library", "no_such_library is not installed; install it"),
        ("broken", "it is broken: RuntimeError: out of order; mend it or uninstall it."),
        ("crash", "it is broken: the process died (exit code 3); mend it or uninstall it."),
    ],
)
@pytest.mark.slow
def test_a_library_that_cannot_be_loaded(module, reason, library, one_case, tmp_path, capsys, monkeypatch):
    """Asked for by name it is an error; the bench of all goes on without it, and says so."""
    library("alpha", absent=module)
    (tmp_path / "libraries" / "broken.py").write_text("raise RuntimeError('out of order')")
    (tmp_path / "libraries" / "crash.py").write_text("import os; os._exit(3)")
    asked = ["--out", str(tmp_path / "out"), "--implementation", "absent"]
    assert run.main(asked) == 2
    assert f"error: 'absent' cannot run: {reason}" in capsys.readouterr().err
    monkeypatch.setattr(harness, "compared", lambda: ["alpha", "absent"])
    assert run.main(asked[:2]) == 0
    found = {(r["implementation"], r["status"]) for r in results.read(tmp_path / "out" / "results.csv")}
    assert found == {("alpha", "ok"), ("absent", "skipped" if "no_such" in module else "failed")}


def test_a_broken_library_is_no_skip(monkeypatch):
    monkeypatch.setitem(IMPLEMENTATIONS, "broken", "sdegrad.no_such_module:implementation")
    with pytest.raises(ModuleNotFoundError):
        harness.why_not("broken", "cpu")


def test_a_library_goes_by_one_name(library):
    library("other")
    (source := Path(sys.path[0]) / "toy.py").write_text(source.read_text().replace("Toy(name)", "Toy('another')"))
    assert "registered as 'other' and names itself 'another'; give it one name." in str(harness.why_not("other", "cpu"))


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


@pytest.mark.slow
def test_resume_and_another_run(library, one_case, tmp_path, monkeypatch):
    library("alpha", "beta")
    out = tmp_path / "out"
    arguments = ["--implementation", "alpha", "--out", str(out)]
    assert run.main(arguments) == 0
    first = results.read(out / "results.csv")
    assert {(r["implementation"], r["status"]) for r in first} == {("alpha", "ok")}

    def never(*_):
        raise AssertionError("measured again")

    with monkeypatch.context() as m:
        m.setattr(Worker, "measure", never)
        assert run.main(arguments) == 0
    assert results.read(out / "results.csv") == first

    assert run.main(["--implementation", "beta", "--out", str(out)]) == 0
    both = results.read(out / "results.csv")
    assert both[: len(first)] == first
    assert {r["implementation"] for r in both} == {"alpha", "beta"}

    other = replace(context(1), run="another", threads=2)
    with monkeypatch.context() as m:
        m.setattr(run, "context", lambda threads: other)
        assert run.main(arguments) == 0
        assert {(r["implementation"], r["threads"]) for r in results.read(out / "results.csv")} == {("alpha", "2")}
    with monkeypatch.context() as m:
        m.setattr(Worker, "measure", never)
        assert run.main(arguments) == 0
    assert results.read(out / "results.csv") == both


def test_a_mended_library_is_measured_again_and_no_other(library, tmp_path, monkeypatch):
    library("alpha", "beta")
    source, known = Path(sys.path[0]) / "toy.py", {name: harness.source(name) for name in harness.names()}
    assert [known[name] for name in IMPLEMENTATIONS] == [""] * len(IMPLEMENTATIONS)
    assert known["alpha"] != known["beta"]
    info = tmp_path / "libraries" / "one_more-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Name: one_more\nVersion: 1\n")
    assert harness.source("alpha") == known["alpha"]
    assert context(1).run == context(1).run
    with (info.parent / "toy-1.dist-info" / "METADATA").open("a") as file:
        file.write("Requires-Dist: one_more>=1; python_version > '3'\n")
    requiring = harness.source("alpha")
    assert requiring != known["alpha"]
    (info / "METADATA").write_text("Name: one_more\nVersion: 2\n")
    assert harness.source("alpha") not in (requiring, known["alpha"])
    before = harness.source("alpha")
    source.write_text(source.read_text() + "# mended\n")
    assert harness.source("alpha") != before


@pytest.mark.slow
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
    assert run.other_tools(asked, where) == 1
    assert not run.head_to_heads(tmp_path, "a").exists()
    code = 0
    assert run.other_tools(asked, where) == 0
    assert run.head_to_heads(tmp_path, "a").exists()
    run.other_tools(asked, where)
    assert commands == ["pytest", *asv, "pytest", *asv, *asv]
    run.other_tools(asked, replace(where, run="b"))
    assert commands[-1 - len(asv)] == "pytest"


DIED, BAD_DAY = "the process died (exit code 11)", "ArithmeticError: a bad day"


@pytest.mark.parametrize(
    ("kind", "how", "reason"),
    [
        ("time", "crash", DIED),
        ("nfe", "crash", DIED),
        pytest.param("time", "hang", "no sign of life for 10 s; the process was ended", marks=pytest.mark.slow),
        ("nfe", "orphan", DIED),  # what it leaves behind holds the pipe open
        ("time", "raise", BAD_DAY),
        ("nfe", "raise", BAD_DAY),
        ("time", "raiselate", BAD_DAY),
        (
            "time",
            "onepath",
            "ValueError: outputs must have the shape (2, 2, 2), got (2, 1, 2); return all that was asked for.",
        ),
        ("time", "diverge", "Diverged: outputs are not finite; the solver diverged, a smaller dt may help."),
        ("time", "refuseraise", "ArithmeticError: no \\x1b[31midea"),
    ],
)
@pytest.mark.slow
def test_a_failure_costs_its_own_row(kind, how, reason, library, tmp_path):
    """Of each faulty library a failed row with the reason; the one beside it is measured all the same."""
    library("alpha", name := f"bad_{how}")
    worker = Worker(threads=1, patience=10 if how in ("hang", "orphan") else 300)
    try:
        rows = list(worker.measure(replace(TOY, kind=kind), ["alpha", name], "cpu", BUDGET, quiet))
    finally:
        worker.close()
    found = {(r["implementation"], r["measure"]): r for r in rows}
    main = "solve_time" if kind == "time" else "nfe_drift"
    assert (found[name, main]["status"], found[name, main]["reason"]) == ("failed", reason)
    assert found["alpha", main]["status"] == "ok"
    if kind == "time":
        assert float(found["alpha", main]["low"]) <= float(found["alpha", main]["value"])


@pytest.mark.slow
def test_a_library_that_forks_answers_once(library):
    """A copy of the process that a library leaves at work says nothing: its answers would be those to the next case."""
    library("bad_fork")
    worker = Worker(threads=1, patience=60)
    try:
        for _ in range(3):
            for kind, measures in (("nfe", ["nfe_drift", "nfe_diffusion"]), ("time", TIMED)):
                rows = list(worker.measure(replace(TOY, kind=kind), ["bad_fork"], "cpu", BUDGET, quiet))
                assert [r["measure"] for r in rows] == measures
    finally:
        worker.close()


TIMED = ["compile_time", "weak_error", "solve_time"]


@pytest.mark.skipif(os.name != "posix", reason="there are no groups of processes")
def test_what_a_library_has_started_ends_with_its_process(library, tmp_path):
    """Left alone it would disturb whatever is timed next."""
    library("alpha", bad_starter="starter")
    (tmp_path / "libraries" / "starter.py").write_text(
        "import subprocess, sys, toy\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        f"open({str(tmp_path / 'id')!r}, 'w').write(str(child.pid))\n"
        "bad_starter = toy.Toy('bad_starter')\n"
    )
    worker = Worker(threads=1)
    worker.why_not("bad_starter", "cpu")
    child = int((tmp_path / "id").read_text())
    os.kill(child, 0)  # it is there
    worker.close()
    end = time.monotonic() + 10
    while _runs(child) and time.monotonic() < end:
        time.sleep(0.02)
    assert not _runs(child)


def _runs(process):
    try:
        os.kill(process, 0)
        status = Path(f"/proc/{process}/stat")
        return not status.exists() or status.read_text().rpartition(")")[2].split()[0] != "Z"
    except ProcessLookupError:
        return False


ODD = [
    *(("Run", "count", Counts(steps=0, drift=n, diffusion=0)) for n in (0, 1)),
    *(("Run", "operations", n) for n in (-1, float("nan"), float("inf"), 1e200, "many", np.array([3.0]))),
    ("Toy", "versions", ("1" * 1000, "\x1b" * 1000)),
    *(("Toy", "unsupported", answer) for answer in (False, "", " ", "x" * 1_000_000)),
    *(("Toy", "unavailable", answer) for answer in (True, False, "", "x" * 1_000_000)),
]


@pytest.mark.parametrize(("of", "method", "answer"), ODD)
def test_whatever_a_library_answers_the_table_can_be_read(of, method, answer, library, tmp_path, monkeypatch):
    """And nobody else pays for it."""
    library("alpha", "beta")
    toy = import_module("toy")
    usual = getattr(getattr(toy, of), method, lambda *_: None)

    def odd(self, *asked):
        name = self.name if of == "Toy" else "alpha"
        return answer if name == "alpha" else usual(self, *asked)

    monkeypatch.setattr(getattr(toy, of), method, odd, raising=False)
    rows = list(measuring.measure(TOY, ["alpha", "beta"], "cpu", BUDGET, quiet))
    results.write(tmp_path / "results.csv", rows)
    assert from_results(tmp_path / "results.csv") == rows
    mine = [r for r in rows if r["implementation"] == "alpha"]
    assert all(r["status"] == "ok" or r["reason"] for r in mine)
    assert method == "versions" or {r["status"] for r in mine} & {"failed", "skipped"}
    assert of == "Run" or {r["status"] for r in rows if r["implementation"] == "beta"} == {"ok"}


@pytest.mark.parametrize("value", [-1.0, float("nan"), float("-inf"), 2, 1e-200, True])
def test_counts_that_are_no_counts(value, library, monkeypatch):
    library("alpha")
    toy, calls = import_module("toy"), iter((0, value))
    monkeypatch.setattr(
        toy.Run, "count", lambda self: Counts(steps=round(1 / self.task.dt), drift=4 * next(calls), diffusion=4)
    )
    rows = list(measuring.measure(TOY, ["alpha"], "cpu", BUDGET, quiet))
    sound = value in (1, 2)
    assert [r["status"] for r in rows if r["measure"] == "nfe_drift"] == ["ok" if sound else "failed"]
    assert sound or "nfe_drift must be 0 or" in rows[-1]["reason"]


@pytest.mark.parametrize("kind", ["nfe", "strong_error"])
def test_evaluations_that_nobody_can_count(kind, library, monkeypatch):
    """The contract allows it: the other measurements of the case are made."""
    library("alpha")

    def count(self):
        raise NotImplementedError("it is all one loop in C.")

    monkeypatch.setattr(import_module("toy").Run, "count", count)
    rows = list(measuring.measure(replace(TOY, kind=kind), ["alpha"], "cpu", BUDGET, quiet))
    (uncounted,) = (r for r in rows if r["status"] != "ok")
    assert (uncounted["status"], uncounted["measure"]) == ("skipped", "nfe_drift")
    assert uncounted["reason"] == "it is all one loop in C."
    assert kind == "nfe" or [r["status"] for r in rows if r["measure"] == "strong_order"] == ["ok"]


def test_operations_that_cannot_be_told_cost_nothing_else(library, monkeypatch):
    library("alpha")
    monkeypatch.setattr(import_module("toy").Run, "operations", lambda self: 1 / 0, raising=False)
    rows = list(measuring.measure(TOY, ["alpha"], "cpu", BUDGET, quiet))
    assert [(r["measure"], r["status"]) for r in results.latest(rows)] == [
        ("nfe_drift", "ok"),
        ("nfe_diffusion", "ok"),
        ("operations", "failed"),
    ]


@pytest.mark.parametrize("how", ["raise", "refuseraise", "nogradient"])
@pytest.mark.slow
def test_a_comparison_that_is_left_with_nobody(how, library):
    library(name := f"bad_{how}")
    case = replace(TOY, kind="time", adjoints=("reversible",) if how == "nogradient" else (None,))
    (row,) = measuring.measure(case, [name], "cpu", BUDGET, quiet)
    assert row["status"] == ("skipped" if how == "nogradient" else "failed")
    assert row["dt"] == repr(case.dts[0])


@pytest.mark.slow
def test_a_late_crash_is_not_that_of_whoever_is_at_work(library):
    library("alpha", "bad_crashlater")
    worker = Worker(threads=1)
    try:
        slow = measuring.Budget(seconds=1.0, rounds=10_000)
        rows = list(worker.measure(replace(TOY, kind="time"), ["alpha", "bad_crashlater"], "cpu", slow, quiet))
    finally:
        worker.close()
    last = {r["implementation"]: r for r in rows if r["measure"] == "solve_time"}
    assert last["alpha"]["status"] == "ok"
    assert last["bad_crashlater"]["reason"] == "the process died (exit code 11)"


@pytest.mark.slow
def test_what_libraries_print_stays_out_of_the_table(library, one_case, tmp_path, capfd):
    library("alpha", "bad_refuseraise")
    asked = ["--implementation", "alpha", "--implementation", "bad_refuseraise", "--out", str(tmp_path / "out")]
    assert run.main(asked) == 1  # of one that was asked for there is nothing
    printed = capfd.readouterr()
    assert "Exit code 1: this run is for bad_refuseraise, of which nothing was measured." in printed.err
    assert "chatter" not in printed.out + printed.err
    assert ESCAPE not in printed.out + printed.err
    assert "failed: bad_refuseraise: ArithmeticError: no \\x1b[31midea" in printed.err
    assert re.search(
        r"Failed: 1 of \d rows\. The reasons stand in results.csv, tracebacks in printed.txt; with", printed.err
    )
    kept = (tmp_path / "out" / "printed.txt").read_text()
    assert "chatter" in kept
    assert 'raise ArithmeticError(f"no {ESCAPE}idea")' in kept  # a traceback


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("refuseexit", "SystemExit: bye"),
        ("refuseinterrupt", "KeyboardInterrupt"),
        ("refusenumber", "TypeError: unsupported must return a sentence or None, got 42."),
    ],
)
def test_a_library_that_ends_the_program_keeps_its_reason(library, how, reason):
    library(name := f"bad_{how}", "alpha")
    worker = Worker(threads=1)
    try:
        rows = list(worker.measure(TOY, [name, "alpha"], "cpu", BUDGET, quiet))
    finally:
        worker.close()
    assert {(r["implementation"], r["status"], r["reason"]) for r in rows} == {
        (name, "failed", reason),
        ("alpha", "ok", ""),
    }


@pytest.mark.slow
def test_a_library_that_can_do_nothing_is_told_of(library, one_case, tmp_path, capfd, monkeypatch):
    """And the run ends with 1 if it was for that library: by name, or for it is ours; also where it is resumed."""
    library("alpha", "bad_nothing")
    monkeypatch.setattr(harness, "compared", lambda: ["alpha", "bad_nothing"])
    at = ["--out", str(tmp_path / "out")]
    assert run.main(at) == 0
    assert "Exit code 1" not in capfd.readouterr().err
    for _ in range(2):
        assert run.main([*at, "--implementation", "bad_nothing"]) == 1
        told = capfd.readouterr().err
        assert "bad_nothing was measured at nothing: bad_nothing can do nothing." in told
        assert "Exit code 1: this run is for bad_nothing, of which nothing was measured." in told
    monkeypatch.setattr("suite.work.OURS", ("bad_nothing",))
    assert run.main(at) == 1
    monkeypatch.setattr("suite.work.OURS", ("alpha",))
    assert run.main(at) == 0


def test_a_library_without_the_method_is_measured_with_its_best(library):
    library("alpha")
    case = replace(TOY, method="reversible_heun", sde_type="stratonovich", any_method=True)
    rows = list(measuring.measure(case, ["alpha"], "cpu", BUDGET, quiet))
    assert {(r["status"], r["method"]) for r in rows} == {("ok", "euler")}
    rows = list(measuring.measure(replace(case, any_method=False), ["alpha"], "cpu", BUDGET, quiet))
    assert [(r["status"], r["method"]) for r in rows] == [("skipped", "reversible_heun")]
    assert isinstance(choice := harness.choose("torchsde", replace(case, method="ees25"), "cpu"), harness.Trial)
    assert choice.case.method == "milstein"  # of order one and the fewest evaluations of all that it has


def test_a_library_without_the_method_is_in_the_headline():
    work = {"problem": "mlp", "adjoint": "backprop", "batch": 128, "dt": 0.01, "steps": 100}
    rows = [row(name, "gradient_time", 1.0, method="reversible_heun", **work) for name in ("torchsde", "sdegrad_torch")]
    rows += [row("torchsde", "gradient_time", 4.0, method="heun", **work)]
    rows += [row("mylib", "gradient_time", 5.0, method="heun", **work)]
    told = tables.headline(settings(tidy(rows))[0]).text(first=200)
    assert "5.00 s" in told
    assert "4.00 s" not in told


def test_sources_inside_another_repository_are_not_its_commit(tmp_path, monkeypatch):
    """As of an unpacked archive. And what the environment says of another repository is not about this one."""
    assert context(1).commit != "unknown"
    subprocess.run(["git", "init", "--quiet", str(tmp_path)], check=True)
    inner = tmp_path / "sdegrad"
    inner.mkdir()
    monkeypatch.setattr(places, "ROOT", inner)
    (inner / "constraints.txt").write_text("")
    monkeypatch.setenv("GIT_DIR", str(Path(run.__file__).parents[1] / ".git"))
    assert (context(1).commit, context(1).dirty) == ("unknown", False)


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
def test_strong_error_and_order():
    case = Case(kind="strong_error", problem="gbm", sizes={"paths": 1000}, dts=(1 / 8, 1 / 16, 1 / 32), dtype="float64")
    rows = list(measuring.measure(case, ["sdegrad_torch"], "cpu", BUDGET, quiet))
    order = next(r for r in rows if r["measure"] == "strong_order")
    assert float(order["low"]) < 1.0 + 0.1
    assert float(order["high"]) > 0.9
    errors = [float(r["value"]) for r in rows if r["measure"] == "strong_error"]
    assert errors == sorted(errors, reverse=True)


@pytest.mark.slow
def test_peak_memory_sees_what_is_allocated():
    def work():
        return np.ones(1_000_000).sum()

    assert 8_000_000 <= sweeping.peak_memory(work) < 8_800_000


def test_the_cases_are_sound():
    """Every case can be made, is in some preset, and is there once."""
    assert len(set(map(repr, CASES))) == len(CASES)
    for case in CASES:
        assert case.presets
        if case.problem:
            assert case.make().y0.ndim == 2
    assert all(select(preset) for preset in ("smoke", "bench", "full"))
