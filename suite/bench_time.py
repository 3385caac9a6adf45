"""asv: wall-clock of our solvers over the commits."""

from typing import Any, ClassVar

from suite.asv_cases import OURS, SIZES, find, prepared
from suite.cases import EXACT


class Gradient:
    """Forward and exact gradient, 100 steps of 0.01 of a neural SDE, float32."""

    params: ClassVar = [OURS, SIZES]
    param_names: ClassVar = ["implementation", "size"]
    version = "1"
    repeat = (8, 30, 5.0)
    rounds = 3

    def setup(self, implementation: str, size: str) -> None:
        self.run: Any = prepared(implementation, find("time", size, adjoints=EXACT, t1=1.0, told_dt=False))

    def time_gradient(self, implementation: str, size: str) -> None:
        self.run()


class Solve:
    """The solve alone."""

    params: ClassVar = [OURS, SIZES[:1]]
    param_names: ClassVar = ["implementation", "size"]
    version = "1"
    repeat = (8, 30, 5.0)
    rounds = 3

    def setup(self, implementation: str, size: str) -> None:
        self.run: Any = prepared(implementation, find("time", size, adjoints=(None,), t1=1.0))

    def time_solve(self, implementation: str, size: str) -> None:
        self.run()
