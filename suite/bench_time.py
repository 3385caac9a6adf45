"""asv: wall-clock of every implementation over the commits, of the bench's cases; and of compilation and import."""

import subprocess
import sys
import time
from typing import ClassVar

from suite import asv_cases
from suite.provenance import ROOT

TIME_IMPORT = "import sys, time; sys.path[:] = {path!r}; from suite.harness import load; b = time.perf_counter(); "
TIME_IMPORT += "load({name!r}); print(time.perf_counter() - b)"


class Gradient(asv_cases.OfTimes):
    """Forward and gradient."""

    params: ClassVar = asv_cases.params("time", gradient=True)

    def time_gradient(self, implementation: str, device: str, work: str) -> None:
        self.run()


class Solve(asv_cases.OfTimes):
    """The solve alone."""

    params: ClassVar = asv_cases.params("time", gradient=False)

    def time_solve(self, implementation: str, device: str, work: str) -> None:
        self.run()


class Brownian(asv_cases.OfTimes):
    """All queries of an access pattern, on a Brownian motion made for them."""

    params: ClassVar = asv_cases.params("brownian")

    def time_brownian(self, implementation: str, device: str, work: str) -> None:
        self.run()


class Compile(asv_cases.OfCases):
    """From nothing to the end of the first call, once in a process."""

    params: ClassVar = asv_cases.params("time")

    def track_compile_time(self, implementation: str, device: str, work: str) -> float:
        begin = time.perf_counter()
        self.trial.implementation.prepare(self.trial.task(self.trial.case.dts[0]))()
        return time.perf_counter() - begin

    track_compile_time.unit = "s"  # pyright: ignore[reportFunctionMemberAccess]


class Import:
    """Import time of an implementation with its framework, in seconds, in a process of its own."""

    params: ClassVar = [asv_cases.LIBRARIES]
    param_names: ClassVar = ["implementation"]
    version = "4"

    def setup(self, implementation: str) -> None:
        asv_cases.check_here(implementation, "cpu")

    def track_import_time(self, implementation: str) -> float:
        # asv finds the suite without a place in the path
        program = TIME_IMPORT.format(path=[*sys.path, str(ROOT)], name=implementation)
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
        return float(done.stdout)

    track_import_time.unit = "s"  # pyright: ignore[reportFunctionMemberAccess]
