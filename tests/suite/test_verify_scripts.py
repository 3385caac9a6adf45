"""Every failure of another library can be shown with that library alone: by a program, or here stands why not.

Programs of the rows that fail in the reference run are run, one for each check and library.
"""

import csv
import subprocess
import sys
from pathlib import Path

import pytest

from suite.harness import METHODS, solvers
from suite.verify.checks import CHECKS, claims_of
from suite.verify.run import _reproduced

PEERS = ("torchsde", "diffrax")
REFERENCE = Path("reports/reference/cpu/verification.csv")

# check, library -> why none of its claims has a program
NONE = {
    ("logqp", "diffrax"): "it has no log-ratio",
    ("levy area", "diffrax"): "it has no Levy area of two motions, and no claims",
    ("growth", "torchsde"): "a figure, which cannot fail",
    ("growth", "diffrax"): "it has no reversible adjoint, and no claims",
}
# check, library -> why some have none
SOME = {
    (
        "agreement",
        "torchsde",
    ): "a program repeats the formula of one step: written for the formulas that are known to fail",
    (
        "agreement",
        "diffrax",
    ): "a program repeats the formula of one step: written for the formulas that are known to fail",
    ("order", "torchsde"): "the limit is shown where the increment of the noise tells the solution",
    ("order", "diffrax"): "the limit is shown where the increment of the noise tells the solution",
    ("law", "torchsde"): "of motions that are not the exact one, those that are known to fail",
    ("law", "diffrax"): "of motions that are not the exact one, those that are known to fail",
    ("increments", "torchsde"): "of motions that are not the exact one, those that are known to fail",
    ("increments", "diffrax"): "of motions that are not the exact one, those that are known to fail",
}


def has(name, claim):
    """Whether the library has the method, or needs none, and the adjoint."""
    method = claim.case.get("method")
    if claim.case.get("adjoint") == {"torchsde": "checkpoint", "diffrax": "reversible"}[name]:
        return False
    if method is None:
        return True
    sde_type = claim.case.get("sde_type") or METHODS[method].sde_type
    return method in solvers(name, sde_type)


@pytest.fixture(scope="module")
def scripts():
    """{(check, library): {claim: its program or None}}, of what the library has."""
    found = {}
    for name in PEERS:
        for claim in claims_of(name):
            if not claim.control and has(name, claim):
                found.setdefault((claim.check, name), []).append((claim, CHECKS[claim.check].script(claim)))
    return found


@pytest.mark.slow
def test_every_check_has_programs_for_every_library(scripts):
    lacking = {pair for pair in ((c, n) for c in CHECKS for n in PEERS) if not any(s for _, s in scripts.get(pair, ()))}
    assert lacking == set(NONE)
    partly = {pair for pair, known in scripts.items() if any(s for _, s in known) and not all(s for _, s in known)}
    assert partly == set(SOME)


def test_programs_are_of_the_library_alone_and_short(scripts):
    for (check, name), known in scripts.items():
        for text in {text for _, text in known if text}:
            compile(text, f"{check} {name}", "exec")
            assert text.count("\n") <= 40, (check, name)
            assert name in text
            assert not any(other in text for other in ("sdegrad", "suite", *set(PEERS) - {name}))


@pytest.mark.slow
def test_controls_have_no_program():
    for name in PEERS:
        assert not any(CHECKS[c.check].script(c) for c in claims_of(name) if c.control and c.check != "bad input")


def failing():
    """The first claim of each check and library that fails in the reference run, but for calls without an end."""
    with REFERENCE.open(encoding="utf-8", newline="") as lines:
        rows = [r for r in csv.DictReader(lines) if r["verdict"] == "fails" and r["implementation"] in PEERS]
    rows = [r for r in rows if not r["kind"].endswith("control") and "no end" not in r["reason"]]
    return {(r["check"], r["implementation"]): (r["subject"], r["claim"]) for r in reversed(rows)}


@pytest.mark.exhaustive(but=["agreement-diffrax", "law-torchsde"])
@pytest.mark.slow
@pytest.mark.parametrize(("check", "name"), sorted(failing()))
def test_a_failure_of_the_reference_run_is_shown(scripts, check, name):
    subject, words = failing()[check, name]
    texts = [text for claim, text in scripts[check, name] if (claim.subject, claim.claim) == (subject, words)]
    if not texts:
        pytest.skip("it is no longer claimed")
    done = subprocess.run([sys.executable, "-c", texts[0]], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr


def test_a_program_that_breaks_shows_nothing():
    assert _reproduced("raise SystemExit(1)")["reproduced"].startswith("yes")
    assert _reproduced("1 / 0")["reproduced"].startswith("no")


@pytest.mark.parametrize(("found", "code"), [("", 0), ("1.001 * ", 1)])
@pytest.mark.slow
def test_a_program_tells_right_from_wrong(scripts, found, code):
    """The growth of a linear equation by heun of torchsde, and of one that is 0.1 % off."""
    known = scripts["stability", "torchsde"]
    text = next(text for claim, text in known if claim.case["method"] == "heun" and claim.case["point"] == "spirals")
    changed = text.replace("lambda t, y, p: -0.3 * y", f"lambda t, y, p: {found}-0.3 * y")
    assert (changed == text) == (code == 0)
    assert subprocess.run([sys.executable, "-c", changed], capture_output=True, timeout=120).returncode == code


# check, subject, words of the claim, what is changed in the program, exit code
TOLD = [
    ("weak", "sra1, ito, additive noise", "weak", {"SRA1": "Euler"}, 1),
    ("adaptive", "heun, stratonovich, adaptive steps", "its steps", {"xp.stack([1 ": "xp.stack([1.2 "}, 1),
    ("stability", "heun, a linear equation", "has the mean square", {"0.4 * y": "0.42 * y"}, 1),
    ("gradient order", "milstein, gbm, backprop", "the", {"ItoMilstein": "Euler", ", 0.015625, 0.0078125": ""}, 1),
]


@pytest.mark.exhaustive
@pytest.mark.parametrize(("check", "subject", "words", "changes", "code"), TOLD)
def test_a_program_of_diffrax_tells_right_from_wrong(scripts, check, subject, words, changes, code):
    known = scripts[check, "diffrax"]
    text = next(text for c, text in known if c.subject == subject and c.claim.startswith(words))
    for right, wrong in changes.items():
        assert right in text
        text = text.replace(right, wrong)
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (code, "")
