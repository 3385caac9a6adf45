"""Who claims what, or what theory says where nobody claims it, and how it is checked.

A claim is a quotation (`suite.quotations`), with its place. Theory stands in where a library claims nothing, or less
than is known: of third parties too. A control is false by construction: the check must reject it.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any, Literal, get_args

from suite import quotations
from suite.cases import dyadic
from suite.defects import DEFECTS
from suite.problems import NoiseType, SDEType
from suite.quotations import Quotation

Check = Literal["order", "gradient", "law"]
Kind = Literal["claim", "theory", "control"]

# Reversible Heun's round-off, relative L1, where the Lipschitz constant times T is at most 2.
EXACT_GRADIENT = 1e-13
# How far below the claimed order the fitted slope may lie: step sizes are finite, orders are limits.
ORDER_MARGIN = 0.05
ORDER_DTS = dyadic(5, 6, 7, 8, 9)
DYADIC = dyadic(0, 1, 2, 3, 4, 5, 6, 7)
DIVIDING = (0.1, 0.05, 0.02, 0.01)
ANY = (1.0, 0.5, 0.1, 0.07, 0.05, 0.02, 0.01, 2.0**-7)
OURS = ("sdegrad_torch", "sdegrad_jax")


_COMPARISON = ("solution", "scale", "defect")  # of a case: what a control spoils after the measurement


@dataclass(frozen=True, kw_only=True)
class Claim:
    """expected: the order (at least), the gradient error (at most), or the p-value of a law (at least the level of the
    run, which is not known here: NaN). quick: whether it is among the strongest checks, which CI has time for."""

    kind: Kind
    check: Check
    implementation: str
    subject: str
    claim: str
    expected: float
    source: str
    case: Mapping[str, Any] = field(default_factory=dict)
    quick: bool = False

    @property
    def statistical(self) -> bool:
        return self.check in ("order", "law") and self.kind != "control"

    @property
    def measurement(self) -> tuple[str, str, str]:
        """The solutions, gradients or samples that it rests on; claims may share them."""
        made = sorted((name, value) for name, value in self.case.items() if name not in _COMPARISON)
        return self.implementation, self.check, repr(made)


KLOEDEN = "Kloeden, Platen, Numerical Solution of Stochastic Differential Equations (1992), sections 10.2 and 10.3"
ROESSLER = "Roessler, Runge-Kutta methods for the strong approximation of solutions of SDEs (2010)"
BURRAGE = "Burrage, Burrage, Tian, Numerical methods for strong solutions of SDEs: an overview (2004)"
KIDGER = "Kidger, Foster, Li, Lyons, Efficient and Accurate Gradients for Neural SDEs (2021)"
FOSTER = "Foster, dos Reis, Strange, High order splitting methods for SDEs satisfying a commutativity condition (2023)"
CASTELL = "Castell, Gaines, The ODE approach to asymptotically efficient schemes for solution of SDEs (1996)"
AREAS = "Foster, Lyons, Oberhauser, An optimal polynomial approximation of Brownian motion (2020)"

_COMMUTATIVE: Mapping[NoiseType, float] = {"diagonal": 1.0, "scalar": 1.0, "additive": 1.0}
_HALF: Mapping[NoiseType, float] = {"diagonal": 0.5, "scalar": 0.5, "additive": 1.0}
_HIGH: Mapping[NoiseType, float] = {"diagonal": 1.5, "scalar": 1.5, "additive": 1.5}
_BOTH = get_args(SDEType)

# method -> (calculi, strong order by noise type, who proves it): diagonal noise whose entry i depends on y_i alone. For
# mccallum_foster nobody has: what sdegrad claims of it is its own.
THEORY: Mapping[str, tuple[Sequence[SDEType], Mapping[NoiseType, float], str]] = {
    "euler": (("ito",), _HALF, KLOEDEN),
    "milstein": (_BOTH, _COMMUTATIVE, KLOEDEN),
    "srk": (("ito",), _HIGH, ROESSLER),
    "sra1": (_BOTH, {"additive": 1.5}, ROESSLER),
    "shark": (_BOTH, {"additive": 1.5}, FOSTER),
    "reversible_heun": (("stratonovich",), _HALF, KIDGER),
    "log_ode": (("stratonovich",), _COMMUTATIVE, CASTELL),
    **dict.fromkeys(("heun", "midpoint", "euler_heun", "ees25", "ees27"), (("stratonovich",), _COMMUTATIVE, BURRAGE)),
}

# noise type -> the problem with an exact solution that it is checked on
EXACT_PROBLEMS: Mapping[NoiseType, str] = {"diagonal": "gbm", "scalar": "scalar", "additive": "ou"}
_QUICK_ORDERS = (("euler", "diagonal"), ("reversible_heun", "scalar"), ("srk", "diagonal"))
_QUICK_PROBLEM = "mlp_general"


def claims_of(name: str) -> list[Claim]:
    """All that is checked of an implementation. Reads its claims from the library, which must be installed."""
    return [*_orders(name), *_gradients(name), *_laws(name)]


def _said(quotes: Iterable[Quotation]) -> str:
    return "; ".join(map(str, quotes))


def _orders(name: str) -> Iterator[Claim]:
    methods = dict.fromkeys([*THEORY, *quotations.METHODS])
    for method, sde_type, (noise_type, problem) in product(methods, _BOTH, EXACT_PROBLEMS.items()):
        quotes = quotations.strong_orders(name, method, sde_type, noise_type)
        sources: dict[float, tuple[Kind, str]] = {}
        for quote in quotes:
            sources[quote.value] = "claim", _said(q for q in quotes if q.value == quote.value)
        calculi, orders, paper = THEORY.get(method, ((), {}, ""))
        if sde_type in calculi and orders.get(noise_type, 0.0) > max(sources, default=0.0):
            sources[orders[noise_type]] = "theory", paper
        for order, (kind, source) in sorted(sources.items()):
            yield Claim(
                kind=kind,
                check="order",
                implementation=name,
                subject=f"{method}, {sde_type}, {noise_type} noise",
                claim=f"strong order {order:g}",
                expected=order,
                source=source,
                case={"problem": problem, "method": method, "sde_type": sde_type},
                quick=(method, noise_type) in _QUICK_ORDERS,
            )
    # Ito's Euler converges to another process; against the Stratonovich solution it has no order at all.
    yield Claim(
        kind="control",
        check="order",
        implementation=name,
        subject="euler against the Stratonovich solution",
        claim="strong order 0.5",
        expected=0.5,
        source="false by construction",
        case={"problem": "gbm", "method": "euler", "sde_type": "ito", "solution": "stratonovich"},
        quick=True,
    )


# Where a library says that its reversible gradient is exact -> the step sizes and output times that are tried. torchsde
# warns where the spacing of the output times is not a multiple of the step. Of others, only what is exact in any
# arithmetic of times.
_DYADIC = {"for dt a power of two": (DYADIC, (0.0, 1.0))}
_EXACT_WHERE: Mapping[str, Mapping[str, tuple[tuple[float, ...], tuple[float, ...]]]] = {
    **{name: {"for any dt and output times": (ANY, (0.0, 0.3, 1.0))} for name in OURS},
    "torchsde": _DYADIC | {"for dt that divides the span": (DIVIDING, (0.0, 1.0))},
}


def _gradients(name: str) -> Iterator[Claim]:
    if name == "diffrax":  # has no reversible adjoint, and claims none
        return
    quotes = quotations.exact_gradients(name)
    for where, (dts, ts) in _EXACT_WHERE.get(name, _DYADIC).items():
        case: dict[str, Any] = {"dts": dts, "ts": ts}
        claim: dict[str, Any] = {
            "check": "gradient",
            "implementation": name,
            "claim": f"gradients of the reversible adjoint are exact to rounding {where}",
            "expected": EXACT_GRADIENT,
        }
        stated: dict[str, Any] = {"kind": "claim", "source": _said(quotes)}
        stated = stated if quotes else {"kind": "theory", "source": KIDGER}
        for problem in ("mlp", "mlp_additive", "mlp_scalar", "mlp_general"):
            yield Claim(
                **claim,
                **stated,
                subject=f"reversible_heun, {problem}",
                case=case | {"problem": problem},
                quick=problem == _QUICK_PROBLEM,
            )
        yield Claim(
            **claim,
            kind="control",
            source="false by construction",
            subject=f"reversible_heun, {_QUICK_PROBLEM}, gradients scaled by 1 + 1e-9",
            case=case | {"problem": _QUICK_PROBLEM, "scale": 1 + 1e-9},
            quick=True,
        )


# Overlapping, nested, on and off the grid of 1/8, in no order.
QUERIES = ((0.5, 1.0), (0.0, 0.3), (0.25, 0.375), (0.1, 0.9), (0.31, 0.32), (0.0, 1.0))
ON_GRID = ((0.5, 1.0), (0.0, 0.25), (0.25, 0.375), (0.125, 0.875), (0.0, 1.0))
JOINT = "W and H over any intervals have the exact joint law, independent over batch, entries and seeds"
_INTERVAL: Mapping[str, Mapping[str, Any]] = {
    "Brownian Interval on and off a grid of 1/8": {"dt": 0.125, "queries": QUERIES},
    "Brownian Interval without a grid": {"dt": None, "queries": QUERIES},
}
_TREE: Mapping[str, Mapping[str, Any]] = {
    "Virtual Brownian Tree on a grid of 1/8": {"dt": 0.125, "queries": ON_GRID, "kind": "tree"},
    "Virtual Brownian Tree at one time off the grid": {"dt": 0.125, "queries": ((0.0, 0.3),), "kind": "tree"},
}


def _laws(name: str) -> Iterator[Claim]:
    quotes = quotations.brownian_laws(name)
    stated: dict[str, Any] = {"kind": "claim", "source": _said(quotes)}
    stated = stated if quotes else {"kind": "theory", "source": AREAS}
    subjects = _TREE if name == "diffrax" else _INTERVAL
    claim: dict[str, Any] = {
        "check": "law",
        "implementation": name,
        "claim": JOINT,
        "expected": float("nan"),
        "quick": True,
    }
    for subject, case in subjects.items():
        yield Claim(**claim, **stated, subject=subject, case=case)
    first = next(iter(subjects))
    for defect in DEFECTS:
        case = {**subjects[first], "defect": defect}
        subject = f"{first}, {defect}"
        yield Claim(**claim, kind="control", source="false by construction", subject=subject, case=case)
