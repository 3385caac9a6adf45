"""The class of claims, and the kinds of those who make them.

A claim is a quotation (`quotations`), with its place. Theory stands in where a library claims nothing, or less than is
known: of third parties too. A negative control is false by construction, and the check must reject it; a positive one
is true by construction, and the check must accept it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from suite.verify.sources import Quotation

Kind = str  # one of KINDS
NEGATIVE, POSITIVE = "negative control", "positive control"
KINDS: tuple[Kind, ...] = ("claim", "theory", NEGATIVE, POSITIVE)
Preset = Literal["quick", "default", "full"]
PRESETS: tuple[Preset, ...] = ("quick", "default", "full")  # each holds those before it
OURS = ("sdegrad_torch", "sdegrad_jax")

KLOEDEN = "Kloeden, Platen, Numerical Solution of Stochastic Differential Equations (1992), sections 10.2 and 10.3"
ROESSLER = "Roessler, Runge-Kutta methods for the strong approximation of solutions of SDEs (2010)"
BURRAGE = "Burrage, Burrage, Tian, Numerical methods for strong solutions of SDEs: an overview (2004)"
KIDGER = "Kidger, Foster, Li, Lyons, Efficient and Accurate Gradients for Neural SDEs (2021)"
FOSTER = "Foster, dos Reis, Strange, High order splitting methods for SDEs satisfying a commutativity condition (2023)"
CASTELL = "Castell, Gaines, The ODE approach to asymptotically efficient schemes for solution of SDEs (1996)"
MCCALLUM = "McCallum, Foster, Efficient, accurate and stable gradients for neural ODEs, arXiv 2410.11648 (2024)"
SHMELEV = "Shmelev, Salvi, Explicit and effectively symmetric Runge-Kutta methods, arXiv 2509.20599 (2025)"
GRIEWANK = "Griewank, Walther, Evaluating Derivatives, second edition (2008), chapters 3 and 12"
LI = "Li, Wong, Chen, Duvenaud, Scalable Gradients for Stochastic Differential Equations (2020)"
ZEN = "Peters, The Zen of Python, PEP 20 (2004): errors should never pass silently"
AREAS = "Foster, Lyons, Oberhauser, An optimal polynomial approximation of Brownian motion (2020)"
LEVY_AREAS = (
    "Davie, Pathwise approximation of stochastic differential equations using coupling (2014); "
    "Foster, Numerical approximations for stochastic differential equations (2020)"
)
GAINES = "Gaines, Lyons, Variable step size control in the numerical solution of SDEs (1997)"
CONSTRUCTED: Mapping[Kind, str] = {NEGATIVE: "false by construction", POSITIVE: "true by construction"}


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A sentence about a library that a check can decide.

    check: the row of `checks.CHECKS` that decides it. expected: the number that it states; NaN where that is known to
    the run alone (the level of a p-value).
    case: what is measured; claims of a library with one case rest on the same samples. spoil: what a control does to
    what was measured. statistical: whether it can fail by chance, and so has its share of the significance.
    preset: the smallest run that it is part of; "quick" is for the strongest checks, which CI has time for.
    may_lack: whether a library of our own is right to refuse it; if not, `unsupported` stops the build.
    """

    kind: Kind
    check: str
    implementation: str
    subject: str
    claim: str
    source: str
    expected: float = float("nan")
    case: Mapping[str, Any] = field(default_factory=dict)
    spoil: Mapping[str, Any] = field(default_factory=dict)
    statistical: bool = False
    preset: Preset = "default"
    may_lack: bool = False

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"a claim is of one of the kinds {', '.join(KINDS)}, got {self.kind!r}.")

    @property
    def control(self) -> bool:
        return self.kind in CONSTRUCTED

    @property
    def measurement(self) -> tuple[str, str, str]:
        """The solutions, gradients or samples that it rests on; claims may share them."""
        return self.implementation, self.check, repr(sorted(self.case.items()))


def said(quotes: Iterable[Quotation], theory: str) -> dict[str, Any]:
    """Kind and source of a claim: the quotations, or theory if there are none."""
    text = "; ".join(map(str, quotes))
    return {"kind": "claim", "source": text} if text else {"kind": "theory", "source": theory}
