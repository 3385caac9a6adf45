"""The memory of a whole solve, forward and reversible backward, does not grow with the number of steps.

Measured from within: at each evaluation of the drift, what the C library has handed out, which is where tensors and
autograd's graph are, and in another run what Python's objects take. So it is the peak over the evaluations, exact to
what lives within one step.
"""

import ctypes
import gc
import tracemalloc
from collections.abc import Callable

import pytest
import torch

import sdegrad.torch as sd

BATCH, DIM, HIDDEN = 64, 16, 32
FLAT = 1.05


class _Mallinfo2(ctypes.Structure):
    _names = ("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost")
    _fields_ = [(name, ctypes.c_size_t) for name in _names]


def _allocated() -> Callable[[], int]:
    """Bytes in use of malloc's, from its own books."""
    try:
        mallinfo2 = ctypes.CDLL(None).mallinfo2
    except AttributeError:
        pytest.skip("malloc's books are read by mallinfo2, of glibc from 2.33 on.")
    mallinfo2.restype = _Mallinfo2

    def allocated() -> int:
        info = mallinfo2()
        return info.uordblks + info.hblkhd

    return allocated


class Watched(sd.BaseSDE):
    """Networks with diagonal noise. `look` is called at each evaluation of the drift."""

    def __init__(self, look: Callable[[], None]) -> None:
        super().__init__("diagonal", "stratonovich")
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.drift, self.diffusion = (
                torch.nn.Sequential(torch.nn.Linear(DIM, HIDDEN), torch.nn.Tanh(), torch.nn.Linear(HIDDEN, DIM))
                for _ in range(2)
            )
        self.look = look

    def f(self, _t, y):
        self.look()
        return self.drift(y)

    def g(self, _t, y):
        return self.diffusion(y)


def peak(measure: Callable[[], int], steps: int, adjoint: str) -> int:
    """The most that `measure` rises in a solve of so many steps on [0, 1] and its gradient."""
    most = 0

    def look():
        nonlocal most
        most = max(most, measure())

    sde, y0, ts = Watched(look), torch.ones(BATCH, DIM, requires_grad=True), torch.tensor([0.0, 1.0])
    for parameter in sde.parameters():
        parameter.grad = torch.zeros_like(parameter)
    gc.collect()
    before = measure()
    bm = sd.BrownianInterval(0.0, 1.0, (BATCH, DIM), dt=1 / steps, entropy=0)
    sd.sdeint(sde, y0, ts, bm=bm, method="reversible_heun", dt=1 / steps, adjoint=adjoint)[-1].sum().backward()
    return most - before


@pytest.fixture(scope="module", autouse=True)
def warm():
    """What is allocated once in a process is not a solve's."""
    peak(lambda: 0, 100, "reversible")


def traced(steps: int, adjoint: str) -> int:
    """The same of what Python's objects take. The least of three solves: once in a while a table of the process, which
    any of its threads may fill, grows by more than a solve takes."""
    return min(_traced(steps, adjoint) for _ in range(3))


def _traced(steps: int, adjoint: str) -> int:
    def measure():
        gc.collect()  # empties the free lists of tuples too, where those that PyTorch makes at each step end up
        return tracemalloc.get_traced_memory()[0]

    gc.freeze()  # the collector has only what is new to look at
    tracemalloc.start()
    try:
        return peak(measure, steps, adjoint)
    finally:
        tracemalloc.stop()
        gc.unfreeze()


@pytest.mark.exhaustive
@pytest.mark.slow
def test_memory_is_flat():
    allocated = _allocated()
    few, many = (peak(allocated, steps, "reversible") for steps in (100, 2000))
    assert few < 2**21
    assert many < FLAT * few
    python = [traced(steps, "reversible") for steps in (100, 500)]
    assert python[1] - python[0] < (FLAT - 1) * few


@pytest.mark.slow
def test_memory_that_grows_is_seen():
    allocated = _allocated()
    few, more = (peak(allocated, steps, "backprop") for steps in (100, 200))
    assert more > 1.8 * few
    python = [traced(steps, "backprop") for steps in (50, 150)]
    assert python[1] > python[0] + 2**14
