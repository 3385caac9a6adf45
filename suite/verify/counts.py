"""Evaluations of drift and diffusion, and of their vector-Jacobian products, per step; and the number of steps itself.

Per step: from 8 and 32 steps, so that what is done once is not counted. The number of steps: that of the evaluations of
Euler's drift, beyond those of a single step. Nothing is random.

What a gradient evaluates follows from what it keeps: everything, or every state at the square root of the steps, or, in
nested or recursive checkpoints, so few that n steps take of the order of n log n evaluations.
"""

from collections.abc import Callable, Iterator, Mapping
from math import log2
from typing import Any

import numpy as np

from suite.harness import METHODS, Counts, Task
from suite.problems import make
from suite.verify import programs, quotations, solving
from suite.verify.claims import BURRAGE, CONSTRUCTED, GRIEWANK, KIDGER, KLOEDEN, NEGATIVE, OURS, POSITIVE, Claim, said
from suite.verify.findings import Effort, Finding, Unsupported, at_most
from suite.verify.gradients import COMPILED, compiles_slowly

COARSE, FINE = 1 / 8, 1 / 32
TERMS = ("drift", "diffusion", "drift_vjp", "diffusion_vjp")
# (drift, diffusion) of schemes whose formulas leave no choice, and who gives them
FORMULAS: Mapping[str, tuple[tuple[int, int], str]] = {
    "euler": ((1, 1), KLOEDEN),
    "reversible_heun": ((1, 1), KIDGER),
    "euler_heun": ((1, 2), BURRAGE),
    "heun": ((2, 2), BURRAGE),
    "midpoint": ((2, 2), BURRAGE),
}
# adjoint -> (evaluations, products) of a gradient, for each evaluation of the solve; and who says so
GRADIENTS: Mapping[str, tuple[tuple[int, int], str]] = {
    "backprop": ((1, 1), GRIEWANK),
    "checkpoint": ((2, 1), GRIEWANK),
    "reversible": ((2, 1), KIDGER),
}
STEPS = (0.1, 0.01, 1e-3, 1e-4)


def _recursive(n: float) -> float:
    """The most evaluations of a gradient of n steps by recursive checkpoints."""
    return n * (1 + log2(n))


def claims(name: str) -> Iterator[Claim]:
    claim: dict[str, Any] = {"check": "count", "implementation": name}
    for method, facts in METHODS.items():
        stated = quotations.evaluations(name, method)
        nfe, paper = (facts.nfe, "") if name in OURS else FORMULAS.get(method, (None, ""))
        if nfe is None:
            continue
        kind: Any = {"kind": "claim", "source": stated} if stated else {"kind": "theory", "source": paper}
        preset = "default" if method in COMPILED or not compiles_slowly(name) else "full"
        noise = "additive" if "diagonal" not in facts.order else "diagonal"
        case = {"method": method, "problem": {"diagonal": "gbm", "additive": "ou"}[noise], "adjoint": None}
        words = f"{nfe[0]} evaluations of the drift and {nfe[1]} of the diffusion a step"
        yield Claim(**claim, **kind, subject=method, claim=words, expected=sum(nfe), case=case, preset=preset)
    yield from _of_gradients(claim)
    yield from _of_steps(claim)


def _of_gradients(claim: Mapping[str, Any]) -> Iterator[Claim]:
    for adjoint, ((evaluations, products), source) in GRADIENTS.items():
        case = {"method": "reversible_heun", "problem": "gbm", "adjoint": adjoint}
        recursive = quotations.recursive_checkpoints(claim["implementation"], adjoint)
        words = f"{evaluations} evaluations of each field and {products} products with its Jacobian a step"
        if recursive:
            words = f"n steps take at most n (1 + log2 n) evaluations of each field and {products} products each"
            evaluations = _per_added_step(_recursive)
        about: dict[str, Any] = {"claim": words, "expected": 2 * (evaluations + products), "case": case}
        about |= said(recursive, source)
        lacks = claim["implementation"] not in OURS
        subject = f"gradient of reversible_heun, {adjoint}"
        yield Claim(**claim, **about, subject=subject, may_lack=lacks)
        if adjoint == "backprop":
            for kind, words, spoil in (
                (NEGATIVE, "as many evaluations of the drift again", {"drift": evaluations}),
                (NEGATIVE, "none of the diffusion", {"diffusion": -np.inf}),
                (POSITIVE, "as counted", {"drift": 0.0}),
            ):
                control: dict[str, Any] = about | {"kind": kind, "source": CONSTRUCTED[kind]}
                yield Claim(**claim, **control, subject=f"{subject}, {words}", spoil=spoil)


def _of_steps(claim: Mapping[str, Any]) -> Iterator[Claim]:
    for dtype in ("float32", "float64"):
        case = {"method": "euler", "problem": "gbm", "dtype": dtype}
        yield Claim(
            **claim,
            kind="theory",
            source=KLOEDEN,
            subject=f"euler on [0, 1], {dtype}",
            claim=f"1/dt steps for dt = {', '.join(f'{dt:g}' for dt in STEPS)}: the largest excess",
            expected=0,
            case=case,
        )


def _count(name: str, method: str, problem: str, adjoint: Any, dt: float, dtype: Any = "float64") -> Counts:
    made = make(problem, paths=1, sde_type=METHODS[method].sde_type)
    task = Task(problem=made, method=method, dt=dt, ts=(0.0, 1.0), adjoint=adjoint, dtype=dtype)
    try:
        return solving.prepared(name, task).count()
    except NotImplementedError as uncounted:  # the contract allows it, with the reason
        raise Unsupported(str(uncounted)) from None


@solving.remembered
def _per_step(name: str, method: str, problem: str, adjoint: Any) -> dict[str, float]:
    coarse, fine = (_count(name, method, problem, adjoint, dt) for dt in (COARSE, FINE))
    at = {1 / COARSE: coarse, 1 / FINE: fine}
    return {term: _per_added_step(lambda n, term=term: getattr(at[n], term)) for term in TERMS}


def _per_added_step(of: Callable[[float], float]) -> float:
    """What `of` so many steps grows by, for each step."""
    return (of(1 / FINE) - of(1 / COARSE)) / (1 / FINE - 1 / COARSE)


@solving.remembered
def _excess(name: str, dtype: str) -> tuple[float, float]:
    """The largest number of steps too many or too few, and its dt."""
    one = _count(name, "euler", "gbm", None, 1.0, dtype).drift
    return max((abs(_count(name, "euler", "gbm", None, dt, dtype).drift - one + 1 - round(1 / dt)), dt) for dt in STEPS)


def measure(claim: Claim, effort: Effort) -> Finding:
    del effort  # nothing is random
    case = claim.case
    if "dtype" in case:
        excess, dt = _excess(claim.implementation, case["dtype"])
        return at_most(0, excess, f"at dt = {dt:g}" if excess else "")
    found = _per_step(claim.implementation, case["method"], case["problem"], case["adjoint"])
    wanted = _wanted(claim)
    # a method may have products of its own, for its derivative of the diffusion: none are wanted, none are counted
    return _judged(wanted, {term: max(found[term] + claim.spoil.get(term, 0.0), 0.0) for term in wanted})


def _wanted(claim: Claim) -> dict[str, float]:
    """How many of each term; the evaluations of recursive checkpoints are the most that there may be."""
    method, adjoint = claim.case["method"], claim.case["adjoint"]
    if adjoint is None:
        return dict(zip(TERMS, METHODS[method].nfe, strict=False))
    (evaluations, products), _ = GRADIENTS[adjoint]
    if quotations.recursive_checkpoints(claim.implementation, adjoint):
        evaluations = _per_added_step(_recursive)
    return dict(zip(TERMS, (evaluations, evaluations, products, products), strict=True))


def _judged(wanted: Mapping[str, float], found: Mapping[str, float]) -> Finding:
    """None may be more; and none that there must be may be missing, as it is where something else is counted."""
    words = ", ".join(f"{term.replace('_', ' ')} {n:g}" for term, n in found.items())
    right = all(0 < found[term] <= most for term, most in wanted.items())
    total = sum(found.values())
    return Finding("holds" if right else "fails", sum(wanted.values()), total, total, total, words)


_SCRIPT = """# torchsde: evaluations of the drift, on [0, 1] in {dtype}
import sys
import torch, torchsde
class SDE(torch.nn.Module):
    noise_type, sde_type = "diagonal", {sde_type!r}
    def __init__(self):
        super().__init__()
        self.rate, self.evaluations = torch.nn.Parameter(torch.ones((), dtype=torch.{dtype})), 0
    def f(self, t, y):
        self.evaluations += 1
        return -self.rate * y
    def g(self, t, y):
        return 0.1 * y
def count(dt):
    sde, y0 = SDE(), torch.ones(1, 2, dtype=torch.{dtype}, requires_grad=True)
    ts = torch.tensor([0.0, 1.0], dtype=torch.{dtype})
    ys = torchsde.{solve}(sde, y0, ts, method={method!r}, dt=dt)
    if {gradient}:
        ys.sum().backward()
    return sde.evaluations
found = {found}
print(f"{words}: {{found}}, expected at most {expected}")
sys.exit(0 if found <= {expected} else 1)
"""


_DIFFRAX = """
jax.config.update("jax_enable_x64", {wide})
calls, drift_alone = [0], drift
def drift(t, y, p):
    jax.debug.callback(lambda: calls.__setitem__(0, calls[0] + 1))
    return drift_alone(t, y, p)
def count(dt):
    calls[0] = 0
    solve(np.ones((1, 2), np.float32), np.ones(2, np.float32), dt, gradient={gradient})
    jax.effects_barrier()
    return calls[0]
found = {found}
print(f"{words}: {{found}}, expected at most {expected}")
sys.exit(0 if found <= {expected} else 1)
"""


def script(claim: Claim) -> str | None:
    """A program that shows it with the library alone, and exits 1 if there are too many evaluations."""
    case, adjoint = claim.case, claim.case.get("adjoint")
    blanks: dict[str, Any] = {"gradient": adjoint is not None, "words": "evaluations of the drift a step"}
    blanks["found"] = f"(count({FINE}) - count({COARSE})) / {1 / FINE - 1 / COARSE}"
    if "dtype" in case:
        excess = f"max(abs(count(dt) - count(1.0) + 1 - round(1 / dt)) for dt in {STEPS})"
        blanks |= {"found": excess, "words": "steps too many", "expected": 0}
    elif adjoint is None:
        blanks["expected"] = FORMULAS[case["method"]][0][0] if case["method"] in FORMULAS else claim.expected
    else:  # of the drift alone: all evaluations of the way there and back
        recursive = quotations.recursive_checkpoints(claim.implementation, adjoint)
        blanks["expected"] = _per_added_step(_recursive) if recursive else GRADIENTS[adjoint][0][0]
    blanks |= {"dtype": case.get("dtype", "float64"), "method": case["method"]}
    if claim.implementation == "diffrax":
        fields = programs.KINDS["additive" if case["problem"] == "ou" else "diagonal"]
        return programs.program(claim, claim.claim, fields, _DIFFRAX, wide=blanks["dtype"] == "float64", **blanks)
    if claim.implementation != "torchsde" or claim.control:
        return None
    solve = "sdeint_adjoint" if adjoint == "reversible" else "sdeint"
    return _SCRIPT.format(**blanks, sde_type=METHODS[case["method"]].sde_type, solve=solve)
