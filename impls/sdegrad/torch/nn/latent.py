"""Latent SDEs: a posterior SDE that observations steer, trained against a prior SDE with the same diffusion.

Li, Wong, Chen, Duvenaud, Scalable Gradients for Stochastic Differential Equations (2020), arXiv 2001.01328, section 5.
"""

from functools import partial
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.distributions import Normal, kl_divergence

from sdegrad.networks import check_sizes
from sdegrad.torch.nn.gan import default_adjoint
from sdegrad.torch.nn.layers import MLP
from sdegrad.torch.nn.series import Series, Times, check_series, times_like, with_time
from sdegrad.torch.sdeint import sdeint
from sdegrad.torch.types import BrownianMotion, Number, State, Time


class Posterior(NamedTuple):
    """ys: the decoded means at the times of the data. divergence: of the posterior from the prior for each series, one
    sample of it: that of the laws of Z_0, plus the integral of |u|^2 / 2 along the path, u = g^-1 (f - h).
    """

    ys: Series
    divergence: Float[Tensor, "*paths"]


class LatentSDE(nn.Module):
    """Prior: Z_0 ~ N(m, s^2), dZ = h(t, Z) dt + g(t, Z) o dW. Posterior: Z_0 ~ N(m', s'^2), dZ = f(t, Z, c) dt +
    g(t, Z) o dW. Of both Y = A Z + b is decoded; the noise of an observation is for the loss to choose.

    channels: of Y; hidden: of Z; context: of c(t), of which m', s' depend on the first. A GRU makes it at the times of
    the data, reading them backwards; between them it is linear. f, g and h are MLPs of `width` and `depth`; g is
    diagonal, with entries between 0 and 1. masked: whether values may be missing.
    """

    def __init__(
        self,
        channels: int,
        *,
        hidden: int = 4,
        context: int = 16,
        width: int = 32,
        depth: int = 1,
        masked: bool = False,
    ) -> None:
        super().__init__()
        check_sizes(channels=channels, hidden=hidden, context=context)
        self.channels, self.hidden, self.masked = channels, hidden, masked
        mlp = partial(MLP, width=width, depth=depth)
        self.encoder = nn.GRU(1 + channels * (2 if masked else 1), context)
        self.start = nn.Linear(context, 2 * hidden)
        self.prior_start = nn.Parameter(torch.zeros(2 * hidden))
        self.drift = mlp(1 + hidden + context, hidden)
        self.prior_drift = mlp(1 + hidden, hidden)
        self.diffusion = mlp(1 + hidden, hidden, final=nn.Sigmoid())
        self.readout = nn.Linear(hidden, channels)

    def forward(
        self,
        ts: Times,
        ys: Tensor,
        mask: Tensor | None = None,
        *,
        dt: Number,
        bm: BrownianMotion | None = None,
        method: str = "reversible_heun",
        adjoint: str | None = None,
    ) -> Posterior:
        """A sample of the posterior of the series ys [times, *paths, channels] at ts [times], by steps of dt.

        mask: like ys, True where a value was observed. bm: W, with one channel more than `hidden`. method, adjoint: of
        `sdeint`. The loss is minus the logarithm of the likelihood of ys given the decoded means, plus the divergence.
        """
        ts = times_like(ts, ys)
        check_series(ts, ys, mask, self.channels, self.masked)
        if ts.dim() != 1:
            raise ValueError(
                f"ts must be [times], one for all series, got shape {tuple(ts.shape)}; mask what is not there."
            )
        context = self._encode(ts, ys, mask)
        start, prior = _normal(self.start(context[0])), _normal(self.prior_start)
        sde = _Posterior(self, ts, context)
        zs, log_ratio = sdeint(
            sde,
            start.rsample(),
            ts,
            bm=bm,
            method=method,
            dt=dt,
            logqp=True,
            adjoint=default_adjoint(method) if adjoint is None else adjoint,
            adjoint_params=(context, *_weights(self.drift, self.prior_drift, self.diffusion)),
        )
        return Posterior(self.readout(zs), kl_divergence(start, prior).sum(-1) + log_ratio.sum(0))

    def sample(self, ts: Times, paths: int, *, dt: Number, method: str = "reversible_heun") -> Series:
        """Decoded means of `paths` paths of the prior at ts [times], [times, paths, channels]."""
        check_sizes(paths=paths)
        z0 = _normal(self.prior_start).rsample((paths,))
        zs = sdeint(
            _Prior(self),
            z0,
            times_like(ts, z0),
            method=method,
            dt=dt,
            adjoint=default_adjoint(method),
            adjoint_params=_weights(self.prior_drift, self.diffusion),
        )
        return self.readout(zs)

    def _encode(self, ts: Tensor, ys: Tensor, mask: Tensor | None) -> Float[Tensor, "times *paths context"]:
        gaps = torch.cat((ts.diff(), ts.new_zeros(1))).reshape(-1, *[1] * (ys.dim() - 1)).expand(*ys.shape[:-1], 1)
        read = (gaps, ys) if mask is None else (gaps, torch.where(mask, ys, 0.0), mask.to(ys.dtype))
        backwards = torch.cat(read, -1).flip(0).reshape(len(ts), -1, self.encoder.input_size)
        return self.encoder(backwards)[0].flip(0).reshape(*ys.shape[:-1], -1)


def _normal(parameters: Float[Tensor, "*paths twice"]) -> Normal:
    mean, log_scale = parameters.chunk(2, -1)
    return Normal(mean, log_scale.exp())


def _weights(*modules: nn.Module) -> list[Tensor]:
    return [p for module in modules for p in module.parameters()]


class _Prior:
    noise_type, sde_type = "diagonal", "stratonovich"

    def __init__(self, model: LatentSDE) -> None:
        self.model = model

    def f(self, t: Time, z: State) -> State:
        return self.model.prior_drift(with_time(t, z))

    def g(self, t: Time, z: State) -> State:
        return self.model.diffusion(with_time(t, z))


class _Posterior:
    noise_type, sde_type = "diagonal", "stratonovich"

    def __init__(self, model: LatentSDE, ts: Float[Tensor, " times"], context: Float[Tensor, "times *paths context"]):
        self.h, self.g = _Prior(model).f, _Prior(model).g
        self.model, self.ts, self.context = model, ts, context

    def f(self, t: Time, z: State) -> State:
        k = (torch.searchsorted(self.ts, t.reshape(1), right=True) - 1).clamp(0, len(self.ts) - 2)
        (t0, t1), (c0, c1) = (x.index_select(0, torch.cat((k, k + 1))) for x in (self.ts, self.context))
        return self.model.drift(torch.cat((with_time(t, z), torch.lerp(c0, c1, (t - t0) / (t1 - t0))), -1))
