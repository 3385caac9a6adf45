"""Gradients of the discrete solve: those of each adjoint that has them against backpropagation through the same solve.

The largest relative L1 error over the step sizes of the claim, on the library's noise, with an output between steps.
Nothing is random. A reversible method has no other check of the way back: reconstructed states that are off, or times
and increments that are not those of the way there, are off here, since the fields are nonlinear and depend on time.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from suite import statistics
from suite.case import dyadic
from suite.harness import METHODS, Task, load, names
from suite.problems import NoiseType, make
from suite.verify import programs, quotations, solving
from suite.verify.claims import CONSTRUCTED, GRIEWANK, KIDGER, MCCALLUM, NEGATIVE, OURS, POSITIVE, Claim, said
from suite.verify.findings import Curve, Effort, Finding, at_most

# Round-off, relative L1, where the Lipschitz constant times T is at most 2: what sdegrad claims of reversible Heun,
# what is asked of any other adjoint, and the first of these in single precision.
EXACT, ROUNDING, SINGLE = 1e-13, 1e-12, 1e-13 * 2.0**29
DYADIC = dyadic(0, 1, 2, 3, 4, 5, 6, 7)
DIVIDING = (0.1, 0.05, 0.02, 0.01)
ANY = (1.0, 0.5, 0.07, 0.01, 2.0**-7)
FEW = (0.5, 0.07, 2.0**-6)
END, BETWEEN = (0.0, 1.0), (0.0, 0.3, 1.0)

DRIVEN: Mapping[NoiseType, str] = {
    "diagonal": "driven",
    "additive": "driven_additive",
    "scalar": "driven_scalar",
    "general": "driven_general",
}
QUICK = "driven_general"
COMPILED = ("heun", "reversible_heun", "shark")  # the methods that the default run takes where each costs seconds
TERMS = ("y0", "A", "w", "B", "v", "c")  # of its gradient; w and v are the parts of time

# Where a library says that its reversible gradient is exact -> the step sizes and output times that are tried. torchsde
# warns where the spacing of the output times is not a multiple of the step. Of others, only what is exact in any
# arithmetic of times.
_DYADIC = {"for dt a power of two": (DYADIC, END)}
_WHERE: Mapping[str, Mapping[str, tuple[tuple[float, ...], tuple[float, ...]]]] = {
    **{name: {"for any dt and output times": (ANY, BETWEEN)} for name in OURS},
    "torchsde": _DYADIC | {"for dt that divides the span": (DIVIDING, END)},
}


def claims(name: str) -> Iterator[Claim]:
    if name != "diffrax":  # has no reversible adjoint, and claims none
        yield from _reversible_heun(name)
    if name in OURS:
        yield from _own(name)
    if name != "torchsde":  # has no checkpoints, and claims none
        yield from _checkpointed(name)


def _claim(name: str, where: str, case: Mapping[str, Any], **rest: Any) -> Claim:
    words = f"gradients of the {case['adjoint']} adjoint are exact to rounding {where}".strip()
    subject = f"{case['method']}, {case['problem']}"
    return Claim(
        **{"check": "gradient", "implementation": name, "claim": words, "subject": subject, "case": case} | rest
    )


def _case(method: str, problem: str, dts: tuple[float, ...], ts: tuple[float, ...], **rest: Any) -> dict[str, Any]:
    common = {"adjoint": "reversible", "sde_type": METHODS[method].sde_type, "dtype": "float64", "rtol": None}
    return {"problem": problem, "method": method, "dts": dts, "ts": ts} | common | rest


def _reversible_heun(name: str) -> Iterator[Claim]:
    stated = said(quotations.exact_gradients(name), KIDGER)
    for where, (dts, ts) in _WHERE.get(name, _DYADIC).items():
        for problem in DRIVEN.values():
            case, quick = _case("reversible_heun", problem, dts, ts), problem == QUICK
            yield _claim(name, where, case, **stated, expected=EXACT, preset="quick" if quick else "default")
    where, (dts, ts) = next(iter(_WHERE.get(name, _DYADIC).items()))
    yield from _controls(name, where, _case("reversible_heun", QUICK, dts, ts))


def _controls(name: str, where: str, case: Mapping[str, Any]) -> Iterator[Claim]:
    """Each part of the gradient too large by 1e-9, and backpropagation in place of the adjoint."""
    common: dict[str, Any] = {"expected": EXACT, "preset": "quick"}
    subject = f"{case['method']}, {case['problem']}"
    for term in (*TERMS, ""):
        what = f"{subject}, {term or 'all'} scaled by 1 + 1e-9"
        false: dict[str, Any] = {"kind": NEGATIVE, "source": CONSTRUCTED[NEGATIVE]}
        yield _claim(name, where, case, **common, **false, subject=what, spoil={"term": term, "factor": 1 + 1e-9})
    true: dict[str, Any] = {"kind": POSITIVE, "source": CONSTRUCTED[POSITIVE]}
    yield _claim(name, where, case, **common, **true, subject=f"{subject}, by itself", spoil={"itself": True})


def _own(name: str) -> Iterator[Claim]:
    """McCallum-Foster, single precision and adaptive steps, which only our own claim."""
    stated = said(quotations.reversible_gradients(name), MCCALLUM)
    for problem in DRIVEN.values():
        case = _case("mccallum_foster", problem, FEW, BETWEEN)
        yield _claim(name, "for any dt and output times", case, **stated, expected=ROUNDING)
    single = _case("reversible_heun", QUICK, ANY, BETWEEN, dtype="float32")
    yield _claim(name, "in single precision", single, **said(quotations.exact_gradients(name), KIDGER), expected=SINGLE)
    for method in ("reversible_heun", "mccallum_foster"):
        adaptive = _case(method, QUICK, (0.1,), BETWEEN, rtol=1e-2)
        words = "for adaptive steps, which count as constants"
        yield _claim(name, words, adaptive, **said(quotations.adaptive_gradients(name), KIDGER), expected=ROUNDING)


def _checkpointed(name: str) -> Iterator[Claim]:
    """Claims about every method, with the most general noise that it is for."""
    stated = said(quotations.checkpointed_gradients(name), GRIEWANK)
    for method, facts in METHODS.items():
        noise: NoiseType = next(n for n in ("general", "diagonal", "additive") if n in facts.order)
        for sde_type in facts.sde_types:
            case = _case(method, DRIVEN[noise], (0.07,), BETWEEN, adjoint="checkpoint", sde_type=sde_type)
            subject = f"{method}, {sde_type}, {DRIVEN[noise]}"
            preset = "default" if method in COMPILED or not compiles_slowly(name) else "full"
            yield _claim(name, "", case, **stated, subject=subject, expected=ROUNDING, preset=preset)


def compiles_slowly(name: str) -> bool:
    """Whether every solve is a program that takes seconds to compile: so in JAX."""
    return name in names() and load(name).framework == "jax"


Gradients = Mapping[str, np.ndarray]


@solving.remembered
def _gradients(name: str, case: tuple[tuple[str, Any], ...], seed: int) -> list[tuple[Gradients, Gradients]]:
    """For each step size that of the adjoint and that of backpropagation."""
    asked = dict(case)
    problem = make(asked["problem"], paths=4, seed=seed, sde_type=asked["sde_type"])

    def gradient(dt: float, adjoint: Any) -> Gradients:
        task = Task(
            problem=problem,
            method=asked["method"],
            dt=dt,
            ts=asked["ts"],
            rtol=asked["rtol"],
            atol=asked["rtol"],
            adjoint=adjoint,
            dtype=asked["dtype"],
            levy_area="foster" if asked["method"] == "log_ode" else "none",
            seed=seed,
        )
        return solving.outcome(name, task).gradients

    return [(gradient(dt, asked["adjoint"]), gradient(dt, "backprop")) for dt in asked["dts"]]


def _spoiled(gradients: Gradients, spoil: Mapping[str, Any]) -> Gradients:
    factor, term = spoil.get("factor", 1.0), spoil.get("term", "")
    return {name: x * (factor if term in ("", name) else 1.0) for name, x in gradients.items()}


def measure(claim: Claim, effort: Effort) -> Finding:
    pairs = _gradients(claim.implementation, tuple(sorted(claim.case.items())), effort.seed)
    if claim.spoil.get("itself"):
        pairs = [(exact, exact) for _, exact in pairs]
    errors = [statistics.relative_l1(_spoiled(ours, claim.spoil), exact) for ours, exact in pairs]
    curve = Curve("step size", "relative error of the gradient", claim.case["dts"], errors, errors, errors)
    return at_most(claim.expected, max(errors))._replace(curve=curve)


_SCRIPT = """# torchsde: reversible Heun, its adjoint against backpropagation through the same solve
import sys
import torch, torchsde
torch.set_default_dtype(torch.float64)
torch.manual_seed(0)
class SDE(torch.nn.Module):
    noise_type, sde_type = "diagonal", "stratonovich"
    def __init__(self):
        super().__init__()
        self.A = torch.nn.Parameter(0.5 * torch.eye(3))
        self.B = torch.nn.Parameter(0.3 * torch.ones(3, 3))
    def f(self, t, y):
        return torch.sin(y @ self.A + t)
    def g(self, t, y):
        return torch.cos(y @ self.B + t)
worst = 0.0
for dt in {dts}:
    gradients = []
    for adjoint in (True, False):
        sde, y0 = SDE(), torch.ones(4, 3, requires_grad=True)
        bm = torchsde.BrownianInterval(0.0, 1.0, (4, 3), entropy=1)
        solve = torchsde.sdeint_adjoint if adjoint else torchsde.sdeint
        more = dict(adjoint_method="adjoint_reversible_heun") if adjoint else dict()
        ys = solve(sde, y0, torch.tensor({ts}), bm=bm, method="reversible_heun", dt=dt, **more)
        parts = torch.autograd.grad((ys * ys).sum(), [y0, *sde.parameters()])
        gradients.append(torch.cat([part.flatten() for part in parts]))
    worst = max(worst, float((gradients[0] - gradients[1]).abs().sum() / gradients[1].abs().sum()))
print(f"largest relative error of the gradient: {{worst:.1e}}, expected at most {expected:g}")
sys.exit(1 if worst > {expected} else 0)
"""


_CHECKPOINTED = """
y0, p, ts, found = np.random.default_rng(0).uniform(0.5, 1.5, (4, 2)), np.array([0.7, 0.4]), {ts}, []
for adjoint in (diffrax.DirectAdjoint, diffrax.RecursiveCheckpointAdjoint):
    parts = solve(y0, p, {dt}, ts, gradient=True, adjoint=adjoint)
    found.append(np.concatenate([np.ravel(part) for part in parts]))
error = np.abs(found[1] - found[0]).sum() / np.abs(found[0]).sum()
print(f"relative error of the gradient by recursive checkpoints: {{error:.1e}}, expected at most {expected:g}")
sys.exit(bool(error > {expected:g}))
"""


def script(claim: Claim) -> str | None:
    """A program that shows it with the library alone, and exits 1 if its gradients are off."""
    if claim.implementation == "diffrax":
        blanks = {"dt": claim.case["dts"][0], "ts": claim.case["ts"], "expected": claim.expected}
        fields = programs.driven(claim.case["problem"])
        return programs.program(claim, claim.claim, fields, _CHECKPOINTED, **blanks)
    if claim.implementation != "torchsde" or claim.control:
        return None
    return _SCRIPT.format(dts=claim.case["dts"], ts=list(claim.case["ts"]), expected=claim.expected)
