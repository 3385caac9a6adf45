"""The table of trainings on real data: floors, what was untrained, and the paper's numbers, marked as reported."""

import pytest

from reports import held_out, training
from reports.data import tidy
from suite import results
from suite.training import REAL
from tests.reports.synthetic import row

WORK = {"tool": "train", "batch": 8, "hidden": 4, "outputs": 24, "samples": 200, "dtype": "float32"}
NAME = "reversible-latent"


def rows(problem=f"weather {NAME}", run="1"):
    for seed, accuracy in enumerate((0.4, 0.5, 0.6)):
        work = WORK | {"problem": problem, "seed": seed, "method": "x", "adjoint": "y", "run": run}
        yield row(REAL, "label_accuracy", 0.7, **work, steps=0)
        yield row("sdegrad_torch", "label_accuracy", 0.33, **work, steps=0)
        yield row("sdegrad_torch", "label_accuracy", accuracy, **work, steps=20)
        yield row("sdegrad_torch", "prediction_loss", 0.25, **work, steps=20)


def test_the_table_has_floor_untrained_trained_and_reported():
    (frame,) = held_out.of_last_run(tidy(rows()))
    found = held_out.table(frame)
    cells = {line[0][0]: dict(zip(found.columns, line, strict=True)) for line in found.rows}
    assert cells[REAL]["label accuracy"] == ("70.0 %",)
    assert cells[f"{NAME}, untrained"]["label accuracy"] == ("33.0 %",)
    assert cells[f"{NAME}, sdegrad_torch"]["label accuracy"] == (
        "50.0 %",
        "[25.2, 74.8]",
    )  # Student: 4.30 x 0.1 / 3^0.5
    assert cells[f"{NAME}, sdegrad_torch"]["prediction"] == ("0.250",)
    assert cells["reported by the paper (recalled) of other data"]["label accuracy"] == ("49.2 %",)
    assert cells[f"{NAME}, sdegrad_torch"]["real/fake accuracy"] == ("–",)


def test_an_interval_of_accuracies_ends_at_all_of_them():
    work = WORK | {"problem": f"beijing {NAME}", "method": "x", "adjoint": "y", "steps": 20}
    found = tidy([row("sdegrad_torch", "label_accuracy", x, **work, seed=k) for k, x in enumerate((0.9, 0.99))])
    made = held_out.table(found)
    assert "[37.3, 100.0]" in {line[2][-1] for line in made.rows}  # Student: 12.7 x 0.0636 / 2^0.5 around 94.5 %
    assert "reported by the paper (recalled)" in {line[0][0] for line in made.rows}
    assert "The paper's networks" in made.note


def test_each_of_the_data_has_a_table_and_the_process_of_known_law_none():
    both = [*rows(), *rows("weights-digits reversible-clipping"), *rows("ou reversible-clipping", run="2")]
    assert [held_out.table(frame).columns[0] for frame in held_out.of_last_run(tidy(both))] == [
        "weather",
        "weights-digits",
    ]
    assert set(training.of_last_run(tidy(both))["problem"]) == {"ou reversible-clipping"}
    assert training.of_last_run(tidy(rows())) is None


def test_a_file_without_such_a_training_is_refused(tmp_path, capsys):
    results.write(tmp_path / "train.csv", list(rows("ou reversible-clipping")))
    assert held_out.main([str(tmp_path / "train.csv")]) == 2
    assert "has no training on real data" in capsys.readouterr().err


@pytest.mark.parametrize("name", held_out.REPORTED)
def test_what_is_reported_is_of_an_experiment_that_there_is(name):
    from suite.training.real import TRAINED

    data, experiment = name.split()
    assert experiment in TRAINED[data]
