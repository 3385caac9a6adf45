"""The SDE-GAN in JAX, solved by sdegrad or diffrax; a step is compiled once for all seeds. JAX is imported late."""

import io
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import cache, cached_property
from typing import Any

import numpy as np

from suite.harness import part
from suite.training.matching import energy_score
from suite.training.model import BETA, EPSILON, PENALTY, initial_weights, slowed, weight
from suite.training.settings import Experiment, Settings

State = Any  # (generator, discriminator, average of the generator, Adam's squares of both, steps taken)


@dataclass(frozen=True)
class Programs:
    """What is computed, compiled when first asked for. device: where the state is, and so all of it. solve: in place of
    sdegrad's `sdeint`; motion: (paths, noise, last time, key) to a Brownian motion, in place of its own."""

    experiment: Experiment
    settings: Settings
    device: str = "cpu"
    solve: Callable[..., Any] | None = None
    motion: Callable[..., Any] | None = None

    @property
    def ts(self) -> tuple[float, ...]:
        return tuple(float(k) for k in range(self.settings.times))

    def start(self, seed: int) -> State:
        import equinox as eqx
        import jax
        import jax.numpy as jnp

        parts, settings, key = part("jax.nn"), self.settings, jax.random.key(0)
        sizes = {"hidden": settings.hidden, "width": settings.width, "key": key}
        models = parts.Generator(1, noise=settings.noise, **sizes), parts.Discriminator(1, **sizes)

        def layers(models: Any) -> list[tuple[str, Any]]:
            def is_linear(x: Any) -> bool:
                return isinstance(x, eqx.nn.Linear)

            found, _ = jax.tree.flatten_with_path(models, is_leaf=is_linear)
            names = "generator", "discriminator"
            return [(f"{names[at[0].idx]}.{at[1].name}", layer) for at, layer in found if is_linear(layer)]

        def arrays(models: Any) -> list[Any]:
            return [array for _, layer in layers(models) for array in (layer.weight, layer.bias)]

        filled = initial_weights([(name, layer.weight.shape) for name, layer in layers(models)], seed)
        generator, discriminator = eqx.tree_at(arrays, models, [jnp.asarray(x) for pair in filled for x in pair])
        if not self.experiment.penalty:
            discriminator = parts.clip_weights(discriminator)
        squares = jax.tree.map(jnp.zeros_like, eqx.filter((generator, discriminator), eqx.is_array))
        return self.put((generator, discriminator, generator, squares, jnp.zeros((), int)))

    def put(self, tree: Any) -> Any:
        import equinox as eqx
        import jax

        return eqx.filter_shard(tree, jax.devices(self.device)[0])

    def gradients(self, state: State, real: Any, key: Any, count: Callable[..., Any] | None = None) -> Any:
        """(loss, gradients of generator and discriminator). count: wraps the vector fields."""
        import equinox as eqx
        import jax
        import jax.numpy as jnp

        keys = jax.random.split(key)

        def loss(models: Any) -> Any:
            generator, discriminator = models
            fake = self.generate(generator, real.shape[1], keys[0], self.experiment.adjoint, count)
            if self.experiment.matching:
                return (energy_score(fake, real, jax.random.permutation(keys[1], len(real))),) * 2
            of_fake, of_real = jnp.split(self.score(discriminator, jnp.concatenate((fake, real), 1), count), 2)
            value = jnp.mean(of_fake) - jnp.mean(of_real)
            if not self.experiment.penalty:
                return (value,) * 2
            between = real + jax.random.uniform(keys[1], (real.shape[1], 1)) * (jax.lax.stop_gradient(fake) - real)
            slope = jax.grad(lambda ys: jnp.sum(self.score(discriminator, ys, count)))(between)
            penalty = jnp.mean((jnp.sqrt(jnp.sum(slope**2, (0, 2))) - 1) ** 2)
            return value - PENALTY * penalty, value

        (_, value), slopes = eqx.filter_value_and_grad(loss, has_aux=True)(state[:2])
        return value, slopes

    def step(self, state: State, real: Any, key: Any) -> tuple[State, Any, Any]:
        """(the state after a step, the loss, the norms of the gradients)."""
        import equinox as eqx
        import jax
        import jax.numpy as jnp

        value, slopes = self.gradients(state, real, key)
        *models, average, squares, steps = state
        slow, steps = slowed(steps, self.settings.steps), steps + 1
        squares = jax.tree.map(lambda v, g: BETA * v + (1 - BETA) * g**2, squares, slopes)
        rates = -self.settings.descent_of(self.experiment) * slow, self.settings.ascent * slow
        unbiased = 1 - BETA**steps

        def moved(model: Any, rate: float, slope: Any, square: Any) -> Any:
            change = jax.tree.map(lambda g, v: rate * g / (jnp.sqrt(v / unbiased) + EPSILON), slope, square)
            return eqx.apply_updates(model, change)

        generator, discriminator = map(moved, models, rates, slopes, squares)
        if not self.experiment.penalty:
            discriminator = part("jax.nn").clip_weights(discriminator)
        w = weight(steps)
        average = jax.tree.map(lambda a, x: a + (x - a) * w if eqx.is_array(x) else x, average, generator)
        return (generator, discriminator, average, squares, steps), value, _norms(slopes)

    def generate(
        self, generator: Any, paths: int, key: Any, adjoint: str | None, count: Callable[..., Any] | None = None
    ) -> Any:
        import jax

        start, noise = jax.random.split(key)
        bm = self.motion and self.motion(paths, self.settings.noise, self.ts[-1], noise)
        how = self._how(count, "drift", "diffusion")
        return generator(self.ts, paths, key=start, bm=bm, dt=1.0, adjoint=adjoint, **how)

    def score(self, discriminator: Any, ys: Any, count: Callable[..., Any] | None = None) -> Any:
        how = self._how(count, "diffusion")  # it has no drift
        return discriminator(np.asarray(self.ts), self.experiment.contrast * ys, adjoint=self.experiment.adjoint, **how)

    def _how(self, count: Callable[..., Any] | None, *counted: str) -> dict[str, Any]:
        """How to solve, with those of the vector fields `counted` that are."""
        solve = self.solve or part("jax.nn").gan.sdeint

        def counting(drift: Any, diffusion: Any, *arguments: Any, **options: Any) -> Any:
            assert count is not None
            given = {"drift": drift, "diffusion": diffusion}
            given |= {name: count(given[name], name) for name in counted}
            return solve(given["drift"], given["diffusion"], *arguments, **options)

        return {"method": self.experiment.method, "solve": solve if count is None else counting}

    @cached_property
    def compiled(self) -> tuple[Any, float]:
        """A step, and the seconds it took to compile."""
        import equinox as eqx

        begin = time.perf_counter()
        jitted: Any = eqx.filter_jit(self.step)
        step = jitted.lower(*self._arguments(0)).compile()
        return step, time.perf_counter() - begin

    @cached_property
    def compiled_generate(self) -> Any:
        import equinox as eqx

        return eqx.filter_jit(lambda generator, paths, key: self.generate(generator, paths, key, None))

    @cached_property
    def evaluations(self) -> int:
        import equinox as eqx
        import jax

        counter: Counter[str] = Counter()

        def gradients(*arguments: Any) -> Any:
            return self.gradients(
                *arguments, count=lambda field, name: part("adapters.jax_counts").counted(field, counter, name, False)
            )

        jax.block_until_ready(eqx.filter_jit(gradients)(*self._arguments(0)))
        jax.effects_barrier()
        return counter["drift"] + counter["diffusion"]

    def _arguments(self, seed: int) -> tuple[Any, ...]:
        import jax
        import jax.numpy as jnp

        real = self.put(jnp.zeros((self.settings.times, self.settings.batch, 1)))
        return self.start(seed), real, jax.random.key(seed)


def _norms(slopes: Any) -> dict[str, Any]:
    import equinox as eqx
    import jax
    import jax.numpy as jnp

    return {
        f"{whose}.{field.name}": jnp.sqrt(sum(jnp.sum(g**2) for g in jax.tree.leaves(getattr(slope, field.name))))
        for whose, slope in zip(("generator", "discriminator"), slopes, strict=True)
        for field in fields(slope)
        if isinstance(getattr(slope, field.name), eqx.Module)
    }


class JaxGAN:
    """`Model` in JAX."""

    def __init__(
        self,
        experiment: Experiment,
        settings: Settings,
        seed: int,
        device: str = "cpu",
        solve: Callable[..., Any] | None = None,
        motion: Callable[..., Any] | None = None,
    ) -> None:
        self.programs = programs(experiment, settings, device, solve, motion)
        self._state = self.programs.start(seed)

    @property
    def preparation(self) -> float:
        return self.programs.compiled[1]

    def step(self, real: np.ndarray, seed: int) -> tuple[float, Mapping[str, float]]:
        import jax

        data = self.programs.put(jax.device_put(real.astype(np.float32)))
        found = self.programs.compiled[0](self._state, data, jax.random.key(seed))
        self._state, loss, norms = jax.block_until_ready(found)
        return float(loss), {name: float(norm) for name, norm in norms.items()}

    def generated(self, paths: int, seed: int) -> np.ndarray:
        import jax

        return np.asarray(self.programs.compiled_generate(self._state[2], paths, jax.random.key(seed)))

    def evaluations(self, real: np.ndarray, seed: int) -> int:  # noqa: ARG002
        return self.programs.evaluations

    def memory(self, real: np.ndarray, seed: int) -> int:  # noqa: ARG002
        return part("adapters.jax_run").planned_memory(self.programs.compiled[0].compiled)

    def state(self) -> bytes:
        import equinox as eqx

        file = io.BytesIO()
        eqx.tree_serialise_leaves(file, self._state)
        return file.getvalue()

    def load(self, state: bytes) -> None:
        import equinox as eqx

        self._state = self.programs.put(eqx.tree_deserialise_leaves(io.BytesIO(state), self._state))


programs = cache(Programs)  # the seeds of an experiment share what is compiled
