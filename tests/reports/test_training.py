"""Trainings told: means over seeds, the time to quality and what never reached it, and the paper's numbers beside."""

import math

import numpy as np
import pytest

from reports import marginals, training
from reports.data import tidy
from reports.site import build, guide, source
from suite import results
from suite.training import REAL
from suite.training import marginals as kept
from suite.training.ou import OrnsteinUhlenbeck
from suite.training.settings import EXPERIMENTS
from tests.reports.synthetic import row

FLOOR = 0.1
# Distance of the marginals after 0, 10, 20 steps, by seed; seconds there: 1, 2 for sdegrad and twice that for torchsde.
CURVES = {0: (1.0, 0.5, 0.15), 1: (1.0, 0.19, 0.30), 2: (1.0, 0.5, 0.18)}
SECONDS = {"sdegrad_torch": 1.0, "torchsde": 2.0}
WORK = {"tool": "train", "batch": 8, "hidden": 4, "outputs": 4, "samples": 100, "dtype": "float32", "method": "x"}


def rows():
    for name in ("midpoint-penalty", "reversible-clipping"):
        for seed, distances in CURVES.items():
            work = WORK | {"problem": f"ou {name}", "seed": seed, "adjoint": "reversible"}
            yield row(REAL, "marginal_distance", FLOOR, **work, steps=0)
            yield row(REAL, "signature_distance", 0.01, **work, steps=0)
            for library, speed in SECONDS.items():
                for k, distance in enumerate(distances):
                    made = work | {"steps": 10 * k}
                    yield row(library, "marginal_distance", distance, **made)
                    if k:
                        yield row(library, "training_time", k * speed, **made)
                yield row(library, "step_time", 0.1 * speed, **work, steps=20)
                yield row(library, "signature_distance", 0.02, **work, steps=20)


@pytest.fixture(scope="module")
def frame():
    return training.of_last_run(tidy(rows()))


def cells(table, name):
    (found,) = (row for row in table.rows if row[0] == (name,))
    return dict(zip(table.columns, found, strict=True))


def test_time_to_quality_is_that_of_the_first_measurement_within_twice_the_floor(frame):
    own = frame[(frame["problem"] == "ou reversible-clipping") & (frame["implementation"] == "torchsde")]
    assert training.reached(own, 2 * FLOOR) == ([4.0, 2.0, 4.0], [])
    assert training.reached(own, 0.16) == ([4.0], [4.0, 4.0])
    assert training.words(training.reached(own, 0.16)) == "4.00 s, 2 of 3 not in 4 s"
    assert training.words(training.reached(own, 0.01)) == "not in 4 s"


def test_the_table_has_geometric_means_with_the_interval_of_student(frame):
    found = cells(training.table(frame), "reversible-clipping, sdegrad_torch")
    logs = np.log([at[-1] for at in CURVES.values()])
    half = 4.302653 * np.std(logs, ddof=1) / math.sqrt(3)
    assert found["distance of marginals"][0] == "0.201"
    assert found["steps"] == ("20",)
    low, high = (float(x) for x in found["distance of marginals"][1].strip("[]").split(", "))
    assert (low, high) == pytest.approx(np.exp((logs.mean() - half, logs.mean() + half)), abs=6e-4)
    assert found["untrained: marginals"] == ("1.00",)
    assert found["a step"] == ("100 ms",)
    assert found["memory"] == ("–",)
    assert cells(training.table(frame), REAL)["distance of marginals"] == ("0.100",)


def test_the_papers_numbers_are_marked_as_reported_and_what_is_missing_is_said(frame):
    table = training.paper(frame)
    assert training.REPORTED.keys() < EXPERIMENTS.keys()
    found = cells(table, "midpoint-penalty")
    assert (found["MMD (reported, recalled)"], found["time (reported, recalled)"]) == (("0.0258",), ("55 h",))
    assert found["time here"] == ("sdegrad_torch: 2.00 s, 20 steps", "torchsde: 4.00 s, 20 steps")
    assert cells(table, "midpoint-clipping")["MMD here"] == ("not measured",)


def test_the_figure_has_a_curve_for_each_library_and_the_floor(frame):
    drawn = training.figure(frame)
    panels = drawn.figure.axes
    assert [axes.get_title(loc="left") or axes.get_title() for axes in panels] == [
        "midpoint-penalty",
        "reversible-clipping",
    ]
    for axes in panels:
        levels = [line.get_ydata()[0] for line in axes.lines if len(set(line.get_ydata())) == 1]
        assert levels == pytest.approx([FLOOR, 2 * FLOOR])
        ends = {float(line.get_xdata()[-1]) for line in axes.lines if len(set(line.get_ydata())) > 1}
        assert ends == {2 * s for s in SECONDS.values()}
    assert "at the end from 0.201" in drawn.caption


def test_of_an_older_run_nothing_is_told(tmp_path, capsys):
    older = [r | {"run": "r0", "value": "9.0"} for r in rows()]
    assert training.of_last_run(tidy([*older, *rows()]))["value"].max() < 9
    file = tmp_path / "train.csv"
    results.write(file, [r | {"tool": "harness"} for r in rows()])
    assert training.main([str(file)]) == 2
    assert "has no rows of a training; name a file written by `nox -s train`" in capsys.readouterr().err
    results.write(file, list(rows()))
    assert training.main([str(file)]) == 0
    assert file.with_suffix(".png").exists()


def test_the_marginals_of_exact_paths_lie_on_the_law(frame, tmp_path):
    """20000 exact paths: each quantile is where the law has it, to 0.02; a run before the last is not drawn."""
    ts, file, law = np.arange(4.0), tmp_path / marginals.NAME, OrnsteinUhlenbeck()
    ys = law.sample(np.random.default_rng(0), ts, 20000)
    names = ("ou reversible-clipping", "torchsde", 0)
    kept.keep(file, ("r0", *names), ts, ys + 1)
    kept.keep(file, ("r1", *names), ts, ys)
    found = marginals.load(file)
    assert len(found) == 3 * len(kept.PROBABILITIES)
    for t, rows in found.groupby("t"):
        np.testing.assert_allclose(law.cdf(t, rows["value"].to_numpy()), rows["probability"], atol=0.02)
    drawn = marginals.figure(found, frame).figure
    assert [axes.get_title(loc="left") for axes in drawn.axes] == [f"reversible-clipping, t = {t}" for t in (1, 2, 3)]


def test_a_file_of_marginals_that_is_damaged_is_refused(tmp_path):
    file = tmp_path / marginals.NAME
    kept.keep(file, ("r0", "ou x", "torchsde", 0), np.arange(4.0), np.zeros((4, 100, 1)))
    file.write_text(file.read_text().replace("0.02", "few"))
    with pytest.raises(results.ResultsError, match=r"row 2, column probability: 'few', expected a number; delete it"):
        marginals.load(file)


@pytest.mark.slow
def test_the_site_has_a_page_of_trainings_and_the_papers_ratio(tmp_path, monkeypatch):
    monkeypatch.setattr(
        guide, "reference", lambda folder: (folder / "index.html").write_text("") if folder.mkdir() else 0
    )
    file = tmp_path / "results.csv"
    results.write(file, [row("sdegrad_torch", "solve_time", 0.1, steps=10)])
    results.write(tmp_path / "train.csv", list(rows()))
    kept.keep(
        tmp_path / marginals.NAME, ("r1", "ou midpoint-penalty", "torchsde", 0), np.arange(4.0), np.zeros((4, 99, 1))
    )
    site = build.build(source.read([file]), tmp_path / "site").parent
    page = (site / "training.html").read_text(encoding="utf-8")
    assert "reversible-clipping, torchsde" in page
    assert "MMD (reported, recalled)" in page
    assert {"training.svg", "marginals.svg"} <= {f.name for f in (site / "figures").iterdir()}
    text = (site / "paper.html").read_text(encoding="utf-8")
    assert text.count("1.00× to 1.00×, 3 works") == 2  # of each library: both experiments take as long
