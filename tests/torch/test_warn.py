"""A warning points at the line of the program that it is about, and not at one of the library."""

import warnings
from pathlib import Path

import torch

import sdegrad.torch as sd
from tests.torch.sdes import neural, state


class Contracting(sd.SDEStratonovich):
    """dy = -0.3 y dt + 0.1 dW, over which reversible Heun loses the solution."""

    def __init__(self):
        super().__init__("diagonal")
        self.rate = torch.nn.Parameter(torch.tensor(-0.3))

    def f(self, _t, y):
        return self.rate * y

    def g(self, _t, y):
        return torch.full_like(y, 0.1)


def lines(work):
    """Where the warnings of `work` point: (file, source line)."""
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        work()
    source = Path(__file__).read_text().splitlines()
    return {(Path(w.filename).name, source[w.lineno - 1].strip()) for w in seen}


def here(line):
    return {(Path(__file__).name, line)}


def test_of_a_solve():
    def work():
        sd.sdeint(Contracting(), torch.ones(2, 1), [0.0, 60.0], dt=0.02, method="reversible_heun")

    assert lines(work) == here(
        'sd.sdeint(Contracting(), torch.ones(2, 1), [0.0, 60.0], dt=0.02, method="reversible_heun")'
    )


def test_of_a_backward_pass():
    def work():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ys = sd.sdeint_adjoint(Contracting(), torch.ones(2, 1), [0.0, 60.0], dt=0.02, method="reversible_heun")
        ys[-1].sum().backward()

    assert lines(work) == here("ys[-1].sum().backward()")


def test_of_a_query():
    bm = sd.BrownianInterval(0.0, 1.0, (2,), outside="clamp")

    def work():
        bm(0.5, 1.5)

    assert lines(work) == here("bm(0.5, 1.5)")


def test_of_arguments():
    sde = neural("diagonal")

    def work():
        sd.sdeint(sde, state(), [0.0, 1.0], dt=0.5, method="heun", unknown=1)

    assert lines(work) == here('sd.sdeint(sde, state(), [0.0, 1.0], dt=0.5, method="heun", unknown=1)')
