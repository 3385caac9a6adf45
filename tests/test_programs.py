"""Three programs written for torchsde run with both libraries, the import as the only difference, to the same losses.

With their own noise the two libraries agree in law only, which `python -m tests.programs.compare` shows over seeds.
Given one Brownian motion they take the same steps and get the same gradients, so whole trainings agree to rounding.
"""

from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torchsde

import sdegrad.torch
from reports import programs as report
from suite import results
from suite.provenance import Context
from tests.programs import compare

PROGRAMS = list(compare.STEPS)
LIBRARIES = ("sdegrad_torch", "torchsde")
STEPS = 3
# Relative, of the loss at the start and after each step. The gradients of the first two are exact, and rounding grows a
# little with the training; of a continuous adjoint in the Ito sense each library has its own approximation.
TOLERANCE = {"sde_gan": 1e-12, "latent_sde": 1e-12, "lorenz": 1e-3}
WRONG = {"sde_gan": 1.0001, "latent_sde": 1.0001, "lorenz": 1.05}  # factors of the noise that must be seen


@pytest.fixture(autouse=True, scope="module")
def double():
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


def small(program, library):
    module = compare.load(program, library)
    module.BATCH, module.TEST = 16, 16
    if program == "lorenz":
        module.TRAINING = 16
    module.TIMES = module.TIMES.double()
    return module


def losses(module):
    return np.array([loss for _, loss in module.main(seed=3, steps=STEPS, evaluations=STEPS)])


class Scaled(sdegrad.torch.BaseBrownian):
    """The Brownian motion of sdegrad.torch, times a factor, for either library to solve with."""

    shape = property(lambda self: self.bm.shape)
    dtype = property(lambda self: self.bm.dtype)
    device = property(lambda self: self.bm.device)
    levy_area_approximation = "none"

    def __init__(self, scale, *arguments, **options):
        self.scale, self.bm = scale, sdegrad.torch.BrownianInterval(*arguments, **options)

    def __call__(self, *arguments, **options):
        return self.scale * self.bm(*arguments, **options)

    def __repr__(self):
        return f"{self.scale} * {self.bm}"


def on_our_noise(module, scale=1.0):
    """The module, its Brownian motions drawn by sdegrad.torch, whichever library solves."""
    noise = {"BrownianInterval": partial(Scaled, scale)}
    module.torchsde = SimpleNamespace(**{**vars(module.torchsde), **noise})
    return module


@pytest.fixture(scope="module")
def ours(double):
    """The losses of each program with sdegrad.torch on its own noise."""
    return {program: losses(small(program, "sdegrad_torch")) for program in PROGRAMS}


@pytest.mark.parametrize("program", PROGRAMS)
def test_one_line_differs(program):
    ours, theirs = (compare.source(program, library).splitlines() for library in LIBRARIES)
    differing = [pair for pair in zip(ours, theirs, strict=True) if pair[0] != pair[1]]
    assert differing == [("import sdegrad.torch as torchsde", "import torchsde")]
    assert sum("sdegrad" in line for line in ours) == 1


@pytest.mark.parametrize("program", PROGRAMS)
def test_each_library_is_the_one_that_runs(program):
    assert compare.load(program, "sdegrad_torch").torchsde is sdegrad.torch
    assert compare.load(program, "torchsde").torchsde is torchsde


@pytest.mark.slow
@pytest.mark.parametrize("program", PROGRAMS)
def test_same_training_on_the_same_noise(program, ours):
    theirs = losses(on_our_noise(small(program, "torchsde")))
    assert np.isfinite(theirs).all()
    assert len(theirs) == STEPS + 1
    assert len(set(theirs)) == STEPS + 1  # it trains
    np.testing.assert_allclose(ours[program], theirs, rtol=TOLERANCE[program])


@pytest.mark.slow
@pytest.mark.parametrize("program", PROGRAMS)
def test_a_wrong_library_is_seen(program, ours):
    """Noise too large by a hundredth of a per cent, for the Lorenz program by five."""
    wrong = losses(on_our_noise(small(program, "sdegrad_torch"), WRONG[program]))
    assert not np.allclose(ours[program], wrong, rtol=TOLERANCE[program], atol=0)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:the way back of the reversible adjoint")  # the wrong noise is seen there, too
@pytest.mark.parametrize("program", PROGRAMS)
def test_the_control_of_a_comparison_trains_otherwise(program, ours):
    """From the same weights, and of the Lorenz program on the same data and noise, to other losses."""
    control = losses(small(program, report.CONTROL))
    assert np.isfinite(control).all()
    assert abs(control[-1] / ours[program][-1] - 1) > 10 * TOLERANCE[program]


@pytest.mark.slow
@pytest.mark.parametrize("program", PROGRAMS)
def test_on_its_own_noise(program):
    """The program runs under torchsde as it stands."""
    theirs = losses(small(program, "torchsde"))
    assert np.isfinite(theirs).all()
    assert len(set(theirs)) == STEPS + 1


WHERE = Context("0" * 40, False, "a machine", 1, "a run")


def invented(program, library, seed, where):
    """Rows as `compare.train` returns them; the losses of the control are larger by 50 %, with 2 % of spread."""
    factor = (1.5 if library == report.CONTROL else 1.0) * (1 + 0.02 * np.random.default_rng(seed).normal())
    shared = {"run": where.run, "time": f"2026-01-01T00:00:0{seed}", "commit": where.commit, "machine": where.machine}
    shared |= {"tool": "programs", "device": "cpu", "threads": 1, "implementation": library, "problem": program}
    shared |= {"dirty": False, "dtype": "float32", "seed": seed, "status": "ok"}
    losses = {0: 10 * factor, compare.STEPS[program]: factor}
    rows = [results.row(**shared, measure="training_loss", unit="1", steps=k, value=v) for k, v in losses.items()]
    seconds = (2.0 if library == "torchsde" else 1.0) * (1 + seed)
    return [
        *rows,
        results.row(**shared, measure="training_time", unit="s", steps=compare.STEPS[program], value=seconds),
    ]


@pytest.fixture
def rehearsed(monkeypatch):
    """Comparisons without the programs; the list of what was trained."""
    trained = []

    def train(program, library, seed, where):
        trained.append((program, library, seed))
        return invented(program, library, seed, where)

    monkeypatch.setattr(compare, "train", train)
    monkeypatch.setattr(compare, "load", lambda *_: SimpleNamespace(main=lambda *_, **__: []))
    return trained


def test_a_comparison_resumes(tmp_path, rehearsed):
    path = tmp_path / "programs.csv"
    compare.compare(path, LIBRARIES, 2, WHERE)
    assert len(rehearsed) == len(set(rehearsed)) == 2 * 2 * len(PROGRAMS)
    assert rehearsed[:2] == [(PROGRAMS[0], library, 0) for library in LIBRARIES]
    rows = results.read(path)
    cut = [
        row for row in rows if (row["problem"], row["implementation"], row["seed"]) != (PROGRAMS[1], "torchsde", "1")
    ]
    results.write(path, cut)
    rehearsed.clear()
    compare.compare(path, LIBRARIES, 2, WHERE)
    assert rehearsed == [(PROGRAMS[1], "torchsde", 1)]
    assert len(results.read(path)) == len(rows)


def test_rows_of_another_run_are_kept_aside(tmp_path, rehearsed):
    path = tmp_path / "programs.csv"
    compare.compare(path, LIBRARIES, 2, WHERE)
    before = results.read(path)
    compare.compare(path, LIBRARIES, 2, replace(WHERE, run="x/../../elsewhere"))
    other = results.read(path)
    assert {row["run"] for row in other} == {"x/../../elsewhere"}
    compare.compare(path, LIBRARIES, 2, WHERE)
    assert [results.read(tmp_path / f"programs-{n}.csv") for n in (1, 2)] == [before, other]
    assert len(list(tmp_path.iterdir())) == 3


def test_the_report(tmp_path, rehearsed, capsys):
    path = tmp_path / "programs.csv"
    compare.compare(path, [*LIBRARIES, report.CONTROL], 5, WHERE)
    assert report.main([str(path)]) == 0
    assert path.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
    told = capsys.readouterr().out
    assert told.count("intervals overlap") == told.count("intervals lie apart") == len(PROGRAMS)
    assert told.count("time 2.00×") == told.count("loss 1.50×") == len(PROGRAMS)
    assert told.count(", alike") == told.count(", different") == len(PROGRAMS)


def test_one_seed_is_too_few(tmp_path, rehearsed, capsys):
    path = tmp_path / "programs.csv"
    compare.compare(path, LIBRARIES, 1, WHERE)
    assert report.main([str(path)]) == 2
    assert "two seeds or more" in capsys.readouterr().err
    assert not path.with_suffix(".png").exists()
