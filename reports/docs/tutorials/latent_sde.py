"""Train a latent SDE on irregular data

Noisy waves, each seen at its own random third of uneven times. A latent SDE reads what was seen, and two things are
asked of it: what happened between the observations, with how much doubt; and new waves like these. `mask` is True
where a value was observed. Its gradients are exact, by the reversible adjoint, which is the default.

    python reports/docs/tutorials/latent_sde.py
"""

import argparse
import math

import matplotlib.pyplot as plt
import torch
from torch import Tensor

from sdegrad.torch.nn import LatentSDE

NOISE = 0.1  # standard deviation of an observation's error
DT = 0.25


def waves(ts: Tensor, number: int) -> tuple[Tensor, Tensor, Tensor]:
    """The waves, what is measured of them, and where: each [times, number, 1]."""
    phase, frequency = 2 * math.pi * torch.rand(number), 0.8 + 0.4 * torch.rand(number)
    clean = torch.sin(frequency * ts[:, None] + phase)[..., None]
    return clean, clean + NOISE * torch.randn_like(clean), torch.rand_like(clean) < 1 / 3


def loss(model: LatentSDE, ts: Tensor, ys: Tensor, mask: Tensor, beta: float) -> Tensor:
    """Minus the evidence lower bound of a series, but for a constant; beta: weight of the divergence."""
    posterior = model(ts, ys, mask, dt=DT)
    misfit = ((posterior.ys - ys) / NOISE).square() / 2
    return torch.where(mask, misfit, 0.0).sum((0, 2)).mean() + beta * posterior.divergence.mean()


def train(model: LatentSDE, ts: Tensor, steps: int, batch: int) -> list[float]:
    rule = torch.optim.Adam(model.parameters(), lr=1e-2)
    rates = torch.optim.lr_scheduler.CosineAnnealingLR(rule, steps)
    losses = []
    for step in range(steps):
        _, ys, mask = waves(ts, batch)
        value = loss(model, ts, ys, mask, beta=min(1.0, 3 * step / steps))  # first fit, then pay for it
        rule.zero_grad()
        value.backward()
        rule.step()
        rates.step()
        losses.append(value.item())
    return losses


@torch.no_grad()
def draw(model: LatentSDE, ts: Tensor, file: str) -> None:
    """Two waves that were not trained on, with 90 % of 200 samples of the posterior; and waves of the prior."""
    clean, ys, mask = waves(ts, 2)
    copies = [x.repeat_interleave(200, dim=1) for x in (ys, mask)]
    samples = model(ts, *copies, dt=DT).ys.unflatten(1, (2, 200))[..., 0]
    low, middle, high = samples.quantile(torch.tensor([0.05, 0.5, 0.95]), dim=2)
    figure, axes = plt.subplots(1, 3, figsize=(11, 3.2), sharey=True, layout="constrained")
    for k in range(2):
        axes[k].fill_between(ts, low[:, k], high[:, k], alpha=0.3, label="posterior, 90 %")
        axes[k].plot(ts, middle[:, k], label="posterior, median")
        axes[k].plot(ts, clean[:, k, 0], "k--", lw=1, label="the wave")
        seen = mask[:, k, 0]
        axes[k].plot(ts[seen], ys[seen, k, 0], "k.", label="observed")
        axes[k].set(title=f"not trained on, {int(seen.sum())} observations", xlabel="t")
    axes[0].legend(fontsize=7)
    axes[2].plot(ts, waves(ts, 8)[0][..., 0], "k--", lw=0.7, alpha=0.5)
    axes[2].plot(ts, model.sample(ts, 8, dt=DT)[..., 0], color="C0", lw=1)
    axes[2].set(title="of the prior, and true ones (dashed)", xlabel="t")
    figure.savefig(file, dpi=100)
    plt.close(figure)


def main(steps: int = 400, batch: int = 128, file: str = "latent_sde.png") -> list[float]:
    torch.manual_seed(0)
    ts = torch.cat((torch.zeros(1), 8 * torch.rand(39).sort().values))  # uneven, one set of times for all series
    model = LatentSDE(channels=1, hidden=4, masked=True)
    losses = train(model, ts, steps, batch)
    draw(model, ts, file)
    return losses


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=400)
    found = main(parser.parse_args().steps)
    print(f"loss: {found[0]:.1f} at first, {found[-1]:.1f} at last; see latent_sde.png")
