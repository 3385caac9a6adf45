"""An SDE-GAN trained by several processes, each with its rows of every batch, to the weights of one process.

    python -m torch.distributed.run --standalone --nproc-per-node 2 -m tests.programs.sde_gan_processes

The noise of a step is a function of the number of the step: a process draws its rows of it without the others. What is
sent is the gradient of the weights, averaged by DistributedDataParallel. Prints paths per second of all processes, by
the clock and by the time of their processors; without torch.distributed.run it is one process.
"""

import argparse
import os
import time

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from sdegrad.torch import BrownianInterval
from sdegrad.torch.nn import Discriminator, Generator, clip_weights

STEPS, WARM_UP = 16, 3  # solver steps of a path; training steps that are not timed


class Duel(nn.Module):
    """The mean score of generated paths, less that of the data."""

    def __init__(self) -> None:
        super().__init__()
        self.generator, self.discriminator = Generator(channels=1), Discriminator(channels=1)

    def forward(self, ts: Tensor, v: Tensor, real: Tensor, bm: BrownianInterval) -> Tensor:
        fake = self.generator(ts, len(v), dt=1 / STEPS, initial=v, bm=bm)
        return self.discriminator(ts, fake).mean() - self.discriminator(ts, real).mean()


def rows_of(batch: int, rank: int, processes: int) -> tuple[int, int]:
    if batch % processes:
        raise SystemExit(
            f"error: {processes} processes must divide the batch, or their gradients would count unequally, got "
            f"--batch {batch}; pass --batch {batch + processes - batch % processes}."
        )
    return rank * batch // processes, (rank + 1) * batch // processes


def train(steps: int, batch: int, rank: int = 0, processes: int = 1) -> tuple[nn.Module, list[float], list[float]]:
    """The trained weights, the score before each step, and paths per second of this process: by the clock, and by the
    time of its processor."""
    torch.manual_seed(0)
    duel, rows = Duel(), rows_of(batch, rank, processes)
    clip_weights(duel.discriminator)
    parallel = DistributedDataParallel(duel) if processes > 1 else duel
    descent = torch.optim.Adam(duel.generator.parameters(), lr=1e-3, betas=(0.0, 0.9))
    ascent = torch.optim.Adam(duel.discriminator.parameters(), lr=5e-3, betas=(0.0, 0.9), maximize=True)
    ts, scores, begin = torch.linspace(0, 1, STEPS + 1), [], (0.0, 0.0)
    for step in range(steps):
        if step == min(WARM_UP, steps - 1):
            begin = time.perf_counter(), time.process_time()
        numbers = torch.Generator().manual_seed(step)
        v, real = torch.randn(batch, 4, generator=numbers), torch.randn(len(ts), batch, 1, generator=numbers)
        mine = slice(*rows)
        noise = {"size": (batch, 3), "entropy": step, "dt": 1 / STEPS, "dtype": v.dtype, "rows": rows}
        bm = BrownianInterval(0.0, 1.0, generator="portable", **noise)
        score = parallel(ts, v[mine], real.cumsum(0)[:, mine] / STEPS**0.5, bm)
        descent.zero_grad()
        ascent.zero_grad()
        score.backward()
        descent.step()
        ascent.step()
        clip_weights(duel.discriminator)
        scores.append(score.item())
    paths = (rows[1] - rows[0]) * (steps - min(WARM_UP, steps - 1))
    spent = [now - then for now, then in zip((time.perf_counter(), time.process_time()), begin, strict=True)]
    return duel, scores, [paths / seconds for seconds in spent]


def start(backend: str) -> tuple[int, int]:
    """The number of this process, and how many there are."""
    if "RANK" not in os.environ:
        return 0, 1
    if not dist.is_backend_available(backend):
        there = [name for name in ("gloo", "nccl", "mpi") if dist.is_backend_available(name)]
        raise SystemExit(f"error: this PyTorch has no backend {backend!r}; pass --backend with one of {there}.")
    dist.init_process_group(backend)
    return dist.get_rank(), dist.get_world_size()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--batch", type=int, default=1024, help="of all processes together")
    parser.add_argument("--backend", default="gloo")
    options = parser.parse_args()
    rank, processes = start(options.backend)
    _, scores, rates = train(options.steps, options.batch, rank, processes)
    total = torch.tensor([scores[-1], *rates])
    if processes > 1:
        dist.all_reduce(total)
        dist.destroy_process_group()
    if rank == 0:
        clock, processor = total[1:].tolist()
        print(
            f"{processes} processes, batch {options.batch}, step {options.steps}: score {total[0] / processes:.6f}, "
            f"{clock:.0f} paths a second by the clock, {processor:.0f} by the processors"
        )


if __name__ == "__main__":
    main()
