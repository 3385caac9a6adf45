"""What a second process is worth: a training step of the SDE-GAN, and a part of the verification.

    python -m tests.programs.scaling reports/reference/cpu/scaling.csv

One process and several take turns, on a machine with nothing beside. A row is one run, and its `threads` the processes,
of one thread each. Rows are written as they come; an interrupted run goes on where it stopped, unless sources, versions
or machine have changed: then what there was is moved aside. `python -m reports.scaling` draws them.
"""

import argparse
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from reports import scaling
from suite import results
from suite.cluster import local
from suite.provenance import ROOT, context, environment
from tests.programs.compare import kept

PROCESSES = (1, 2)
REPETITIONS = 3
BATCHES, STEPS = (1024, 8192), 20  # of the SDE-GAN: paths of all processes, training steps
CHECKS = ("order",)  # of the verification of sdegrad_torch


class Work(NamedTuple):
    measure: str
    problem: str
    batch: int | None = None


WORKS = (*(Work("step_time", scaling.TRAINING, batch) for batch in BATCHES), Work("verification_time", "checks"))


def seconds(work: Work, processes: int) -> float:
    """By the clock: of a training step, or of the whole part of the verification."""
    return training(processes, work.batch) if work.batch else verification(processes)


def training(processes: int, batch: int, steps: int = STEPS) -> float:
    launcher = ("torch.distributed.run", "--standalone", "--nproc-per-node", str(processes), "-m")
    asked = ("--batch", str(batch), "--steps", str(steps))
    printed = run(*launcher, "tests.programs.sde_gan_processes", *asked)
    rate = re.search(r"(\d+) paths a second by the clock", printed)
    if rate is None:
        raise SystemExit(f"error: the SDE-GAN printed no paths a second: {printed!r}.")
    return batch / float(rate[1])


def verification(workers: int, *more: str) -> float:
    """By Dask workers, which are there before the clock starts."""
    checks = [part for check in CHECKS for part in ("--check", check)]
    with local(workers) as cluster, TemporaryDirectory() as out:
        begin = time.perf_counter()
        asked = ("--scheduler", cluster.scheduler_address, "--implementation", "sdegrad_torch", "--out", out)
        run("suite.verify", *asked, *checks, *more)
        return time.perf_counter() - begin


def run(*module: str) -> str:
    """What a module prints as a program, with one thread. SystemExit, with all of it, if it fails."""
    command, one = [sys.executable, "-m", *module], {**environment(), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=ROOT, env=one, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        raise SystemExit(f"error: {' '.join(module)} ended with {done.returncode}:\n{done.stdout}")
    return done.stdout


def pending(rows: list[results.Row]) -> Iterator[tuple[int, Work, int]]:
    """(repetition, work, processes) still to be run: one and several by turns, the first of them, too."""
    done = {(row["measure"], row["batch"], row["threads"], row["seed"]) for row in rows}
    for repetition, work in product(range(REPETITIONS), WORKS):
        for processes in PROCESSES if repetition % 2 == 0 else PROCESSES[::-1]:
            if (work.measure, str(work.batch or ""), str(processes), str(repetition)) not in done:
                yield repetition, work, processes


def main(arguments: list[str] | None = None) -> int:
    """0: measured and drawn; 2: the file cannot be used, nothing was overwritten; 130: interrupted, all that was
    measured is kept."""
    parser = argparse.ArgumentParser(prog="python -m tests.programs.scaling", description=__doc__)
    parser.add_argument("results", type=Path)
    path = parser.parse_args(arguments).results
    where = {processes: context(processes) for processes in PROCESSES}
    try:
        rows = kept(path, *(place.run for place in where.values()))
        for repetition, work, processes in list(pending(rows)):
            value = seconds(work, processes)
            shared = {"tool": "programs", "device": "cpu", "implementation": "sdegrad_torch", "dtype": "float32"}
            shared |= {"version": version("sdegrad"), "framework": f"torch {version('torch')}", "status": "ok"}
            shared |= {**asdict(where[processes]), **work._asdict(), "seed": repetition, "samples": 1, "value": value}
            now = datetime.now(UTC).isoformat(timespec="seconds")
            rows.append(results.row(**shared, time=now, unit=results.MEASURES[work.measure]))
            results.write(path, rows)
            print(f"{work.problem}, batch {work.batch}, {processes} processes: {value:.4g} s", flush=True)
    except results.ResultsError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted; what was measured is kept, the same command goes on from here.", file=sys.stderr)
        return 130
    return scaling.main([str(path)])


if __name__ == "__main__":
    sys.exit(main())
