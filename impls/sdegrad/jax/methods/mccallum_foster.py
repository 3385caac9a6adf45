"""The McCallum-Foster method: any one-step method, made reversible. Stratonovich; the strong order of its base.

McCallum and Foster (2024), arXiv 2410.11648. The state is (y, z). With S the step of the base, and S' that of the
reversed path, (-dt, -dW), from t1 to t0:

    y1 = l (y0 - z0) + S(t0, z0)
    z1 = z0 + y1 - S'(t1, y1)

where l < 1, the coupling, keeps the two together: its step matrix has the determinant l for a linear equation, so it
is stable where the solution shrinks in a step by less than the factor l; round-off of its inverse grows like l^-n.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from equinox.internal import ω

from sdegrad.jax.arguments import static_number
from sdegrad.jax.methods.base import OneStep, tree
from sdegrad.jax.methods.ees25 import EES25
from sdegrad.jax.methods.ees27 import EES27
from sdegrad.jax.methods.euler_heun import EulerHeun
from sdegrad.jax.methods.heun import Heun
from sdegrad.jax.methods.midpoint import Midpoint
from sdegrad.jax.methods.shark import ShARK
from sdegrad.jax.methods.sra1 import SRA1
from sdegrad.jax.sde import backwards
from sdegrad.jax.types import Arrays, FieldOf, Increment, Method, Time, VectorField, Y

ANY_NOISE: dict[str, OneStep] = {
    "ees25": EES25,
    "ees27": EES27,
    "euler_heun": EulerHeun(),
    "heun": Heun(),
    "midpoint": Midpoint(),
}
ADDITIVE_NOISE = ANY_NOISE | {"shark": ShARK(), "sra1": SRA1()}


class State(NamedTuple):
    y: Y
    z: Y


class Reverse(NamedTuple):
    """The backward pass: the state, and the cotangents of its parts and of the arrays in the vector fields."""

    y: Y
    z: Y
    a_y: Y
    a_z: Y
    a_arrays: Arrays


class McCallumFoster(eqx.Module):
    base: OneStep
    coupling: float = eqx.field(static=True)

    @property
    def levy_area(self) -> str:
        return self.base.levy_area

    @property
    def smooth(self) -> bool:
        return self.base.smooth

    def init(self, field: VectorField, t0: Time, y0: Y) -> State:  # noqa: ARG002
        return State(y0, y0)

    def step(self, field: VectorField, t0: Time, t1: Time, dt: Time, dW: Increment, state: State) -> State:
        forth = self.base.step(field, t0, t1, dt, dW, state.z)
        y = (self.coupling * (state.y**ω - state.z**ω) + forth**ω).ω
        back = self.base.step(field, t1, t0, -dt, backwards(dW), y)
        return State(y, (state.z**ω + y**ω - back**ω).ω)

    def value(self, state: State) -> Y:
        return state.y

    def copies(self, state: State) -> tuple[Y, Y]:
        return state.y, state.z

    def reverse_init(self, state: State, dt: Time, dW: Increment, arrays: Arrays) -> Reverse:  # noqa: ARG002
        return Reverse(*state, *tree(jnp.zeros_like, (*state, arrays)))

    def reverse(
        self, field: FieldOf, arrays: Arrays, t0: Time, t1: Time, dt: Time, dW: Increment, r: Reverse
    ) -> Reverse:
        """The inverse of the step and its gradient: two steps of the base, and two pull-backs."""

        def back(y: Y, arrays: Arrays) -> Y:
            return self.base.step(field(arrays), t1, t0, -dt, backwards(dW), y)

        def forth(z: Y, arrays: Arrays) -> Y:
            return self.base.step(field(arrays), t0, t1, dt, dW, z)

        y_back, pull_back = jax.vjp(back, r.y, arrays)
        z = (r.z**ω - r.y**ω + y_back**ω).ω
        z_forth, pull_forth = jax.vjp(forth, z, arrays)
        y = (z**ω + (r.y**ω - z_forth**ω) / self.coupling).ω
        v_y, v_arrays = pull_back((-(r.a_z**ω)).ω)
        a_forth = (r.a_y**ω + r.a_z**ω + v_y**ω).ω
        v_z, w_arrays = pull_forth(a_forth)
        a_y = (self.coupling * a_forth**ω).ω
        a_z = (r.a_z**ω - a_y**ω + v_z**ω).ω
        return Reverse(y, z, a_y, a_z, (r.a_arrays**ω + v_arrays**ω + w_arrays**ω).ω)

    def reverse_last(self, field: FieldOf, arrays: Arrays, t0: Time, y0: Y, r: Reverse) -> tuple[Y, Y, Arrays]:  # noqa: ARG002
        return r.y, (r.a_y**ω + r.a_z**ω).ω, r.a_arrays


def make(sde_type: str, noise_type: str, *, base: str = "midpoint", coupling: float = 0.999) -> Method:  # noqa: ARG001
    """base: the one-step method; coupling: l, in (0, 1]."""
    bases = ADDITIVE_NOISE if noise_type == "additive" else ANY_NOISE
    if base not in bases:
        raise ValueError(f"the base {base!r} is none for {noise_type} noise; use one of {', '.join(bases)}.")
    if not 0 < static_number("coupling", coupling) <= 1:
        raise ValueError(f"the coupling must be in (0, 1], got {coupling}; the usual one is 0.999.")
    return McCallumFoster(bases[base], coupling)
