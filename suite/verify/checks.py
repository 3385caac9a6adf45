"""Every check by name: `CHECKS` is the one table of them. A new check is a module of its own and a row here."""

from collections.abc import Callable, Iterable
from typing import NamedTuple

from suite.verify import brownian, gradients, orders
from suite.verify.claims import Claim
from suite.verify.findings import Effort, Finding


class Check(NamedTuple):
    """claims(implementation): what it checks of a library, controls among it. measure: one of these claims; it raises
    `Unsupported` where the library cannot do what the claim is about. script: a program, with the library alone, that
    ends with 1 where the claim fails as it did here, and with 0 where it holds; None where there is none."""

    claims: Callable[[str], Iterable[Claim]]
    measure: Callable[[Claim, Effort], Finding]
    script: Callable[[Claim], str | None] = lambda claim: None


CHECKS: dict[str, Check] = {
    "order": Check(orders.claims, orders.measure),
    "gradient": Check(gradients.claims, gradients.measure),
    "law": Check(brownian.claims, brownian.measure),
}


def claims_of(name: str) -> list[Claim]:
    """All that is checked of an implementation. Reads its claims from the library, which must be installed."""
    return [claim for check in CHECKS.values() for claim in check.claims(name)]
