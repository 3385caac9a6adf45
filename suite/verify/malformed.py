"""Malformed calls of each library, as program texts: a right call, and what is changed of it.

A text changes the names that the call reads: y0, ts, dt, options (keyword arguments), drift, diffusion, noise_type.
`PROGRAMS` is a right call of each library, a text too; in it `steps` counts evaluations of the drift. Texts, because
they run in a process of their own, which imports a framework, and because a reader can run them with the library alone.
"""

from collections.abc import Mapping
from typing import NamedTuple

_TORCH = """
import torch
import {library} as library
torch.manual_seed(0)
y0, ts, dt, options, noise_type, steps = torch.ones(4, 3), torch.tensor([0.0, 1.0]), 0.1, dict(), "diagonal", [0]
drift, diffusion = lambda t, y: -y, lambda t, y: 0.1 * torch.ones_like(y)
nan = float("nan")
def motion(shape=(4, 3), t1=1.0, dtype=torch.float32):
    return library.BrownianInterval(0.0, t1, shape, dtype=dtype)
def call():
    class SDE(torch.nn.Module):
        sde_type = "stratonovich"
        def f(self, t, y):
            steps[0] += 1
            return drift(t, y)
        def g(self, t, y):
            return diffusion(t, y)
    SDE.noise_type = noise_type
    return library.sdeint(SDE(), y0, ts, dt=dt, **{{"method": "heun"}} | options)
"""

_JAX_HEAD = """
import jax
import jax.numpy as jnp
y0, ts, dt, options, noise_type, steps = jnp.ones((4, 3)), (0.0, 1.0), 0.1, dict(), "diagonal", [0]
drift, diffusion = lambda t, y: -y, lambda t, y: 0.1 * jnp.ones_like(y)
nan = float("nan")
def counted(t, y, args):
    jax.debug.callback(lambda: steps.__setitem__(0, steps[0] + 1))
    return drift(t, y)
"""

_SDEGRAD_JAX = (
    _JAX_HEAD
    + """
import sdegrad.jax as library
def motion(shape=(4, 3), t1=1.0, dtype=jnp.float32):
    return library.BrownianInterval(0.0, t1, shape, jax.random.key(0), dtype=dtype)
def call():
    settings = {"method": "heun", "adjoint": "checkpoint", "bm": motion()} | options
    work = lambda: library.sdeint(
        counted, lambda t, y, args: diffusion(t, y), y0, ts, dt=dt, noise_type=noise_type, **settings)
    return jax.block_until_ready(work())
"""
)

_DIFFRAX = (
    _JAX_HEAD
    + """
import diffrax as library
def motion(shape=(4, 3), t1=1.0, dtype=jnp.float32):
    return library.VirtualBrownianTree(0.0, t1, 0.05, jax.ShapeDtypeStruct(shape, dtype), jax.random.key(0))
def call():
    settings = {"bm": motion()} | options
    noise = library.ControlTerm(
        lambda t, y, args: __import__("lineax").DiagonalLinearOperator(diffusion(t, y)), settings["bm"])
    terms = library.MultiTerm(library.ODETerm(counted), noise)
    saveat = library.SaveAt(ts=jnp.asarray(ts))
    done = library.diffeqsolve(terms, library.Heun(), ts[0], ts[-1], dt, y0, saveat=saveat,
        stepsize_controller=settings.get("controller", library.ConstantStepSize()), max_steps=4096)
    return jax.block_until_ready(done.ys)
"""
)

PROGRAMS: Mapping[str, str] = {
    "sdegrad_torch": _TORCH.format(library="sdegrad.torch"),
    "torchsde": _TORCH.format(library="torchsde"),
    "sdegrad_jax": _SDEGRAD_JAX,
    "diffrax": _DIFFRAX,
}


class Malformed(NamedTuple):
    """text: of PyTorch, and of JAX where it is another; None where the call has no such part. names: what an error of
    ours must have in it, in lower case."""

    torch: str | None
    jax: str | None
    diffrax: str | None
    names: str


def _all(text: str, names: str) -> Malformed:
    return Malformed(text, text, text, names)


def _ours(text: str, names: str) -> Malformed:
    """Where diffrax has no such argument."""
    return Malformed(text, text, None, names)


def _times(values: str, names: str) -> Malformed:
    return Malformed(f"ts = torch.tensor([{values}])", f"ts = ({values})", f"ts = ({values})", names)


MALFORMED: Mapping[str, Malformed] = {
    "dt is NaN": _all("dt = nan", "dt=nan"),
    "dt is negative": _all("dt = -0.1", "dt=-0.1"),
    "dt is zero": _all("dt = 0.0", "dt=0"),
    "dt is a word": _all("dt = 'small'", "small"),
    "ts decreases": _times("1.0, 0.0", "ts"),
    "ts is out of order": _times("0.0, 0.8, 0.5, 1.0", "ts"),
    "ts has a NaN": _times("0.0, nan, 1.0", "ts"),
    "ts has one time": _ours("ts = ts[:1]", "ts"),
    "ts ends at infinity": _ours("ts = [0.0, float('inf')]", "ts"),
    "y0 is complex": Malformed("y0 = y0 + 0j", None, None, "y0"),  # in JAX it is a state like any other
    "y0 is of integers": Malformed("y0 = y0.long()", "y0 = y0.astype(int)", None, "y0"),
    "y0 has no entries": _ours("y0 = y0[:0]", "y0"),
    "an unknown method": _ours("options['method'] = 'hoin'", "hoin"),
    "an unknown noise type": _ours("noise_type = 'diagnoal'", "diagnoal"),
    "an unknown option of the method": _ours("options['options'] = {'grad_fre': True}", "grad_fre"),
    "the drift has a component too many": Malformed(
        "drift = lambda t, y: torch.ones(4, 4)",
        "drift = lambda t, y: jnp.ones((4, 4))",
        "drift = lambda t, y: jnp.ones((4, 4))",
        "drift",
    ),
    "the drift has one component of three": _all("drift = lambda t, y: -y[:, :1]", "drift"),
    "the drift is complex": _all("drift = lambda t, y: -y + 0j", "complex"),
    "the drift returns nothing": _all("drift = lambda t, y: None", "drift"),
    "the diffusion has one component of three": _all("diffusion = lambda t, y: y[:, :1]", "diffusion"),
    "general noise with a diffusion of two axes": Malformed(
        "noise_type = 'general'",
        "noise_type = 'general'",
        None,
        "diffusion",
    ),
    "Brownian motion of one row": _all("options['bm'] = motion((1, 3))", "bm"),
    "Brownian motion of too many components": _all("options['bm'] = motion((4, 5))", "bm"),
    "Brownian motion that ends too early": _all("options['bm'] = motion(t1=0.5)", "bm"),
    "Brownian motion of another precision": Malformed(
        "options['bm'] = motion(dtype=torch.float16)",
        "options['bm'] = motion(dtype=jnp.float16)",
        "options['bm'] = motion(dtype=jnp.float16)",
        "bm",
    ),
}


# A right call, of dX = 4 X^2 dt, which has no solution beyond t = 1/4, by adaptive steps up to t = 1; values that are
# not finite count as an error.
_FINITE = """
solve = call
def call():
    ys = solve()
    if not (abs(ys) < 1e30).all():
        raise FloatingPointError("not finite")
    return ys
"""
_SQUARE = "drift, diffusion = lambda t, y: 4 * y * y, lambda t, y: 0.0 * y\n"
_ADAPTIVE = _SQUARE + "options |= dict(adaptive=True, rtol=1e-3, atol=1e-6)" + _FINITE
EXPLODES: Mapping[str, str] = {
    **dict.fromkeys(("sdegrad_torch", "torchsde", "sdegrad_jax"), _ADAPTIVE),
    "diffrax": _SQUARE + "options['controller'] = library.PIDController(1e-3, 1e-6)" + _FINITE,
}


def text_of(library: str, case: str) -> str | None:
    """The changes to the call of this library; None where there is nothing to change."""
    malformed = MALFORMED[case]
    column = {"diffrax": malformed.diffrax, "sdegrad_jax": malformed.jax}
    return column.get(library, malformed.torch) if library in PROGRAMS else None
