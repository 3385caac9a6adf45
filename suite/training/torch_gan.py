"""The SDE-GAN in PyTorch: sdegrad's networks, solved by sdegrad or by torchsde.

PyTorch is imported when a model is made, never with the suite.
"""

import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from suite.harness import part
from suite.sweeping import peak_memory
from suite.training.matching import energy_score
from suite.training.model import BETA, EPSILON, PENALTY, initial_weights, slowed, weight
from suite.training.settings import Experiment, Settings


def calls(fields: Sequence[Any], work: Callable[[], object]) -> int:
    """How often `work` calls these modules."""
    made = []
    hooks = [field.register_forward_hook(lambda *_: made.append(1)) for field in fields]
    work()
    for hook in hooks:
        hook.remove()
    return len(made)


class TorchGAN:
    """`Model` in PyTorch. solve: in place of sdegrad's `sdeint`."""

    preparation = 0.0

    def __init__(
        self,
        experiment: Experiment,
        settings: Settings,
        seed: int,
        device: str = "cpu",
        solve: Callable[..., Any] | None = None,
    ) -> None:
        import torch
        from torch.optim.swa_utils import AveragedModel

        self.torch, self.parts, self.experiment, self.settings = torch, part("torch.nn"), experiment, settings
        self.device, self.run = device, part("adapters.torch_run")
        self.how = {"method": experiment.method} | ({} if solve is None else {"solve": solve})
        self.ts = torch.arange(float(settings.times), device=device)
        sizes = {"hidden": settings.hidden, "width": settings.width}
        self.generator = self.parts.Generator(1, noise=settings.noise, **sizes).to(device)
        self.discriminator = self.parts.Discriminator(1, **sizes).to(device)
        self._fill(seed)
        if not experiment.penalty:
            self.parts.clip_weights(self.discriminator)
        self.averaged = AveragedModel(
            self.generator, avg_fn=lambda mean, x, count: mean + (x - mean) * weight(int(count) + 1)
        )
        adam: Any = {"betas": (0.0, BETA), "eps": EPSILON}
        self.descent = torch.optim.Adam(self.generator.parameters(), **adam)
        self.ascent = torch.optim.Adam(self.discriminator.parameters(), maximize=True, **adam)

    def _fill(self, seed: int) -> None:
        named = [
            (f"{whose}.{name}", layer)
            for whose in ("generator", "discriminator")
            for name, child in getattr(self, whose).named_children()
            for layer in child.modules()
            if isinstance(layer, self.torch.nn.Linear)
        ]
        filled = initial_weights([(name, layer.weight.shape) for name, layer in named], seed)
        with self.torch.no_grad():
            for (_, layer), (matrix, bias) in zip(named, filled, strict=True):
                layer.weight.copy_(self.torch.from_numpy(matrix))
                layer.bias.copy_(self.torch.from_numpy(bias))

    def step(self, real: np.ndarray, seed: int) -> tuple[float, Mapping[str, float]]:
        loss = self._gradients(real, seed)
        norms = self._norms()
        rates = self.settings.descent_of(self.experiment), self.settings.ascent
        for rule, rate in zip((self.descent, self.ascent), rates, strict=True):
            rule.param_groups[0]["lr"] = rate * slowed(int(self.averaged.n_averaged), self.settings.steps)
            rule.step()
        if not self.experiment.penalty:
            self.parts.clip_weights(self.discriminator)
        self.averaged.update_parameters(self.generator)
        self.run.synchronise(self.device)
        return loss, norms

    def _gradients(self, real: np.ndarray, seed: int) -> float:
        self.torch.manual_seed(seed)
        data = self.torch.from_numpy(real).to(self.ts)
        fake = self._generate(self.generator, data.shape[1], self.experiment.adjoint)
        loss = self._matching(fake, data) if self.experiment.matching else self._difference(fake, data)
        self.descent.zero_grad()
        self.ascent.zero_grad()
        (loss - PENALTY * self._penalty(data, fake.detach()) if self.experiment.penalty else loss).backward()
        return loss.item()

    def generated(self, paths: int, seed: int) -> np.ndarray:
        model = self.averaged if self.averaged.n_averaged > 0 else self.generator
        with self.torch.no_grad():
            self.torch.manual_seed(seed)
            return self._generate(model, paths, "backprop").cpu().numpy()

    def evaluations(self, real: np.ndarray, seed: int) -> int:
        fields = (self.generator.drift, self.generator.diffusion, self.discriminator.field)
        return calls(fields, lambda: self._gradients(real, seed))

    def memory(self, real: np.ndarray, seed: int) -> int:
        allocated = self.run.allocated(lambda: self._gradients(real, seed), self.device)
        return peak_memory(lambda: self._gradients(real, seed)) if allocated is None else allocated

    def state(self) -> bytes:
        file = io.BytesIO()
        self.torch.save({name: stateful.state_dict() for name, stateful in self._stateful().items()}, file)
        return file.getvalue()

    def load(self, state: bytes) -> None:
        found = self.torch.load(io.BytesIO(state), weights_only=True)
        for name, stateful in self._stateful().items():
            stateful.load_state_dict(found[name])

    def _stateful(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("generator", "discriminator", "averaged", "descent", "ascent")}

    def _generate(self, generator: Any, paths: int, adjoint: str) -> Any:
        return generator(self.ts, paths, dt=1.0, adjoint=adjoint, **self.how)

    def _matching(self, fake: Any, real: Any) -> Any:
        return energy_score(fake, real, self.torch.randperm(len(self.ts), device=self.device))

    def _difference(self, fake: Any, real: Any) -> Any:
        of_fake, of_real = self._score(self.torch.cat((fake, real), 1)).chunk(2)
        return of_fake.mean() - of_real.mean()

    def _score(self, ys: Any) -> Any:
        return self.discriminator(self.ts, self.experiment.contrast * ys, adjoint=self.experiment.adjoint, **self.how)

    def _penalty(self, real: Any, fake: Any) -> Any:
        """The mean over paths between real and generated ones of (|gradient of the score| - 1)^2."""
        between = self.torch.lerp(real, fake, self.torch.rand(real.shape[1], 1, device=self.device)).requires_grad_()
        (slope,) = self.torch.autograd.grad(self._score(between).sum(), between, create_graph=True)
        return (slope.square().sum((0, 2)).sqrt() - 1).square().mean()

    def _norms(self) -> dict[str, float]:
        return {
            f"{whose}.{name}": float(sum(p.grad.square().sum() for p in child.parameters()) ** 0.5)
            for whose in (("generator",) if self.experiment.matching else ("generator", "discriminator"))
            for name, child in getattr(self, whose).named_children()
        }
