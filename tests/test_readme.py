"""The README keeps its word: its code runs, its table comes from the results, what it says of adding has been tried."""

import json
import re
import subprocess
import sys
import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import sdegrad.torch
from sdegrad.methods import METHODS
from sdegrad.torch.methods import SOLVERS, heun
from suite import measuring
from suite.cases import Case
from suite.problems import PROBLEMS

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)


def test_there_is_code_for_both_frameworks_and_diffrax():
    assert ["sdegrad.torch" in block for block in BLOCKS] == [True, False, False, True, True]
    assert ["sdegrad.jax" in block for block in BLOCKS] == [False, True, True, True, False]
    assert ["diffrax" in block for block in BLOCKS] == [False, False, True, False, False]


def test_the_pytorch_example():
    names = {}
    exec(BLOCKS[0], names)
    assert names["ys"].shape == (5, 128, 3)
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in names["sde"].parameters())


def test_the_jax_example():
    names = {}
    exec(BLOCKS[1], names)
    assert {k: v.shape for k, v in names["gradients"].items()} == {"A": (3, 3), "B": (3, 3)}
    assert all(np.abs(v).sum() > 0 for v in names["gradients"].values())


@pytest.mark.slow
def test_the_diffrax_example():
    exec(BLOCKS[2], names := {})
    assert names["gradient"] < 0


@pytest.mark.exhaustive
@pytest.mark.slow
def test_the_gradient_of_the_diffrax_example_is_that_of_its_own_adjoint():
    """On the same path, to the rounding of float32."""
    exec(BLOCKS[2], names := {})
    exec(BLOCKS[2].replace("adjoint=ReversibleAdjoint()", "adjoint=diffrax.RecursiveCheckpointAdjoint()"), own := {})
    np.testing.assert_allclose(names["gradient"], own["gradient"], rtol=1e-5)


def test_the_example_of_one_path_in_both_frameworks():
    exec(BLOCKS[3], names := {})
    assert names["some"].shape == (64, 3)


def test_the_training_example():
    names = {}
    exec(BLOCKS[4], names)
    assert all(p.grad is not None and p.grad.isfinite().all() for D in (names["G"], names["D"]) for p in D.parameters())
    assert all((p.abs() <= 1 / p.shape[1]).all() for p in names["D"].parameters() if p.dim() == 2)


@pytest.mark.slow
def test_the_headline_is_that_of_the_reference_run():
    command = [*(sys.executable, "-m", "reports", "--readme", "README.md", "--check")]
    done = subprocess.run(
        [*command, "--results", "reports/reference/cpu/results.csv"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_files_that_it_names_are_there():
    for name in re.findall(r"`((?:impls|suite|reports|tests)/[\w./-]+\.\w+)`", README):
        if "NAME" not in name and not name.startswith("reports/out"):
            assert (ROOT / name).exists(), name
    headings = {
        re.sub(r"[^\w -]", "", h).lower().replace(" ", "-") for h in re.findall(r"^#+ (.*)$", README, re.MULTILINE)
    }
    for name in re.findall(r"\]\((?!http)([^)]+)\)", README):
        assert name[1:] in headings if name.startswith("#") else (ROOT / name).exists(), name


def test_adding_a_solver(monkeypatch):
    """A row in SOLVERS and one in METHODS, and it is solved with, checked against its calculus, and counted."""
    monkeypatch.setitem(SOLVERS, "trapezium", heun.SCHEME)
    monkeypatch.setitem(METHODS, "trapezium", METHODS["heun"])
    case = Case(kind="nfe", method="trapezium", sizes={"paths": 2, "dim": 2, "hidden": 2}, dts=(0.25, 0.125))
    rows = list(measuring.measure(case, ["sdegrad_torch"], "cpu", measuring.Budget(), lambda *_: None))
    found = {r["measure"]: float(r["value"]) for r in rows if r["measure"].startswith("nfe_")}
    assert found == {"nfe_drift": 2.0, "nfe_diffusion": 2.0}
    sde = torch.nn.Module()
    sde.noise_type, sde.sde_type, sde.f, sde.g = "diagonal", "ito", lambda t, y: y, lambda t, y: y
    with pytest.raises(ValueError, match="trapezium"):
        sdegrad.torch.sdeint(sde, torch.ones(1, 1), torch.tensor([0.0, 1.0]), method="trapezium", dt=0.5)


def test_adding_a_problem(monkeypatch):
    """A row in PROBLEMS, and a case measures it."""
    monkeypatch.setitem(PROBLEMS, "another", replace(PROBLEMS["gbm"], about="the same under another name"))
    case = Case(
        kind="strong_error", problem="another", sizes={"paths": 200}, dts=(0.25, 0.125, 0.0625), dtype="float64"
    )
    rows = list(measuring.measure(case, ["sdegrad_torch"], "cpu", measuring.Budget(), lambda *_: None))
    assert [r["status"] for r in rows if r["measure"] == "strong_order"] == ["ok"]


def test_the_pins_are_one_list():
    """asv's matrix has the versions of constraints.txt; the extra `bench` does not contradict it."""
    pins = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line)

    matrix = json.loads((ROOT / "asv.conf.json").read_text())["matrix"]["req"]
    assert {name: versions for name, versions in matrix.items() if name in pins} == {
        name: [pins[name]] for name in matrix if name in pins
    }
    assert set(matrix) - set(pins) == {"setuptools"}
    assert next(iter(matrix)) == "torch"
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for name, version in re.findall(r"(\w[\w-]*)==([\w.]+)", " ".join(extras["bench"])):
        assert pins[name] == version
