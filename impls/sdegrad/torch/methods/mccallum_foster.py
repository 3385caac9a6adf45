"""The McCallum-Foster method: any one-step method, made reversible. Stratonovich. The strong order of its base.

McCallum and Foster, Efficient, accurate and stable gradients for neural ODEs, arXiv 2410.11648.
The state is (y, z). With S the step of the base, and S' that of the reversed path, (-dt, -dW), from t1 to t0:
    y1 = l (y0 - z0) + S(t0, z0);    z1 = z0 + y1 - S'(t1, y1),
where l < 1, the coupling, keeps the two together: its step matrix has the determinant l for a linear equation, so it
has a region of stability, and round-off in the backward pass grows like l^-n.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from sdegrad.torch.methods import ees25, ees27, euler_heun, heun, midpoint, shark, sra1
from sdegrad.torch.sde import VectorField
from sdegrad.torch.types import Noise, Reversal, Scheme, SolverState, SpaceTime, Time

ANY_NOISE = {
    "ees25": ees25.SCHEME,
    "ees27": ees27.SCHEME,
    "euler_heun": euler_heun.SCHEME,
    "heun": heun.SCHEME,
    "midpoint": midpoint.SCHEME,
}
ADDITIVE_NOISE = ANY_NOISE | {"shark": shark.SCHEME, "sra1": sra1.SCHEME}


def scheme(sde_type: str, noise_type: str, *, base: str = "midpoint", coupling: float = 0.999) -> Scheme:  # noqa: ARG001
    """The scheme of this base, the name of a one-step method, and this coupling, l in (0, 1]. ValueError for others."""
    bases = ADDITIVE_NOISE if noise_type == "additive" else ANY_NOISE
    if base not in [*bases]:
        raise ValueError(f"the base {base!r} is not for {noise_type} noise; use one of {', '.join(bases)}.")
    if not (isinstance(coupling, float | int) and 0 < coupling <= 1):
        raise ValueError(f"the coupling must be a number in (0, 1], got {coupling}; the usual one is 0.999.")
    one = bases[base].step

    def step(
        field: VectorField, state: SolverState, t0: Time, t1: Time, dt: float, dW: Noise | SpaceTime
    ) -> SolverState:
        y, z = state
        y = coupling * (y - z) + one(field, (z,), t0, t1, dt, dW)[0]
        return y, z + y - one(field, (y,), t1, t0, -dt, -dW)[0]

    def pull(
        field: VectorField,
        vjp: Callable[..., Tensor],
        after: SolverState,
        a: SolverState,
        t0: Time,
        t1: Time,
        dt: float,
        dW: Noise | SpaceTime,
    ) -> tuple[SolverState, SolverState]:
        y1, z1 = (x.detach() for x in after)
        a_y, a_z = a
        with torch.enable_grad():
            (back,) = one(field, (y1.requires_grad_(),), t1, t0, -dt, -dW)
            z0 = (z1 - y1 + back).detach().requires_grad_()
            (forth,) = one(field, (z0,), t0, t1, dt, dW)
        a_y = a_y + a_z + vjp((back,), y1, (-a_z,))
        a_y0 = coupling * a_y
        a_z0 = a_z - a_y0 + vjp((forth,), z0, (a_y,))
        return (z0 + (y1 - forth) / coupling, z0), (a_y0, a_z0)

    return Scheme(
        lambda y0, f0, g0: (y0, y0),
        step,
        Reversal(lambda field, t1, state: state, pull, lambda vjp, state, adjoint: adjoint[0] + adjoint[1]),
        bases[base].levy_area,
        copy=1,
    )
