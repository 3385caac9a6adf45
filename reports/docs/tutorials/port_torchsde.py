"""Port a torchsde program

The program below fits a noisy oscillator to data. It was written for torchsde, and its port is one line, the import:
every name, argument and default is torchsde's. What changes with it is what the second half shows, the gradient: that
of the reversible adjoint is the one of backpropagation for every step size, in constant memory. The continuous adjoint,
which other methods have, solves another equation backwards and is off by the size of the step.

    python reports/docs/tutorials/port_torchsde.py
"""

import argparse
from typing import Any

import matplotlib.pyplot as plt
import torch
from torch import Tensor

import sdegrad.torch as torchsde  # was: import torchsde


class Oscillator(torch.nn.Module):
    """dr = (rate r - |r|^2 r + frequency J r) dt + noise o dW in the plane."""

    noise_type, sde_type = "diagonal", "stratonovich"

    def __init__(self, rate: float, frequency: float, noise: float) -> None:
        super().__init__()
        self.rate, self.frequency = (torch.nn.Parameter(torch.tensor(x)) for x in (rate, frequency))
        self.noise = noise

    def f(self, t: Tensor, y: Tensor) -> Tensor:
        turned = torch.stack((-y[:, 1], y[:, 0]), dim=1)
        return (self.rate - y.square().sum(1, keepdim=True)) * y + self.frequency * turned

    def g(self, t: Tensor, y: Tensor) -> Tensor:
        return torch.full_like(y, self.noise)


def solve(sde: Oscillator, ts: Tensor, paths: int, dt: float, seed: int, **how: Any) -> Tensor:
    y0 = torch.tensor([[0.5, 0.0]]).repeat(paths, 1)  # the solution is [times, paths, 2]
    bm = torchsde.BrownianInterval(ts[0], ts[-1], size=(paths, 2), entropy=seed)
    return torchsde.sdeint_adjoint(sde, y0, ts, bm=bm, dt=dt, **how)


REVERSIBLE: dict[str, Any] = {"method": "reversible_heun", "adjoint_method": "adjoint_reversible_heun"}
CONTINUOUS: dict[str, Any] = {"method": "midpoint", "adjoint_method": "midpoint"}


def fit(ts: Tensor, data: Tensor, steps: int) -> tuple[Oscillator, list[float]]:
    sde, losses = Oscillator(rate=0.3, frequency=1.5, noise=0.2), []  # means over the paths are brought together
    rule = torch.optim.Adam(sde.parameters(), lr=0.03)
    for step in range(steps):
        loss = (solve(sde, ts, 64, 0.1, step, **REVERSIBLE).mean(1) - data.mean(1)).square().mean()
        rule.zero_grad()
        loss.backward()
        rule.step()
        losses.append(loss.item())
    return sde, losses


def error(ts: Tensor, dt: float, how: dict[str, Any]) -> float:
    """Of the gradient, against backpropagation through the same solve, relative, in double precision."""
    sde, found = Oscillator(rate=0.3, frequency=1.5, noise=0.2).double(), []
    y0 = torch.tensor([[0.5, 0.0]], dtype=torch.float64).repeat(16, 1)
    bm = torchsde.BrownianInterval(float(ts[0]), float(ts[-1]), size=(16, 2), dtype=torch.float64, entropy=0, dt=dt)
    for solver, options in ((torchsde.sdeint, {"method": how["method"]}), (torchsde.sdeint_adjoint, how)):
        ys = solver(sde, y0, ts.double(), bm=bm, dt=dt, **options)
        found.append(torch.stack(torch.autograd.grad(ys.square().sum(), list(sde.parameters()))))
    return float((found[1] - found[0]).norm() / found[0].norm())


def main(steps: int = 100, halvings: int = 4, file: str = "port_torchsde.png") -> tuple[list[float], list[list[float]]]:
    """The losses of the fit, and the errors of the gradients by adjoint and step size."""
    ts, dts = torch.linspace(0, 2, 17), [0.1 * 0.5**k for k in range(halvings)]  # of which 0.1 is no divisor
    data = solve(Oscillator(rate=1.0, frequency=2.0, noise=0.2), ts, 256, 0.05, 10**6, **REVERSIBLE).detach()
    sde, losses = fit(ts, data, steps)
    errors = [[error(ts, dt, how) for dt in dts] for how in (REVERSIBLE, CONTINUOUS)]
    figure, axes = plt.subplots(1, 2, figsize=(8.5, 3.2), layout="constrained")
    fitted = solve(sde, ts, 256, 0.05, 7, **REVERSIBLE).detach()
    for ys, look, name in ((data, "k.", "data"), (fitted, "C0-", "fitted")):
        axes[0].plot(*ys.mean(1).T, look, label=f"{name}, mean")
    axes[0].set(
        title=f"rate {sde.rate.item():.2f} (1), frequency {sde.frequency.item():.2f} (2)", xlabel="y₁", ylabel="y₂"
    )
    for values, name in zip(errors, ("reversible_heun, its adjoint", "midpoint, continuous adjoint"), strict=True):
        axes[1].semilogy(dts, values, ".-", label=name)
    axes[1].set(title="error of the gradient", xlabel="dt")
    for axis in axes:
        axis.legend(fontsize=7)
    figure.savefig(file, dpi=100)
    plt.close(figure)
    return losses, errors


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=100)
    found, _ = main(parser.parse_args().steps)
    print(f"loss: {found[0]:.4f} at first, {found[-1]:.5f} at last; see port_torchsde.png")
