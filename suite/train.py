"""`nox -s train`: neural SDEs learn an Ornstein-Uhlenbeck process, by each experiment and library; or real data.

Writes how near its paths come to the exact law, after how long, and what a step costs, to train.csv as it goes.
Interrupted, the same command goes on from the last checkpoints, and its final distances are the same.
"""

import argparse
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from suite import results
from suite.harness import load, why_not
from suite.journal import append, check_header, repair
from suite.provenance import ROOT, Context, context, cores
from suite.results import Row
from suite.run import DEVICES
from suite.store import locked
from suite.training import REAL, marginals
from suite.training.data import DataError
from suite.training.libraries import LIBRARIES
from suite.training.real import LATENT, LIBRARY, TRAINED, YOURS
from suite.training.real import load as load_data
from suite.training.run import Training, TrainingError, train
from suite.training.settings import EXPERIMENTS, PRESETS, Settings, SettingsError, changed

OUT = ROOT / "reports" / "out"
KEPT = "Rows and checkpoints are kept; the same command goes on from the last ones."


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m suite.train", description=__doc__)
    parser.add_argument("--preset", choices=PRESETS, default="cpu", help="sizes (default: cpu)")
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="change a setting of the preset"
    )
    parser.add_argument("--data", choices=("ou", *TRAINED), default="ou", help="what to train on (default: ou)")
    parser.add_argument("--folder", type=Path, help=f"of the CSV files of --data {YOURS}")
    experiments = (*EXPERIMENTS, *LATENT)
    parser.add_argument("--experiment", action="append", choices=experiments, help="this one only (repeatable)")
    parser.add_argument("--implementation", action="append", choices=LIBRARIES, help="this one only (repeatable)")
    parser.add_argument("--device", choices=DEVICES, default="cpu", help="where to train (default: cpu)")
    parser.add_argument("--seeds", type=int, default=3, help="trainings of each experiment (default: 3)")
    parser.add_argument("--out", type=Path, default=OUT, help="folder of train.csv, and of the checkpoints")
    options = parser.parse_args(arguments)
    if options.seeds < 1:
        parser.error(f"--seeds must be 1 or more, got {options.seeds}.")
    if (options.data == YOURS) != (options.folder is not None):
        parser.error(f"--data {YOURS} and --folder, with its CSV files, go together; add the other, or leave both out.")
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """0: all trained; 1: a training failed; 2: the input is wrong, or nothing can be written; 130: interrupted."""
    options = _parse(arguments)
    try:
        settings = changed(PRESETS[options.preset], options.set)
        with locked(options.out / "train"):
            return _train_all(options, settings)
    except (SettingsError, DataError, results.ResultsError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except MemoryError:
        print(f"error: there is not enough memory for these sizes; make them less. {KEPT}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"error: {options.out} cannot be written ({error.strerror or error}). {KEPT} Make room.", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"interrupted. {KEPT}", file=sys.stderr)
        return 130


def _train_all(options: argparse.Namespace, settings: Settings) -> int:
    path = options.out / "train.csv"
    check_header(path, ",".join(results.COLUMNS[:2]))  # of this version or another, which is read to say so
    repair(path)
    known = results.read(path) if path.exists() and path.stat().st_size else []
    where, failed = context(cores()), False
    for training in _trainings(options, settings, options.out / "train" / where.run):
        names = where.run, training.problem, training.library, training.seed
        keep = partial(marginals.keep, path.with_name("marginals.csv"), names, training.ts)
        try:
            for found in train(training, print, (lambda _: None) if training.data else keep):
                rows = [_row(training, where, **found)]
                append(path, results.text(rows, header=not (path.exists() and path.stat().st_size)))
                known += rows
        except TrainingError as error:
            failed = True
            print(f"error: {error}", file=sys.stderr)
    sys.stdout.flush()
    return subprocess.run(
        [sys.executable, "-m", f"reports.{'training' if options.data == 'ou' else 'held_out'}", str(path.resolve())],
        cwd=ROOT,
        check=False,
    ).returncode or int(failed)


def _trainings(options: argparse.Namespace, settings: Settings, folder: Path) -> Iterator[Training]:
    """One experiment after another. SettingsError for an experiment or a library that the data do not have."""
    data = None if options.data == "ou" else load_data(options.data, options.folder)
    if data and options.device != "cpu":
        raise SettingsError(
            f"{options.data} is trained on by the CPU alone, not by {options.device}; leave --device out."
        )
    names, libraries = (data.experiments, [LIBRARY]) if data else (tuple(EXPERIMENTS), list(LIBRARIES))
    wrong = {*(options.experiment or ())} - {*names} | {*(options.implementation or ())} - {*libraries}
    if wrong:
        raise SettingsError(
            f"{options.data} is trained on by {', '.join(names)} with {', '.join(libraries)}, "
            f"not by {', '.join(sorted(wrong))}; leave that out, or name other --data."
        )
    libraries = _present(options.implementation or libraries, options.device)
    for name in names:
        fitting = data.settings(settings) if data else settings.of(name)
        for seed, library in ((seed, library) for seed in range(options.seeds) for library in libraries):
            if name in (options.experiment or (names if data else LIBRARIES[library].experiments)):
                yield Training(name, fitting, seed, folder, library, options.device, data)


def _present(names: Iterable[str], device: str) -> list[str]:
    """Those that can run on the device here; of the others it is said why not. SettingsError if there are none."""
    missing = {name: why_not(name, device) for name in names}
    for name, reason in missing.items():
        if reason:
            print(f"{name} is left out: {reason}")
    found = [name for name, reason in missing.items() if not reason]
    if not found:
        raise SettingsError(
            f"no library can train on {device} here, for the reasons above; see to one, or name another."
        )
    return found


def _row(training: Training, where: Context, measure: str, value: float, steps: int, real: bool = False) -> Row:
    settings, implementation = training.settings, load(training.library)
    experiment = training.chosen
    version, framework = implementation.versions()
    return results.row(
        **asdict(where),
        time=datetime.now(UTC).isoformat(timespec="seconds"),
        device=training.device,
        tool="train",
        implementation=REAL if real else training.library,
        version=version,
        framework=framework,
        problem=training.problem,
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


if __name__ == "__main__":
    sys.exit(main())
