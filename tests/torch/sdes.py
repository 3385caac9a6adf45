"""Small SDEs for the tests: neural ones of every noise type, and two with exact solutions."""

import functools
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

import sdegrad.torch as sd
from sdegrad.methods import METHODS, NOISE_TYPES

BATCH, DIM, NOISE = 3, 2, 3
Field = Callable[[Tensor, Tensor], Tensor]


def channels(noise_type: str) -> int:
    return {"diagonal": DIM, "scalar": 1}.get(noise_type, NOISE)


class Neural(sd.BaseSDE):
    """Tanh networks with time as an input; Lipschitz constant about 1; one parameter that is not used."""

    def __init__(self, noise_type: str, sde_type: str = "stratonovich", hidden: int = 4) -> None:
        super().__init__(noise_type, sde_type)
        out = DIM if noise_type == "diagonal" else DIM * channels(noise_type)
        inputs = 1 if noise_type == "additive" else 1 + DIM
        self.drift = nn.Sequential(nn.Linear(1 + DIM, hidden), nn.Tanh(), nn.Linear(hidden, DIM))
        self.diffusion = nn.Sequential(nn.Linear(inputs, hidden), nn.Tanh(), nn.Linear(hidden, out))
        self.unused = nn.Parameter(torch.ones(2))

    def f(self, t: Tensor, y: Tensor) -> Tensor:
        return self.drift(torch.cat((t.expand(*y.shape[:-1], 1), y), -1))

    def g(self, t: Tensor, y: Tensor) -> Tensor:
        time = t.expand(*y.shape[:-1], 1)
        g = self.diffusion(time if self.noise_type == "additive" else torch.cat((time, y), -1))
        return g if self.noise_type == "diagonal" else g.unflatten(-1, (DIM, -1))


class GBM(sd.BaseSDE):
    """dy = mu y dt + sigma y dW in either calculus."""

    y0 = (1.0,)

    def __init__(self, sde_type: str, mu: float = 0.3, sigma: float = 0.6) -> None:
        super().__init__("diagonal", sde_type)
        self.mu, self.sigma = nn.Parameter(torch.tensor(mu)), nn.Parameter(torch.tensor(sigma))

    def f(self, _t: Tensor, y: Tensor) -> Tensor:
        return self.mu * y

    def g(self, _t: Tensor, y: Tensor) -> Tensor:
        return self.sigma * y

    def exact(self, t: float, y0: Tensor, W: Tensor) -> Tensor:
        drift = self.mu - 0.5 * self.sigma**2 if self.sde_type == "ito" else self.mu
        return y0 * torch.exp(drift * t + self.sigma * W)


class Rotation(sd.BaseSDE):
    """dy = (a + b J) y dt + s J y dW in either calculus, J a quarter turn: scalar noise in two dimensions."""

    y0 = (1.0, 0.5)

    def __init__(self, sde_type: str, a: float = -0.2, b: float = 0.5, s: float = 0.8) -> None:
        super().__init__("scalar", sde_type)
        self.a, self.b, self.s = a, b, s

    @staticmethod
    def turn(y: Tensor) -> Tensor:
        return torch.stack((-y[..., 1], y[..., 0]), -1)

    def f(self, _t: Tensor, y: Tensor) -> Tensor:
        return self.a * y + self.b * self.turn(y)

    def g(self, _t: Tensor, y: Tensor) -> Tensor:
        return self.s * self.turn(y).unsqueeze(-1)

    def exact(self, t: float, y0: Tensor, W: Tensor) -> Tensor:
        growth = self.a + 0.5 * self.s**2 if self.sde_type == "ito" else self.a
        angle = self.b * t + self.s * W
        return math.exp(growth * t) * (torch.cos(angle) * y0 + torch.sin(angle) * self.turn(y0))


def neural(noise_type: str, sde_type: str = "stratonovich", seed: int = 0, **options: Any) -> Neural:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Neural(noise_type, sde_type, **options)


def motion(function: Callable[..., Any], levy_area: str) -> Callable[..., Any]:
    """`function` as a Brownian motion with a Levy area."""
    function.levy_area_approximation = levy_area  # pyright: ignore[reportFunctionMemberAccess]
    return function


@functools.cache
def remembered(bm: sd.BrownianInterval) -> Callable[..., Any]:
    """`bm` as a Brownian motion that draws every interval once, however many solves ask for it."""
    ask = functools.cache(bm)
    return motion(lambda ta, tb, **areas: ask(float(ta), float(tb), **areas), bm.levy_area_approximation)


def state(seed: int = 0, batch: tuple[int, ...] = (BATCH,)) -> Tensor:
    return torch.randn(*batch, DIM, generator=torch.Generator().manual_seed(seed))


def methods_for(noise_type: str) -> list[str]:
    return [name for name, facts in METHODS.items() if noise_type in facts.order]


def with_calculi(noise_type: str) -> list[tuple[str, str]]:
    """All (method, sde_type) that are for this noise."""
    return [(name, sde_type) for name in methods_for(noise_type) for sde_type in METHODS[name].sde_types]


PAIRS = [(name, noise_type) for noise_type in NOISE_TYPES for name in methods_for(noise_type)]


class Sde(sd.BaseSDE):
    """Anything, from two functions."""

    def __init__(self, f: Field, g: Field, noise_type: str = "diagonal", sde_type: str = "stratonovich") -> None:
        super().__init__(noise_type, sde_type)
        self.f, self.g = f, g
