"""A latent SDE for the stochastic Lorenz attractor, whose data are generated with the same library.

Li, Wong, Chen, Duvenaud, "Scalable Gradients for Stochastic Differential Equations" (2020), arXiv 2001.01328. Here in
Ito form, with the Euler-Maruyama method, the continuous adjoint, and the methods of the SDE under names of our own.

    python tests/programs/lorenz.py --steps 1000 --seed 0
"""

import argparse

import torch
from torch import Tensor, nn
from torch.distributions import Normal, kl_divergence

import sdegrad.torch as torchsde

TIMES = torch.linspace(0, 1, 17)
DT, DATA_DT = 1 / 32, 1 / 256
LATENT, CONTEXT, WIDTH = 4, 16, 32
BATCH, TRAINING, TEST = 128, 1024, 512
OBSERVATION = 0.1  # standard deviation of the noise of an observation, in units of the data's


class StochasticLorenz:
    """dx = 10 (y - x) dt + dW, dy = (x (28 - z) - y) dt + dW, dz = (x y - 8/3 z) dt + dW."""

    noise_type, sde_type = "diagonal", "ito"

    def f(self, t: Tensor, xyz: Tensor) -> Tensor:
        x, y, z = xyz.unbind(dim=1)
        return torch.stack((10 * (y - x), x * (28 - z) - y, x * y - 8 / 3 * z), dim=1)

    def g(self, t: Tensor, xyz: Tensor) -> Tensor:
        return torch.full_like(xyz, 1.0)

    @torch.no_grad()
    def sample(self, paths: int) -> Tensor:
        """Noisy observations at `TIMES`, in units of their standard deviation, [times, paths, 3]."""
        start = torch.tensor([0.0, 0.0, 25.0]) + 5 * torch.randn(paths, 3)
        xyz = torchsde.sdeint(self, start, TIMES, bm=brownian(paths, 3, DATA_DT), method="euler", dt=DATA_DT)
        standard = (xyz - xyz.mean((0, 1))) / xyz.std((0, 1))
        return standard + OBSERVATION * torch.randn_like(standard)


def brownian(paths: int, dim: int, dt: float) -> torchsde.BrownianInterval:
    entropy = int(torch.randint(2**31, ()))
    return torchsde.BrownianInterval(0.0, 1.0, size=(paths, dim), entropy=entropy, dt=dt)


def mlp(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, WIDTH), nn.Softplus(), nn.Linear(WIDTH, outputs))


class LatentSDE(nn.Module):
    noise_type, sde_type = "diagonal", "ito"

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.GRU(3, CONTEXT)
        self.start = nn.Linear(CONTEXT, 2 * LATENT)
        self.prior_start = nn.Parameter(torch.zeros(2, LATENT))
        self.posterior_net = mlp(LATENT + CONTEXT, LATENT)
        self.prior_net = mlp(LATENT, LATENT)
        self.noise_nets = nn.ModuleList(mlp(1, 1) for _ in range(LATENT))
        self.decoder = nn.Linear(LATENT, 3)
        self.context = torch.empty(0)

    def posterior(self, t: Tensor, z: Tensor) -> Tensor:
        following = min(int(torch.searchsorted(TIMES, t, right=True)), len(TIMES) - 1)
        return self.posterior_net(torch.cat((z, self.context[following]), dim=1))

    def prior(self, t: Tensor, z: Tensor) -> Tensor:
        return self.prior_net(z)

    def noise(self, t: Tensor, z: Tensor) -> Tensor:
        columns = [net(z_i) for net, z_i in zip(self.noise_nets, z.split(1, dim=1), strict=True)]
        return torch.sigmoid(torch.cat(columns, dim=1))

    def forward(self, xyz: Tensor) -> tuple[Tensor, Tensor]:
        """Negative log-likelihood of the series (but for a constant) and divergence from the prior, of a path."""
        self.context = self.encoder(xyz.flip(0))[0].flip(0)
        mean, log_scale = self.start(self.context[0]).chunk(2, dim=1)
        start = Normal(mean, log_scale.exp())
        fields = (self.posterior_net, self.prior_net, self.noise_nets)
        zs, divergence = torchsde.sdeint_adjoint(
            self,
            start.rsample(),
            TIMES,
            bm=brownian(xyz.shape[1], LATENT + 1, DT),  # logqp takes one more channel
            dt=DT,
            method="euler",
            adjoint_method="euler",
            adjoint_params=(self.context, *(p for field in fields for p in field.parameters())),
            names={"drift": "posterior", "prior_drift": "prior", "diffusion": "noise"},
            logqp=True,
        )
        misfit = ((self.decoder(zs) - xyz) / OBSERVATION).square() / 2
        at_start = kl_divergence(start, Normal(self.prior_start[0], self.prior_start[1].exp()))
        return misfit.sum((0, 2)).mean(), at_start.sum(1).mean() + divergence.sum(0).mean()


@torch.no_grad()
def bound(model: LatentSDE, xyz: Tensor) -> float:
    """Minus the evidence lower bound, per observed number, but for a constant."""
    misfit, divergence = model(xyz)
    return float(misfit + divergence) / (3 * len(TIMES))


def main(seed: int = 0, steps: int = 1000, evaluations: int = 20, progress: bool = False) -> list[tuple[int, float]]:
    """Train; return minus the evidence lower bound per number of unseen series, after so many steps."""
    torch.manual_seed(seed)
    training, test = StochasticLorenz().sample(TRAINING + TEST).split((TRAINING, TEST), dim=1)
    model = LatentSDE()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.1 ** (1 / steps))
    losses = [(0, bound(model, test))]
    for step in range(1, steps + 1):
        misfit, divergence = model(training[:, torch.randint(TRAINING, (BATCH,))])
        annealed = misfit + min(1.0, 2 * step / steps) * divergence
        optimizer.zero_grad()
        annealed.backward()
        optimizer.step()
        schedule.step()
        if step * evaluations // steps > (step - 1) * evaluations // steps:
            losses.append((step, bound(model, test)))
            if progress:
                print(f"step {step:5d}  misfit {misfit:9.3f}  divergence {divergence:8.3f}  loss {losses[-1][1]:.4f}")
    return losses


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    main(options.seed, options.steps, progress=True)
