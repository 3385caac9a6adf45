"""Programs of NumPy and one library alone that show a defect, for whoever is to mend it: exit code 1 if it is there."""

from collections.abc import Sequence

from suite.verify import programs
from suite.verify.claims import Claim

_EULER_HEUN = '''\
"""EulerHeun for dX = (1 + t) o dW: the corrector takes the diffusion at the start of the step, not at its end."""
import sys

import diffrax
import jax
import jax.numpy as jnp

jax.config.update("jax_enable_x64", True)
path = diffrax.VirtualBrownianTree(0.0, 1.0, 0.1, (), jax.random.key(0))
terms = diffrax.MultiTerm(
    diffrax.ODETerm(lambda t, y, _: 0 * y), diffrax.ControlTerm(lambda t, y, _: jnp.asarray(1.0 + t), path)
)
y1 = diffrax.diffeqsolve(terms, diffrax.EulerHeun(), 0.0, 1.0, 1.0, jnp.asarray(0.0)).ys[0]
share = float(y1 / path.evaluate(0.0, 1.0))
print(f"one step from 0 to 1 returns {share} times the increment; the scheme says (1 + 2) / 2 = 1.5")
sys.exit(abs(share - 1.5) > 1e-6)
'''

_SRA1 = '''\
"""SRA1 for dX = X dt + (1 + t) dW: the diffusion of the second stage is at the start of the step, not at c = 1.

One step from 0 to 1 of Roessler's SRA1 (2010): y1 = 2/3 H2 + g(1) (W - I) + g(0) I with H2 = 3/2 g(1) I, I = W/2 + H.
"""
import sys

import diffrax
import jax
import jax.numpy as jnp

jax.config.update("jax_enable_x64", True)
path = diffrax.VirtualBrownianTree(0.0, 1.0, 0.1, (), jax.random.key(0), diffrax.SpaceTimeLevyArea)
terms = diffrax.MultiTerm(
    diffrax.ODETerm(lambda t, y, _: y), diffrax.ControlTerm(lambda t, y, _: jnp.asarray(1.0 + t), path)
)
y1 = diffrax.diffeqsolve(terms, diffrax.SRA1(), 0.0, 1.0, 1.0, jnp.asarray(0.0)).ys[0]
area = path.evaluate(0.0, 1.0, use_levy=True)
mean = area.W / 2 + area.H
expected = 2 / 3 * (3 / 2 * 2 * mean) + 2 * (area.W - mean) + mean
print(f"one step from 0 to 1 returns {float(y1)}; the scheme says {float(expected)}")
sys.exit(abs(float(y1 - expected)) > 1e-6)
'''

_BACKWARDS = '''\
"""{solver} from t = 1 to 0 for dX = X dt + dW: the drift keeps its sign, and the space-time Levy area H loses its own.

Over a step from 1 to 0, dt and W are negative, while H is that of the way there: the mean of W, less its straight line.
"""
import sys

import diffrax
import jax
import jax.numpy as jnp

jax.config.update("jax_enable_x64", True)
path = diffrax.VirtualBrownianTree(0.0, 1.0, 0.1, (), jax.random.key(0), diffrax.SpaceTimeLevyArea)
terms = diffrax.MultiTerm(diffrax.ODETerm(lambda t, y, _: y), diffrax.ControlTerm(lambda t, y, _: jnp.ones(()), path))
y1 = diffrax.diffeqsolve(terms, diffrax.{solver}(), 1.0, 0.0, -1.0, jnp.asarray(2.0)).ys[0]
area = path.evaluate(0.0, 1.0, use_levy=True)


def shark(h, W, H, y):
    first = h * (y + H)
    return y + 0.4 * first + 0.6 * h * (y + 5 / 6 * (first + W) + H) + W


def sra1(h, W, H, y):
    first = h * y
    return y + first / 3 + 2 / 3 * h * (y + 3 / 4 * first + 3 / 2 * (W / 2 + H)) + W


expected = {scheme}(-1.0, -area.W, area.H, 2.0)
print(f"one step from 1 to 0 returns {{float(y1)}}; the scheme says {{float(expected)}}")
sys.exit(abs(float(y1 - expected)) > 1e-6)
'''

_MILSTEIN = '''\
"""Milstein for dX = X B dW with B not symmetric: the correction is that of B transposed.

One step from t = 0 to 1: y1 = y0 + g W + (Dg g) (W^2 - dt) / 2, and for g(y) = y B, Dg g = y B B.
"""
import sys

import torch
import torchsde

B = torch.tensor([[0.0, 1.0], [0.0, 0.0]], dtype=torch.float64)  # B B = 0: the correction is zero


class SDE(torch.nn.Module):
    noise_type, sde_type = "scalar", "ito"

    def f(self, t, y):
        return 0 * y

    def g(self, t, y):
        return (y @ B).unsqueeze(-1)


y0 = torch.tensor([[1.0, 2.0]], dtype=torch.float64)
bm = torchsde.BrownianInterval(0.0, 1.0, size=(1, 1), dtype=torch.float64, entropy=0)
y1 = torchsde.sdeint(SDE(), y0, torch.tensor([0.0, 1.0]), bm=bm, method="milstein", dt=1.0)[-1]
expected = y0 + y0 @ B * bm(0.0, 1.0)
print(f"one step returns {y1.tolist()}; the scheme says {expected.tolist()}")
sys.exit(bool((y1 - expected).abs().max() > 1e-6))
'''


_SOLVERS = {"shark": "ShARK", "sra1": "SRA1"}


def agreement(library: str, method: str, problem: str, grid: str) -> str | None:
    """That the steps are not those of the published scheme; None where nothing like it is known."""
    if library == "diffrax" and method in _SOLVERS and grid == "backwards in time":
        return _BACKWARDS.format(solver=_SOLVERS[method], scheme=method)
    if (library, method) == ("diffrax", "euler_heun"):
        return _EULER_HEUN
    if (library, method, problem) == ("diffrax", "sra1", "twisted_additive"):
        return _SRA1
    if (library, method, problem) == ("torchsde", "milstein", "twisted_scalar"):
        return _MILSTEIN
    return None


_ORDER = """
y0, dts = np.random.default_rng(0).uniform(0.5, 1.5, (1024, 2)), {dts}
ends = [solve(y0, [0.5, 0.4], dt)[0][-1] for dt in (*dts, dts[-1] / 2)]
errors = [np.sqrt(((a - b) ** 2).sum(1).mean()) for a, b in zip(ends, ends[1:])]  # what half the step changes
order = np.polyfit(np.log(dts), np.log(errors), 1)[0]
print(f"strong order {{order:.2f}}, expected {expected:g}")
sys.exit(bool(order < {expected:g} - 0.15))  # 0.05 for finite steps, 0.1 for chance
"""
_LIMIT = """
y0 = np.random.default_rng(0).uniform(0.5, 1.5, (1024, 2))
errors = []
for dt in {dts}:
    ys, W = solve(y0, [0.5, 0.4], dt)
    errors.append(float(np.sqrt(np.mean((ys[-1] / y0 / np.exp(0.5 + 0.4 * W) - 1) ** 2))))
print("relative errors:", errors, "at the step sizes {dts}")
sys.exit(errors[-1] > 0.5 * errors[0])
"""
# noise -> the diffusion of dX = p0 X dt + p1 X o dW, whose solution the increment tells
_EXPONENTIAL = {
    "diagonal": "p[1] * y",
    "scalar": "p[1] * y[..., None]",
    "commutative": "p[1] * y[..., None] * xp.eye(2)",
}


def order(claim: Claim, dts: Sequence[float]) -> str | None:
    """That the strong order is lower than stated, or that the error stays; None where no program can tell."""
    noise, method, sde_type = (claim.case[name] for name in ("noise", "method", "sde_type"))
    if (claim.implementation, method, noise) == ("torchsde", "milstein", "scalar"):
        return _MILSTEIN
    kind, blanks = programs.KINDS[noise], {"dts": tuple(dts), "expected": claim.expected}
    if claim.claim.startswith("strong order"):
        return programs.program(claim, claim.claim, kind, _ORDER, **blanks)
    if noise not in _EXPONENTIAL:
        return None  # its exact solution takes more than the increment of the noise
    drift = "p[0] * y" + " + p[1] ** 2 * y / 2" * (sde_type == "ito")
    return programs.program(
        claim, claim.claim, kind._replace(drift=drift, diffusion=_EXPONENTIAL[noise]), _LIMIT, **blanks
    )
