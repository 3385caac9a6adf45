"""SDE-GANs: a neural SDE that generates paths, and a neural CDE that scores them.

Kidger, Foster, Li, Oberhauser, Lyons, Neural SDEs as Infinite-Dimensional GANs (2021), arXiv 2102.03657, equations (2)
and (3); trained as in Efficient and Accurate Gradients for Neural SDEs, arXiv 2105.13493.
"""

from collections.abc import Callable
from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from sdegrad.jax.brownian.interval import BrownianInterval
from sdegrad.jax.checks import static_times
from sdegrad.jax.nn.layers import MLP, linear
from sdegrad.jax.nn.series import Alternating, Data, Series, Slopes, as_path, with_time
from sdegrad.jax.sde import contract
from sdegrad.jax.sdeint import sdeint
from sdegrad.jax.types import Args, Key, Number, Path, Time, Times
from sdegrad.networks import check_sizes

State = Float[Array, "*paths hidden"]


class Generator(eqx.Module):
    """X_0 = zeta(V), dX = mu(t, X) dt + sigma(t, X) o dW, Y = A X + b, for V and W normal: paths Y.

    channels: of Y; hidden: of X; noise: of W; initial_noise: of V. zeta, mu and sigma are MLPs of `width` and `depth`,
    the last two with a final tanh.
    """

    initial: MLP
    drift: MLP
    diffusion: MLP
    readout: eqx.nn.Linear
    noise: int = eqx.field(static=True)
    initial_noise: int = eqx.field(static=True)

    def __init__(
        self,
        channels: int,
        *,
        hidden: int = 16,
        noise: int = 3,
        initial_noise: int = 4,
        width: int = 16,
        depth: int = 1,
        key: Key,
    ) -> None:
        check_sizes(channels=channels, hidden=hidden, noise=noise, initial_noise=initial_noise)
        keys = jax.random.split(key, 4)
        mlp = partial(MLP, width=width, depth=depth)
        self.noise, self.initial_noise = noise, initial_noise
        self.initial = mlp(initial_noise, hidden, key=keys[0])
        self.drift = mlp(1 + hidden, hidden, final=jnp.tanh, key=keys[1])
        self.diffusion = mlp(1 + hidden, hidden * noise, final=jnp.tanh, key=keys[2])
        self.readout = eqx.nn.Linear(hidden, channels, key=keys[3])

    def __call__(
        self,
        ts: Times,
        paths: int,
        *,
        key: Key,
        dt: Number,
        initial: Float[Array, "paths initial_noise"] | None = None,
        bm: Path | None = None,
        method: str = "reversible_heun",
        adjoint: str | None = None,
        solve: Callable[..., Array] = sdeint,
    ) -> Series:
        """`paths` generated paths at ts [times], [times, paths, channels]; steps of dt, linear between them.

        initial: V; bm: W, `noise` channels; by default both are drawn with `key`. ts and dt are static. method,
        adjoint: of `sdeint`; by default the exact gradient in the least memory. solve: called in place of `sdeint`.
        """
        check_sizes(paths=paths)
        dtype, (start, path) = self.readout.weight.dtype, jax.random.split(key)
        v = jax.random.normal(start, (paths, self.initial_noise), dtype) if initial is None else initial
        if bm is None:
            times, _ = static_times(ts)
            bm = BrownianInterval(times[0], times[-1], (paths, self.noise), path, dtype=dtype, dt=dt)
        x0 = self.initial(v)
        options = {"method": method, "adjoint": adjoint, "noise_type": "general"}
        return linear(self.readout, solve(self._drift, self._diffusion, x0, ts, bm=bm, dt=dt, **options))

    def _drift(self, t: Time, x: State, _: Args) -> State:
        return self.drift(with_time(t, x))

    def _diffusion(self, t: Time, x: State, _: Args) -> Float[Array, "*paths hidden noise"]:
        return self.diffusion(with_time(t, x)).reshape(*x.shape, self.noise)


class Discriminator(eqx.Module):
    """H_0 = xi(t_0, Y_0), dH = F(t, H) o d(t, Y), score m.H_T: a score for each path Y, linear between its data.

    channels: of Y; hidden: of H. xi and F are MLPs of `width` and `depth`, F with a final tanh. masked: whether values
    may be missing; the path then has one more channel for each of Y, how many of its values were observed so far.

    After `clip_weights` with norm "inf", F(t, H) v is Lipschitz in H with the constant |v|_1, in the infinity norm, and
    with "one" with the constant |v|_inf, in the 1-norm: two solutions part at most like the exponential of the length
    of the path (t, Y) in that norm, and the score is 1-Lipschitz in H_T.
    """

    initial: MLP
    field: MLP
    readout: eqx.nn.Linear
    channels: int = eqx.field(static=True)
    masked: bool = eqx.field(static=True)

    def __init__(
        self, channels: int, *, hidden: int = 16, width: int = 16, depth: int = 1, masked: bool = False, key: Key
    ) -> None:
        check_sizes(channels=channels, hidden=hidden)
        keys = jax.random.split(key, 3)
        mlp = partial(MLP, width=width, depth=depth)
        extended = 1 + channels * (2 if masked else 1)
        self.channels, self.masked = channels, masked
        self.initial = mlp(extended, hidden, key=keys[0])
        self.field = mlp(1 + hidden, hidden * extended, final=jnp.tanh, key=keys[1])
        self.readout = eqx.nn.Linear(hidden, 1, key=keys[2])

    def __call__(
        self,
        ts: Times,
        ys: Data,
        mask: Data | None = None,
        *,
        substeps: int = 1,
        method: str = "reversible_heun",
        adjoint: str | None = None,
        solve: Callable[..., Array] = sdeint,
    ) -> Float[Array, "*paths"]:
        """The scores of paths ys [times, *paths, channels]; gradients reach the weights and ys.

        ts: [times], or [times, *paths] for series with times of their own; those that end early repeat their last time
        and value. mask: like ys, True where a value was observed. substeps: equal steps from one datum to the next.
        method, adjoint: of `sdeint`; "backprop" for a gradient that is to be differentiated again. solve: called in
        place of `sdeint`.
        """
        check_sizes(substeps=substeps)
        path = as_path(ts, ys, mask, self.channels, self.masked)
        h0 = self.initial(path[0])
        slopes = Slopes(path, substeps)

        def diffusion(s: Time, h: State, _: Args) -> Float[Array, "*paths hidden 2"]:
            t, columns = slopes.at(s)
            F = self.field(jnp.concatenate((t, h), -1)).reshape(*h.shape, columns.shape[-2])
            return jnp.stack([contract(F, columns[..., kind]) for kind in (0, 1)], -1)

        hs = solve(
            lambda s, h, _: jnp.zeros_like(h),
            diffusion,
            h0,
            (0.0, float(len(path) - 1)),
            bm=Alternating(h0),
            method=method,
            dt=1 / substeps,
            adjoint=adjoint,
            noise_type="general",
        )
        return linear(self.readout, hs[-1])[..., 0]
