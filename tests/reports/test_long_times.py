"""How long solves are measured and told."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from reports import long_times as report
from suite import long_times, results, statistics

REFERENCE = Path(__file__).parents[2] / "reports/reference/cpu/long_times.csv"


@pytest.mark.slow
def test_the_figure_and_the_table_are_of_all_methods(tmp_path):
    frame = report.load(REFERENCE)
    assert [row[0][0].partition(",")[0] for row in report.table(frame).rows] == list(long_times.SHOWN)
    drawn = report.figure(frame).figure
    assert [len(axes.lines) for axes in drawn.axes] == [len(long_times.SHOWN) * len(long_times.DTS), 4]
    copy = tmp_path / "long_times.csv"
    copy.write_bytes(REFERENCE.read_bytes())
    assert report.main([str(copy)]) == 0
    assert copy.with_suffix(".png").exists()
    assert report.main([str(tmp_path / "none.csv")]) == 2


def test_until_is_before_the_first_failure():
    rows = report.load(REFERENCE).iloc[:4].assign(value=[1e-9, 1e-9, float("nan"), 1e-9], time_solved=[1, 10, 20, 30])
    assert report.until(rows, 1e-3) == "10 (L T = 3)"
    assert report.until(rows.iloc[:2], 1e-3) == "10 (L T = 3), all that was tried"
    assert report.until(rows.iloc[2:], 1e-3) == "–"


def test_what_is_not_finite_is_a_failure_and_not_a_number():
    ends = [np.full((2, 1), x) for x in (0.1, np.nan)]
    good, bad = (
        long_times.columns("strong_error", "heun", None, 0.1, 1.0, lambda y=y: statistics.strong_error(y, 0 * ends[0]))
        for y in ends
    )
    assert (good["status"], good["steps"]) == ("ok", 10)
    assert good["value"] == pytest.approx(0.1)
    assert (bad["status"], "value" in bad) == ("failed", False)
    results.row(**good)


def test_one_solve_is_measured_at_every_time(monkeypatch):
    """Half as long a step is four times as good without noise, which is what there is at the small rate here."""
    monkeypatch.setattr(long_times, "TIMES", (1.0, 2.0))
    quiet = long_times.mild(2.0)
    params = dict(quiet.params) | {"sigma": np.zeros((1, 1))}
    monkeypatch.setattr(long_times, "mild", lambda t1: replace(quiet, t1=t1, params=params))
    path = long_times.make_path(0.0, 2.0, 8, long_times.PATHS, 1, seed=0)
    made = [row["value"] for dt in (0.5, 0.25) for row in long_times.solutions(path, "heun", dt)]
    assert made[0] / made[2] == pytest.approx(4, rel=0.2)
    assert made[1] / made[3] == pytest.approx(4, rel=0.2)
