"""Works at the workers of a Dask scheduler: each answered once, times one at a time, and what dies costs itself."""

import os
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import pytest

from suite import cluster, provenance, results, run
from suite.cases import Case
from suite.cluster import Cluster, ClusterError, Died, Task, connected, in_process
from suite.verify import __main__ as verify
from tests.suite.toy import install

pytest.importorskip("distributed")
DASK = [sys.executable, "-m", "dask"]
SMALL = {"problem": "gbm", "method": "euler", "sde_type": "ito", "sizes": {"paths": 2}, "dts": (0.25, 0.125)}


def noted(folder, name, seconds):
    """Begin and end of a task, as a file."""
    begin = time.time()
    time.sleep(seconds)
    (Path(folder) / name).write_text(f"{begin} {time.time()}")
    return name


def killed_once(flag):
    if not Path(flag).exists():
        Path(flag).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return "made"


def killed_always():
    os.kill(os.getpid(), signal.SIGKILL)


def pid_after(seconds):
    time.sleep(seconds)
    return os.getpid()


def free_port():
    with socket.socket() as any_port:
        any_port.bind(("127.0.0.1", 0))
        return any_port.getsockname()[1]


class Machines:
    """A scheduler and its workers, as a user starts them: programs of their own."""

    def __init__(self, folder):
        self.address, self.programs, self._folder = f"tcp://127.0.0.1:{free_port()}", [], folder

    def start(self, *arguments, **environment):
        path = os.pathsep.join([str(self._folder / "libraries"), *filter(None, sys.path)])
        inherited = {**os.environ, "PYTHONPATH": path, "DASK_DISTRIBUTED__WORKER__DAEMON": "False"}
        program = subprocess.Popen(
            [*DASK, *arguments],
            env=inherited | environment,
            cwd=self._folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.programs.append(program)
        return program

    def scheduler(self):
        port = self.address.rpartition(":")[2]
        return self.start("scheduler", "--port", port, "--no-dashboard", "--dashboard-address", ":0")

    def worker(self, *more, **environment):
        own = ("--nthreads", "1", "--no-dashboard", "--dashboard-address", ":0")
        return self.start("worker", self.address, *own, *more, **environment)

    def end(self):
        for program in self.programs:
            program.kill()
            program.wait()


@pytest.fixture
def machines(tmp_path):
    started = Machines(tmp_path)
    started.scheduler()
    yield started
    started.end()


@pytest.fixture(scope="module")
def local():
    with connected("local") as cluster:
        yield cluster


def test_every_task_is_answered_once_and_times_are_never_taken_side_by_side(local, tmp_path):
    local.check_timing()
    tasks = [Task(noted, (tmp_path, f"{n}", 0.1), timed=n < 3) for n in range(6)]
    found = list(local.answers(tasks))
    assert sorted(found) == [(n, f"{n}") for n in range(6)]
    assert {n for n, _ in found[:3]} == {3, 4, 5}, "those without times come first"
    spans = [tuple(map(float, (tmp_path / f"{n}").read_text().split())) for n in range(6)]
    timed = sorted(spans[:3])
    assert max(end for _, end in spans[3:]) <= timed[0][0], "nothing runs beside a time"
    assert all(end <= begin for (_, end), (begin, _) in pairwise(timed))


@pytest.mark.slow
def test_a_worker_that_dies_costs_its_task_alone_which_is_made_elsewhere(local, tmp_path):
    tasks = [Task(killed_once, (tmp_path / "flag",)), *(Task(noted, (tmp_path, f"{n}", 0.0)) for n in range(4))]
    assert dict(local.answers(tasks)) == {0: "made", **{n + 1: f"{n}" for n in range(4)}}


def test_a_worker_of_other_code_that_came_later_gives_no_answer(local, monkeypatch):
    monkeypatch.setattr(provenance, "code", lambda: "0123")
    with pytest.raises(ClusterError, match=r"runs other code or other versions than its client \(\w+, there 0123\)"):
        list(local.answers([Task(pid_after, (0.0,))]))


def test_a_second_worker_for_times_that_came_later_waits(tmp_path, monkeypatch):
    monkeypatch.setattr(cluster, "gettempdir", lambda: str(tmp_path))
    ask = partial(cluster._at_worker, provenance.code(), True, noted, tmp_path)
    with ThreadPoolExecutor(2) as two:
        assert sorted(two.map(ask, "ab", (0.1, 0.1))) == ["a", "b"]
    (_, end), (begin, _) = sorted(tuple(map(float, (tmp_path / n).read_text().split())) for n in "ab")
    assert end <= begin


@pytest.mark.slow
def test_a_process_lives_for_so_many_calls_and_its_death_is_an_answer():
    ask = partial(in_process, pid_after, 0.0, fresh_after=2)
    first, second, third, dead, after = (ask(), ask(), ask(), in_process(killed_always, fresh_after=9), ask())
    assert first == second != third
    assert dead == Died("the process that measured it died")
    assert after not in (first, third)


@pytest.fixture
def two_cases(tmp_path, monkeypatch):
    """A bench of two quick cases of a toy library."""
    folder = tmp_path / "libraries"
    install(folder, "toy")
    monkeypatch.syspath_prepend(folder)
    monkeypatch.delitem(sys.modules, "toy", raising=False)
    monkeypatch.setattr(run, "select", lambda *_: [Case(kind="nfe", **SMALL), Case(kind="strong_error", **SMALL)])
    monkeypatch.setattr(run, "report", lambda asked, name: 0)
    yield lambda out, *more: run.main(["--implementation", "toy", "--out", str(tmp_path / out), *more])
    sys.modules.pop("toy", None)


def told(file):
    """What must be the same whoever measured it."""
    rows = [r for r in results.read(file) if not r["measure"].endswith("_time")]
    return [{c: v for c, v in r.items() if c != "time"} for r in rows]


@pytest.mark.slow
def test_the_rows_of_a_cluster_are_those_of_a_plain_run(two_cases, machines, tmp_path, capsys):
    machines.worker("--resources", "timing=1")
    assert two_cases("plain") == 0
    assert two_cases("cluster", "--scheduler", machines.address) == 0
    plain, cluster = (told(tmp_path / out / "results.csv") for out in ("plain", "cluster"))
    assert len(plain) > 3
    assert plain == cluster
    assert "[2/2" in capsys.readouterr().err
    assert two_cases("cluster", "--scheduler", machines.address) == 0
    assert "2 of 2 cases are measured already" in capsys.readouterr().err


@pytest.mark.exhaustive
@pytest.mark.slow
def test_the_rows_of_a_verification_are_those_of_a_plain_run(tmp_path, capsys):
    filters = ["--implementation", "numpy_by_hand", "--check", "count"]
    for out, more in (("plain", ["--jobs", "1"]), ("cluster", ["--scheduler", "local"])):
        verify.main([*filters, "--out", str(tmp_path / out), *more])
    lines = [(tmp_path / out / "verification.csv").read_text().splitlines() for out in ("plain", "cluster")]
    assert len(lines[0]) > 1
    assert [line.split(",")[:11] for line in lines[0]] == [line.split(",")[:11] for line in lines[1]]
    assert "To be measured: " in capsys.readouterr().out


@pytest.mark.slow
def test_a_lost_scheduler_keeps_what_was_measured_and_the_same_command_goes_on(machines, tmp_path):
    machines.worker()
    with connected(machines.address) as cluster:
        answers = cluster.answers([Task(noted, (tmp_path, "first", 0.0)), Task(pid_after, (30.0,))])
        assert next(answers) == (0, "first")
        machines.programs[0].kill()
        with pytest.raises(ClusterError, match=r"was lost; what was measured is kept, and the same command goes on"):
            next(answers)
    machines.scheduler()
    machines.worker()
    with connected(machines.address) as again:
        assert list(again.answers([Task(noted, (tmp_path, "second", 0.0))])) == [(0, "second")]


def test_two_clients_with_one_results_file_are_refused(two_cases, tmp_path, capsys):
    with run.locked(tmp_path / "taken"), run.locked(tmp_path / "taken" / "verification"):
        assert two_cases("taken", "--scheduler", "local") == 2
        taken = ["--implementation", "numpy_by_hand", "--check", "count", "--out", str(tmp_path / "taken")]
        assert verify.main([*taken, "--scheduler", "local"]) == 2
    assert capsys.readouterr().err.count("another run is at work in") == 2


# Bad input


def test_no_scheduler_at_the_address(two_cases, monkeypatch, capsys):
    monkeypatch.setattr("suite.cluster.PATIENCE", 1.0)
    assert two_cases("out", "--scheduler", f"tcp://127.0.0.1:{free_port()}") == 2
    told = capsys.readouterr().err
    assert "error: no scheduler with a worker answers at 'tcp://127.0.0.1:" in told
    assert "or give --scheduler local" in told


def test_a_budget_is_for_one_machine(two_cases, capsys):
    assert two_cases("out", "--scheduler", "local", "--budget", "3") == 2
    assert "--budget is for this machine alone" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("timing", "message"),
    [
        ((), "no worker of here offers the resource 'timing'.*start one a machine with --resources timing=1"),
        (("a", "b", "a"), "2 workers on a offer the resource 'timing', and would measure times side by side"),
    ],
)
def test_times_need_one_worker_a_machine(timing, message):
    with pytest.raises(ClusterError, match=message):
        Cluster(SimpleNamespace(), "here", {}, timing).check_timing()


@pytest.mark.exhaustive(
    but=[
        "change0-runs other code or other versions than this process \\\\(\\\\w+, here 0123\\\\)",
        "change1-may not start processes; start it with DASK_DISTRIBUTED__WORKER__DAEMON=False",
    ]
)
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"code": lambda: "0123"}, r"runs other code or other versions than this process \(\w+, here 0123\)"),
        ({"daemon": "True"}, "may not start processes; start it with DASK_DISTRIBUTED__WORKER__DAEMON=False"),
        ({"PYTHONPATH": ""}, "cannot import this suite .*; start the workers in a checkout of this commit"),
    ],
)
def test_a_worker_that_cannot_be_used(change, message, machines, monkeypatch):
    if "code" in change:
        monkeypatch.setattr(provenance, "code", change["code"])
    environment = {"DASK_DISTRIBUTED__WORKER__DAEMON": change["daemon"]} if "daemon" in change else {}
    machines.worker(**environment, **{k: v for k, v in change.items() if k == "PYTHONPATH"})
    with pytest.raises(ClusterError, match=message), connected(machines.address):
        pass


@pytest.mark.parametrize("address", ["", "nope", "http://a:1", "tcp://127.0.0.1", "tcp://:8786x"])
def test_what_is_no_address_is_refused_at_once(address, tmp_path, capsys):
    assert run.main(["--smoke", "--kind", "nfe", "--scheduler", address, "--out", str(tmp_path)]) == 2
    assert f"error: {address!r} is no address of a scheduler" in capsys.readouterr().err
