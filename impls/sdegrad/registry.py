"""Every implementation by name. An implementation is imported when it is loaded, not before.

A third party adds its own through the entry point group `sdegrad.implementations`, or with `register`.
"""

from importlib import import_module
from importlib.metadata import entry_points

from sdegrad.contract import Implementation

GROUP = "sdegrad.implementations"

IMPLEMENTATIONS: dict[str, str] = {
    "sdegrad_torch": "sdegrad.adapters.sdegrad_torch:implementation",
    "torchsde": "sdegrad.adapters.torchsde:implementation",
    "sdegrad_jax": "sdegrad.adapters.sdegrad_jax:implementation",
    "diffrax": "sdegrad.adapters.diffrax:implementation",
}

# What the others are compared with. Measured only where a case or the user names them.
YARDSTICKS: dict[str, str] = {
    "diffrax_sdegrad": "sdegrad.adapters.diffrax_sdegrad:implementation",
    "torch_tree": "sdegrad.adapters.torch_tree:implementation",
    "torch_floor": "sdegrad.adapters.torch_floor:implementation",
    "jax_by_hand": "sdegrad.adapters.jax_by_hand:implementation",
    "numpy_by_hand": "sdegrad.adapters.numpy_by_hand:implementation",
}


def register(name: str, target: str) -> None:
    """Add the implementation `name`, found at `target` = "module:attribute", for this process."""
    if name in known():
        raise ValueError(f"the implementation {name!r} exists already; choose another name.")
    IMPLEMENTATIONS[name] = target


def known() -> dict[str, str]:
    """All names with their "module:attribute": the tables above, and the installed entry points."""
    third_party = {point.name: point.value for point in entry_points(group=GROUP)}
    ours = IMPLEMENTATIONS | YARDSTICKS
    return ours | {name: where for name, where in third_party.items() if name not in ours}


def compared() -> list[str]:
    """The names of the implementations that are measured by default: all but the yardsticks."""
    return [name for name in known() if name not in YARDSTICKS]


def load(name: str) -> Implementation:
    """The implementation `name`. ValueError for a name nobody registered; ImportError where its library is missing."""
    where = (IMPLEMENTATIONS | YARDSTICKS).get(name) or known().get(name)  # entry points take time to read
    if where is None:
        raise ValueError(f"unknown implementation {name!r}; known are: {', '.join(known())}.")
    module, _, attribute = where.partition(":")
    return getattr(import_module(module), attribute)
