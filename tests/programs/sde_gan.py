"""SDE-GAN: a neural SDE as the generator, a neural CDE as the discriminator, trained on an Ornstein-Uhlenbeck process.

Kidger, Foster, Li, Lyons, "Efficient and Accurate Gradients for Neural SDEs" (2021), arXiv 2105.13493. The generator
is X_0 = zeta(V), dX = mu dt + sigma o dW, Y = affine(X); the discriminator H_0 = xi(Y_0), dH = f dt + g o dY with the
score m.H_T. On generated paths both are one SDE in (X, H), solved together; on the data, H is driven by the data.

    python tests/programs/sde_gan.py --steps 1000 --seed 0
"""

import argparse
import math
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

import sdegrad.torch as torchsde

TIMES = torch.arange(16.0)
HIDDEN, INITIAL_NOISE, NOISE, WIDTH = 16, 4, 3, 16
BATCH, TEST = 256, 2048


def ornstein_uhlenbeck(paths: int) -> Tensor:
    """dy = (0.02 t - 0.1 y) dt + 0.4 dW from y_0 ~ U[-1, 1] at `TIMES`, by its exact law, [times, paths, 1]."""
    decay = math.exp(-0.1)
    drift = 0.2 * TIMES - 2 * (1 - torch.exp(-0.1 * TIMES))  # the mean from y_0 = 0
    deviation = 0.4 * math.sqrt((1 - decay**2) / 0.2)
    ys = [2 * torch.rand(paths) - 1]
    for before, after in pairwise(drift):
        ys.append(after + decay * (ys[-1] - before) + deviation * torch.randn(paths))
    return torch.stack(ys).unsqueeze(-1)


class LipSwish(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return 0.909 * nn.functional.silu(x)


def mlp(inputs: int, outputs: int, *last: nn.Module) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, WIDTH), LipSwish(), nn.Linear(WIDTH, outputs), *last)


def with_time(t: Tensor, x: Tensor) -> Tensor:
    return torch.cat((t.expand(x.shape[0], 1), x), dim=1)


class Generator(nn.Module):
    noise_type, sde_type = "general", "stratonovich"

    def __init__(self) -> None:
        super().__init__()
        self.initial = mlp(INITIAL_NOISE, HIDDEN)
        self.drift = mlp(1 + HIDDEN, HIDDEN, nn.Tanh())
        self.diffusion = mlp(1 + HIDDEN, HIDDEN * NOISE, nn.Tanh())
        self.readout = nn.Linear(HIDDEN, 1)

    def f_and_g(self, t: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        tx = with_time(t, x)
        return self.drift(tx), self.diffusion(tx).view(-1, HIDDEN, NOISE)

    def forward(self, paths: int) -> Tensor:
        """Generated paths, [times, paths, 1]."""
        x0 = self.initial(torch.randn(paths, INITIAL_NOISE))
        xs = torchsde.sdeint(self, x0, TIMES, bm=brownian(paths), method="reversible_heun", dt=1.0)
        return self.readout(xs)


class Discriminator(nn.Module):
    noise_type, sde_type = "general", "stratonovich"

    def __init__(self) -> None:
        super().__init__()
        self.initial = mlp(1, HIDDEN)
        self.drift = mlp(1 + HIDDEN, HIDDEN, nn.Tanh())
        self.diffusion = mlp(1 + HIDDEN, HIDDEN, nn.Tanh())
        self.readout = nn.Linear(HIDDEN, 1)

    def f_and_g(self, t: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        th = with_time(t, h)
        return self.drift(th), self.diffusion(th).unsqueeze(-1)

    def forward(self, ys: Tensor) -> Tensor:
        """The scores of data paths [times, paths, 1]."""
        hs = solve(self, self.initial(ys[0]), DrivingPath(ys))
        return self.readout(hs[-1])

    @torch.no_grad()
    def clip(self) -> None:
        """Bound the entries of each matrix [outputs, inputs] by 1/inputs, so that its layer is 1-Lipschitz."""
        for weight in self.parameters():
            if weight.dim() == 2:
                weight.clamp_(-1 / weight.shape[1], 1 / weight.shape[1])


class Duel(nn.Module):
    """Generator and discriminator as one SDE: dY = A dX for the matrix A of the generator's readout."""

    noise_type, sde_type = "general", "stratonovich"

    def __init__(self, generator: Generator, discriminator: Discriminator) -> None:
        super().__init__()
        self.generator, self.discriminator = generator, discriminator

    def f_and_g(self, t: Tensor, xh: Tensor) -> tuple[Tensor, Tensor]:
        x, h = xh.split(HIDDEN, dim=1)
        mu, sigma = self.generator.f_and_g(t, x)
        f, g = self.discriminator.f_and_g(t, h)
        A = self.generator.readout.weight
        return torch.cat((mu, f + mu @ A.T * g.squeeze(-1)), dim=1), torch.cat((sigma, g * (A @ sigma)), dim=1)

    def forward(self, paths: int) -> Tensor:
        """The scores of generated paths."""
        x0 = self.generator.initial(torch.randn(paths, INITIAL_NOISE))
        h0 = self.discriminator.initial(self.generator.readout(x0))
        xhs = solve(self, torch.cat((x0, h0), dim=1), brownian(paths))
        return self.discriminator.readout(xhs[-1, :, HIDDEN:])


def solve(sde: nn.Module, y0: Tensor, bm: torchsde.BaseBrownian) -> Tensor:
    return torchsde.sdeint_adjoint(
        sde,
        y0,
        TIMES[[0, -1]],
        bm=bm,
        dt=1.0,
        method="reversible_heun",
        adjoint_method="adjoint_reversible_heun",
    )


def brownian(paths: int) -> torchsde.BrownianInterval:
    entropy = int(torch.randint(2**31, ()))
    return torchsde.BrownianInterval(0.0, len(TIMES) - 1.0, size=(paths, NOISE), entropy=entropy, dt=1.0)


class DrivingPath(torchsde.BaseBrownian):
    """Data at the times 0, 1, 2, ..., linear between them, in the place of a Brownian motion."""

    def __init__(self, ys: Tensor) -> None:
        self.ys = ys

    def __call__(self, ta, tb=None, return_U=False, return_A=False) -> Tensor:
        return self.at(float(tb)) - self.at(float(ta))

    def at(self, t: float) -> Tensor:
        k = min(int(t), len(self.ys) - 2)
        return torch.lerp(self.ys[k], self.ys[k + 1], t - k)

    @property
    def levy_area_approximation(self) -> Literal["none"]:
        return "none"

    @property
    def shape(self) -> torch.Size:
        return self.ys.shape[1:]

    @property
    def dtype(self) -> torch.dtype:
        return self.ys.dtype

    @property
    def device(self) -> torch.device:
        return self.ys.device

    def __repr__(self) -> str:
        return f"DrivingPath({tuple(self.ys.shape)})"


@torch.no_grad()
def distance(generator: nn.Module, data: Tensor) -> float:
    """The Wasserstein distance between generated and real marginals, averaged over the times."""
    generated = generator(data.shape[1])
    return float((generated.sort(dim=1).values - data.sort(dim=1).values).abs().mean())


def main(seed: int = 0, steps: int = 1000, evaluations: int = 20, progress: bool = False) -> list[tuple[int, float]]:
    """Train; return the marginal distance to the data after so many steps, of the average of the weights at last."""
    torch.manual_seed(seed)
    test = ornstein_uhlenbeck(TEST)
    generator, discriminator = Generator(), Discriminator()
    duel = Duel(generator, discriminator)
    discriminator.clip()
    descent = torch.optim.Adam(generator.parameters(), lr=2e-3, betas=(0.0, 0.9))
    ascent = torch.optim.Adam(discriminator.parameters(), lr=1e-2, betas=(0.0, 0.9), maximize=True)
    averaged = AveragedModel(generator)
    losses = [(0, distance(generator, test))]
    for step in range(1, steps + 1):
        score = duel(BATCH).mean() - discriminator(ornstein_uhlenbeck(BATCH)).mean()
        descent.zero_grad()
        ascent.zero_grad()
        score.backward()
        descent.step()
        ascent.step()
        discriminator.clip()
        if 2 * step > steps:
            averaged.update_parameters(generator)
        if step * evaluations // steps > (step - 1) * evaluations // steps:
            losses.append((step, distance(averaged if 2 * step > steps else generator, test)))
            if progress:
                print(f"step {step:5d}  score {score.item():8.4f}  distance {losses[-1][1]:.4f}")
    return losses


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    main(options.seed, options.steps, progress=True)
