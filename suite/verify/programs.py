"""Programs of NumPy and one library alone that solve an SDE and look at what comes of it: what their checks share.

A program is a `head`, which defines `solve` with the library, and a body, the same for all libraries, which prints what
it found and ends with exit code 1 if the defect is there and with 0 if not. In it `drift` and `diffusion` are functions
of (t, y, p) in the arrays `xp` of the library, for one path or many.

solve(y0 [paths, dim], p, dt, ts, seed, tolerance, gradient) returns the outputs [outputs, paths, dim] and the increment
of the noise over all [paths, noise]; or the gradients of the sum of squares of the end, of y0 and of p.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from suite.harness import METHODS, solvers
from suite.verify.claims import Claim

_TORCHSDE = """\
# torchsde: {what}
import sys
import numpy as np
import torch as xp
import torchsde
xp.set_default_dtype(xp.float64)
{fields}
class SDE(xp.nn.Module):
    noise_type, sde_type = {noise_type!r}, {sde_type!r}
    f, g = (lambda self, t, y: drift(t, y, self.p)), (lambda self, t, y: diffusion(t, y, self.p))
def solve(y0, p, dt, ts=(0.0, 1.0), seed=0, tolerance=None, gradient=False, **options):
    sde, y0 = SDE(), xp.tensor(y0, requires_grad=gradient)
    sde.p = xp.nn.Parameter(xp.tensor(p), requires_grad=gradient)
    bm = torchsde.BrownianInterval(ts[0], ts[-1], (len(y0), {noise_dim}), entropy=seed, {tree},
                                   levy_area_approximation={area!r})
    if tolerance:
        options |= dict(adaptive=True, rtol=tolerance, atol=tolerance)
    ys = torchsde.{solve}(sde, y0, xp.tensor(ts), bm=bm, method={method!r}, dt=dt, **options)
    if gradient:
        return [part.numpy() for part in xp.autograd.grad((ys[-1] ** 2).sum(), [y0, sde.p])]
    return ys.detach().numpy(), bm(ts[0], ts[-1]).numpy()
"""

_DIFFRAX = """\
# diffrax: {what}
import sys
import diffrax, jax, lineax
import jax.numpy as xp
import numpy as np
jax.config.update("jax_enable_x64", True)
{fields}
def solve(y0, p, dt, ts=(0.0, 1.0), seed=0, tolerance=None, gradient=False, adjoint=diffrax.{adjoint}):
    control = {control} if tolerance else diffrax.ConstantStepSize()
    def one(y0, p, key):
        bm = diffrax.VirtualBrownianTree(ts[0], ts[-1], 2.0**-14, ({noise_dim},), key, diffrax.{area})
        noise = diffrax.ControlTerm(lambda t, y, p: {operator}, bm)
        done = diffrax.diffeqsolve(
            diffrax.MultiTerm(diffrax.ODETerm(drift), noise), diffrax.{solver}(), ts[0], ts[-1], dt, y0, p,
            saveat=diffrax.SaveAt(ts=np.array(ts)), stepsize_controller=control, adjoint=adjoint(),
            max_steps=4096 if tolerance else round((ts[-1] - ts[0]) / dt) + 8)
        return done.ys, bm.evaluate(ts[0], ts[-1])
    keys = jax.random.split(jax.random.key(seed), len(y0))
    solved = jax.vmap(one, (0, None, 0), (1, 0))
    work = jax.grad(lambda y, p, k: (solved(y, p, k)[0][-1] ** 2).sum(), (0, 1)) if gradient else solved
    return [np.array(x) for x in jax.jit(work)(xp.array(y0), xp.array(p), keys)]
"""


class Fields(NamedTuple):
    """Texts of drift and diffusion, and what of the noise the head has to know."""

    drift: str
    diffusion: str
    noise_type: str = "diagonal"
    noise_dim: int = 2

    def lines(self) -> str:
        return f"drift = lambda t, y, p: {self.drift}\ndiffusion = lambda t, y, p: {self.diffusion}"


_DRIFT = "p[0] * xp.sin(y + t)"
# kind of noise -> fields of two components that depend on time, by parameters p: of the drift, of the diffusion
KINDS: Mapping[str, Fields] = {
    "diagonal": Fields(_DRIFT, "p[1] * xp.cos(y - t)"),
    "additive": Fields(_DRIFT, "p[1] * (1 + t) * xp.ones_like(y)[..., None]", "additive", 1),
    "scalar": Fields(_DRIFT, "p[1] * xp.stack([y[..., 1], xp.sin(y[..., 0] + t)], -1)[..., None]", "scalar", 1),
    "commutative": Fields(_DRIFT, "p[1] * xp.cos(y - t)[..., None] * xp.eye(2)", "general"),
    "general": Fields(_DRIFT, "p[1] * xp.sin(xp.flip(y + t, (-1,))[..., None] + 2 * y[..., None, :])", "general"),
}
_AREAS = {"srk": "space-time", "log_ode": "foster"}  # of torchsde
_ADJOINTS = {"checkpoint": "RecursiveCheckpointAdjoint", "backprop": "DirectAdjoint", "backsolve": "BacksolveAdjoint"}
_WITH_H = ("shark", "sra1", "sea", "spark", "general_shark", "slow_rk")
_PID = "diffrax.PIDController(tolerance, tolerance{0})"
_CONTROLLERS = {
    None: _PID.format(""),
    "pi": _PID.format(", pcoeff=0.1, icoeff=0.3"),
    "clip": f"diffrax.ClipStepSizeController({_PID.format('')}, store_rejected_steps=100)",
}


def driven(problem: str) -> Fields:
    """Those of the same kind of noise as a problem `driven`."""
    return KINDS[problem.removeprefix("driven_") if "_" in problem else "diagonal"]


def program(claim: Claim, what: str, fields: Fields, body: str, **more: Any) -> str | None:
    """The program for a claim of torchsde or diffrax about a solve; None for others, and for what these do not have.

    more: what the body leaves open, and what takes the place of a part of the case: method, sde_type, adjoint.
    """
    case = {"adjoint": None, **claim.case, **more}
    method, adjoint = case["method"], case["adjoint"]
    sde_type = case.get("sde_type") or METHODS[method].sde_type
    known = {"what": what, "fields": fields.lines(), "method": method, "sde_type": sde_type, **fields._asdict()}
    lacking = {"torchsde": "checkpoint", "diffrax": "reversible"}
    if claim.control or adjoint == lacking.get(claim.implementation, adjoint):
        return None
    if claim.implementation == "torchsde":
        if method not in solvers("torchsde", sde_type):
            return None
        continuous = adjoint in ("backsolve", "reversible")
        known |= {"area": _AREAS.get(method, "none"), "solve": "sdeint_adjoint" if continuous else "sdeint"}
        known["tree"] = case.get("tree", "halfway_tree=True, tol=2.0**-40")  # for any dt the same path
        return _TORCHSDE.format(**known) + body.format(**{**known, **more})
    solver = solvers("diffrax", sde_type).get(method)
    if solver is None:
        return None
    known |= {"solver": solver.__name__, "adjoint": _ADJOINTS.get(adjoint, "RecursiveCheckpointAdjoint")}
    known["control"] = _CONTROLLERS[case.get("controller")]
    known["area"] = "SpaceTimeLevyArea" if method in _WITH_H else "BrownianIncrement"
    diagonal = "lineax.DiagonalLinearOperator(diffusion(t, y, p))"
    known["operator"] = diagonal if fields.noise_type == "diagonal" else "diffusion(t, y, p)"
    return _DIFFRAX.format(**known) + body.format(**{**known, **more})
