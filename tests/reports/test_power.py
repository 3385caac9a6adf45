"""The figure of the gate's power, from recordings made for the purpose."""

import csv

import numpy as np
import pytest

from reports import power as report
from suite.regress.calibrate import COLUMNS, DELAYS
from suite.regress.power import WHOLE


def recorded(folder):
    """40 pairs of two benchmarks, with noise of one per cent and of half."""
    rng = np.random.default_rng(0)
    with (folder / "pairs.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for pair in range(40):
            for name, scale in (("quiet", 0.01), ("loud", 0.5)):
                logs = rng.normal(0, scale) + np.log1p(DELAYS)
                writer.writerow((pair, name, 0.02, *np.round(logs, 5), "c" * 12, "a machine"))
    return folder / "pairs.csv"


@pytest.fixture
def recording(tmp_path):
    return recorded(tmp_path)


def test_the_figure_tells_the_quiet_from_the_loud(recording, monkeypatch, capsys):
    monkeypatch.setattr(report, "RUNS", 50)
    found = report.alarms(report.load(recording), 28).set_index(["benchmark", "delay"])["share"]
    assert found["quiet", 0.1] == 1
    assert found["loud", 0.1] < 0.5
    assert found[WHOLE, 0.0] <= 0.02
    assert report.main([str(recording), "--pairs", "28"]) == 0
    assert recording.with_name("power.png").stat().st_size > 10000
    told = capsys.readouterr().out
    assert "40 pairs of processes of one commit on a machine; 50 comparisons of 28" in told
    assert "10 % planted: 100.0 % of runs raise the alarm" in told
    block = report.block(recording)
    assert "| called slower | nothing | 2 % planted | 5 % planted | 10 % planted | 20 % planted |" in block
    assert "| quiet | 0.0 % |" in block
    assert f"]({recording.with_name('power.png')})" in block
    assert "40 pairs of processes of one commit" in block


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.replace("quiet", "other", 1), "expected one each"),
        (lambda text: text.replace("0.02,", "much,", 1), "row 2, column seconds: expected a number"),
        (lambda text: text.partition("\n")[0] + "\n", "has a header but no rows"),
    ],
)
def test_a_broken_recording_is_refused(recording, change, message, capsys):
    recording.write_text(change(recording.read_text()))
    assert report.main([str(recording)]) == 2
    assert message in capsys.readouterr().err
    assert not recording.with_name("power.png").exists()


def test_more_pairs_than_there_are(recording, capsys):
    assert report.main([str(recording), "--pairs", "50"]) == 2
    assert "from 14 to the 40 that were recorded" in capsys.readouterr().err
