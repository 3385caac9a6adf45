"""One table of what counts as a change of a figure that is the same at every run."""

from collections.abc import Mapping
from dataclasses import dataclass

from suite.results import EXACT_TO


@dataclass(frozen=True)
class Rule:
    """The tolerance of a figure: a change is more than `relative`, and more than `absolute`; values up to `floor` are
    alike. signed: an error in either direction."""

    relative: float = 0.0
    absolute: float = 0.0
    floor: float = 0.0
    smaller_is_better: bool = True
    signed: bool = False

    def verdict(self, base: float, head: float) -> str:
        a, b = (max(abs(x) if self.signed else x, self.floor) for x in (base, head))
        if abs(b - a) <= max(self.absolute, self.relative * abs(a)):
            return "same"
        return "worse" if (b > a) == self.smaller_is_better else "better"


EXACTLY = Rule(relative=1e-12)  # whole numbers, or quotients of them
RULES: Mapping[str, Rule] = {
    "nfe_drift": EXACTLY,
    "nfe_diffusion": EXACTLY,
    "nfe_drift_vjp": EXACTLY,
    "nfe_diffusion_vjp": EXACTLY,
    "operations": Rule(relative=0.01),  # what a compiler makes of the same thing written otherwise
    "solve_memory": Rule(absolute=2048),  # bytes: a few objects of Python more or less, but no further copy of a state
    "gradient_memory": Rule(absolute=2048),
    "strong_error": Rule(relative=1e-6),  # in float64, some thousand roundings
    "weak_error": Rule(relative=1e-6, absolute=1e-12, signed=True),
    "strong_order": Rule(absolute=1e-6, smaller_is_better=False),
    "gradient_error": Rule(relative=1e-6, floor=EXACT_TO),
}
