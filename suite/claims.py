"""Who claims what, where it is written, and how it is checked: one table.

A claim is checked by a measurement with an interval and a bound. The intervals are of joint confidence 0.95 over the
whole table (Bonferroni). A control is a claim that is false by construction: the check must reject it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product
from typing import Any, Literal, get_args

from suite.cases import dyadic
from suite.harness import FACTS
from suite.problems import NoiseType, SDEType

Check = Literal["order", "gradient", "law"]

# Reversible Heun's round-off, relative L1, where the Lipschitz constant times T is at most 2.
EXACT_GRADIENT = 1e-13
# How far below the claimed order the fitted slope may lie: step sizes are finite, orders are limits.
ORDER_MARGIN = 0.05
ORDER_DTS = dyadic(5, 6, 7, 8, 9)
DYADIC = dyadic(0, 1, 2, 3, 4, 5, 6, 7)
DIVIDING = (0.1, 0.05, 0.02, 0.01)
ANY = (1.0, 0.5, 0.1, 0.07, 0.05, 0.02, 0.01, 2.0**-7)

SOURCES: Mapping[str, Mapping[str, str]] = {
    "order": {
        "sdegrad_torch": "sdegrad.methods.FACTS",
        "sdegrad_jax": "sdegrad.methods.FACTS",
        "torchsde": "torchsde 0.2.6: attribute strong_order of its solvers",
        "diffrax": "diffrax 0.7.2: docstrings and strong_order() of its solvers",
    },
    "gradient": {
        "sdegrad_torch": "README: gradients exact to rounding",
        "sdegrad_jax": "README: gradients exact to rounding",
        "torchsde": "torchsde 0.2.6: documentation of adjoint_reversible_heun",
    },
    "law": {
        "sdegrad_torch": "docstring of sdegrad.torch.BrownianInterval",
        "sdegrad_jax": "docstring of sdegrad.jax.BrownianInterval",
        "torchsde": "torchsde 0.2.6: docstring of BrownianInterval",
    },
}


@dataclass(frozen=True, kw_only=True)
class Claim:
    """`expected` is the order (at least), the gradient error (at most), or the ratio of variances (equal to)."""

    check: Check
    implementation: str
    subject: str
    claim: str
    expected: float
    case: Mapping[str, Any] = field(default_factory=dict)
    control: bool = False

    @property
    def source(self) -> str:
        return "control: false by construction" if self.control else SOURCES[self.check][self.implementation]


SDE_TYPES = get_args(SDEType)
# problem with an exact solution -> its noise type
EXACT_PROBLEMS: Mapping[str, NoiseType] = {"gbm": "diagonal", "scalar": "scalar", "ou": "additive"}


def _orders() -> Iterator[Claim]:
    for name in SOURCES["order"]:
        for method, sde_type, problem in product(FACTS, SDE_TYPES, EXACT_PROBLEMS):
            facts, noise_type = FACTS[method], EXACT_PROBLEMS[problem]
            if sde_type in facts.sde_types and noise_type in facts.order:
                order = facts.order[noise_type]
                yield Claim(
                    check="order",
                    implementation=name,
                    subject=f"{method}, {sde_type}, {noise_type} noise",
                    claim=f"strong order {order:g}",
                    expected=order,
                    case={"problem": problem, "method": method, "sde_type": sde_type},
                )
        # Ito's Euler converges to another process; against the Stratonovich solution it has no order at all.
        yield Claim(
            check="order",
            implementation=name,
            subject="euler against the Stratonovich solution",
            claim="strong order 0.5",
            expected=0.5,
            case={"problem": "gbm", "method": "euler", "sde_type": "ito", "solution": "stratonovich"},
            control=True,
        )


# where a library says that its reversible gradient is exact -> the step sizes and output times that are tried.
# torchsde says so where the spacing of the output times is a multiple of the step, and warns elsewhere.
_MULTIPLES = {
    "for dt a power of two": (DYADIC, (0.0, 1.0)),
    "for dt that divides the span": (DIVIDING, (0.0, 1.0)),
}
_EXACT_WHERE: Mapping[str, Mapping[str, tuple[tuple[float, ...], tuple[float, ...]]]] = {
    "sdegrad_torch": {"for any dt and output times": (ANY, (0.0, 0.3, 1.0))},
    "sdegrad_jax": {"for any dt and output times": (ANY, (0.0, 0.3, 1.0))},
    "torchsde": _MULTIPLES,
}


def _gradients() -> Iterator[Claim]:
    for name, places in _EXACT_WHERE.items():
        for where, (dts, ts) in places.items():
            case: dict[str, Any] = {"dts": dts, "ts": ts, "adjoint": "reversible", "method": "reversible_heun"}
            claim: dict[str, Any] = {
                "check": "gradient",
                "implementation": name,
                "claim": f"gradients of the reversible adjoint are exact to rounding {where}",
                "expected": EXACT_GRADIENT,
            }
            for problem in ("mlp", "mlp_additive", "mlp_scalar", "mlp_general"):
                yield Claim(**claim, subject=f"reversible_heun, {problem}", case=case | {"problem": problem})
            scaled = case | {"problem": "mlp", "scale": 1 + 1e-9}
            yield Claim(**claim, subject="reversible_heun, mlp, loss scaled by 1 + 1e-9", case=scaled, control=True)


def _laws() -> Iterator[Claim]:
    for name in SOURCES["law"]:
        for dt, where in ((0.125, "on and off a grid of 1/8"), (None, "without a grid")):
            claim: dict[str, Any] = {
                "check": "law",
                "implementation": name,
                "claim": "increments over any intervals have the exact joint law",
                "expected": 1.0,
            }
            yield Claim(**claim, subject=f"Brownian Interval {where}", case={"dt": dt})
        yield Claim(
            **claim,
            subject="Brownian Interval, scaled by 1.01",
            case={"dt": 0.125, "scale": 1.01},
            control=True,
        )


CLAIMS: tuple[Claim, ...] = (*_orders(), *_gradients(), *_laws())
