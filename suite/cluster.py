"""The machines of a Dask scheduler: `--scheduler ADDRESS`, or `--scheduler local` for workers of its own on this one.

A work is one task: a case of the bench, or the claims that rest on one measurement. A worker that dies costs the task
that it was at, which goes to another worker; one that kills several workers is a row that says so. Times need a machine
for themselves: they are measured after all else, one at a time by workers that were started with the resource `timing`,
of which a machine may have one; a second one that comes later waits for it. Dask is imported when it is asked for.
"""

import logging
import multiprocessing
import re
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from getpass import getuser
from multiprocessing import get_context
from pathlib import Path
from tempfile import gettempdir
from threading import Lock
from typing import Any, NamedTuple

from suite import provenance
from suite.provenance import Context
from suite.store import locked
from suite.worker import end_with_parent

LOCAL = "local"
TIMING = "timing"
PATIENCE = 20.0  # seconds for a scheduler to answer, and to have a worker
START = "DASK_DISTRIBUTED__WORKER__DAEMON=False python -m dask worker {address} --nthreads 1 --resources timing=1"


class ClusterError(ValueError):
    """Machines that cannot be used; the message says which, why, and what to do."""


class Task(NamedTuple):
    """function(*arguments), at a machine; timed: with no other task of this kind at that machine."""

    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    timed: bool = False


class Died(NamedTuple):
    """In place of an answer: why there is none."""

    reason: str


class Cluster:
    """A scheduler and its workers. places: where each worker is. timing: the host of each that can measure times."""

    def __init__(self, client: Any, address: str, places: Mapping[str, Context], timing: Sequence[str]) -> None:
        self._client, self._address, self._timing, self.places = client, address, timing, places

    def check_timing(self) -> None:
        """ClusterError unless some machine can measure times, and none would measure two at once."""
        hosts = self._timing
        if not hosts:
            raise ClusterError(
                f"no worker of {self._address} offers the resource {TIMING!r}, so nothing could measure times; start "
                f"one a machine with --resources {TIMING}=1."
            )
        twice = sorted({host for host in hosts if hosts.count(host) > 1})
        if twice:
            raise ClusterError(
                f"{hosts.count(twice[0])} workers on {twice[0]} offer the resource {TIMING!r}, and would measure times "
                f"side by side; start one of them with --resources {TIMING}=1, and the others without."
            )

    def answers(self, tasks: Sequence[Task]) -> Iterator[tuple[int, Any]]:
        """Yields (number of the task, its answer or `Died`) as they come, those that are timed after the others.

        ClusterError if the scheduler is lost.
        """
        for timed in (False, True):
            yield from self._answers({n: task for n, task in enumerate(tasks) if task.timed is timed}, timed)

    def _answers(self, tasks: Mapping[int, Task], timed: bool) -> Iterator[tuple[int, Any]]:
        from distributed import as_completed
        from distributed.scheduler import KilledWorker

        options = {"pure": False, "resources": {TIMING: 1} if timed else None}
        call = partial(_at_worker, provenance.code(), timed)
        running = {self._client.submit(call, t.function, *t.arguments, **options): n for n, t in tasks.items()}
        for done in as_completed(list(running), loop=self._client.loop):
            if done.status in ("cancelled", "lost"):
                raise ClusterError(
                    f"the scheduler at {self._address} was lost; what was measured is kept, and the same command goes "
                    "on from there."
                )
            failure = done.exception() if done.status == "error" else None
            if failure is not None and not isinstance(failure, KilledWorker):
                raise failure
            yield running[done], Died("every worker that measured it died") if failure else done.result()
            done.release()


_ADDRESS = r"((tcp|tls|ws|wss|ucx|ucxx)://)?[^\s/]+:\d{1,5}/?"


@contextmanager
def connected(address: str, threads: int | None = None) -> Iterator[Cluster]:
    """The cluster of the scheduler at this address. threads: of each machine; None for all that it has.

    ClusterError without Dask, a scheduler, a worker, or if a worker is of another version than this process.
    """
    try:
        from distributed import Client
    except ImportError:
        raise ClusterError('--scheduler needs Dask, which is not installed; pip install "sdegrad[cluster]".') from None
    if address != LOCAL and not re.fullmatch(_ADDRESS, address):
        raise ClusterError(
            f"{address!r} is no address of a scheduler, which is like tcp://192.168.0.7:8786; give that which the "
            f"scheduler prints, or --scheduler {LOCAL}."
        )
    with ExitStack() as closing:
        wanted = provenance.cores() if address == LOCAL else 1
        found: Any = closing.enter_context(local(wanted)) if address == LOCAL else address
        try:
            client = closing.enter_context(Client(found, timeout=PATIENCE, set_as_default=False))
            client.wait_for_workers(wanted, timeout=PATIENCE)
        except (OSError, TimeoutError, ValueError) as error:
            raise ClusterError(
                f"no scheduler with a worker answers at {address!r} ({_short(error)}); start `python -m dask "
                f"scheduler` and `{START.format(address=address)}`, or give --scheduler {LOCAL}."
            ) from None
        yield _cluster(client, address, threads)


def _short(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _cluster(client: Any, address: str, threads: int | None) -> Cluster:
    try:
        known = client.run(_identity, threads)
    except Exception as error:
        raise ClusterError(
            f"a worker of {address} cannot import this suite ({_short(error)}); start the workers in a checkout of "
            "this commit, with its environment: .nox/suite/bin/python -m dask worker."
        ) from None
    here = provenance.code()
    for worker, (code, daemon, _, _) in known.items():
        if code != here:
            raise ClusterError(
                f"the worker {worker} runs other code or other versions than this process ({code}, here {here}); give "
                "all the same commit and constraints.txt."
            )
        if daemon:
            raise ClusterError(
                f"the worker {worker} may not start processes; start it with DASK_DISTRIBUTED__WORKER__DAEMON=False in "
                "its environment, or with --no-nanny."
            )
    workers = client.scheduler_info(n_workers=-1)["workers"]
    timing = [known[name][2] for name in known if workers[name].get("resources", {}).get(TIMING)]
    return Cluster(client, address, {name: where for name, (*_, where) in known.items()}, timing)


def _at_worker(code: str, timed: bool, function: Callable[..., Any], *arguments: Any) -> Any:
    """At a worker, which may have come after the others were looked at: function(*arguments). timed: while no other
    worker on this machine measures times."""
    here = provenance.code()
    if here != code:
        raise ClusterError(
            f"a worker on {socket.gethostname()} runs other code or other versions than its client ({here}, there "
            f"{code}); give all the same commit and constraints.txt."
        )
    taken = Path(gettempdir()) / f"sdegrad-{TIMING}-{getuser()}"
    with locked(taken, wait=True) if timed else nullcontext():
        return function(*arguments)


def _identity(threads: int | None) -> tuple[str, bool, str, Context]:
    """At a worker: what is known of it."""
    daemon = bool(multiprocessing.current_process().daemon)
    return provenance.code(), daemon, socket.gethostname(), provenance.context(threads or provenance.cores())


@contextmanager
def local(count: int) -> Iterator[Any]:
    """So many workers on this machine, the first of which measures times."""
    from dask import config
    from distributed import Nanny, Scheduler, SpecCluster

    quiet: dict[str, Any] = {"silence_logs": logging.CRITICAL, "dashboard": False}

    def worker(resources: Mapping[str, float]) -> Mapping[str, Any]:
        return {"cls": Nanny, "options": {"nthreads": 1, "resources": resources, **quiet}}

    workers = {i: worker({TIMING: 1} if i == 0 else {}) for i in range(count)}
    scheduler = {"cls": Scheduler, "options": {"dashboard": False, "dashboard_address": ":0"}}
    with (
        config.set({"distributed.worker.daemon": False}),
        SpecCluster(scheduler=scheduler, workers=workers, silence_logs=quiet["silence_logs"]) as cluster,
    ):
        yield cluster


def in_process(function: Callable[..., Any], *arguments: Any, fresh_after: int) -> Any:
    """At a worker: function(*arguments) in a process that lives for so many calls; `Died` if that process dies."""
    with _LOCK:
        if _kept and _kept[0].calls >= fresh_after:
            _kept.pop().pool.shutdown()
        if not _kept:
            _kept.append(_Process(ProcessPoolExecutor(1, get_context("spawn"), end_with_parent)))
        process = _kept[0]
        process.calls += 1
        try:
            return process.pool.submit(function, *arguments).result()
        except BrokenProcessPool:
            _kept.clear()
            return Died("the process that measured it died")


@dataclass
class _Process:
    pool: ProcessPoolExecutor
    calls: int = 0


_LOCK = Lock()
_kept: list[_Process] = []  # of this worker: one, or none
