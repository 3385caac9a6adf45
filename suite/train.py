"""`nox -s train`: the SDE-GAN of the Ornstein-Uhlenbeck process with sdegrad in PyTorch, by each experiment.

Writes how near its paths come to the exact law, and what a step costs, to train.csv as it goes. Interrupted, the same
command goes on from the last checkpoints, and its final distances are the same.
"""

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from suite import results
from suite.journal import append, repair
from suite.provenance import ROOT, Context, context, cores, installed
from suite.results import Row
from suite.store import locked
from suite.training.run import Training, TrainingError, train
from suite.training.settings import EXPERIMENTS, PRESETS, Settings, SettingsError, changed

OUT = ROOT / "reports" / "out"
KEPT = "Rows and checkpoints are kept; the same command goes on from the last ones."
PRINTED = ("marginal_distance", "signature_distance", "step_time", "nfe_training")


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m suite.train", description=__doc__)
    parser.add_argument("--preset", choices=PRESETS, default="cpu", help="sizes (default: cpu)")
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="change a setting of the preset"
    )
    parser.add_argument("--experiment", action="append", choices=EXPERIMENTS, help="this one only (repeatable)")
    parser.add_argument("--seeds", type=int, default=3, help="trainings of each experiment (default: 3)")
    parser.add_argument("--out", type=Path, default=OUT, help="folder of train.csv, and of the checkpoints")
    options = parser.parse_args(arguments)
    if options.seeds < 1:
        parser.error(f"--seeds must be 1 or more, got {options.seeds}.")
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """0: all trained; 1: a training failed; 2: the input is wrong, or nothing can be written; 130: interrupted."""
    options = _parse(arguments)
    try:
        settings = changed(PRESETS[options.preset], options.set)
        with locked(options.out / "train"):
            return _train_all(options, settings)
    except (SettingsError, results.ResultsError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"error: {options.out} cannot be written ({error.strerror or error}). {KEPT} Make room.", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"interrupted. {KEPT}", file=sys.stderr)
        return 130


def _train_all(options: argparse.Namespace, settings: Settings) -> int:
    path = options.out / "train.csv"
    repair(path)
    known = results.read(path) if path.exists() and path.stat().st_size else []
    where, failed = context(cores()), False
    for seed in range(options.seeds):
        for name in options.experiment or EXPERIMENTS:
            training = Training(name, settings, seed, options.out / "train" / where.run)
            try:
                for found in train(training, print):
                    rows = [_row(training, where, **found)]
                    append(path, results.text(rows, header=not known))
                    known += rows
            except TrainingError as error:
                failed = True
                print(f"error: {error}", file=sys.stderr)
    for line in table([row for row in results.latest(known) if row["run"] == where.run], settings.steps):
        print(line)
    return int(failed)


def _row(training: Training, where: Context, measure: str, value: float, steps: int, real: bool = False) -> Row:
    experiment, settings = EXPERIMENTS[training.experiment], training.settings
    return results.row(
        **asdict(where),
        time=datetime.now(UTC).isoformat(timespec="seconds"),
        device="cpu",
        tool="train",
        implementation="real paths" if real else "sdegrad_torch",
        version=installed("sdegrad"),
        framework=f"torch {installed('torch')}",
        problem=f"ou {training.experiment}",
        method=experiment.method,
        adjoint=experiment.adjoint,
        noise_source="own",
        batch=settings.batch,
        hidden=settings.hidden,
        outputs=settings.times,
        samples=settings.samples,
        dtype="float32",
        seed=training.seed,
        measure=measure,
        value=value,
        steps=steps,
        unit=results.MEASURES[measure],
        status="ok",
    )


def table(rows: Sequence[Mapping[str, str]], steps: int) -> Iterator[str]:
    """The mean over seeds of what was measured at the end, beside real paths and the untrained generator."""
    yield "  ".join((f"{'':32}", *(f"{measure:>18}" for measure in PRINTED)))
    at_end = [r for r in rows if r["steps"] == str(steps)]
    untrained = [{**r, "problem": r["problem"] + ", untrained"} for r in rows if r["steps"] == "0"]
    named = [
        {**r, "problem": "real paths"} if r["implementation"] == "real paths" else r for r in (*at_end, *untrained)
    ]
    for problem in sorted({r["problem"] for r in named}):
        values = [[float(r["value"]) for r in named if (r["problem"], r["measure"]) == (problem, m)] for m in PRINTED]
        cells: list[Any] = [f"{sum(v) / len(v):18.4g}" if v else " " * 18 for v in values]
        yield "  ".join((f"{problem:32}", *cells))


if __name__ == "__main__":
    sys.exit(main())
