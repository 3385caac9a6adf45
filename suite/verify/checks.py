"""Every check by name: `CHECKS` is the one table of them. A new check is a module of its own and a row here."""

from collections.abc import Callable, Iterable
from typing import NamedTuple

from suite.verify import (
    adaptive,
    agreement,
    areas,
    bad_input,
    brownian,
    consumed,
    consumed_programs,
    counts,
    determinism,
    differences,
    gradient_orders,
    gradients,
    growth,
    increments,
    logqp,
    memory,
    orders,
    outputs,
    path_programs,
    stability,
    weak,
)
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
    "agreement": Check(agreement.claims, agreement.measure, agreement.script),
    "order": Check(orders.claims, orders.measure, orders.script),
    "weak": Check(weak.claims, weak.measure, weak.script),
    "adaptive": Check(adaptive.claims, adaptive.measure, adaptive.script),
    "stability": Check(stability.claims, stability.measure, stability.script),
    "gradient": Check(gradients.claims, gradients.measure, gradients.script),
    "growth": Check(growth.claims, growth.measure),
    "difference": Check(differences.claims, differences.measure, differences.script),
    "count": Check(counts.claims, counts.measure, counts.script),
    "memory": Check(memory.claims, memory.measure, memory.script),
    "gradient order": Check(gradient_orders.claims, gradient_orders.measure, gradient_orders.script),
    "output": Check(outputs.claims, outputs.measure, outputs.script),
    "bad input": Check(bad_input.claims, bad_input.measure, bad_input.script),
    "logqp": Check(logqp.claims, logqp.measure, logqp.script),
    "law": Check(brownian.claims, brownian.measure, path_programs.script),
    "levy area": Check(areas.claims, areas.measure, path_programs.script),
    "increments": Check(increments.claims, increments.measure, path_programs.script),
    "consumed": Check(consumed.claims, consumed.measure, consumed_programs.script),
    "determinism": Check(determinism.claims, determinism.measure, path_programs.script),
}


def claims_of(name: str) -> list[Claim]:
    """All that is checked of an implementation. Reads its claims from the library, which must be installed."""
    return [claim for check in CHECKS.values() for claim in check.claims(name)]
