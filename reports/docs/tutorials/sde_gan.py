"""Train an SDE-GAN with clipping

A neural SDE learns to generate paths like those of an Ornstein-Uhlenbeck process. A neural CDE scores paths: it is
trained to tell generated ones from real ones, and the generator to deceive it. Clipping the weights after each step
keeps the discriminator Lipschitz, so that no gradient penalty is needed, nor differentiating a solve twice; every
gradient is exact in constant memory.

    python reports/docs/tutorials/sde_gan.py
"""

import argparse

import matplotlib.pyplot as plt
import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from sdegrad.torch.nn import Discriminator, Generator, clip_weights

TIMES = torch.arange(16.0)
CONTRAST = 4.0  # paths are multiplied by it before they are scored: a clipped discriminator is blind to small ones


def real_paths(paths: int) -> Tensor:
    """dy = (0.02 t - 0.1 y) dt + 0.4 dW by small steps of Euler, at `TIMES`, [times, paths, 1]."""
    fine, y, ys = 20, 2 * torch.rand(paths, 1) - 1, []
    for k in range(fine * (len(TIMES) - 1) + 1):
        if k % fine == 0:
            ys.append(y)
        y = y + (0.02 * k / fine - 0.1 * y) / fine + 0.4 * fine**-0.5 * torch.randn(paths, 1)
    return torch.stack(ys)


def distance(generator: torch.nn.Module, real: Tensor) -> float:
    """Of the marginals, mean over the times: Wasserstein's, of as many generated paths as real ones."""
    with torch.no_grad():
        generated = generator(TIMES, real.shape[1], dt=1.0)
    return (generated.sort(dim=1).values - real.sort(dim=1).values).abs().mean().item()


def train(generator: Generator, steps: int, batch: int) -> tuple[AveragedModel, list[float]]:
    """The average of the generator over the second half of the steps, and the score of each step."""
    discriminator = clip_weights(Discriminator(channels=1))
    averaged = AveragedModel(generator)
    descent = torch.optim.Adam(generator.parameters(), lr=2e-3, betas=(0.0, 0.9))
    ascent = torch.optim.Adam(discriminator.parameters(), lr=1e-2, betas=(0.0, 0.9), maximize=True)
    rates = [torch.optim.lr_scheduler.LinearLR(rule, 1.0, 0.0, steps) for rule in (descent, ascent)]
    scores = []
    for step in range(steps):
        fake, real = generator(TIMES, batch, dt=1.0), real_paths(batch)
        score = discriminator(TIMES, CONTRAST * fake).mean() - discriminator(TIMES, CONTRAST * real).mean()
        descent.zero_grad()
        ascent.zero_grad()
        score.backward()
        for rule, rate in zip((descent, ascent), rates, strict=True):
            rule.step()
            rate.step()
        clip_weights(discriminator)
        if 2 * step >= steps:
            averaged.update_parameters(generator)
        scores.append(score.item())
    return averaged, scores


@torch.no_grad()
def draw(generator: torch.nn.Module, file: str) -> None:
    real, fake = real_paths(4000), generator(TIMES, 4000, dt=1.0)
    figure, axes = plt.subplots(1, 3, figsize=(11, 3.2), layout="constrained")
    for ys, color, name in ((real, "k", "real"), (fake, "C0", "generated")):
        axes[0].plot(TIMES, ys[:, :25, 0], color=color, lw=0.7, alpha=0.6, label=[name] + ["_"] * 24)
        for axis, k in zip(axes[1:], (1, -1), strict=True):
            axis.hist(ys[k, :, 0].numpy(), 50, density=True, histtype="step", color=color, label=name)
            axis.set(title=f"marginal at t = {TIMES[k]:g}", xlabel="y", ylabel="density")
    axes[0].set(title="paths", xlabel="t", ylabel="y")
    axes[0].legend(fontsize=7)
    figure.savefig(file, dpi=100)
    plt.close(figure)


def main(steps: int = 500, batch: int = 256, file: str = "sde_gan.png") -> tuple[float, float]:
    """The distance of the marginals before and after training."""
    torch.manual_seed(0)
    real, generator = real_paths(2048), Generator(channels=1)
    before = distance(generator, real)
    averaged, _ = train(generator, steps, batch)
    draw(averaged, file)
    return before, distance(averaged, real)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=500)
    before, after = main(parser.parse_args().steps)
    print(f"distance of the marginals: {before:.3f} before, {after:.3f} after; see sde_gan.png")
