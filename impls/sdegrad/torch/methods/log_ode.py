"""The log-ODE method: one step of the midpoint rule for the log-signature truncated at depth two. Stratonovich.

Strong order 1 for commutative noise, where it is the midpoint rule; for general noise 1/2 with an approximate Levy
area, 1 with the true one. Foster, Lyons and Oberhauser, An optimal polynomial approximation of Brownian motion, SIAM
J. Numer. Anal. 58 (2020), 1393-1421.
"""

from sdegrad.torch.derivative import with_derivative
from sdegrad.torch.methods import midpoint
from sdegrad.torch.sde import VectorField
from sdegrad.torch.types import Area, Scheme, SolverState, Time, solution_only


def step(field: VectorField, state: SolverState, t0: Time, t1: Time, dt: float, dW: Area) -> SolverState:  # noqa: ARG001
    """y + f dt + g W + sum_kl A_kl (D g_l) g_k, all but y taken half way; A_kl = 1/2 integral (W_k dW_l - W_l dW_k)."""
    (y,) = state
    half = t0 + 0.5 * dt
    y_half = y + 0.5 * field.increment(t0, y, dt, dW.W)
    g, bracket = with_derivative(
        lambda y: field.g(half, y), y_half, lambda g: zip(g.unbind(-1), (g @ dW.A).unbind(-1), strict=True)
    )
    return (y + field.drift(half, y_half, dt) + field.product(g, dW.W) + bracket,)


def scheme(sde_type: str, noise_type: str) -> Scheme:  # noqa: ARG001
    return Scheme(solution_only, step, levy_area="foster") if noise_type == "general" else midpoint.SCHEME
