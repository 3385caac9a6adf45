"""Two processes, each with its rows of a batch, have the gradient of one process with the whole batch."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.programs import sde_gan_processes
from tests.torch.over_processes import SHARES, TRAINING, Loss

ROOT = Path(__file__).parents[2]


def gradient(rows=None):
    loss = Loss()
    loss(rows).backward()
    return loss.net.weight.grad


@pytest.fixture(scope="module")
def processes(tmp_path_factory):
    """What each of two found, under torchrun."""
    folder = tmp_path_factory.mktemp("processes")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path]), "OMP_NUM_THREADS": "1"}
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", f"{len(SHARES)}"]
    command = [*torchrun, "-m", "tests.torch.over_processes", folder]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr
    return [torch.load(folder / f"{rank}") for rank in range(len(SHARES))]


@pytest.mark.exhaustive(but=["sharded"])
@pytest.mark.slow
@pytest.mark.parametrize("kind", ["replicated", "sharded"])
def test_the_gradient_of_two_processes_is_that_of_one(processes, kind):
    found = [process[kind] for process in processes]
    assert torch.equal(*found)
    expected = gradient()
    torch.testing.assert_close(len(SHARES) * found[0], expected, rtol=1e-13, atol=1e-13)
    assert not torch.allclose(2 * gradient(SHARES[0]), expected)


def test_the_gradients_of_the_rows_add_up():
    parts = gradient(SHARES[0]) + gradient(SHARES[1])
    torch.testing.assert_close(parts, gradient(), rtol=1e-13, atol=1e-13)


@pytest.mark.slow
def test_an_sde_gan_of_two_processes_is_that_of_one(processes, monkeypatch):
    assert torch.equal(*(process["trained"] for process in processes))
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        trained, wrong = (sde_gan_processes.train(**how)[0] for how in (TRAINING, {**TRAINING, "batch": 8}))
    finally:
        torch.set_default_dtype(before)
    expected, other = (torch.nn.utils.parameters_to_vector(duel.parameters()) for duel in (trained, wrong))
    torch.testing.assert_close(processes[0]["trained"], expected.detach(), rtol=1e-9, atol=1e-9)
    assert not torch.allclose(other, expected, rtol=1e-6, atol=1e-6)


def test_what_there_is_not_is_refused(monkeypatch):
    with pytest.raises(SystemExit, match=r"2 processes must divide the batch.*--batch 7; pass --batch 8"):
        sde_gan_processes.rows_of(7, 0, 2)
    monkeypatch.setenv("RANK", "0")
    with pytest.raises(SystemExit, match=r"no backend 'smoke'; pass --backend with one of \['gloo'"):
        sde_gan_processes.start("smoke")
