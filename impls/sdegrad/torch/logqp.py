"""The path-wise log-ratio of two SDEs that share their diffusion, as one more component of the state.

For dy = f dt + g dW against the prior dy = h dt + g dW, the Kullback-Leibler divergence between the laws of the paths
is the mean of the integral of |u|^2 / 2 with u = g^-1 (f - h). Li, Wong, Chen and Duvenaud, Scalable Gradients for
Stochastic Differential Equations (2020), arXiv 2001.01328, section 5.
"""

from collections.abc import Callable, Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from sdegrad.torch.sde import own_methods
from sdegrad.torch.types import SDE, Diffusion, Outputs, State, Time

Extended = Float[Tensor, "*paths extended"]  # extended = dim + 1

SMALLEST = 1e-7  # a diagonal diffusion nearer to zero than this is divided by as if it were this


class LogRatioSDE:
    """`sde`, for states with the integral of |u|^2 / 2 as the last component, [*paths, dim + 1].

    ValueError unless it defines the drift f, the diffusion g and the prior drift h.
    """

    def __init__(self, sde: SDE, names: Mapping[str, str]) -> None:
        own = own_methods(sde, names)
        lacking = [role for role in ("f", "g", "h") if role not in own]
        if lacking:
            raise ValueError(
                f"logqp needs the drift f, the diffusion g and the prior drift h, but {type(sde).__name__} has no "
                f"{', '.join(lacking)}; define them, or pass `names` (drift, diffusion, prior_drift)."
            )
        self.noise_type, self.sde_type = sde.noise_type, sde.sde_type
        self._f, self._g, self._h = own["f"], own["g"], own["h"]
        self._divide: Callable[..., Tensor] = _divide if sde.noise_type == "diagonal" else _solve

    def f(self, t: Time, y: Extended) -> Extended:
        return self.f_and_g(t, y)[0]

    def g(self, t: Time, y: Extended) -> Tensor:
        return self._extended(self._g(t, y[..., :-1]))

    def f_and_g(self, t: Time, y: Extended) -> tuple[Extended, Tensor]:
        x = y[..., :-1]
        f, g, h = self._f(t, x), self._g(t, x), self._h(t, x)
        rate = 0.5 * self._divide(f - h, g).square().sum(-1, keepdim=True)
        return torch.cat((f, rate), -1), self._extended(g)

    def _extended(self, g: Tensor) -> Tensor:
        """`g` with one more component, that has no noise."""
        axis = -1 if self.noise_type == "diagonal" else -2
        return torch.cat((g, torch.zeros_like(g.narrow(axis, 0, 1))), axis)


def with_log_ratio(y0: State) -> Extended:
    """`y0` with the log-ratio at the start, zero, as its last component."""
    return torch.cat((y0, torch.zeros_like(y0[..., :1])), -1)


def split_log_ratio(
    ys: Float[Tensor, "outputs *paths extended"],
) -> tuple[Outputs, Float[Tensor, "intervals *paths"]]:
    """Returns (solution, log-ratio over each interval between two outputs)."""
    return ys[..., :-1], ys[..., -1].diff(dim=0)


def _divide(x: State, g: State) -> State:
    bound = torch.full_like(g, SMALLEST).copysign(g)
    return x / torch.where(g.abs() > SMALLEST, g, bound)


def _solve(x: State, g: Diffusion) -> Float[Tensor, "*paths noise"]:
    """The least-squares solution u of g u = x that is shortest."""
    return (torch.linalg.pinv(g) @ x.unsqueeze(-1)).squeeze(-1)
