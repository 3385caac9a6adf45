"""A fresh process that measures one implementation of one commit: lines of JSON in, lines of JSON out."""

import json
import math
import os
import select
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from suite.cases import CASES
from suite.provenance import ROOT
from suite.regress import clock

PATIENCE = 600.0  # seconds without an answer
FRAMEWORKS = ("torch", "jax", "equinox")  # the time of an import is that of sdegrad alone
WARM = 3  # calls before the time of a call is told


def kept_programs(folder: Path) -> dict[str, str]:
    """The settings with which JAX keeps what it compiles, and finds it again."""
    kept = {"JAX_COMPILATION_CACHE_DIR": str(folder / "xla"), "JAX_COMPILATION_CACHE_MAX_SIZE": str(2**31)}
    return kept | {"JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.1"}


class Lost(RuntimeError):
    """Raised where a commit or a library lacks what is measured; the message says why."""


class NoAnswer(Lost):
    """Raised where the process died or took too long, which says nothing of what the commit has."""


class Process:
    """The parent's end. build: the folder that holds the commit's wheel. core: the one to run on, or all."""

    def __init__(
        self, build: Path, log: Path, *, core: int | None = None, more: Mapping[str, str] | None = None
    ) -> None:
        self._log = log.open("ab")
        self._child = subprocess.Popen(
            [sys.executable, "-m", "suite.regress.process", "" if core is None else str(core)],
            cwd=ROOT,
            env=_environment(build, more or {}),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
        )

    def ask(self, what: str, *arguments: Any) -> Any:
        """The answer. Lost if it is an error, NoAnswer if there is none."""
        pipes = self._child.stdin, self._child.stdout
        assert pipes[0] is not None
        assert pipes[1] is not None
        try:
            pipes[0].write(json.dumps([what, arguments]).encode() + b"\n")
            pipes[0].flush()
            if not select.select([pipes[1]], [], [], PATIENCE)[0]:
                self.close()
                raise NoAnswer(f"no answer for {PATIENCE:.0f} s; the process was ended")
            line = pipes[1].readline()
        except BrokenPipeError:
            line = b""
        if not line:
            raise NoAnswer(f"the process died (exit code {self._child.wait()}); {self._log.name} has its last words")
        kind, answer = json.loads(line)
        if kind == "error":
            raise Lost(answer)
        return answer

    def close(self) -> None:
        self._child.kill()
        self._child.communicate()
        self._log.close()

    def __enter__(self) -> "Process":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _environment(build: Path, more: Mapping[str, str]) -> dict[str, str]:
    """That of this process, with the commit's wheel before everything, one thread, and nothing that is random."""
    hidden = ("PYTHONPATH", "JAX_COMPILATION_CACHE_DIR")
    kept = {name: value for name, value in os.environ.items() if name not in hidden}
    threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    path = os.pathsep.join((str(build), str(ROOT)))
    return kept | threads | {"PYTHONPATH": path, "PYTHONHASHSEED": "0", "SDEGRAD_BUILD": str(build), **more}


class Server:
    """The child's end: each public method answers a question."""

    def __init__(self) -> None:
        self._runs: dict[int, Any] = {}

    def start(self, name: str) -> None:
        """Get ready for an implementation, with the frameworks that it needs; an error if the sdegrad that is found is
        not the commit's, or is too old for the suite."""
        import_module("suite.measuring")
        build, spec = os.environ["SDEGRAD_BUILD"], find_spec("sdegrad")
        if spec is None or spec.origin is None or not spec.origin.startswith(build):
            raise ImportError(f"sdegrad is found at {spec and spec.origin}, expected it in {build}")
        for framework in FRAMEWORKS[:1] if name.endswith("torch") else FRAMEWORKS[1:]:
            import_module(framework)

    def once(self, what: str, *arguments: Any) -> Any:
        """The answer of a copy of this process that ends with it: what happens once in a process can be asked again."""
        reading, writing = os.pipe()
        if os.fork() == 0:
            try:
                signal.alarm(int(PATIENCE))
                os.write(writing, json.dumps(self.answer(what, arguments)).encode())
            finally:
                os._exit(0)
        os.close(writing)
        with os.fdopen(reading) as pipe:
            told = pipe.read()
        _, code = os.wait()
        kind, answer = json.loads(told or f'["error", "a copy of the process died (exit status {code})"]')
        if kind == "error":
            raise Lost(answer)
        return answer

    def answer(self, what: str, arguments: Sequence[Any]) -> tuple[str, Any]:
        """What the method says, or what it raises, in words."""
        method: Callable[..., Any] = getattr(self, what)
        try:
            return "answer", method(*arguments)
        except Lost as lost:
            return "error", str(lost)
        except Exception as failure:
            text = " ".join(str(failure).split())[:300]
            return "error", f"{type(failure).__name__}: {text}"

    def load(self, name: str) -> float:
        """Seconds of the import of an implementation, without the frameworks."""
        from suite.harness import load

        begin = clock.begin()
        load(name)
        return clock.seconds_since(begin)

    def rows(self, name: str, case: int) -> list[dict[str, str]]:
        """All rows of a case."""
        from suite.measuring import Budget, measure

        return list(measure(CASES[case], [name], "cpu", Budget(seconds=1.0), lambda *_: None))

    def compile(self, name: str, case: int) -> float:
        """Seconds from nothing to the end of the first call; programs that were kept are not used."""
        trial = _trial(name, case)
        if "jax" in sys.modules:
            sys.modules["jax"].config.update("jax_enable_compilation_cache", False)
        begin = clock.begin()
        trial.implementation.prepare(trial.task(trial.case.dts[0]))()
        return clock.seconds_since(begin)

    def prepare(self, name: str, case: int) -> float:
        """Get ready to be read; seconds of a warm call, about."""
        from suite.measuring import prepare

        self._runs[case] = prepare(_trial(name, case), lambda *_: None)[0]
        return min(self.read(case, 1, 0.0) for _ in range(WARM))

    def read(self, case: int, times: int, delay: float) -> float:
        """Seconds of so many calls, each with `delay` seconds of further work, which calibration plants."""
        run = self._runs[case]
        begin = clock.begin()
        for _ in range(times):
            run()
            end = time.process_time() + delay
            while delay and time.process_time() < end:
                pass
        return clock.seconds_since(begin)


def _trial(name: str, case: int) -> Any:
    from suite.harness import choose, why_not

    trial = why_not(name, "cpu") or choose(name, CASES[case], "cpu")
    if isinstance(trial, str):
        raise LookupError(trial)
    return trial


def serve(core: str) -> None:
    """Answer until the parent's end is closed."""
    if core and hasattr(os, "sched_setaffinity"):  # before any framework sizes its thread pools by it
        os.sched_setaffinity(0, [int(core)])
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what an interrupt ends
    warnings.simplefilter("ignore")
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print
    server = Server()
    for line in sys.stdin:
        what, arguments = json.loads(line)
        answers.write(json.dumps(server.answer(what, arguments)) + "\n")
        answers.flush()


def calls_for(seconds: float, least: float) -> int:
    """The number of calls, each of so many seconds, that fill a reading of `least` seconds."""
    return max(1, math.ceil(least / seconds))


if __name__ == "__main__":
    serve(sys.argv[1])
