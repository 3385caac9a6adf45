"""Peak memory of a gradient against the number of steps: the exponent of its growth.

The slope of log memory from 64 to 256 steps, of a batch whose states are what fills it. In JAX as the compiler has
planned it, else as the allocators of the process tell. Nothing is random, but a few kilobytes of Python's. The controls
are of the growth with the number of paths, whose states have to be somewhere in every library.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from suite.harness import Task
from suite.problems import make
from suite.sweeping import peak_memory
from suite.verify import programs, quotations, solving
from suite.verify.claims import CONSTRUCTED, GRIEWANK, KIDGER, LI, NEGATIVE, OURS, POSITIVE, Claim, said
from suite.verify.findings import Effort, Finding, at_most

STEPS, GROWN = 64, 4  # steps, and the factor by which their number grows
PATHS = {"sdegrad_torch": 1024, "torchsde": 1024}
# What a slope between two numbers of steps may be above its limit: roots are rounded up, and Python keeps some bytes
# a step. The nearest other growth is half a power away.
MARGIN = 0.1
# adjoint -> (method, the power of the number of steps that its memory grows with, in words, who says so)
GROWTH: Mapping[str, tuple[str, float, str, str]] = {
    "reversible": ("reversible_heun", 0.0, "does not grow with the number of steps", KIDGER),
    "backsolve": ("heun", 0.0, "does not grow with the number of steps", LI),
    "checkpoint": ("heun", 0.5, "grows like the square root of the number of steps", GRIEWANK),
    "backprop": ("heun", 1.0, "grows like the number of steps", GRIEWANK),
}


def claims(name: str) -> Iterator[Claim]:
    claim: dict[str, Any] = {"check": "memory", "implementation": name}
    for adjoint, (method, power, words, paper) in GROWTH.items():
        case = {"method": method, "problem": "mlp", "adjoint": adjoint}
        subject = f"gradient of {method}, {adjoint}"
        stated = said(quotations.memory(name, adjoint), paper)
        lacks = name not in OURS
        yield Claim(
            **claim, **stated, subject=subject, claim=f"memory {words}", expected=power, case=case, may_lack=lacks
        )
    for kind, bound in ((NEGATIVE, 0.5), (POSITIVE, 1.5)):
        yield Claim(
            **claim,
            kind=kind,
            source=CONSTRUCTED[kind],
            subject=f"gradient of heun, backprop, held to the power {bound:g} of the paths",
            claim=f"memory grows like the number of paths to the power {bound:g}",
            expected=bound,
            case={"method": "heun", "problem": "mlp", "adjoint": "backprop", "grown": "paths"},
        )


@solving.remembered
def _peaks(name: str, method: str, problem_name: str, adjoint: Any, grown: str, seed: int) -> tuple[int, ...]:
    """The bytes of a gradient over STEPS, and of one with so many times the steps, or the paths."""
    peaks = []
    for factor in (1, GROWN):
        paths = PATHS.get(name, 64) * (factor if grown == "paths" else 1)
        steps = STEPS * (factor if grown == "steps" else 1)
        problem = make(problem_name, paths=paths, dim=16, hidden=4, seed=seed)
        task = Task(problem=problem, method=method, dt=1 / steps, brownian_dt=1 / steps, ts=(0.0, 1.0), adjoint=adjoint)
        run = solving.prepared(name, task)
        run()  # what is made once, and kept
        known = run.memory()
        peaks.append(peak_memory(run) if known is None else known)
    return tuple(peaks)


def measure(claim: Claim, effort: Effort) -> Finding:
    case = claim.case
    grown = case.get("grown", "steps")
    peaks = _peaks(claim.implementation, case["method"], case["problem"], case["adjoint"], grown, effort.seed)
    power = float(np.log(peaks[1] / peaks[0]) / np.log(GROWN))
    reason = f"{peaks[0] / 2**20:.2f} MiB, {peaks[1] / 2**20:.2f} MiB for {GROWN} times the {grown}"
    return at_most(claim.expected + MARGIN, power, reason)


# The exponent is that of what is beyond a short solve; less than half a state a step is of the allocator and Python.
_JUDGED = """
short, few, many = (peak(steps) for steps in (4, {few}, {many}))
few, many = (max(found - short, {many} / 2 * y0.nbytes) for found in (few, many))
power = float(np.log(many / few) / np.log({many} / {few}))
print(f"{{few / 2**20:.1f}} MiB for {few} steps, {{many / 2**20:.1f}} MiB for {many}: the power {{power:.2f}}")
sys.exit(power > {expected} + {margin})
"""
_SCRIPTS = {
    "torchsde": """
import resource
y0 = np.ones((2**13, 2))
def peak(steps):  # the highest so far: longer solves come later
    solve(y0, [0.7, 0.4], 1 / steps, gradient=True)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 2**10
""",
    "diffrax": """
y0 = np.ones((64, 2))
def peak(steps):  # as the compiler has planned it
    planned, jit = [], jax.jit
    def compiled(work):
        planned.append(jit(work).lower(y0, np.array([0.7, 0.4]), jax.random.split(jax.random.key(0), 64)).compile())
        return planned[0]
    jax.jit = compiled
    solve(y0, [0.7, 0.4], 1 / steps, gradient=True)
    jax.jit = jit
    return planned[0].memory_analysis().temp_size_in_bytes
""",
}


def script(claim: Claim) -> str | None:
    """A program that fits the power to the memory of two gradients."""
    body = _SCRIPTS.get(claim.implementation, "") + _JUDGED
    blanks = {"tree": "dt=dt", "few": STEPS, "many": GROWN * STEPS, "expected": claim.expected, "margin": MARGIN}
    return programs.program(claim, claim.claim, programs.KINDS["diagonal"], body, **blanks)
