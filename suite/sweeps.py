"""The cases that take one thing far: the number of steps, or of paths, and all methods on all kinds of noise.

They belong to the full run. What takes too long or too much is left out there, see `suite.limits`.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from suite.case import ALWAYS, FULL, Case, dyadic
from suite.noises import NOISES
from suite.problems import SDEType

INSIDE = ("diffrax_sdegrad",)
OURS = ("sdegrad_torch", "sdegrad_jax")
# adjoint -> the method of which its memory is measured: that of a library's own way back
ADJOINTS = {"reversible": "reversible_heun", "backsolve": "heun", "checkpoint": "heun", "backprop": "heun"}
# The calculus that each converges in is no column of the results: of two, the first.
METHODS: Mapping[SDEType, tuple[str, ...]] = {
    "stratonovich": (
        *("reversible_heun", "midpoint", "heun", "euler_heun"),
        *("mccallum_foster", "ees25", "ees27", "log_ode"),
    ),
    "ito": ("euler", "milstein", "srk"),
}
ADDITIVE_ONLY = ("shark", "sra1")
PAIRS = 8192  # of a weak error


def sweeps() -> Iterator[Case]:
    yield from _memory()
    yield from _long()
    yield from _weak_error()
    yield from _ensembles()


def _memory() -> Iterator[Case]:
    """Of few paths, so that the trajectory of 10^5 steps can be stored."""
    small: dict[str, Any] = {"kind": "memory", "problem": "gbm", "sizes": {"paths": 16, "dim": 4}}
    for adjoint, method in ADJOINTS.items():
        yield Case(
            **small,
            method=method,
            adjoints=(adjoint,),
            dts=tuple(10.0**-k for k in range(1, 6)),
            yardsticks=INSIDE if adjoint == "reversible" else (),
            presets=FULL,
        )


def _long() -> Iterator[Case]:
    """Up to 10^6 constant steps and, by such tolerances, some 10^5 accepted adaptive ones, where L T is below 1. The
    peers, by what each has for many steps, as far as they get in minutes."""
    long: dict[str, Any] = {"kind": "long", "problem": "ou", "sizes": {"paths": 16, "dim": 4, "noise_dim": 4}}
    long |= {"dtype": "float64", "presets": FULL}
    ours = long | {"adjoints": ("reversible",), "implementations": OURS}
    yield Case(**ours, dts=(1e-4, 1e-5, 1e-6))
    for rtol, most in ((1e-5, 2**13), (1e-6, 2**15), (1e-8, 2**19)):
        yield Case(**ours, dts=(1e-3,), rtol=rtol, atol=rtol / 10, max_steps=most)
    yield Case(**long, dts=(1e-3, 1e-4), adjoints=("reversible",), implementations=("torchsde",))
    yield Case(**long, dts=(1e-3, 1e-4, 1e-5), adjoints=("checkpoint",), implementations=("diffrax",))


def _weak_error() -> Iterator[Case]:
    for noise, at in NOISES.items():
        for sde_type, methods in METHODS.items():
            own = ADDITIVE_ONLY if (noise, sde_type) == ("additive", "ito") else ()
            for method in (*methods, *own):
                yield Case(
                    kind="weak_error",
                    problem=at.problem,
                    sizes={**at.sizes, "paths": PAIRS},
                    sde_type=sde_type,
                    method=method,
                    dts=dyadic(1, 2, 3, 4),
                    dtype="float64",
                    presets=FULL,
                )


def _ensembles() -> Iterator[Case]:
    """What everybody can do: many scalar paths, by Euler's method, or a better one where a library lacks it."""
    plain: dict[str, Any] = {"kind": "time", "problem": "gbm", "sde_type": "ito", "method": "euler", "dts": (1 / 256,)}
    for exponent in (8, 10, 12, 14, 16, 18, 20, 23):
        yield Case(
            **plain,
            sizes={"paths": 2**exponent, "dim": 1},
            any_method=True,
            yardsticks=("jax_by_hand", "numpy_by_hand"),
            presets=ALWAYS if exponent == 8 else FULL,
        )
