"""Who trains: each library's solver and adjoint in place of sdegrad's, with the same networks, weights and data."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from suite.harness import solvers
from suite.training.jax_gan import JaxGAN
from suite.training.model import Model
from suite.training.settings import EXPERIMENTS, Experiment, Settings
from suite.training.torch_gan import TorchGAN


def torchsde_solve(
    sde: Any,
    y0: Any,
    ts: Any,
    *,
    bm: Any,
    method: str,
    dt: float,
    adjoint: str,
    adjoint_params: Any = None,
    compile: bool = False,  # noqa: ARG001
) -> Any:
    """torchsde's solver, called as sdegrad's. Its own Brownian motion gets a seed from torch's global generator."""
    import torch
    import torchsde

    if bm is None:
        own = {"dtype": y0.dtype, "device": y0.device, "entropy": int(torch.randint(2**31 - 1, ()))}
        bm = torchsde.BrownianInterval(ts[0], ts[-1], (len(y0), sde.noise), **own)
    ts = torch.as_tensor(ts, device=y0.device)
    if adjoint == "backprop":
        return torchsde.sdeint(sde, y0, ts, bm=bm, method=method, dt=dt)
    backwards = "adjoint_reversible_heun" if adjoint == "reversible" else method
    return torchsde.sdeint_adjoint(
        sde, y0, ts, bm=bm, method=method, dt=dt, adjoint_method=backwards, adjoint_params=adjoint_params
    )


def diffrax_solve(
    drift: Any,
    diffusion: Any,
    y0: Any,
    ts: Any,
    *,
    bm: Any,
    method: str,
    dt: float,
    adjoint: str,
    noise_type: str,
) -> Any:
    """diffrax's solver, called as sdegrad's, for general noise and all paths at once."""
    import diffrax
    import jax.numpy as jnp

    assert noise_type == "general"

    class Noise(diffrax.AbstractTerm):
        def vf(self, t: Any, y: Any, args: Any) -> Any:
            return diffusion(t, y, args)

        def contr(self, t0: Any, t1: Any, **_: Any) -> Any:
            return bm.evaluate(t0, t1)

        def prod(self, vf: Any, control: Any) -> Any:
            return jnp.einsum("...dn,...n->...d", vf, control)

    solution = diffrax.diffeqsolve(
        diffrax.MultiTerm(diffrax.ODETerm(drift), Noise()),
        solvers("diffrax", "stratonovich")[method](),
        *(ts[0], ts[-1], dt, y0),
        saveat=diffrax.SaveAt(ts=jnp.asarray(ts, y0.dtype)),
        adjoint=diffrax.DirectAdjoint() if adjoint == "backprop" else diffrax.RecursiveCheckpointAdjoint(),
        max_steps=round((ts[-1] - ts[0]) / dt),  # DirectAdjoint takes as many, needed or not
    )
    return solution.ys


def diffrax_motion(paths: int, noise: int, t1: float, key: Any) -> Any:
    import diffrax
    import jax
    import jax.numpy as jnp

    shape = jax.ShapeDtypeStruct((paths, noise), jnp.float32)
    return diffrax.VirtualBrownianTree(0.0, t1, 0.5, shape, key)


OF_ALL = tuple(name for name in EXPERIMENTS if name != "reversible-penalty")


@dataclass(frozen=True)
class Library:
    """make: a model of an experiment. adjoints: those of an experiment that are others here. experiments: which it
    trains by where none is named."""

    make: Callable[..., Model]
    adjoints: Mapping[str, str] = field(default_factory=dict)
    experiments: Sequence[str] = OF_ALL

    def experiment(self, of: Experiment) -> Experiment:
        """The experiment with the adjoint that this library has for it."""
        return replace(of, adjoint=self.adjoints.get(of.adjoint, of.adjoint))

    def model(self, of: Experiment, settings: Settings, seed: int, device: str = "cpu") -> Model:
        return self.make(self.experiment(of), settings, seed, device)


LIBRARIES: Mapping[str, Library] = {
    "sdegrad_torch": Library(TorchGAN, experiments=tuple(EXPERIMENTS)),
    "torchsde": Library(partial(TorchGAN, solve=torchsde_solve)),
    "sdegrad_jax": Library(JaxGAN),
    "diffrax": Library(
        partial(JaxGAN, solve=diffrax_solve, motion=diffrax_motion),
        adjoints={"backsolve": "checkpoint", "reversible": "checkpoint"},
    ),
}
