"""Measuring in a process of its own, so that a library that crashes or hangs costs its row and nothing else."""

import multiprocessing
import os
import signal
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from suite.cases import Case
from suite.results import Row

PATIENCE = 300.0  # seconds without a sign of life


def _serve(pipe: Any, threads: int) -> None:
    if hasattr(os, "sched_setaffinity"):  # before any framework sizes its thread pools by it
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # a GPU's memory is for every library
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what an interrupt ends
    warnings.simplefilter("ignore")
    from suite import measuring

    while True:
        case, names, device, budget = pipe.recv()
        for row in measuring.measure(case, names, device, budget, lambda *told: pipe.send(("tell", told))):
            pipe.send(("row", row))
        pipe.send(("done", None))


class Worker:
    """`measure` yields the rows of a case. A process that dies or says nothing for `patience` seconds is ended and
    started again; the implementation that was at work gets a failed row, the others are measured anew."""

    def __init__(self, threads: int, patience: float = PATIENCE) -> None:
        self._threads, self._patience = threads, patience
        self._process: Any = None

    def _start(self) -> None:
        spawn = multiprocessing.get_context("spawn")
        self._pipe, child = spawn.Pipe()
        self._process = spawn.Process(target=_serve, args=(child, self._threads), daemon=True)
        self._process.start()
        child.close()

    def close(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._process = None

    def measure(
        self, case: Case, names: Sequence[str], device: str, budget: Any, tell: Callable[[str, str], None]
    ) -> Iterator[Row]:
        names = list(names)
        while names:
            if self._process is None:
                self._start()
            process: Any = self._process
            self._pipe.send((case, names, device, budget))
            at_work = names[0]
            while True:
                lost = self._lost()
                if lost is not None:
                    break
                try:
                    kind, what = self._pipe.recv()
                except EOFError:
                    process.join(5)
                    lost = f"the process died (exit code {process.exitcode})"
                    break
                if kind == "row":
                    yield what
                elif kind == "tell":
                    at_work = what[0]
                    tell(*what)
                else:
                    return
            self.close()
            yield self._failed(case, at_work, device, lost)
            names.remove(at_work)

    def _lost(self) -> str | None:
        if self._pipe.poll(self._patience):
            return None
        return f"no sign of life for {self._patience:.0f} s; the process was ended"

    @staticmethod
    def _failed(case: Case, name: str, device: str, reason: str) -> Row:
        from suite.harness import main_measure, work_row

        return work_row(case, device, name, main_measure(case), status="failed", reason=reason)
