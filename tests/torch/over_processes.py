"""The gradient of a solve whose batch is divided among two processes, as a program of each.

python -m torch.distributed.run --standalone --nproc-per-node 2 -m tests.torch.over_processes FOLDER
"""

import sys
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.nn.parallel import DistributedDataParallel

import sdegrad.torch as sd
from tests.programs import sde_gan_processes

SIZE, SHARES = (6, 3), ((0, 4), (4, 6))
TRAINING = {"steps": 2, "batch": 6}


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


def replicated(rank):
    """Of DistributedDataParallel: averaged over both processes."""
    loss = Loss()
    parallel = DistributedDataParallel(loss)  # which must live until the gradient is made
    parallel(SHARES[rank]).backward()
    return loss.net.weight.grad


def sharded(rank):
    """Of FSDP: averaged as well; each process keeps a part of the weights, and all only for the solve."""
    loss: Any = fully_shard(Loss(), mesh=init_device_mesh("cpu", (len(SHARES),)), reshard_after_forward=True)
    assert loss.net.weight.to_local().numel() < loss.net.weight.numel()
    loss(SHARES[rank]).backward()
    return loss.net.weight.grad.full_tensor()


def trained(rank):
    """The weights of the SDE-GAN."""
    duel, *_ = sde_gan_processes.train(**TRAINING, rank=rank, processes=len(SHARES))
    return torch.nn.utils.parameters_to_vector(duel.parameters()).detach()


def main(folder):
    dist.init_process_group("gloo")
    rank = dist.get_rank()
    found = {"replicated": replicated(rank), "sharded": sharded(rank)}
    torch.set_default_dtype(torch.float64)
    found["trained"] = trained(rank)
    torch.save(found, Path(folder) / f"{rank}")
    dist.destroy_process_group()


if __name__ == "__main__":
    main(sys.argv[1])
