"""What several processes are worth: how it is measured, and how it is told."""

import itertools
from pathlib import Path

import pytest

from reports import scaling as report
from suite import results
from suite.results import ResultsError
from tests.programs import scaling

ROOT = Path(__file__).parents[2]
REFERENCE = Path("reports/reference/cpu/scaling.csv")


def measured(monkeypatch, path, seconds) -> int:
    monkeypatch.setattr(scaling, "seconds", seconds)
    return scaling.main([str(path)])


def halved(work, processes) -> float:
    return 8.0 / processes


def test_the_reference_stands_in_the_documents(monkeypatch):
    monkeypatch.chdir(ROOT)
    assert report.block(REFERENCE) in Path("reports/docs/devices.md").read_text(encoding="utf-8")


def test_each_work_is_run_by_one_process_and_by_several_in_turn(monkeypatch, tmp_path, capsys):
    path, asked = tmp_path / "scaling.csv", []

    def seconds(work, processes):
        asked.append((work, processes))
        return halved(work, processes)

    assert measured(monkeypatch, path, seconds) == 0
    runs = list(itertools.product(scaling.WORKS, scaling.PROCESSES))
    assert asked == [*runs, *((w, p) for w in scaling.WORKS for p in scaling.PROCESSES[::-1]), *runs]
    assert {r["value"] for r in report.speedups(report.load(path))} == {1.0, 2.0}
    assert path.with_suffix(".png").exists()
    assert capsys.readouterr().out.count("2.00 [2.00, 2.00]") == len(scaling.WORKS)


def test_an_interrupted_run_goes_on_and_another_is_moved_aside(monkeypatch, tmp_path):
    path, count = tmp_path / "scaling.csv", itertools.count()

    def until_interrupted(work, processes):
        if next(count) == 4:
            raise KeyboardInterrupt
        return halved(work, processes)

    assert measured(monkeypatch, path, until_interrupted) == 130
    first = results.read(path)
    assert len(first) == 4
    assert measured(monkeypatch, path, halved) == 0
    rows = results.read(path)
    assert rows[:4] == first
    assert len(rows) == scaling.REPETITIONS * len(scaling.WORKS) * len(scaling.PROCESSES)
    results.write(path, [{**row, "run": "another"} for row in first])
    assert measured(monkeypatch, path, halved) == 0
    assert len(results.read(path)) == len(rows)
    assert len(results.read(path.with_name("scaling-1.csv"))) == 4


def test_a_file_that_is_no_results_is_refused_before_anything_is_run(monkeypatch, tmp_path, capsys):
    path = tmp_path / "scaling.csv"
    path.write_text("a,b\n1,2\n")
    assert measured(monkeypatch, path, lambda work, processes: pytest.fail("was run")) == 2
    assert f"error: {path}" in capsys.readouterr().err
    assert path.read_text() == "a,b\n1,2\n"


@pytest.mark.parametrize(("lost", "batch"), [(slice(0, 1), 1024), (slice(0, 3), 8192)])
def test_half_a_recording_is_refused(monkeypatch, tmp_path, lost, batch, capsys):
    path = tmp_path / "scaling.csv"
    measured(monkeypatch, path, halved)
    rows = results.read(path)
    del rows[lost]
    results.write(path, rows)
    with pytest.raises(ResultsError, match="expected two or more by one process and as many by others"):
        report.load(path)
    assert report.main([str(path)]) == 2
    assert f"SDE-GAN, batch {batch} has" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.exhaustive
def test_two_processes_are_timed():
    assert 0 < scaling.training(2, 64, steps=5) < 60
    assert 0 < scaling.verification(2, "--method", "sra1") < 120


@pytest.mark.slow
def test_a_program_that_fails_ends_the_recording_with_what_it_printed():
    with pytest.raises(SystemExit, match="2 processes must divide the batch"):
        scaling.training(2, 63, steps=5)
