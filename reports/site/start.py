"""The start page: ten sentences, each made from rows, with what speaks against it; one without rows is left out."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from reports import claims as verified
from reports import labels, versus
from reports.claims import Claims
from reports.data import CHOSEN, Frame, groups, implementations, measured, solvers, work_columns
from reports.versus import Ratio

EXACT = ("reversible", "checkpoint", "backprop")  # adjoints of the discrete solve
FEW = 3  # exceptions that are named
SAME = 1e-3  # relative


def sentences(frame: Frame, claims: Claims) -> Iterator[tuple[str, str]]:
    """(what it is about, the sentence) in the order of the table."""
    for about, write in _SENTENCES.items():
        text = write(frame, claims)
        if text:
            yield about, text


def _speed(frame: Frame, measure: str, what: str, names: Sequence[str]) -> str:
    """Of each rival: how many times as long it takes, and where that is not longer."""
    told = []
    for ours, rival in versus.pairs(frame):
        found = versus.paired(frame, measure, ours, rival) if ours in names else []
        if found:
            told.append(f"{rival} takes {_range(found)} the time of {ours} for {what}; {_exceptions(found)}")
    return f"{'. '.join(told)}." if told else ""


def _range(found: Sequence[Ratio]) -> str:
    """The least and the most of ratios, with the work of the least."""
    ends = [min(found, key=lambda r: r.value), max(found, key=lambda r: r.value)]
    if len(found) == 1:
        return f"{ends[0].words} (one work)"
    return f"{ends[0].words} ({ends[0].work}) to {ends[1].words} ({len(found)} works)"


def _exceptions(found: Sequence[Ratio]) -> str:
    losses = sorted((r for r in found if r.is_loss), key=lambda r: r.value)
    if not losses:
        return "at none of these works is it as fast"
    if len(losses) == len(found):
        return "at all of these works it is as fast or faster"
    named = "; ".join(f"{r.words} at {r.work}" for r in losses[:FEW])
    more = f", and {len(losses) - FEW} more" if len(losses) > FEW else ""
    return f"it is as fast or faster at {len(losses)} of them: {named}{more}"


def _gradient_torch(frame: Frame, _: Claims) -> str:
    return _speed(frame, "gradient_time", "a gradient", [versus.OURS["torch"]])


def _gradient_jax(frame: Frame, _: Claims) -> str:
    return _speed(frame, "gradient_time", "a gradient", [versus.OURS["jax"]])


def _solve(frame: Frame, _: Claims) -> str:
    return _speed(frame, "solve_time", "a solve alone", list(versus.OURS.values()))


def _brownian(frame: Frame, _: Claims) -> str:
    return _speed(frame, "brownian_time", "Brownian motion alone", list(versus.OURS.values()))


def _by_hand(frame: Frame, _: Claims) -> str:
    """What a loop written for the one problem takes, which no library can be expected to beat."""
    told = []
    for ours, rival in versus.pairs(frame, bounds=True):
        for measure in ("gradient_time", "solve_time"):
            found = versus.paired(frame, measure, ours, rival)
            if found:
                what = measure.replace("_time", "").replace("_", " ")
                told.append(f"{rival} takes {_range(found)} the time of {ours} for a {what}; {_exceptions(found)}")
    return f"Against loops written by hand for one problem: {'. '.join(told)}." if told else ""


def _exact(frame: Frame, _: Claims) -> str:
    """The largest error of gradients, by the kind of adjoint."""
    rows = solvers(measured(frame, "gradient_error"))
    exact, other = (rows[rows["adjoint"].isin(EXACT) == is_exact] for is_exact in (True, False))
    if exact.empty:
        return ""
    names = ", ".join(implementations(exact))
    text = (
        f"Gradients of the {' and '.join(dict.fromkeys(exact['adjoint']))} adjoint ({names}) are within "
        f"{labels.number(exact['value'].max())} of backpropagation at every step size"
    )
    if other.empty:
        return f"{text}."
    worst, best = (other.loc[k] for k in (other["value"].idxmax(), other["value"].idxmin()))
    return (
        f"{text}; those of the {' and '.join(dict.fromkeys(other['adjoint']))} adjoint are off by "
        f"{labels.number(best['value'])} (dt {labels.step_size(best['dt'])}) to {labels.number(worst['value'])} "
        f"(dt {labels.step_size(worst['dt'])}), in {', '.join(implementations(other))}."
    )


def _memory(frame: Frame, _: Claims) -> str:
    """The peak of a gradient at the most steps, the least first."""
    rows = solvers(measured(frame, "gradient_memory"))
    for work, part in groups(rows[rows["steps"] == rows["steps"].max()], work_columns(*CHOSEN)):
        part = part.sort_values("value")
        told = [
            f"{r['implementation']} {labels.quantity(r['value'], 'B')} ({r['adjoint']})" for _, r in part.iterrows()
        ]
        at = labels.work(work, ("batch", "dim", "hidden", "dtype"))
        return f"A gradient over {work['steps']:.0f} steps ({at}) takes at its peak: {', '.join(told)}."
    return ""


def _accuracy(frame: Frame, _: Claims) -> str:
    """Which method has the smallest strong error at one step size, and what reversible Heun has."""
    rows = solvers(measured(frame, "strong_error"))
    for work, part in groups(rows, ("problem", "noise_type")):
        part = part[part["dt"] == part["dt"].min()]
        by_method = part.groupby("method")["value"].max().sort_values()
        spread = (by_method / part.groupby("method")["value"].min()).max() - 1
        if "reversible_heun" in by_method and len(by_method) > 1:
            counts = measured(frame, "nfe_drift")
            counts = counts[counts["adjoint"] == ""].groupby("method")["value"].min()
            told = [
                f"{labels.method(m)} {labels.number(v)}" + f" ({counts[m]:g} of the drift a step)" * (m in counts)
                for m, v in by_method.items()
            ]
            dt = labels.step_size(part["dt"].iloc[0])
            among = "the same in all libraries" if spread < SAME else "the largest of any library"
            return f"Strong error on {work['problem']} at dt = {dt}, {among}, and evaluations: {', '.join(told)}."
    return ""


def _first_call(frame: Frame, _: Claims) -> str:
    """The price of compilation, once per shape."""
    told = []
    for ours, rival in versus.pairs(frame):
        found = versus.compared(frame, "compile_time", ours, rival)
        if found:
            told.append(f"{rival} takes {_range(found)} the time of {ours}; {_exceptions(found)}")
    return f"First call, compilation included: {'. '.join(told)}." if told else ""


def _verified(_: Frame, claims: Claims) -> str:
    """How many claims of each library hold."""
    counted: dict[str, Counter] = {}
    for row in claims:
        if not verified.is_control(row) and row["verdict"] not in verified.UNDECIDED:
            held = row["verdict"] in ("holds", "exceeds")
            counted.setdefault(row["implementation"], Counter())[verified.kind(row), held] += 1
    told = [
        f"{name} {of['claim', True]} of {of['claim', True] + of['claim', False]} of its own claims, "
        f"{of['theory', True]} of {of['theory', True] + of['theory', False]} of theory"
        for name, of in counted.items()
    ]
    return f"Of what was verified there hold: {'; '.join(told)}." if told else ""


_SENTENCES: dict[str, Callable[[Frame, Claims], str]] = {
    "Gradient, PyTorch": _gradient_torch,
    "Gradient, JAX": _gradient_jax,
    "Solve": _solve,
    "Brownian motion": _brownian,
    "By hand": _by_hand,
    "Exactness": _exact,
    "Memory": _memory,
    "Accuracy": _accuracy,
    "First call": _first_call,
    "Verification": _verified,
}
