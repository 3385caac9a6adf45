"""The latent SDE in PyTorch: sdegrad's, trained on series by the evidence lower bound.

PyTorch is imported when a model is made, never with the suite.
"""

import io
from collections.abc import Mapping
from typing import Any

import numpy as np

from suite.harness import part
from suite.sweeping import peak_memory
from suite.training.model import slowed
from suite.training.settings import Experiment, Settings
from suite.training.torch_gan import calls

NOISE = 0.2  # standard deviation of an observation, of data of deviation 1
STEP = 0.125  # of the solver, from one time of the data to the next


class TorchLatent:
    """`Model` in PyTorch. Of the settings it takes hidden, width, steps and descent."""

    preparation = 0.0

    def __init__(self, experiment: Experiment, settings: Settings, seed: int, channels: int) -> None:
        import torch

        torch.manual_seed(seed)
        self.torch, self.settings = torch, settings
        self.how = {"method": experiment.method, "dt": STEP}
        self.adjoint = experiment.adjoint
        self.ts = STEP * torch.arange(float(settings.times))
        sizes = {"hidden": settings.hidden, "context": settings.hidden, "width": settings.width}
        self.model = part("torch.nn").LatentSDE(channels, **sizes)
        self.descent = torch.optim.Adam(self.model.parameters(), lr=settings.descent)
        self.taken = 0

    def step(self, real: np.ndarray, seed: int) -> tuple[float, Mapping[str, float]]:
        loss = self._gradients(real, seed)
        self.descent.param_groups[0]["lr"] = self.settings.descent * slowed(self.taken, self.settings.steps)
        self.descent.step()
        self.taken += 1
        return loss, self._norms()

    def _gradients(self, real: np.ndarray, seed: int) -> float:
        """Of minus the evidence lower bound of a path, but for a constant. Its divergence counts in full from the
        middle of training on."""
        self.torch.manual_seed(seed)
        data = self.torch.from_numpy(real).to(self.ts.dtype)
        posterior = self.model(self.ts, data, adjoint=self.adjoint, **self.how)
        misfit = ((posterior.ys - data) / NOISE).square().sum((0, 2)) / 2
        share = min(1.0, 2 * (self.taken + 1) / self.settings.steps)
        loss = (misfit + share * posterior.divergence).mean()
        self.descent.zero_grad()
        loss.backward()
        return loss.item()

    def generated(self, paths: int, seed: int) -> np.ndarray:
        """Of the prior, with the noise of an observation."""
        with self.torch.no_grad():
            self.torch.manual_seed(seed)
            ys = self.model.sample(self.ts, paths, **self.how)
            return (ys + NOISE * self.torch.randn_like(ys)).numpy()

    def evaluations(self, real: np.ndarray, seed: int) -> int:
        fields = (self.model.drift, self.model.prior_drift, self.model.diffusion)
        return calls(fields, lambda: self._gradients(real, seed))

    def memory(self, real: np.ndarray, seed: int) -> int:
        return peak_memory(lambda: self._gradients(real, seed))

    def state(self) -> bytes:
        file = io.BytesIO()
        parts = {name: getattr(self, name).state_dict() for name in ("model", "descent")}
        self.torch.save({**parts, "taken": self.taken}, file)
        return file.getvalue()

    def load(self, state: bytes) -> None:
        found: Any = self.torch.load(io.BytesIO(state), weights_only=True)
        self.model.load_state_dict(found["model"])
        self.descent.load_state_dict(found["descent"])
        self.taken = found["taken"]

    def _norms(self) -> dict[str, float]:
        return {
            name: float(sum(p.grad.square().sum() for p in child.parameters()) ** 0.5)
            for name, child in self.model.named_children()
        }
