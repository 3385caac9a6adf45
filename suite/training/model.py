"""What a training asks of an SDE-GAN, whatever library solves it; and what all of them start from."""

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np

PENALTY = 10.0  # weight of (|gradient| - 1)^2, as of Gulrajani et al. (2017), arXiv 1704.00028
BETA, EPSILON = 0.9, 1e-8  # of Adam without momentum
_RECENT = 3.0  # the last quarter of the steps has 68 % of the weight
# Of the first weights: paths begin as widely spread as the data, in place of a sixth of that, and spread as fast.
_SCALES = {"generator.initial": 2.5, "generator.drift": 0.5, "generator.diffusion": 0.5}


class Model(Protocol):
    """Generator and discriminator, their optimizers, and the average of the generator's weights.

    Random numbers of a call come from its seed alone, so that training goes on from a checkpoint as if never stopped.
    """

    @property
    def preparation(self) -> float:
        """Seconds it took to compile a step; 0 where nothing is compiled."""
        ...

    def step(self, real: np.ndarray, seed: int) -> tuple[float, Mapping[str, float]]:
        """Train both on real paths [times, batch, 1]. Returns (the score of generated minus that of real paths, the
        norm of the gradient of each part)."""
        ...

    def generated(self, paths: int, seed: int) -> np.ndarray:
        """Paths of the averaged generator, [times, paths, 1]."""
        ...

    def evaluations(self, real: np.ndarray, seed: int) -> int:
        """How often a step evaluates the vector fields of both, backward passes included. Trains nothing."""
        ...

    def memory(self, real: np.ndarray, seed: int) -> int:
        """Peak bytes of the gradients of a step; in JAX those that XLA has planned for all of the step."""
        ...

    def state(self) -> bytes: ...

    def load(self, state: bytes) -> None: ...


def slowed(steps: int, of: int) -> float:
    """The factor of the learning rates after `steps` of all steps: it falls to zero in a line."""
    return 1 - steps / of


def weight(steps: int) -> float:
    """Of the weights after `steps` steps in their average, which forgets the first: in proportion to steps^3."""
    return (_RECENT + 1) / (_RECENT + steps)


def initial_weights(layers: Sequence[tuple[str, tuple[int, int]]], seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """(matrix, bias) of linear layers, given as (name of their part, (outputs, inputs)): the same in both frameworks.

    Uniform up to 1 / sqrt(inputs), as both draw them, times the scale of the part.
    """
    rng = np.random.default_rng(seed)
    ends = [_SCALES.get(name, 1.0) * inputs**-0.5 for name, (_, inputs) in layers]
    return [
        (rng.uniform(-a, a, shape).astype(np.float32), rng.uniform(-a, a, shape[0]).astype(np.float32))
        for a, (_, shape) in zip(ends, layers, strict=True)
    ]
