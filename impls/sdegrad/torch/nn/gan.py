"""SDE-GANs: a neural SDE that generates paths, and a neural CDE that scores them.

Kidger, Foster, Li, Oberhauser, Lyons, Neural SDEs as Infinite-Dimensional GANs (2021), arXiv 2102.03657, equations (2)
and (3); trained as in Efficient and Accurate Gradients for Neural SDEs, arXiv 2105.13493.
"""

from collections.abc import Callable
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor, nn

from sdegrad.methods import METHODS
from sdegrad.networks import check_sizes
from sdegrad.torch.nn.layers import MLP
from sdegrad.torch.nn.series import Alternating, Series, Slopes, Times, as_path, with_time
from sdegrad.torch.sdeint import sdeint
from sdegrad.torch.types import BrownianMotion, Diffusion, Number, State, Time


def default_adjoint(method: str) -> str:
    """The exact gradient in the least memory that the method has; an unknown one is refused by `sdeint`."""
    return "reversible" if method in METHODS and METHODS[method].reversible else "checkpoint"


class Generator(nn.Module):
    """X_0 = zeta(V), dX = mu(t, X) dt + sigma(t, X) o dW, Y = A X + b, for V and W normal: paths Y.

    channels: of Y; hidden: of X; noise: of W; initial_noise: of V. zeta, mu and sigma are MLPs of `width` and `depth`,
    the last two with a final tanh.
    """

    noise_type, sde_type = "general", "stratonovich"

    def __init__(
        self,
        channels: int,
        *,
        hidden: int = 16,
        noise: int = 3,
        initial_noise: int = 4,
        width: int = 16,
        depth: int = 1,
    ) -> None:
        super().__init__()
        check_sizes(channels=channels, hidden=hidden, noise=noise, initial_noise=initial_noise)
        self.hidden, self.noise, self.initial_noise = hidden, noise, initial_noise
        mlp = partial(MLP, width=width, depth=depth)
        self.initial = mlp(initial_noise, hidden)
        self.drift = mlp(1 + hidden, hidden, final=nn.Tanh())
        self.diffusion = mlp(1 + hidden, hidden * noise, final=nn.Tanh())
        self.readout = nn.Linear(hidden, channels)

    def f_and_g(self, t: Time, x: State) -> tuple[State, Diffusion]:
        tx = with_time(t, x)
        return self.drift(tx), self.diffusion(tx).unflatten(-1, (self.hidden, self.noise))

    def forward(
        self,
        ts: Times,
        paths: int,
        *,
        dt: Number,
        initial: Float[Tensor, "paths initial_noise"] | None = None,
        bm: BrownianMotion | None = None,
        method: str = "reversible_heun",
        adjoint: str | None = None,
        compile: bool = False,
        solve: Callable[..., Tensor] = sdeint,
    ) -> Series:
        """`paths` generated paths at ts [times], [times, paths, channels]; steps of dt, linear between them.

        initial: V; bm: W, `noise` channels; by default both are drawn from torch's global generator. method, adjoint,
        compile: of `sdeint`; by default the exact gradient in the least memory. solve: called in place of `sdeint`.
        """
        check_sizes(paths=paths)
        weight = self.readout.weight
        v = weight.new_empty(paths, self.initial_noise).normal_() if initial is None else initial
        adjoint = default_adjoint(method) if adjoint is None else adjoint
        x0 = self.initial(v)
        xs = solve(self, x0, ts, bm=bm, method=method, dt=dt, adjoint=adjoint, compile=compile)
        return self.readout(xs)


class Discriminator(nn.Module):
    """H_0 = xi(t_0, Y_0), dH = F(t, H) o d(t, Y), score m.H_T: a score for each path Y, linear between its data.

    channels: of Y; hidden: of H. xi and F are MLPs of `width` and `depth`, F with a final tanh. masked: whether values
    may be missing; the path then has one more channel for each of Y, how many of its values were observed so far.

    After `clip_weights` with norm "inf", F(t, H) v is Lipschitz in H with the constant |v|_1, in the infinity norm, and
    with "one" with the constant |v|_inf, in the 1-norm: two solutions part at most like the exponential of the length
    of the path (t, Y) in that norm, and the score is 1-Lipschitz in H_T.
    """

    def __init__(
        self, channels: int, *, hidden: int = 16, width: int = 16, depth: int = 1, masked: bool = False
    ) -> None:
        super().__init__()
        check_sizes(channels=channels, hidden=hidden)
        self.channels, self.masked = channels, masked
        mlp = partial(MLP, width=width, depth=depth)
        extended = 1 + channels * (2 if masked else 1)
        self.initial = mlp(extended, hidden)
        self.field = mlp(1 + hidden, hidden * extended, final=nn.Tanh())
        self.readout = nn.Linear(hidden, 1)

    def forward(
        self,
        ts: Times,
        ys: Tensor,
        mask: Tensor | None = None,
        *,
        substeps: int = 1,
        method: str = "reversible_heun",
        adjoint: str | None = None,
        compile: bool = False,
        solve: Callable[..., Tensor] = sdeint,
    ) -> Float[Tensor, "*paths"]:
        """The scores of paths ys [times, *paths, channels]; gradients reach the weights and ys.

        ts: [times], or [times, *paths] for series with times of their own; those that end early repeat their last time
        and value. mask: like ys, True where a value was observed. substeps: equal steps from one datum to the next.
        method, adjoint, compile: of `sdeint`; "backprop" for a gradient that is to be differentiated again. solve:
        called in place of `sdeint`.
        """
        check_sizes(substeps=substeps)
        path = as_path(ts, ys, mask, self.channels, self.masked)
        h0 = self.initial(path[0])
        cde = _CDE(self.field, Slopes(path))
        hs = solve(
            cde,
            h0,
            [0.0, float(len(path) - 1)],
            bm=Alternating(h0),
            method=method,
            dt=1 / substeps,
            adjoint=default_adjoint(method) if adjoint is None else adjoint,
            adjoint_params=(cde.slopes.steps, *self.field.parameters()),
            compile=compile,
        )
        return self.readout(hs[-1]).squeeze(-1)


class _CDE:
    """The discriminator's H against the index of the data, as an SDE without drift."""

    noise_type, sde_type = "general", "stratonovich"

    def __init__(self, field: MLP, slopes: Slopes) -> None:
        self.field, self.slopes = field, slopes

    def f_and_g(self, s: Time, h: State) -> tuple[State, Diffusion]:
        t, slopes = self.slopes.at(s)
        F = self.field(torch.cat((t, h), -1)).unflatten(-1, (h.shape[-1], slopes.shape[-1])).unbind(-1)
        first, *others = zip(F, slopes.unsqueeze(-1).unbind(-2), strict=True)
        g = first[0] * first[1]  # by channels of the path: faster than a product of small matrices
        for of_channel, slope in others:
            g = torch.addcmul(g, of_channel, slope)
        return torch.zeros_like(h), g.movedim(0, -1)
