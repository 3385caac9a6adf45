"""What was measured is kept: beside other runs, through kills, cuts, full disks and strangers' files."""

import errno
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace

import pytest

from suite import results, store
from suite.cases import Case
from suite.provenance import ROOT, Context
from suite.store import Journal, Place, Store, key_id, locked
from tests.suite.toy import install

HERE = Context(commit="c", dirty=False, machine="m", threads=1, run="0123456789ab")
RUNS = {"alpha": HERE.run, "beta": HERE.run}
CASE = Case(kind="nfe", problem="gbm", sizes={"paths": 2, "dim": 2}, dts=(0.25, 0.125))
TIMES = replace(CASE, kind="time")


def row(value, name="alpha", **columns):
    given = {"measure": "nfe_drift", "device": "cpu", "implementation": name, "status": "ok", "value": value}
    return results.row(**given | columns)


def values(table):
    return [(r["implementation"], r["value"]) for r in table]


def measured(folder, rows, case=CASE, where=HERE, runs=RUNS):
    kept = Store(folder, Place(where, runs))
    for r in rows:
        kept.add(r)
    kept.finish(case, "cpu")
    return kept


# One run


def test_what_is_finished_is_found_again_and_nothing_else(tmp_path):
    kept = measured(tmp_path, [row(1.0), row(2.0, "beta")])
    kept.add(row(3.0, method="heun"))  # of a case that is interrupted here
    again = Store(tmp_path, Place(HERE, RUNS))
    assert again.missing(CASE, "cpu", ["alpha", "beta"]) == []
    assert again.missing(CASE, "cuda", ["alpha"]) == again.missing(TIMES, "cpu", ["alpha"]) == ["alpha"]
    assert values(results.read(tmp_path / "results.csv")) == [("alpha", "1.0"), ("beta", "2.0"), ("alpha", "3.0")]


def test_a_comparison_of_times_is_made_with_all(tmp_path):
    kept = measured(tmp_path, [row(1.0)], TIMES)
    assert kept.missing(TIMES, "cpu", ["alpha"]) == []
    assert kept.missing(TIMES, "cpu", ["alpha", "beta"]) == ["alpha", "beta"]


def test_a_measurement_made_again_replaces_the_first_whatever_its_samples(tmp_path):
    kept = measured(tmp_path, [row(1.0, samples=7)])
    kept.add(row(2.0, samples=9))
    kept.finish(CASE, "cpu")
    assert values(kept.table()) == [("alpha", "2.0")]


def test_a_failure_is_tried_again_on_request_and_then_gone(tmp_path):
    kept = measured(tmp_path, [row("", status="failed", reason="no")])
    assert kept.missing(CASE, "cpu", ["alpha"]) == []
    assert kept.missing(CASE, "cpu", ["alpha"], retry=True) == ["alpha"]
    kept.add(row(2.0, dt=0.5, adjoint="reversible"))  # of other columns than the failure had
    kept.finish(CASE, "cpu")
    for table in (kept.table(), results.read(tmp_path / "results.csv"), Store(tmp_path, Place(HERE, RUNS)).table()):
        assert values(table) == [("alpha", "2.0")]


@pytest.mark.parametrize("kept_bytes", range(1, 1200, 97))
def test_wherever_a_file_is_cut_what_is_gone_is_missing(kept_bytes, tmp_path):
    """A row is in the table if its line is whole; the work is finished if all its lines and its mark are."""
    measured(tmp_path, [row(1.0), row(2.0, dt=0.5), row(3.0, "beta")])
    (tmp_path / "results.csv").unlink()
    path = tmp_path / "runs" / f"{HERE.run}.csv"
    content = path.read_bytes()[:kept_bytes]
    path.write_bytes(content)
    lines = max(0, content.count(b"\n") - 1)
    again = Store(tmp_path, Place(HERE, RUNS))
    assert values(again.table()) == [("alpha", "1.0"), ("alpha", "2.0"), ("beta", "3.0")][:lines]
    assert again.missing(CASE, "cpu", ["alpha", "beta"]) == (["alpha"] if lines < 2 else []) + ["beta"] * (lines < 3)
    again.add(row(5.0, "beta"))
    again.finish(CASE, "cpu")
    assert values(Store(tmp_path, Place(HERE, RUNS)).table())[-1] == ("beta", "5.0")


def test_a_table_cut_at_the_end_of_a_line_is_whole_again(tmp_path):
    measured(tmp_path, [row(1.0), row(2.0, "beta")])
    table = tmp_path / "results.csv"
    whole = table.read_text()
    table.write_text("".join(whole.splitlines(keepends=True)[:2]))
    assert Store(tmp_path, Place(HERE, RUNS)).missing(CASE, "cpu", ["alpha", "beta"]) == []
    assert table.read_text() == whole


MARKS = ('[["a", "b", "c"], ["k"]]', '[["a", "b", "c"], 5]', '[{"a": 1}, []]', '[["a", "b", "c"], [[1], {}]]', "\udcff")


@pytest.mark.parametrize("line", ["nonsense", "[]", "3", '[["a"], 5]', *MARKS])
def test_a_mark_that_says_nothing_finishes_nothing(line, tmp_path):
    measured(tmp_path, [row(1.0)])
    (tmp_path / "runs" / f"{HERE.run}.done").write_text(line + "\n", errors="surrogateescape")
    again = Store(tmp_path, Place(HERE, RUNS))
    assert again.missing(CASE, "cpu", ["alpha"]) == ["alpha"]
    assert values(again.table()) == [("alpha", "1.0")]


# Many runs


def test_runs_lie_side_by_side(tmp_path):
    other = replace(HERE, run="ba9876543210", threads=2)
    their_runs = dict.fromkeys(RUNS, other.run)
    measured(tmp_path, [row(1.0)])
    measured(tmp_path, [row(2.0)], where=other, runs=their_runs)
    measured(tmp_path, [row(3.0, "beta")])
    assert values(results.read(tmp_path / "results.csv")) == [("alpha", "1.0"), ("beta", "3.0")]
    assert values(Store(tmp_path, Place(other, their_runs)).table()) == [("alpha", "2.0")]
    assert {r["threads"] for r in results.read(tmp_path / "results.csv")} == {"2"}


def test_a_machine_that_comes_later_is_in_the_table(tmp_path):
    kept = measured(tmp_path, [row(1.0)])
    later = replace(HERE, run="ba9876543210", machine="another")
    kept.add(row(2.0), Place(later, dict.fromkeys(RUNS, later.run)))
    kept.finish(TIMES, "cpu")
    assert (
        values(kept.table()) == values(results.read(tmp_path / "results.csv")) == [("alpha", "1.0"), ("alpha", "2.0")]
    )
    assert [r["machine"] for r in kept.table()] == ["m", "another"]


def test_a_changed_library_is_measured_again_beside_the_others(tmp_path):
    runs = RUNS | {"beta": HERE.known_by("a source")}
    measured(tmp_path, [row(1.0), row(2.0, "beta")], runs=runs)
    changed = Store(tmp_path, Place(HERE, RUNS | {"beta": HERE.known_by("another source")}))
    assert changed.missing(CASE, "cpu", ["alpha", "beta"]) == ["beta"]
    assert values(changed.table()) == [("alpha", "1.0")]
    assert values(Store(tmp_path, Place(HERE, runs)).table()) == [("alpha", "1.0"), ("beta", "2.0")]


def test_rows_of_an_older_bench_or_a_stranger_are_kept_inside_the_folder(tmp_path):
    out = tmp_path / "a" / "b"
    strange = [row(float(k), run=run) for k, run in enumerate(("x/../../../elsewhere", "", "/etc/x", "results", "\0"))]
    results.write(out / "results.csv", strange)
    kept = measured(out, [row(9.0)])
    assert kept.adopted == len(strange)
    files = [p.relative_to(tmp_path) for p in tmp_path.rglob("*") if p.is_file()]
    assert {str(p.parent) for p in files} == {"a/b", "a/b/runs"}
    held = [v for p in (out / "runs").glob("*.csv") for v in values(results.read(p))]
    assert Counter(held) == Counter([*values(strange), ("alpha", "9.0")])
    assert values(kept.table()) == [("alpha", "9.0")]
    assert Store(out, Place(HERE, RUNS)).adopted == 0


HEAD = ",".join(results.COLUMNS)
HOSTILE = {
    "UTF-16": (HEAD + "\n").encode("utf-16"),
    "gzip": b"\x1f\x8b\x08\x00\xff\xff",
    "long field": (HEAD + "\n" + results.text([row(1.0) | {"reason": "x" * 200_000}], header=False)).encode(),
    "no header": b"a,b\n1,2\n",
    "empty": b"",
    "quote": (HEAD + '\n"' + "," * 37 + "\n").encode(),
    "escapes": (HEAD + "\n" + "\x1b[31m" * 3 + "," * (len(results.COLUMNS) - 1) + "\n").encode(),
    "half a line": (HEAD + "\n2,\x1b[31m").encode(),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_table_that_cannot_be_used_is_left_alone(name, tmp_path):
    table = tmp_path / "results.csv"
    table.write_bytes(HOSTILE[name])
    with pytest.raises(results.ResultsError, match=r"move .* away \(nothing was changed\)") as failure:
        Store(tmp_path, Place(HERE, RUNS))
    assert results.printable(str(failure.value)) == str(failure.value)
    assert table.read_bytes() == HOSTILE[name]


def test_text_is_kept_on_one_line_and_printable():
    strange = row(1.0, reason="a\nb\x1b[2J\u202e\ud800\r\0")
    assert strange["reason"] == "a b\\x1b[2J\\u202e\\ud800 \\x00"
    assert results.text([strange], header=False).count("\n") == 1


# One bench at a time, and disks that are full


HOLD = """
import sys, time
from pathlib import Path
from suite.store import locked
with locked(Path(sys.argv[1])):
    print("here", flush=True)
    time.sleep(60)
"""


def test_two_benches_in_one_folder(tmp_path):
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "here\n"
        message = r"another run is at work in .*; wait for its end, or name another folder"
        with pytest.raises(ValueError, match=message):
            locked(tmp_path).__enter__()
        process.kill()
    with locked(tmp_path):
        pass


def test_a_full_disk(tmp_path, monkeypatch):
    """Half a row reaches the disk: it is taken back, what was kept before is told, and the run goes on later."""
    kept = measured(tmp_path, [row(1.0)])
    write = os.write

    def half(file, content):
        if len(content) > 10:
            return write(file, content[: len(content) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(store.os, "write", half)
    message = r"cannot be written \(.*\); 1 rows are kept in .*/runs, perhaps not the last that was measured. Make"
    with pytest.raises(results.ResultsError, match=message):
        kept.add(row(2.0, "beta"))
    monkeypatch.undo()
    assert values(Store(tmp_path, Place(HERE, RUNS)).table()) == [("alpha", "1.0")]
    kept.add(row(2.0, "beta"))
    kept.finish(CASE, "cpu")
    assert values(Store(tmp_path, Place(HERE, RUNS)).table()) == [("alpha", "1.0"), ("beta", "2.0")]


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(results.ResultsError, match=r"nothing can be written in .*; name another folder with --out"):
        locked(tmp_path / "file" / "out").__enter__()


# Kills


DRIVER = """
import sys
from suite import cases
from suite.cases import Case

toy = {"sde_type": "ito", "method": "euler", "presets": ("smoke",)}
small = {"sizes": {"paths": 8, "dim": 2}, **toy}
cases.CASES = (
    Case(kind="time", problem="gbm", dts=(0.25,), **small),
    Case(kind="nfe", problem="gbm", dts=(0.25, 0.125), **small),
    Case(kind="strong_error", problem="gbm", dts=(0.25, 0.125, 0.0625), **small),
    Case(kind="strong_error", problem="ou", dts=(0.25, 0.125), sizes={"paths": 8}, **toy),
    Case(kind="nfe", problem="mlp", dts=(0.25, 0.125), sizes={"paths": 8, "dim": 2, "hidden": 2}, **toy),
)
from types import SimpleNamespace
from suite import run, work
from suite.timing import Budget

work.measuring = SimpleNamespace(Budget=lambda **_: Budget(seconds=0.1))
run.report = lambda asked, name: 0
if __name__ == "__main__":
    sys.exit(run.main())
"""
FILTERS = (
    ["--implementation", "alpha"],
    ["--implementation", "beta", "--problem", "gbm"],
    ["--implementation", "alpha", "--implementation", "beta", "--problem", "ou", "--problem", "mlp"],
    ["--implementation", "beta"],
)
ALL = ["--implementation", "alpha", "--implementation", "beta"]


BATCH = 5  # kills after which a bench is brought to its end, and another begun


def deterministic(table):
    without = {"time", "run"}
    rows = [r for r in table if not r["measure"].endswith("_time")]
    return [{c: v for c, v in r.items() if c not in without} for r in rows]


def finished(folder):
    """The keys of all that is finished in a folder that no bench is at work in."""
    journals = [Journal(folder / "runs", path.stem) for path in folder.glob("runs/*.csv")]
    return {key for journal in journals for work, keys in journal.done.items() if journal.has(work) for key in keys}


@pytest.mark.slow
def test_killed_at_any_moment_and_resumed(tmp_path, request):
    """kill -9 with filters and threads changing in between: every finished measurement is kept, and is in the table
    once; in the end all of it is that of an uninterrupted run. `--kills 100` for the long form."""
    install(tmp_path, "alpha", "beta")
    driver = tmp_path / "driver.py"
    driver.write_text(DRIVER)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join((str(tmp_path), str(ROOT / "impls"), str(ROOT)))}
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()

    def start(out, *arguments):
        command = [sys.executable, str(driver), "--smoke", "--out", str(out), *arguments]
        return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)

    def finish(out):
        process = start(out, "--threads", "1", *ALL)
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
        return results.read(out / "results.csv")

    begin = time.monotonic()
    whole = finish(tmp_path / "whole")
    longest = time.monotonic() - begin
    assert {r["status"] for r in whole} == {"ok"}
    chance, kills = random.Random(0), request.config.getoption("--kills")
    for number in range(kills):
        out = tmp_path / f"killed-{number // BATCH}"
        before = finished(out)
        process = start(out, "--threads", str(chance.choice((1, 1, 1, cores))), *chance.choice(FILTERS))
        time.sleep(chance.uniform(0.2, 0.9) * longest)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert before <= finished(out)
        if (number + 1) % BATCH == 0 or number + 1 == kills:
            killed = finish(out)
            assert len(set(map(key_id, killed))) == len(killed) == len(whole)
            assert set(map(key_id, killed)) <= finished(out)
            assert deterministic(killed) == deterministic(whole)
