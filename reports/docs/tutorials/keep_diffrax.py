"""Keep diffrax and gain exact gradients

A neural SDE, solved by diffrax's `ReversibleHeun`. Two arguments change, the adjoint and the Brownian motion, and the
gradient, exact as before, comes from one pass that steps backwards, in memory that does not grow with the steps.

    python reports/docs/tutorials/keep_diffrax.py
"""

import argparse
from functools import partial

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import lineax
import matplotlib.pyplot as plt
import numpy as np

from sdegrad.jax import BrownianInterval, ReversibleAdjoint

DIM, PATHS = 8, 32
OURS, THEIRS = ReversibleAdjoint(), diffrax.RecursiveCheckpointAdjoint()


class Drift(eqx.Module):
    mlp: eqx.nn.MLP

    def __init__(self, key: jax.Array) -> None:
        self.mlp = eqx.nn.MLP(DIM, DIM, 32, 1, activation=jax.nn.silu, final_activation=jnp.tanh, key=key)

    def __call__(self, t: jax.Array, y: jax.Array, args: object) -> jax.Array:
        return jax.vmap(self.mlp)(y)


def loss(drift: Drift, key: jax.Array, steps: int, adjoint: diffrax.AbstractAdjoint) -> jax.Array:
    """How far the ends of paths from zero over [0, 1] are from a circle of radius 1 in the first two components."""
    bm = BrownianInterval(0.0, 1.0, (PATHS, DIM), key, dt=1 / steps)  # was: diffrax.VirtualBrownianTree(...)
    noise = diffrax.ControlTerm(lambda t, y, args: lineax.DiagonalLinearOperator(jnp.full_like(y, 0.2)), bm)
    solution = diffrax.diffeqsolve(
        diffrax.MultiTerm(diffrax.ODETerm(drift), noise),
        diffrax.ReversibleHeun(),
        *(0.0, 1.0, 1 / steps, jnp.zeros((PATHS, DIM))),
        adjoint=adjoint,  # was: the default, checkpoints
        max_steps=steps,
    )
    return jnp.mean((jnp.linalg.norm(solution.ys[-1, :, :2], axis=1) - 1) ** 2)


class Gradient:
    """Compiled once: of the loss over so many steps, with the bytes that XLA has planned beside input and output."""

    def __init__(self, drift: Drift, steps: int, adjoint: diffrax.AbstractAdjoint) -> None:
        of_loss = eqx.filter_jit(eqx.filter_value_and_grad(partial(loss, steps=steps, adjoint=adjoint)))
        self.value_and_grad = of_loss.lower(drift, jax.random.key(0)).compile()
        self.memory = self.value_and_grad.compiled.memory_analysis().temp_size_in_bytes

    def __call__(self, drift: Drift) -> np.ndarray:
        _, slopes = self.value_and_grad(drift, jax.random.key(0))
        return np.concatenate([np.ravel(x) for x in jax.tree.leaves(slopes)])


def train(drift: Drift, gradient: Gradient, updates: int) -> list[float]:
    velocity, losses = jax.tree.map(jnp.zeros_like, eqx.filter(drift, eqx.is_array)), []
    for k in range(updates):
        value, slopes = gradient.value_and_grad(drift, jax.random.key(k))
        velocity = jax.tree.map(lambda v, s: 0.9 * v - 0.1 * s, velocity, slopes)
        drift = eqx.apply_updates(drift, velocity)
        losses.append(float(value))
    return losses


def main(updates: int = 100, numbers: tuple[int, ...] = (16, 64, 256), file: str = "keep_diffrax.png") -> tuple:
    """The losses, {adjoint: memory by steps}, and how far the two gradients are apart, relative."""
    drift = Drift(jax.random.key(0))
    ours, theirs = ([Gradient(drift, n, adjoint) for n in numbers] for adjoint in (OURS, THEIRS))
    apart = max(np.abs(a(drift) - b(drift)).max() / np.abs(b(drift)).max() for a, b in zip(ours, theirs, strict=True))
    losses = train(drift, ours[0], updates)
    memory = {"sdegrad, reversible": [g.memory for g in ours], "diffrax, checkpoints": [g.memory for g in theirs]}
    figure, axes = plt.subplots(1, 2, figsize=(8.5, 3.2), layout="constrained")
    axes[0].plot(losses)
    axes[0].set(title="loss", xlabel="update", yscale="log")
    for name, values in memory.items():
        axes[1].plot(numbers, np.array(values) / 2**10, ".-", label=name)
    axes[1].set(title="memory of a gradient, KiB", xlabel=f"steps; gradients apart by {apart:.0e}", ylim=(0, None))
    axes[1].legend(fontsize=7)
    figure.savefig(file, dpi=100)
    plt.close(figure)
    return losses, memory, apart


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--updates", type=int, default=100)
    losses, _, apart = main(parser.parse_args().updates)
    print(f"loss: {losses[0]:.3f} at first, {losses[-1]:.3f} at last; gradients apart by {apart:.0e}")
