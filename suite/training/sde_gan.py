"""The SDE-GAN of the Ornstein-Uhlenbeck process with sdegrad in PyTorch: its parts, and one step of training.

All that a step draws is drawn from a seed of its own, so that training goes on from a checkpoint as if never stopped.
"""

from typing import Any

import numpy as np

from suite.harness import training_parts
from suite.training.ou import OrnsteinUhlenbeck
from suite.training.settings import Experiment, Settings

PENALTY = 10.0  # weight of (|gradient| - 1)^2, as of Gulrajani et al. (2017), arXiv 1704.00028


class SDEGAN:
    """steps: how many were taken; calls: how often they evaluated the vector fields, backward passes included."""

    def __init__(self, experiment: Experiment, settings: Settings, seed: int) -> None:
        import torch
        from torch.optim.swa_utils import AveragedModel

        self.torch, self.parts = torch, training_parts("torch")
        self.experiment, self.settings, self.seed, self.steps = experiment, settings, seed, 0
        self.calls = 0
        self.data = OrnsteinUhlenbeck()
        self.ts = torch.arange(float(settings.times))
        torch.manual_seed(seed)
        sizes = {"hidden": settings.hidden, "width": settings.width}
        self.generator = self.parts.Generator(1, noise=settings.noise, **sizes)
        self.discriminator = self.parts.Discriminator(1, **sizes)
        if not experiment.penalty:
            self.parts.clip_weights(self.discriminator)
        self.averaged = AveragedModel(self.generator)  # before the hooks, which it would copy
        for field in (self.generator.drift, self.generator.diffusion, self.discriminator.field):
            field.register_forward_hook(self._count)
        adam = torch.optim.Adam
        self.descent = adam(self.generator.parameters(), lr=settings.descent, betas=(0.0, 0.9))
        self.ascent = adam(self.discriminator.parameters(), lr=settings.ascent, betas=(0.0, 0.9), maximize=True)

    def step(self) -> tuple[float, dict[str, float]]:
        """One step of both. Returns (the score of generated minus that of real paths, norm of each part's gradient)."""
        self.torch.manual_seed(self._draw(0))
        real = self.real(self.settings.batch, self._draw(1))
        fake = self._generate(self.generator, self.settings.batch, self.experiment.adjoint)
        loss = self._score(fake).mean() - self._score(real).mean()
        self.descent.zero_grad()
        self.ascent.zero_grad()
        (loss - PENALTY * self._penalty(real, fake.detach()) if self.experiment.penalty else loss).backward()
        norms = self._norms()
        self.descent.step()
        self.ascent.step()
        if not self.experiment.penalty:
            self.parts.clip_weights(self.discriminator)
        self.steps += 1
        if 2 * self.steps > self.settings.steps:
            self.averaged.update_parameters(self.generator)
        return loss.item(), norms

    def generated(self, paths: int) -> np.ndarray:
        """Paths of the average of the generator if there is one, [times, paths, 1], the same ones at each call."""
        model = self.averaged if self.averaged.n_averaged > 0 else self.generator
        calls = self.calls
        with self.torch.no_grad():
            self.torch.manual_seed(self._draw(2, at=0))
            ys = self._generate(model, paths, "backprop").numpy()
        self.calls = calls
        return ys

    def real(self, paths: int, seed: int) -> Any:
        ys = self.data.sample(np.random.default_rng(seed), self.ts.numpy().astype(float), paths)
        return self.torch.from_numpy(ys).to(self.ts.dtype)

    def _count(self, *_: Any) -> None:
        self.calls += 1

    def state(self) -> dict[str, Any]:
        return {"steps": self.steps, "calls": self.calls} | {
            name: part.state_dict() for name, part in self._stateful().items()
        }

    def load(self, state: dict[str, Any]) -> None:
        self.steps, self.calls = state["steps"], state["calls"]
        for name, part in self._stateful().items():
            part.load_state_dict(state[name])

    def _stateful(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("generator", "discriminator", "averaged", "descent", "ascent")}

    def _draw(self, purpose: int, at: int | None = None) -> int:
        """A seed for this purpose at this step."""
        entropy = (self.seed, self.steps if at is None else at, purpose)
        return int(np.random.SeedSequence(entropy).generate_state(1)[0])

    def _generate(self, generator: Any, paths: int, adjoint: str) -> Any:
        return generator(self.ts, paths, dt=1.0, method=self.experiment.method, adjoint=adjoint)

    def _score(self, ys: Any) -> Any:
        return self.discriminator(self.ts, ys, method=self.experiment.method, adjoint=self.experiment.adjoint)

    def _penalty(self, real: Any, fake: Any) -> Any:
        """The mean over paths between real and generated ones of (|gradient of the score| - 1)^2."""
        between = self.torch.lerp(real, fake, self.torch.rand(real.shape[1], 1)).requires_grad_()
        (slope,) = self.torch.autograd.grad(self._score(between).sum(), between, create_graph=True)
        return (slope.square().sum((0, 2)).sqrt() - 1).square().mean()

    def _norms(self) -> dict[str, float]:
        return {
            f"{whose}.{name}": float(sum(p.grad.square().sum() for p in part.parameters()) ** 0.5)
            for whose in ("generator", "discriminator")
            for name, part in getattr(self, whose).named_children()
        }
