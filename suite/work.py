"""The work of a run: what of it is still to be measured, and measuring that, here or at the workers of a cluster."""

import argparse
from collections.abc import Sequence

from suite import harness, measuring
from suite.cluster import Cluster, Died, Task
from suite.ending import unmeasured, without_value
from suite.plan import Plan, Work
from suite.progress import Progress
from suite.provenance import Context
from suite.store import Place, Store
from suite.sweeps import OURS
from suite.worker import Worker, measured

MINUTES = 10.0  # that a run takes at most unless another limit, or none, is given


def bench(where: Context, options: argparse.Namespace, work: Sequence[Work]) -> int:
    """0, or 1 if nothing was measured of a library that was asked for, or of one of ours."""
    store, progress = Store(options.out, place(where)), Progress(len(work))
    todo = _missing(store, work, options, progress)
    no_limit = options.smoke or options.full
    plan = Plan(todo, _budget(options), options.budget or (None if no_limit else MINUTES))
    worker = Worker(where.threads, log=store.printed())
    try:
        if todo:
            devices = list(dict.fromkeys(device for _, device, _ in work))
            check_libraries(options, _names(work), devices, worker)
        left = plan.left()
        while (planned := plan.next()) is not None:
            (case, device, names), budget = planned
            progress.case(len(work) - len(plan.rest), str(case), device, left)
            for row in worker.measure(case, names, device, budget, progress.doing):
                progress.failed(store.add(row))
            store.finish(case, device)
            left = plan.left()
        for sentence in plan.shortened():
            progress.note(sentence)
        return _end(store, work, options, progress)
    finally:
        worker.close()
        progress.end()


def bench_on(cluster: Cluster, options: argparse.Namespace, work: Sequence[Work]) -> int:
    """The same at the workers of a cluster. What several machines measured lies in one table."""
    places = {where.run: place(where) for where in cluster.places.values()}
    store, progress = Store(options.out, *places.values()), Progress(len(work))
    todo = _missing(store, work, options, progress)
    tasks = [Task(measured, (*w, _budget(options), options.threads), w[0].takes_times) for w in todo]
    if any(task.timed for task in tasks):
        cluster.check_timing()
    progress.note(f"{len(tasks)} cases for {len(cluster.places)} workers, those without times first.")
    for done, (number, answer) in enumerate(cluster.answers(tasks), start=len(work) - len(todo) + 1):
        case, device, names = todo[number]
        if isinstance(answer, Died):
            at = next(iter(places.values()))
            rows = [harness.missing_row(case, device, name, "failed", answer.reason) for name in names]
        else:
            where, rows = answer
            at = places.setdefault(where.run, place(where))  # of a worker that came later
        for row in rows:
            progress.failed(store.add(row, at))
        store.finish(case, device)
        progress.case(done, str(case), device)
    return _end(store, work, options, progress)


def place(where: Context) -> Place:
    return Place(where, {name: where.known_by(harness.source(name)) for name in harness.names()})


def _missing(store: Store, work: Sequence[Work], options: argparse.Namespace, progress: Progress) -> list[Work]:
    """The work that is still to be done."""
    wanted = [(case, device, store.missing(case, device, names, options.retry)) for case, device, names in work]
    todo = [(case, device, names) for case, device, names in wanted if names]
    if store.adopted:
        progress.note(f"{store.adopted} rows of other runs, from {store.path}, are kept in {store.folder}.")
    if options.full and todo:
        progress.note("The full run takes hours; interrupted, the same command goes on where it stopped.")
    if len(todo) < len(work):
        progress.note(f"{len(work) - len(todo)} of {len(work)} cases are measured already.")
    return todo


def _budget(options: argparse.Namespace) -> measuring.Budget:
    return measuring.Budget(seconds=1.5) if options.smoke else measuring.Budget()


def _names(work: Sequence[Work]) -> list[str]:
    return list(dict.fromkeys(name for *_, names in work for name in names))


def check_libraries(options: argparse.Namespace, names: Sequence[str], devices: Sequence[str], worker: Worker) -> None:
    """ValueError if one that was named cannot run, or if none can."""
    reasons = {(name, device): worker.why_not(name, device) for name in names for device in devices}
    for name in options.implementation:
        if name in names and all(reasons[name, device] for device in devices):
            raise ValueError(f"{name!r} cannot run: {reasons[name, devices[0]]}")
    if all(reasons.values()):
        why = " ".join(dict.fromkeys(str(reason) for reason in reasons.values()))
        raise ValueError(f"nothing can run on device {', '.join(devices)!r}: {why} Use --device cpu.")


def _end(store: Store, work: Sequence[Work], options: argparse.Namespace, progress: Progress) -> int:
    """Say what has no value; the exit code."""
    names = set(_names(work))
    for sentence in unmeasured(store, names):
        progress.note(sentence)
    lacking = without_value(store, names.intersection(options.implementation or OURS))
    if lacking:
        progress.note(f"Exit code 1: this run is for {' and '.join(lacking)}, of which nothing was measured.")
    return 1 if lacking else 0
