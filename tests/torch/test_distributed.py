"""Two processes, each with its rows of a batch, have the gradient of one process with the whole batch."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import sdegrad.torch as sd

SIZE, SHARES = (6, 3), ((0, 4), (4, 6))
ROOT = Path(__file__).parents[2]


class Loss(torch.nn.Module):
    """The sum of squares at the end, by the reversible adjoint."""

    noise_type, sde_type = "diagonal", "stratonovich"

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.net = torch.nn.Linear(3, 3, dtype=torch.float64)

    def f(self, t, y):
        return torch.tanh(self.net(y))

    def g(self, t, y):
        return 0.3 + 0.1 * torch.sin(self.net(y) + t)

    def forward(self, rows, generator="portable"):
        bm = sd.BrownianInterval(0, 1, SIZE, dtype=torch.float64, entropy=4, dt=0.1, generator=generator, rows=rows)
        y0, ts = torch.ones(bm.shape, dtype=torch.float64), torch.tensor([0.0, 1.0], dtype=torch.float64)
        return sd.sdeint_adjoint(self, y0, ts, bm=bm, dt=0.1, method="reversible_heun")[-1].square().sum()


def gradient(rows=None):
    loss = Loss()
    loss(rows).backward()
    return loss.net.weight.grad


def share(rank):
    """One of the processes: prints the gradient, which DistributedDataParallel has averaged over both."""
    torch.distributed.init_process_group("gloo", rank=rank, world_size=len(SHARES))
    loss = Loss()
    parallel = torch.nn.parallel.DistributedDataParallel(loss)
    parallel(SHARES[rank]).backward()
    print(loss.net.weight.grad.flatten().tolist())
    torch.distributed.destroy_process_group()


@pytest.mark.slow
def test_the_gradient_of_two_processes_is_that_of_one():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path]), "OMP_NUM_THREADS": "1"}
    environment |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    program = "import sys; from tests.torch import test_distributed; test_distributed.share(int(sys.argv[1]))"
    command = [sys.executable, "-c", program]
    processes = [
        subprocess.Popen([*command, str(rank)], env=environment, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        for rank in range(len(SHARES))
    ]
    printed = [process.communicate(timeout=120)[0] for process in processes]
    found = [torch.tensor(json.loads(text), dtype=torch.float64).reshape(3, 3) for text in printed]
    assert torch.equal(*found)
    expected = gradient()
    torch.testing.assert_close(len(SHARES) * found[0], expected, rtol=1e-13, atol=1e-13)
    torch.testing.assert_close(gradient(SHARES[0]) + gradient(SHARES[1]), expected, rtol=1e-13, atol=1e-13)
    assert not torch.allclose(2 * gradient(SHARES[0]), expected)
