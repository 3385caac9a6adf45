"""Steps in asv's results, made for the purpose: six commits, of which the fourth costs an evaluation more."""

import json

import pytest

from reports import history as report
from suite.asv_cases import works
from tests.reports.synthetic import row

NAME, WORK = "bench_quality.Evaluations.track_nfe_drift", works("nfe")[0]


@pytest.fixture
def asv(tmp_path):
    values = [[1.0, 0.1], [1.0, 0.1], [1.0, None], [2.0, 0.1], [2.0, 0.1], [2.0, 0.1]]
    folder = tmp_path / "results"
    (folder / "machine").mkdir(parents=True)
    names = ["implementation", "device", "work"]
    described = {NAME: {"param_names": names, "version": "3"}, "version": 2}
    (folder / "benchmarks.json").write_text(json.dumps(described))
    for k, pair in enumerate(values):
        params = [["'sdegrad_torch'", "'sdegrad_jax'"], ["'cpu'"], [repr(WORK)]]
        run = {"params": {"cpu": "a cpu"}, "commit_hash": str(k) * 40, "date": 1.7e12 + 1e8 * k, "env_vars": {}}
        run |= {"result_columns": ["result", "params", "version"], "results": {NAME: [pair, params, "3"]}}
        (folder / "machine" / f"{k}.json").write_text(json.dumps(run))
    return folder


def test_a_step_has_its_commit_and_size(asv):
    frame = report.load(report.rows_of(asv))
    assert set(frame["method"]) == {"reversible_heun"}
    series = frame[frame["implementation"] == "sdegrad_torch"]
    (step,) = report.steps("x", series)
    assert (step.since, step.commit, step.before, step.after, step.ratio) == ("2" * 40, "3" * 40, 1.0, 2.0, 2.0)
    assert not list(report.steps("x", frame[frame["implementation"] == "sdegrad_jax"]))


def test_the_page_has_a_figure_of_each_series_with_a_step(asv, tmp_path):
    assert report.main([str(asv), "--out", str(tmp_path / "out")]) == 0
    page = (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    assert page.count("<img") == 1
    assert "Steps: 1, in 2 series over 6 commits." in page


def test_the_page_is_drawn_again_from_its_values(asv, tmp_path):
    assert report.main([str(asv), "--out", str(tmp_path / "a")]) == 0
    assert report.main([str(tmp_path / "a" / "history.csv"), "--out", str(tmp_path / "b")]) == 0
    assert (tmp_path / "a" / "index.html").read_bytes() == (tmp_path / "b" / "index.html").read_bytes()


@pytest.mark.parametrize(("change", "number"), [(100.0, 0), (16384.0, 1)])
def test_a_step_is_what_the_gate_calls_a_change(change, number):
    values = [8e5, 8e5, 8e5, *[8e5 + change] * 3]
    rows = [row("sdegrad_torch", "gradient_memory", v, commit=str(k) * 40) for k, v in enumerate(values)]
    assert len(list(report.steps("x", report.load(rows)))) == number


def test_without_results(tmp_path, capsys):
    assert report.main([str(tmp_path), "--out", str(tmp_path / "out")]) == 2
    assert "run asv first" in capsys.readouterr().err


def test_a_commit_that_looks_like_an_option_is_not_handed_to_git(tmp_path, monkeypatch):
    rows = [
        row("i", "nfe_drift", v, commit=f"--output={tmp_path}/{k}", tool="asv")
        for k, v in enumerate((1.0, 1.0, 2.0, 2.0))
    ]
    frame = report.load(rows)
    assert [step.words()[1] for *_, steps in report.walked(frame) for step in steps] == [""]
    assert not list(tmp_path.iterdir())
