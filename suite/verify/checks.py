"""Every check by name: `CHECKS` is the one table of them. A new check is a module of its own and a row here."""

from collections.abc import Callable, Iterable
from typing import NamedTuple

from suite.verify import adaptive, agreement, brownian, gradients, orders, stability, weak
from suite.verify.claims import Claim
from suite.verify.findings import Effort, Finding


class Check(NamedTuple):
    """claims(implementation): what it checks of a library, controls among it. measure: one of these claims; it raises
    `Unsupported` where the library cannot do what the claim is about."""

    claims: Callable[[str], Iterable[Claim]]
    measure: Callable[[Claim, Effort], Finding]


CHECKS: dict[str, Check] = {
    "agreement": Check(agreement.claims, agreement.measure),
    "order": Check(orders.claims, orders.measure),
    "weak": Check(weak.claims, weak.measure),
    "adaptive": Check(adaptive.claims, adaptive.measure),
    "stability": Check(stability.claims, stability.measure),
    "gradient": Check(gradients.claims, gradients.measure),
    "law": Check(brownian.claims, brownian.measure),
}


def claims_of(name: str) -> list[Claim]:
    """All that is checked of an implementation. Reads its claims from the library, which must be installed."""
    return [claim for check in CHECKS.values() for claim in check.claims(name)]
