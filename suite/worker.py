"""Measuring in a process of its own, so that a library that crashes or hangs costs its row and nothing else."""

import faulthandler
import multiprocessing
import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from suite.case import Case
from suite.provenance import Context, context, cores
from suite.results import Row

PATIENCE = 300.0  # seconds without a sign of life
LONGER = 6.0  # times that, where one call is long by itself
GLANCE = 1.0  # seconds after which it is looked whether a process that says nothing is there

OnProgress = Callable[[str, str], None]


def _serve(pipe: Any, threads: int, log: str) -> None:
    if hasattr(os, "sched_setaffinity"):  # before any framework sizes its thread pools by it
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # a GPU's memory is for every library
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what an interrupt ends
    if hasattr(os, "setpgrp"):  # what libraries start ends with this process
        os.setpgrp()
    end_with_parent()
    printed = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for stream in (sys.stdout, sys.stderr):
        os.dup2(printed, stream.fileno())
    faulthandler.enable()
    warnings.simplefilter("ignore")
    from suite import measuring
    from suite.harness import why_not

    served = os.getpid()

    def say(kind: str, answer: Any) -> None:
        if os.getpid() != served:  # a library has forked, and the copy came back here: two would answer
            os._exit(1)
        pipe.send((kind, answer))

    while True:
        what, arguments = pipe.recv()
        try:
            if what == "why_not":
                say("row", why_not(*arguments))
            else:
                for row in measuring.measure(*arguments, on_progress=lambda *doing: say("progress", doing)):
                    say("row", row)
            say("done", None)
        except BaseException as failure:  # an interrupt is ignored here, so any other comes from a library
            say("error", measuring.told(failure))


def end_with_parent() -> None:
    """End this process with its parent: one that is killed cannot do it, and its worker would disturb the next run."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def wait() -> None:
        parent.join()
        if hasattr(os, "getpgrp") and os.getpgrp() == os.getpid():
            os.killpg(os.getpid(), signal.SIGKILL)
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


class Lost(NamedTuple):
    """Why an attempt ended early, the implementation that was at work, and whether that one is certainly the cause."""

    name: str
    reason: str
    certain: bool


class Worker:
    """`measure` yields the rows of a case. A process that dies or says nothing for `patience` seconds is ended and
    started again; the implementation that is to blame gets a failed row, the others are measured anew. log: the file
    for what the libraries print."""

    def __init__(self, threads: int, patience: float = PATIENCE, log: Path | None = None) -> None:
        self._threads, self._patience, self._log = threads, patience, os.devnull if log is None else str(log)
        self._process: Any = None

    def _start(self) -> None:
        spawn = multiprocessing.get_context("spawn")
        self._pipe, child = spawn.Pipe()
        self._process = spawn.Process(target=_serve, args=(child, self._threads, self._log), daemon=True)
        self._process.start()
        child.close()

    def close(self) -> None:
        if self._process is not None:
            if hasattr(os, "killpg"):
                with suppress(ProcessLookupError, PermissionError):  # it has not come to make its group
                    os.killpg(self._process.pid, signal.SIGKILL)
            self._process.kill()
            self._process.join()
            self._process = None

    def why_not(self, name: str, device: str) -> str | None:
        """`harness.why_not`, and a sentence too where the library is broken."""
        answer, attempt = None, self._attempt("why_not", (name, device), name)
        while True:
            try:
                answer = next(attempt)
            except StopIteration as end:
                return f"it is broken: {end.value.reason}; mend it or uninstall it." if end.value else answer

    def measure(
        self, case: Case, names: Sequence[str], device: str, budget: Any, on_progress: OnProgress
    ) -> Iterator[Row]:
        from suite.harness import missing_row

        names, patience = list(names), self._patience * (LONGER if case.kind == "long" else 1.0)
        while names:
            lost = yield from self._attempt("measure", (case, names, device, budget), names[0], on_progress, patience)
            if lost is None:
                return
            if lost.certain or len(names) == 1:
                yield missing_row(case, device, lost.name, "failed", lost.reason)
                names.remove(lost.name)
                continue
            # Or threads of another library have crashed late: alone in a process, each can fail for itself only.
            good: list[str] = []
            for name in (lost.name, *(name for name in names if name != lost.name)):
                self.close()
                work = case, [name], device, budget
                alone = yield from self._attempt("measure", work, name, on_progress, patience)
                if alone is None:
                    good.append(name)
                    continue
                yield missing_row(case, device, name, "failed", alone.reason)
                if not good:  # it was the one at work: nobody else is suspected
                    good = [other for other in names if other != name]
                    break
            else:
                # Times are compared side by side, now that they can be.
                good = good if case.compares_times and len(good) < len(names) else []
            self.close()
            names = good

    def _answers(self, process: Any, patience: float) -> bool:
        """Whether there is an answer within `patience` seconds. EOFError if the process is gone without one: another
        that it has left behind may hold the pipe open."""
        end = time.monotonic() + patience
        while not self._pipe.poll(max(0.0, min(GLANCE, end - time.monotonic()))):
            if not process.is_alive() and not self._pipe.poll():
                raise EOFError
            if time.monotonic() >= end:
                return False
        return True

    def _attempt(
        self,
        what: str,
        arguments: tuple[Any, ...],
        at_work: str,
        on_progress: OnProgress | None = None,
        patience: float | None = None,
    ) -> Generator[Any, None, Lost | None]:
        """Yield what the process answers to a request; return how it was lost, if it was."""
        if self._process is None:
            self._start()
        process: Any = self._process
        patience = patience or self._patience
        request: tuple[Any, ...] | None = (what, arguments)
        while True:
            try:
                if request:
                    self._pipe.send(request)
                    request = None
                if not self._answers(process, patience):
                    self.close()
                    silence = f"no sign of life for {patience:.0f} s; the process was ended"
                    return Lost(at_work, silence, certain=True)
                kind, answer = self._pipe.recv()
            except (EOFError, ConnectionError):
                process.join(5)
                self.close()
                return Lost(at_work, f"the process died (exit code {process.exitcode})", certain=False)
            if kind == "row":
                yield answer
            elif kind == "progress":
                at_work = answer[0]
                if on_progress:
                    on_progress(*answer)
            elif kind == "error":
                return Lost(at_work, answer, certain=True)
            else:
                return None


def measured(
    case: Case, device: str, names: Sequence[str], budget: Any, threads: int | None
) -> tuple[Context, list[Row]]:
    """The machine where this is called, and all rows of a case there. threads: None for all that it has."""
    threads = threads or cores()
    worker = Worker(threads)
    try:
        return context(threads), list(worker.measure(case, names, device, budget, lambda *_: None))
    finally:
        worker.close()
