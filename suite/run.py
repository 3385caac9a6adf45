"""The bench: `python -m suite.run` measures the cases of a preset and keeps every row in reports/out as it comes.

An interrupted run is resumed where it stopped, if commit, source, versions, machine and threads are the same. Other
runs are kept beside it, see `suite.store`.
"""

import argparse
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from suite import harness
from suite.cases import KINDS, METHOD_NAMES, PROBLEM_NAMES, Case, Preset, select
from suite.cluster import connected
from suite.harness import taking_part
from suite.provenance import NO_COMMIT, ROOT, Context, context, cores, environment
from suite.results import ResultsError, printable
from suite.store import locked
from suite.work import bench, bench_on

OUT = ROOT / "reports" / "out"
ASV = ROOT / ".asv" / "results"
DEVICES = ("cpu", "cuda")


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="nox -s bench --", description="Measure SDE solvers on the same work and write a report."
    )
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--smoke", action="store_true", help="a few cases, about three minutes")
    size.add_argument("--full", action="store_true", help="everything: hours, resumed where interrupted")
    several = {"action": "append", "default": [], "metavar": "NAME"}
    parser.add_argument("--implementation", **several, help=f"only these: {', '.join(harness.names())}")
    parser.add_argument("--problem", **several, help=f"only these: {', '.join(PROBLEM_NAMES)}")
    parser.add_argument("--kind", **several, help=f"only these: {', '.join(KINDS)}")
    parser.add_argument("--method", **several, help=f"only these: {', '.join(METHOD_NAMES)}")
    parser.add_argument("--device", **several, help="cpu (the default) or cuda; may be given twice")
    parser.add_argument("--threads", type=int, help="processor cores to use (default: all)")
    minutes = {"type": float, "metavar": "MINUTES"}
    parser.add_argument("--budget", **minutes, help="end within so many (default: 10; --smoke and --full: no limit)")
    parser.add_argument("--retry", action="store_true", help="measure again what failed before")
    parser.add_argument("--scheduler", metavar="ADDRESS", help="measure at the workers of a Dask scheduler; or: local")
    parser.add_argument("--out", type=Path, default=OUT, help="folder of results.csv and the report")
    return parser.parse_args(arguments)


def check(options: argparse.Namespace) -> tuple[list[Case], list[str]]:
    """The cases and devices of these options, before any work. ValueError for one that does not exist."""
    preset: Preset = "smoke" if options.smoke else "full" if options.full else "bench"
    names = options.implementation or harness.compared()
    for name in names:
        if name not in harness.names():
            raise ValueError(f"unknown implementation {name!r}; known are: {', '.join(harness.names())}.")
    cases = [
        case
        for case in select(preset, options.problem, options.method, options.kind)
        if taking_part(case, options.implementation)
    ]
    if not cases:
        named = ", ".join(f"{name} {' or '.join(values)}" for name, values in filters(options).items() if values)
        raise ValueError(f"the {preset} run has no case with {named}; use fewer filters, or --full.")
    for name in options.implementation:
        if not any(taking_part(case, [name]) for case in cases):
            raise ValueError(f"{name!r} takes part in no case of this run; use fewer filters, or --full.")
    devices = options.device or ["cpu"]
    for device in devices:
        if device not in DEVICES:
            raise ValueError(f"unknown device {device!r}; known are: {', '.join(DEVICES)}.")
    if options.budget is not None and not 0 < options.budget < float("inf"):
        raise ValueError(f"--budget must be a positive number of minutes, got {options.budget:g}.")
    if options.scheduler is not None and options.budget:
        raise ValueError("--budget is for this machine alone; leave it out, or leave --scheduler out.")
    most = cores() if options.scheduler is None else float("inf")
    if options.threads is not None and not 1 <= options.threads <= most:
        raise ValueError(f"--threads must be from 1 to {cores()} on this machine, got {options.threads}.")
    return cases, devices


def filters(options: argparse.Namespace) -> Mapping[str, Sequence[str]]:
    """What a part of the cases is chosen by."""
    return {name: getattr(options, name) for name in ("problem", "method", "kind", "implementation")}


def report(options: argparse.Namespace, run: str) -> int:
    """Render what is there, asv's and pytest-benchmark's results too; the exit code of the report."""
    command = [sys.executable, "-m", "reports", str(options.out / "results.csv"), "--out", str(options.out)]
    for option, found in (("--asv", ASV), ("--pytest-benchmark", head_to_heads(options.out, run))):
        command += [option, str(found)] if found.exists() else []
    code = subprocess.run(command, cwd=ROOT).returncode
    if code:
        message = (
            f"no report was written; what was measured is kept in {options.out / 'runs'}, and `nox -s report` draws it."
        )
        print(message, file=sys.stderr)
    return code


def head_to_heads(folder: Path, run: str) -> Path:
    """The results of pytest-benchmark that belong to a run; there only once they are complete."""
    return folder / f"pytest-benchmark-{run}.json"


def other_tools(options: argparse.Namespace, where: Context) -> int:
    """The head-to-heads of pytest-benchmark and, for the history, asv at this commit; what is there is not repeated.
    1 if one of them failed."""
    code, done = 0, head_to_heads(options.out, where.run)
    if not done.exists():
        # Without the tests' own options: their checks of shapes at run time would slow our code and no other.
        bare, new = ("-o", "addopts=--import-mode=importlib"), done.with_suffix(".tmp")
        pytest = (sys.executable, "-m", "pytest", "tests/compare", *bare, f"--benchmark-json={new}")
        if subprocess.run(pytest, cwd=ROOT, env=environment()).returncode == 0:
            new.replace(done)
        else:
            print("pytest-benchmark failed, as it says above; the same command asks it again.", file=sys.stderr)
            code = 1
    if where.commit == NO_COMMIT:
        print("asv is left out: it files numbers under commits, and this is no git repository.", file=sys.stderr)
        return code
    if where.dirty:
        print("asv is left out: it would file the numbers of changed sources under the last commit.", file=sys.stderr)
        return code
    asv = (sys.executable, "-m", "asv")
    subprocess.run([*asv, "machine", "--yes"], cwd=ROOT, stdout=subprocess.DEVNULL)
    only_new = ("-E", "existing", "--set-commit-hash", "HEAD", "--skip-existing-successful")
    if subprocess.run([*asv, "run", *only_new], cwd=ROOT).returncode != 0:
        print("asv failed, as it says above; the same command asks it again.", file=sys.stderr)
        code = 1
    return code


def main(arguments: Sequence[str] | None = None) -> int:
    """0: measured and reported; 1: nothing was measured of a library that was asked for, or of ours; 2: the input
    cannot be used or nothing can be written, what there was is kept; 130: interrupted."""
    options = parse(arguments)
    options.out = options.out.resolve()
    try:
        cases, devices = check(options)
        work = [(case, device, taking_part(case, options.implementation)) for device in devices for case in cases]
        where = context(options.threads or cores())
        with locked(options.out):
            if options.scheduler is not None:
                with connected(options.scheduler, options.threads) as cluster:
                    code = bench_on(cluster, options, work)
            else:
                code = bench(where, options, work)
            if options.full and options.scheduler is None and not any(filters(options).values()):
                code = other_tools(options, where) or code
            return report(options, where.run) or code
    except (ValueError, ResultsError) as error:
        print(f"error: {printable(str(error))}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted; what was measured is kept, the same command goes on from here.", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
