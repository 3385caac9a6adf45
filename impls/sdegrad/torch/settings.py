"""The names that torchsde's module `settings` has, for programs that look them up there."""

from types import SimpleNamespace

from sdegrad.methods import NOISE_TYPES as _NOISE_TYPES
from sdegrad.torch.base_sde import SDE_TYPES as _SDE_TYPES
from sdegrad.torch.brownian.levy import LEVY_AREAS
from sdegrad.torch.methods import SOLVERS


class Names(SimpleNamespace):
    """Strings by attribute; `name in names` tests for a string."""

    def all(self) -> list[str]:
        return sorted(vars(self).values())

    def __contains__(self, name: object) -> bool:
        return name in self.all()

    def __str__(self) -> str:
        return str(self.all())


NOISE_TYPES = Names(**{name: name for name in _NOISE_TYPES})
SDE_TYPES = Names(**{name: name for name in _SDE_TYPES})
LEVY_AREA_APPROXIMATIONS = Names(**{name.replace("-", "_"): name for name in LEVY_AREAS})
METHOD_OPTIONS = Names(grad_free="grad_free")
METHODS = Names(
    **{name: name for name in SOLVERS if name != "log_ode"},
    log_ode_midpoint="log_ode",
    adjoint_reversible_heun="adjoint_reversible_heun",
)
