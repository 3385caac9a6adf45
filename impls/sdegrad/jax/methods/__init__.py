"""One method per file; the table of what is true of each is `sdegrad.methods.METHODS`."""

from sdegrad.jax.methods.euler import Euler
from sdegrad.jax.methods.euler_heun import EulerHeun
from sdegrad.jax.methods.heun import Heun
from sdegrad.jax.methods.midpoint import Midpoint
from sdegrad.jax.methods.reversible_heun import ReversibleHeun
from sdegrad.jax.types import Method

SOLVERS: dict[str, Method] = {
    "euler": Euler(),
    "euler_heun": EulerHeun(),
    "heun": Heun(),
    "midpoint": Midpoint(),
    "reversible_heun": ReversibleHeun(),
}
