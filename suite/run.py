"""The bench: `python -m suite.run` measures the cases of a preset and keeps every row in reports/out as it comes.

An interrupted run is resumed where it stopped, if commit, source, versions, machine and threads are the same. Other
runs are kept beside it, see `suite.store`.
"""

import argparse
import subprocess
import sys
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from suite import harness, measuring
from suite.cases import METHOD_NAMES, PROBLEM_NAMES, Case, Preset, select
from suite.cluster import Cluster, Died, Task, connected
from suite.harness import taking_part
from suite.plan import Plan, Work
from suite.progress import Progress
from suite.provenance import NO_COMMIT, ROOT, Context, context, cores, environment
from suite.results import ResultsError, printable
from suite.store import Place, Store, locked
from suite.worker import Worker, measured

OUT = ROOT / "reports" / "out"
ASV = ROOT / ".asv" / "results"
DEVICES = ("cpu", "cuda")
MINUTES = 10.0  # that a run takes at most unless another limit, or none, is given


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="nox -s bench --", description="Measure SDE solvers on the same work and write a report."
    )
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--smoke", action="store_true", help="a few cases, under two minutes")
    size.add_argument("--full", action="store_true", help="everything: an hour or two, resumed where interrupted")
    several = {"action": "append", "default": [], "metavar": "NAME"}
    parser.add_argument("--implementation", **several, help=f"only these: {', '.join(harness.names())}")
    parser.add_argument("--problem", **several, help=f"only these: {', '.join(PROBLEM_NAMES)}")
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
        case for case in select(preset, options.problem, options.method) if taking_part(case, options.implementation)
    ]
    if not cases:
        filters = {"problem": options.problem, "method": options.method, "implementation": options.implementation}
        named = ", ".join(f"{name} {' or '.join(values)}" for name, values in filters.items() if values)
        raise ValueError(f"the {preset} run has no case with {named}; use fewer filters, or --full.")
    devices = options.device or ["cpu"]
    for device in devices:
        if device not in DEVICES:
            raise ValueError(f"unknown device {device!r}; known are: {', '.join(DEVICES)}.")
    if options.budget is not None and not 0 < options.budget < float("inf"):
        raise ValueError(f"--budget must be a positive number of minutes, got {options.budget:g}.")
    if options.scheduler and options.budget:
        raise ValueError("--budget is for this machine alone; leave it out, or leave --scheduler out.")
    if options.threads is not None and (options.threads < 1 or (not options.scheduler and options.threads > cores())):
        raise ValueError(f"--threads must be from 1 to {cores()} on this machine, got {options.threads}.")
    return cases, devices


def check_libraries(options: argparse.Namespace, names: Sequence[str], devices: Sequence[str], worker: Worker) -> None:
    """ValueError if one that was named cannot run, or if none can."""
    reasons = {(name, device): worker.why_not(name, device) for name in names for device in devices}
    for name in options.implementation:
        if name in names and all(reasons[name, device] for device in devices):
            raise ValueError(f"{name!r} cannot run: {reasons[name, devices[0]]}")
    if all(reasons.values()):
        why = " ".join(dict.fromkeys(str(reason) for reason in reasons.values()))
        raise ValueError(f"nothing can run on device {', '.join(devices)!r}: {why} Use --device cpu.")


def place(where: Context) -> Place:
    return Place(where, {name: where.known_by(harness.source(name)) for name in harness.names()})


def missing(store: Store, work: Sequence[Work], options: argparse.Namespace, progress: Progress) -> list[Work]:
    """The work that is still to be done."""
    wanted = [(case, device, store.missing(case, device, names, options.retry)) for case, device, names in work]
    todo = [(case, device, names) for case, device, names in wanted if names]
    if store.adopted:
        progress.note(f"{store.adopted} rows of other runs, from {store.path}, are kept in {store.folder}.")
    if options.full and todo:
        progress.note("The full run takes an hour or two; interrupted, the same command goes on where it stopped.")
    if len(todo) < len(work):
        progress.note(f"{len(work) - len(todo)} of {len(work)} cases are measured already.")
    return todo


def usual_budget(options: argparse.Namespace) -> measuring.Budget:
    return measuring.Budget(seconds=1.5) if options.smoke else measuring.Budget()


def names_of(work: Sequence[Work]) -> list[str]:
    return list(dict.fromkeys(name for *_, names in work for name in names))


def bench_on(cluster: Cluster, options: argparse.Namespace, work: Sequence[Work]) -> None:
    """Measure at the workers of a cluster. What several machines measured lies in one table."""
    places = {where.run: place(where) for where in cluster.places.values()}
    store, progress = Store(options.out, *places.values()), Progress(len(work))
    todo = missing(store, work, options, progress)
    tasks = [Task(measured, (*w, usual_budget(options), options.threads), w[0].takes_times) for w in todo]
    if any(task.timed for task in tasks):
        cluster.check_timing()
    progress.note(f"{len(tasks)} cases for {len(cluster.places)} workers, those without times first.")
    for done, (number, answer) in enumerate(cluster.answers(tasks), start=len(work) - len(todo) + 1):
        case, device, names = todo[number]
        at, rows = next(iter(places.values())), []
        if isinstance(answer, Died):
            rows = [harness.missing_row(case, device, name, "failed", answer.reason) for name in names]
        else:
            where, rows = answer
            at = places.setdefault(where.run, place(where))
        for row in rows:
            progress.failed(store.add(row, at))
        store.finish(case, device)
        progress.case(done, str(case), device)
    for sentence in unmeasured(store, names_of(work)):
        progress.note(sentence)


def bench(where: Context, options: argparse.Namespace, work: Sequence[Work]) -> None:
    total, devices = len(work), list(dict.fromkeys(device for _, device, _ in work))
    store, progress = Store(options.out, place(where)), Progress(total)
    todo = missing(store, work, options, progress)
    no_limit = options.smoke or options.full
    plan = Plan(todo, usual_budget(options), options.budget or (None if no_limit else MINUTES))
    worker = Worker(where.threads, log=store.printed())
    try:
        if todo:
            check_libraries(options, names_of(work), devices, worker)
        left = plan.left()
        while (planned := plan.next()) is not None:
            (case, device, names), budget = planned
            progress.case(total - len(plan.rest), str(case), device, left)
            for row in worker.measure(case, names, device, budget, progress.doing):
                progress.failed(store.add(row))
            store.finish(case, device)
            left = plan.left()
        for sentence in (*plan.shortened(), *unmeasured(store, names_of(work))):
            progress.note(sentence)
    finally:
        worker.close()
        progress.end()


def unmeasured(store: Store, names: Collection[str]) -> Iterator[str]:
    """What is to be known of the rows of these implementations that have no value."""
    rows = [row for row in store.table() if row["implementation"] in names]
    failed = sum(row["status"] == "failed" for row in rows)
    if failed:
        yield (
            f"Failed: {failed} of {len(rows)} rows. The reasons stand in results.csv, tracebacks in printed.txt; with "
            "--retry these are measured again."
        )
    for name in sorted(names):
        skipped = [row["reason"] for row in rows if row["implementation"] == name and row["status"] == "skipped"]
        if skipped and len(skipped) == sum(row["implementation"] == name for row in rows):
            yield f"{name} was measured at nothing: {skipped[0]}"


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


def other_tools(options: argparse.Namespace, where: Context) -> None:
    """The head-to-heads of pytest-benchmark and, for the history, asv at this commit; what is there is not repeated."""
    done = head_to_heads(options.out, where.run)
    if not done.exists():
        # Without the tests' own options: their checks of shapes at run time would slow our code and no other.
        bare, new = ("-o", "addopts=--import-mode=importlib"), done.with_suffix(".tmp")
        pytest = (sys.executable, "-m", "pytest", "tests/compare", *bare, f"--benchmark-json={new}")
        if subprocess.run(pytest, cwd=ROOT, env=environment()).returncode == 0:
            new.replace(done)
    if where.commit == NO_COMMIT:
        print("asv is left out: it files numbers under commits, and this is no git repository.", file=sys.stderr)
        return
    if where.dirty:
        print("asv is left out: it would file the numbers of changed sources under the last commit.", file=sys.stderr)
        return
    asv = (sys.executable, "-m", "asv")
    subprocess.run([*asv, "machine", "--yes"], cwd=ROOT, stdout=subprocess.DEVNULL)
    only_new = ("-E", "existing", "--set-commit-hash", "HEAD", "--skip-existing-successful")
    subprocess.run([*asv, "run", *only_new], cwd=ROOT)


def main(arguments: Sequence[str] | None = None) -> int:
    """0: measured and reported; 2: the input cannot be used or nothing can be written, what there was is kept; 130:
    interrupted."""
    options = parse(arguments)
    options.out = options.out.resolve()
    try:
        cases, devices = check(options)
        work = [(case, device, taking_part(case, options.implementation)) for device in devices for case in cases]
        where = context(options.threads or cores())
        with locked(options.out):
            if options.scheduler:
                with connected(options.scheduler, options.threads) as cluster:
                    bench_on(cluster, options, work)
            else:
                bench(where, options, work)
            if options.full and not options.scheduler:
                other_tools(options, where)
            return report(options, where.run)
    except (ValueError, ResultsError) as error:
        print(f"error: {printable(str(error))}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted; what was measured is kept, the same command goes on from here.", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
