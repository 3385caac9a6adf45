"""Results of asv and pytest-benchmark, in the forms that these tools write."""

import json

import pytest

from reports import readers
from reports.__main__ import main
from reports.data import tidy
from suite import results
from tests.reports.synthetic import row

COLUMNS = [
    "result",
    "params",
    "version",
    "started_at",
    "duration",
    "stats_ci_99_a",
    "stats_ci_99_b",
    "stats_q_25",
]
NAMES, SIZES = ["'sdegrad_torch'", "'sdegrad_jax'"], ["'128x16x32'", "'2560x32x64'"]


@pytest.fixture
def asv(tmp_path):
    """.asv/results of one machine and commit: a time, an error, one that failed whole, one long gone."""
    entries = {
        "bench_time.Gradient.time_gradient": [
            *([0.02, None, 0.003, float("nan")], [NAMES, SIZES], "1", 1, 2.0),
            *([0.019, None, 0.0029, None], [0.021, None, 0.0031, None], [0.02, None, 0.003, None]),
        ],
        "bench_quality.Errors.track_gradient_error": [
            [3e-16, 0.01],
            [NAMES[:1], ["'reversible_heun'", "'heun'"]],
            "2",
        ],
        "bench_quality.Cost.track_nfe_drift": [None, [NAMES], "1"],
        "bench_old.Gone.time_gradient": [[1.0], [NAMES[:1]]],
    }
    described = {
        "version": 2,
        "bench_time.Gradient.time_gradient": {"param_names": ["implementation", "size"], "version": "1"},
        "bench_quality.Errors.track_gradient_error": {
            "param_names": ["implementation", "method"],
            "version": "2",
        },
        "bench_quality.Cost.track_nfe_drift": {"param_names": ["implementation"], "version": "1"},
    }
    run = {"commit_hash": "0123456789abcdef", "env_name": "virtualenv-py3.11", "date": 1700000000000}
    run |= {"params": {"machine": "box", "cpu": "Processor X"}, "env_vars": {"OMP_NUM_THREADS": "1"}}
    machine = tmp_path / "results" / "box"
    machine.mkdir(parents=True)
    (machine / "machine.json").write_text("{}")
    (machine / "01234567-virtualenv.json").write_text(json.dumps(run | {"result_columns": COLUMNS, "results": entries}))
    (machine.parent / "benchmarks.json").write_text(json.dumps(described))
    return machine.parent


def test_asv(asv):
    frame = tidy(readers.from_asv(asv))
    times = frame[frame["measure"] == "gradient_time"]
    assert times["status"].tolist() == ["ok", "failed", "ok", "skipped"]
    assert times["implementation"].tolist() == ["sdegrad_torch"] * 2 + ["sdegrad_jax"] * 2
    assert times["batch"].tolist() == [128, 2560] * 2
    assert times[["value", "low", "high"]].iloc[2].tolist() == [0.003, 0.0029, 0.0031]
    assert times["reason"].iloc[1]
    errors = frame[frame["measure"] == "gradient_error"]
    assert errors["method"].tolist() == ["reversible_heun", "heun"]
    assert errors["problem_version"].tolist() == ["2", "2"]
    assert frame[frame["measure"] == "nfe_drift"]["status"].tolist() == ["failed", "failed"]
    assert "bench_old" not in "".join(frame["problem"])
    assert set(frame["time"]) == {"2023-11-14T22:13:20+00:00"}
    assert set(frame["tool"]) == {"asv"}


def test_asv_parameter_that_is_no_column_is_told_with_the_problem(asv):
    file = asv / "benchmarks.json"
    file.write_text(file.read_text().replace('"method"', '"kind"'))
    problems = {r["problem"] for r in readers.from_asv(asv) if r["measure"] == "gradient_error"}
    assert problems == {"bench_quality.Errors, kind=reversible_heun", "bench_quality.Errors, kind=heun"}


def test_asv_name_that_is_no_measure_is_refused(asv):
    for file in asv.rglob("*.json"):
        file.write_text(file.read_text().replace("time_gradient", "time_of_day"))
    with pytest.raises(results.ResultsError, match="time_of_day is no known measure"):
        readers.from_asv(asv)


def test_asv_without_results_is_refused(tmp_path):
    with pytest.raises(results.ResultsError, match=r"benchmarks\.json"):
        readers.from_asv(tmp_path)


@pytest.fixture
def pytest_file(tmp_path):
    info = {
        "implementation": "diffrax",
        "problem": "mlp",
        "method": "heun",
        "batch": 128,
        "dt": 0.01,
        "note": "ours",
    }
    benchmarks = [
        {"name": "test_solve", "extra_info": info, "stats": {"data": [float(k) for k in range(1, 21)]}},
        {
            "name": "test_gradient",
            "extra_info": info | {"adjoint": "checkpoint"},
            "stats": {"data": [2.0, 1.0, 3.0]},
        },
    ]
    head = {
        "datetime": "2026-01-02T03:04:05+00:00",
        "version": "5.3.1",
        "commit_info": {"id": "0123", "dirty": True},
    }
    head |= {"machine_info": {"node": "box", "cpu": {"brand_raw": "Processor X"}}}
    file = tmp_path / "benchmark.json"
    file.write_text(json.dumps(head | {"benchmarks": benchmarks}))
    return file


def test_pytest_benchmark(pytest_file):
    frame = tidy(readers.from_pytest_benchmark(pytest_file))
    assert frame["measure"].tolist() == ["solve_time", "gradient_time"]
    assert frame["value"].tolist() == [10.5, 2.0]
    # Of 20 values the 6th and the 15th cover the median with 95.9 %, the 7th and the 14th only with 88.5 %.
    assert frame[["low", "high"]].iloc[0].tolist() == [6.0, 15.0]
    assert frame[["low", "high"]].iloc[1].isna().all()
    assert set(frame["machine"]) == {"Processor X"}
    assert set(frame["unit"]) == {"s"}


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"implementation": "diffrax"', '"measure": "solve_time"', "implementation None"),
        ('"note"', '"measure"', "measure 'ours'"),
        ('"benchmarks"', '"other"', "no benchmarks"),
        ('{"datetime"', '{{"datetime"', "not JSON"),
    ],
)
def test_pytest_benchmark_of_another_form_is_refused(pytest_file, old, new, message):
    pytest_file.write_text(pytest_file.read_text().replace(old, new))
    with pytest.raises(results.ResultsError, match=message):
        readers.from_pytest_benchmark(pytest_file)


def test_other_tools_are_added_to_the_report(asv, pytest_file, tmp_path):
    file = tmp_path / "results.csv"
    results.write(file, [row("diffrax", "compile_time", 1.0)])
    arguments = [
        str(file),
        "--out",
        str(tmp_path / "out"),
        "--asv",
        str(asv),
        "--pytest-benchmark",
        str(pytest_file),
    ]
    assert main(arguments) == 0
    page = (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    assert "bench_quality.Errors" in page
    assert "pytest-benchmark" in page
