"""The three programs, trained with sdegrad.torch and with torchsde: the same loss, and how fast?

    python -m tests.programs.compare

The programs run as they stand but for one line, the import. Rows are written as they come; an interrupted run goes on
where it stopped, unless sources, versions or machine have changed: then what there was is moved aside.
"""

import argparse
import hashlib
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import count
from pathlib import Path
from types import ModuleType, SimpleNamespace

import torch

from reports import programs
from suite import results
from suite.provenance import ROOT, Context, context
from suite.results import Row

FOLDER = Path(__file__).parent
STEPS = {"sde_gan": 360, "latent_sde": 250, "lorenz": 180}  # of training: eight minutes in all, on an idle machine
LINE = "import sdegrad.torch as torchsde\n"
IMPORTS = {"sdegrad_torch": LINE, "torchsde": "import torchsde\n", programs.CONTROL: LINE}
PACKAGES = {"sdegrad_torch": "sdegrad", "torchsde": "torchsde", programs.CONTROL: "sdegrad"}


def source(program: str, library: str) -> str:
    """The text of the program, its import replaced. ValueError unless that line is there once."""
    text = (FOLDER / f"{program}.py").read_text(encoding="utf-8")
    if text.count(LINE) != 1:
        raise ValueError(f"{program}.py must have the line {LINE.strip()!r} once, has it {text.count(LINE)} times.")
    return text.replace(LINE, IMPORTS[library])


def load(program: str, library: str) -> ModuleType:
    module = ModuleType(f"{program}_{library}")
    exec(compile(source(program, library), FOLDER / f"{program}.py", "exec"), vars(module))
    if library == programs.CONTROL:
        vars(module)["torchsde"] = FAULTS[program](vars(module)["torchsde"])
    return module


def wrong_noise(library: ModuleType) -> SimpleNamespace:
    """The library with a Brownian motion twice as large as it should be, and another one whenever it is asked again:
    but for the first step, where the library would notice and refuse.

    One fault alone is not enough: a generator learns to make up for the size of its noise, and a
    latent SDE trains nearly as well if the way back sees other noise than the way there.
    """

    class WrongBrownian(library.BaseBrownian):
        shape = property(lambda self: self.right.shape)
        dtype = property(lambda self: self.right.dtype)
        device = property(lambda self: self.right.device)
        levy_area_approximation = "none"

        def __init__(self, *arguments, **options):
            self.right = library.BrownianInterval(*arguments, **options)

        def __call__(self, ta, tb):
            if ta == self.right.t0:
                return 2 * self.right(ta, tb)
            return 2 * float(tb - ta) ** 0.5 * torch.randn(self.shape, dtype=self.dtype, device=self.device)

        def __repr__(self):
            return f"WrongBrownian({self.right})"

    return SimpleNamespace(**{**vars(library), "BrownianInterval": WrongBrownian})


def lost_gradient(library: ModuleType) -> SimpleNamespace:
    """The library with an adjoint that forgets the parameters: gradients of the initial state only."""

    def sdeint_adjoint(*arguments, **options):
        return library.sdeint_adjoint(*arguments, **{**options, "adjoint_params": ()})

    return SimpleNamespace(**{**vars(library), "sdeint_adjoint": sdeint_adjoint})


# What is wrong with the control of each program. A latent SDE of the Lorenz attractor learns to do without noise.
FAULTS = {"sde_gan": wrong_noise, "latent_sde": wrong_noise, "lorenz": lost_gradient}


def run_id(where: Context) -> str:
    digest = hashlib.sha256(where.run.encode())
    for path in sorted(FOLDER.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def train(program: str, library: str, seed: int, where: Context) -> list[Row]:
    """The losses of one training, and how long it took."""
    module = load(program, library)
    begin = time.perf_counter()
    losses = module.main(seed, STEPS[program])
    seconds = time.perf_counter() - begin
    shared = {
        **{"run": where.run, "time": datetime.now(UTC).isoformat(timespec="seconds"), "commit": where.commit},
        **{"dirty": where.dirty, "machine": where.machine, "device": "cpu", "threads": where.threads},
        **{"tool": "programs", "implementation": library, "version": version(PACKAGES[library])},
        **{"framework": f"torch {version('torch')}", "problem": program, "problem_version": "1"},
        **{"noise_source": "own", "batch": module.BATCH, "dtype": "float32", "seed": seed},
    }

    def row(measure: str, value: float, steps: int) -> Row:
        unit = results.MEASURES[measure]
        return results.row(**shared, measure=measure, value=value, steps=steps, unit=unit, status="ok")

    rows = [row("training_loss", value, step) for step, value in losses]
    return [*rows, row("training_time", seconds, STEPS[program])]


def kept(path: Path, *runs: str) -> list[Row]:
    """The rows of these runs that are there already; those of another are moved aside, to a name that is free."""
    rows = results.read(path) if path.exists() else []
    if all(row["run"] in runs for row in rows):
        return rows
    aside = next(free for n in count(1) if not (free := path.with_name(f"{path.stem}-{n}.csv")).exists())
    path.rename(aside)
    print(f"The results of another run were moved to {aside}.")
    return []


def pending(rows: Sequence[Row], libraries: Sequence[str], seeds: int) -> Iterator[tuple[str, str, int]]:
    """(program, library, seed) in the order in which to run them: paired by seed, the first by turns."""
    done = {(r["problem"], r["implementation"], r["seed"]) for r in rows if r["measure"] == "training_time"}
    for seed in range(seeds):
        for program in STEPS:
            for library in libraries if seed % 2 == 0 else libraries[::-1]:
                if (program, library, str(seed)) not in done:
                    yield program, library, seed


def compare(path: Path, libraries: Sequence[str], seeds: int, where: Context) -> None:
    rows = kept(path, where.run)
    todo = list(pending(rows, libraries, seeds))
    for program, library in sorted({(program, library) for program, library, _ in todo}):
        load(program, library).main(0, steps=2, evaluations=1)  # what happens once in a process is not timed
    for number, (program, library, seed) in enumerate(todo, start=1):
        new = train(program, library, seed, where)
        rows += new
        results.write(path, rows)
        told = f"{program}, {library}, seed {seed}: {float(new[-1]['value']):.1f} s"
        print(f"[{number}/{len(todo)}] {told}, loss {float(new[-2]['value']):.4g}", flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """0: done; 2: the input cannot be used, nothing was overwritten; 130: interrupted, what was measured is kept."""
    parser = argparse.ArgumentParser(prog="python -m tests.programs.compare", description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "reports" / "out" / "programs.csv", help="%(default)s")
    parser.add_argument("--seeds", type=int, default=5, help="trainings of each program with each library, 2 or more")
    parser.add_argument("--threads", type=int, default=1, help="processor cores to use, by default one")
    parser.add_argument("--control", action="store_true", help="also with a wrong library")
    asked = parser.parse_args(arguments)
    if asked.seeds < 2 or asked.threads < 1:
        parser.error(f"needs --seeds 2 or more and --threads 1 or more, got {asked.seeds} and {asked.threads}.")
    torch.set_num_threads(asked.threads)
    where = context(asked.threads)
    where = replace(where, run=run_id(where))
    try:
        compare(asked.out, [name for name in IMPORTS if asked.control or name != programs.CONTROL], asked.seeds, where)
    except results.ResultsError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted; what was measured is kept, the same command goes on from here.", file=sys.stderr)
        return 130
    return programs.main([str(asked.out)])


if __name__ == "__main__":
    sys.exit(main())
