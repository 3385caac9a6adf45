"""Trainings on real data: how useful what is generated is in the place of real paths.

    python -m reports.held_out reports/out/train.csv

The rows are those of `nox -s train -- --data weather` and its like.
"""

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from reports import labels, readers
from reports.data import Frame, groups, measured, tidy
from reports.tables import Cell, Table
from reports.training import mean, of_seeds
from suite import results
from suite.training import REAL
from suite.training.real import YOURS

# measure -> its heading
HEADS = {
    "real_fake_accuracy": "real/fake accuracy",
    "label_accuracy": "label accuracy",
    "prediction_loss": "prediction",
    "signature_distance": "MMD",
    "training_time": "time",
    "step_time": "a step",
    "nfe_training": "evaluations a step",
    "gradient_memory": "memory",
}
# Problem -> what the paper reports of its own data of this kind: the first four of HEADS, and the time. Kidger, Foster,
# Li, Lyons (2021), arXiv 2105.13493, table 1.
_AIR = {
    "midpoint-latent": ("–", "46.3 %", "0.281", "0.00591", "5.58 h"),
    "reversible-latent": ("–", "49.2 %", "0.314", "0.00472", "4.47 h"),
}
REPORTED: Mapping[str, tuple[str, str, str, str, str]] = {
    "weights-digits midpoint-clipping": ("77.0 %", "–", "0.303", "0.0438", "5.12 days"),
    "weights-digits reversible-clipping": ("75.5 %", "–", "0.068", "0.0175", "2.59 days"),
    **{f"{data} {name}": told for data in ("weather", YOURS) for name, told in _AIR.items()},
}


def of_last_run(frame: Frame) -> Iterator[Frame]:
    """The rows of the last run of trainings on each of the real data."""
    trained = frame[(frame["tool"] == "train") & ~frame["problem"].str.startswith("ou ")]
    for _, rows in trained.groupby(trained["problem"].str.split().str[0], sort=False):
        same = ["run", "device", "batch", "hidden", "samples"]
        yield rows[(rows[same] == rows[same].iloc[-1]).all(axis=1)]


def table(frame: Frame) -> Table:
    """Rows of real paths and of each experiment, untrained, trained, and as the paper reports it of its data."""
    body = [((REAL,), *_cells(frame[frame["implementation"] == REAL].drop_duplicates(["measure", "seed"])))]
    for work, rows in groups(frame[frame["implementation"] != REAL], ("problem", "implementation")):
        name = work["problem"].split()[1]
        body.append(((f"{name}, untrained",), *_cells(rows[rows["steps"] == 0])))
        body.append(((f"{name}, {work['implementation']}",), *_cells(rows[rows["steps"] == rows["steps"].max()])))
        reported = REPORTED.get(work["problem"])
        if reported is not None:
            rest = ("–",) * (len(HEADS) - len(reported))
            which = "" if work["problem"].startswith(YOURS) else " of other data"
            body.append(((f"reported by the paper (recalled){which}",), *((cell,) for cell in (*reported, *rest))))
    number, data = frame["seed"].nunique(), frame["problem"].iloc[0].split()[0]
    others = ("" if data == YOURS else "data, ") + "networks, steps, machine and classifiers"
    note = (
        f"Means over {number} seed{'s' * (number > 1)} after {frame['steps'].max():.0f} steps, geometric but of "
        "accuracies; [ ]: 95 % interval. "
        "Real paths: those to train on, against those held out. "
        f"The paper's {others} are others: its numbers are not to be compared with those measured here."
    )
    return Table((data, *HEADS.values()), tuple(body), note)


def _cells(rows: Frame) -> Iterator[Cell]:
    for measure in HEADS:
        found = measured(rows, measure)
        if measure.endswith("accuracy") and len(found):
            value, low, high = (100 * min(max(x, 0.0), 1.0) for x in mean(found["value"].tolist()))
            yield (f"{value:.1f} %", f"[{low:.1f}, {high:.1f}]") if low < high else (f"{value:.1f} %",)
        else:
            yield of_seeds(found)


def main(arguments: Sequence[str] | None = None) -> int:
    """0: the tables are printed; 2: the results cannot be used."""
    parser = argparse.ArgumentParser(prog="python -m reports.held_out", description=__doc__)
    parser.add_argument("results", type=Path)
    path = parser.parse_args(arguments).results
    try:
        found = list(of_last_run(tidy(readers.from_results(path))))
        if not found:
            raise results.ResultsError(f"{path} has no training on real data; `nox -s train -- --data weather` is one.")
    except results.ResultsError as error:
        labels.say(f"error: {error}", sys.stderr)
        return 2
    labels.say("\n\n".join(f"{labels.place(rows)}\n{table(rows).text()}" for rows in found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
