"""A latent SDE for irregularly sampled series: noisy sine waves, each observed at its own random half of the times.

Li, Wong, Chen, Duvenaud, "Scalable Gradients for Stochastic Differential Equations" (2020), arXiv 2001.01328. A GRU
reads the observations backwards in time; its outputs are the context of the posterior drift f, trained against the
prior drift h by the evidence lower bound. The diffusion g is shared by both.

    python tests/programs/latent_sde.py --steps 1000 --seed 0
"""

import argparse
import math

import torch
from torch import Tensor, nn
from torch.distributions import Normal, kl_divergence

import sdegrad.torch as torchsde

TIMES = torch.linspace(0, 2, 17)
DT = 0.125
LATENT, CONTEXT, WIDTH = 4, 16, 32
BATCH, TEST = 128, 512
OBSERVATION = 0.2  # standard deviation of the noise of an observation


def sine_waves(paths: int) -> tuple[Tensor, Tensor]:
    """Series and masks (1: observed), both [times, paths, 1]."""
    frequency = 0.5 + 0.5 * torch.rand(paths)
    phase = 2 * math.pi * torch.rand(paths)
    clean = torch.sin(2 * math.pi * frequency * TIMES[:, None] + phase)
    series = clean + OBSERVATION * torch.randn_like(clean)
    return series.unsqueeze(-1), (torch.rand_like(clean) < 0.5).to(clean).unsqueeze(-1)


class Encoder(nn.Module):
    """Context at every time, from the observations at this time and later."""

    def __init__(self) -> None:
        super().__init__()
        self.gru = nn.GRU(2, WIDTH)
        self.context = nn.Linear(WIDTH, CONTEXT)

    def forward(self, series: Tensor, mask: Tensor) -> Tensor:
        backwards = torch.cat((series * mask, mask), dim=-1).flip(0)
        return self.context(self.gru(backwards)[0]).flip(0)


class LatentSDE(nn.Module):
    noise_type, sde_type = "diagonal", "stratonovich"

    def __init__(self) -> None:
        super().__init__()
        self.posterior = nn.Sequential(nn.Linear(LATENT + CONTEXT, WIDTH), nn.Softplus(), nn.Linear(WIDTH, LATENT))
        self.prior = nn.Sequential(nn.Linear(LATENT, WIDTH), nn.Softplus(), nn.Linear(WIDTH, LATENT))
        self.diffusion = nn.ModuleList(
            nn.Sequential(nn.Linear(1, WIDTH // 4), nn.Softplus(), nn.Linear(WIDTH // 4, 1), nn.Sigmoid())
            for _ in range(LATENT)
        )
        self.context = torch.empty(0)

    def f(self, t: Tensor, z: Tensor) -> Tensor:
        following = min(int(torch.searchsorted(TIMES, t, right=True)), len(TIMES) - 1)
        return self.posterior(torch.cat((z, self.context[following]), dim=1))

    def h(self, t: Tensor, z: Tensor) -> Tensor:
        return self.prior(z)

    def g(self, t: Tensor, z: Tensor) -> Tensor:
        return torch.cat([net(z_i) for net, z_i in zip(self.diffusion, z.split(1, dim=1), strict=True)], dim=1)

    def solve(self, z0: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        """The posterior at `TIMES`, [times, paths, LATENT], and its divergence from the prior, [times - 1, paths]."""
        self.context = context
        size = (z0.shape[0], LATENT + 1)  # logqp takes one more channel
        entropy = int(torch.randint(2**31, ()))
        bm = torchsde.BrownianInterval(0.0, 2.0, size=size, entropy=entropy, dt=DT, dtype=z0.dtype)
        return torchsde.sdeint_adjoint(
            self,
            z0,
            TIMES,
            bm=bm,
            dt=DT,
            method="reversible_heun",
            adjoint_method="adjoint_reversible_heun",
            adjoint_params=(context, *self.parameters()),
            logqp=True,
        )


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.sde = Encoder(), LatentSDE()
        self.start = nn.Linear(CONTEXT, 2 * LATENT)
        self.prior_start = nn.Parameter(torch.zeros(2, LATENT))
        self.decoder = nn.Linear(LATENT, 1)

    def forward(self, series: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Negative log-likelihood of the observations (but for a constant) and divergence from the prior, of a path."""
        context = self.encoder(series, mask)
        mean, log_scale = self.start(context[0]).chunk(2, dim=1)
        start = Normal(mean, log_scale.exp())
        zs, divergence = self.sde.solve(start.rsample(), context)
        misfit = ((self.decoder(zs) - series) / OBSERVATION).square() / 2 * mask
        at_start = kl_divergence(start, Normal(self.prior_start[0], self.prior_start[1].exp()))
        return misfit.sum((0, 2)).mean(), at_start.sum(1).mean() + divergence.sum(0).mean()


@torch.no_grad()
def bound(model: Model, series: Tensor, mask: Tensor) -> float:
    """Minus the evidence lower bound, per observation, but for a constant."""
    misfit, divergence = model(series, mask)
    return float(misfit + divergence) / float(mask.sum() / series.shape[1])


def main(seed: int = 0, steps: int = 1000, evaluations: int = 20, progress: bool = False) -> list[tuple[int, float]]:
    """Train; return minus the evidence lower bound per observation of unseen series, after so many steps."""
    torch.manual_seed(seed)
    test = sine_waves(TEST)
    model = Model()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.1 ** (1 / steps))
    losses = [(0, bound(model, *test))]
    for step in range(1, steps + 1):
        misfit, divergence = model(*sine_waves(BATCH))
        annealed = misfit + min(1.0, 2 * step / steps) * divergence
        optimizer.zero_grad()
        annealed.backward()
        optimizer.step()
        schedule.step()
        if step * evaluations // steps > (step - 1) * evaluations // steps:
            losses.append((step, bound(model, *test)))
            if progress:
                print(f"step {step:5d}  misfit {misfit:9.3f}  divergence {divergence:8.3f}  loss {losses[-1][1]:.4f}")
    return losses


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    main(options.seed, options.steps, progress=True)
