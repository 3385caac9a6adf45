"""The checks of gradients and of what a solve says of itself accept what is right and reject their controls.

sdegrad.torch stands in for all libraries. The t-test of the log-ratio takes 65536 paths, seed fixed, at the level of
1e-3 over a thousand rows.
"""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from suite.verify import bad_input, counts, differences, gradient_orders, gradients, logqp, memory, outputs, solving
from suite.verify.checks import CHECKS
from suite.verify.findings import GOOD, Effort, Unsupported
from suite.verify.malformed import MALFORMED, PROGRAMS

EFFORT = Effort(1e-6, 5)
OURS = "sdegrad_torch"
CHECKED = ("gradient", "difference", "gradient order", "count", "output", "logqp")
MODULES = (bad_input, counts, differences, gradient_orders, gradients, logqp, memory, outputs)


def controls(check):
    return [claim for claim in CHECKS[check].claims(OURS) if claim.control]


@pytest.mark.parametrize("check", [*CHECKED, "memory"])
@pytest.mark.slow
def test_controls_are_judged(check):
    found = [(claim, CHECKS[check].measure(claim, EFFORT)) for claim in controls(check)]
    assert {claim.kind for claim, _ in found} == {"negative control", "positive control"}
    for claim, finding in found:
        good = finding.verdict in GOOD
        assert good == (claim.kind == "positive control"), (claim.subject, finding)


@pytest.mark.parametrize("check", CHECKED)
def test_the_claim_that_the_controls_spoil_holds(check):
    case = controls(check)[0].case
    claim = next(c for c in CHECKS[check].claims(OURS) if not c.control and c.case == case)
    assert CHECKS[check].measure(claim, EFFORT).verdict in GOOD


@pytest.mark.parametrize("module", MODULES)
def test_what_a_library_lacks_is_unsupported(module, monkeypatch):
    if module is bad_input:
        monkeypatch.setattr(bad_input, "_outcomes", lambda name: {"": bad_input.Outcome("an error", "not here")})
    refusing = SimpleNamespace(unsupported=lambda task: "not here.")
    monkeypatch.setattr(solving, "implementation", lambda name: refusing)
    solving.forget()
    claim = replace(next(iter(module.claims(OURS))), implementation=OURS)
    with pytest.raises(Unsupported, match="not here"):
        module.measure(claim, EFFORT)
    solving.forget()


@pytest.mark.parametrize("check", [*CHECKED, "memory", "bad input"])
@pytest.mark.parametrize("name", ["sdegrad_torch", "torchsde", "mylib"])
def test_claims_are_told_apart(check, name):
    claims = list(CHECKS[check].claims(name))
    assert len({(c.subject, c.claim) for c in claims}) == len(claims)
    assert all(c.check == check and c.implementation == name for c in claims)


@pytest.mark.slow
def test_the_log_ratio_sees_two_per_cent():
    ratios, exact = logqp._log_ratios(OURS, "euler", "additive", logqp.PATHS, EFFORT.seed)
    assert logqp.power(float(ratios.std()), 0.02 * exact, logqp.PATHS, EFFORT.level) > 0.99


def test_the_divergence_of_fine_steps_is_that_of_the_processes():
    """u = a + b y for the Gaussian y of known mean and variance: its square, integrated by Simpson's rule."""
    problem = logqp._problem("additive", 2, 0)
    theta, mean, sigma = (float(problem.params[k].ravel()[0]) for k in ("theta", "mean", "sigma"))
    t = np.linspace(0, 1, 201)
    m = mean + (logqp.START - mean) * np.exp(-theta * t)
    variance = sigma**2 * (1 - np.exp(-2 * theta * t)) / (2 * theta)
    a, b = theta * mean - logqp.PRIOR["theta"] * logqp.PRIOR["mean"], logqp.PRIOR["theta"] - theta
    rate = ((a + b * m) ** 2 + b**2 * variance) / (2 * sigma**2)
    weights = np.r_[1, np.tile([4, 2], 99), 4, 1] / 600
    assert logqp.divergence(problem.params, 1e-5, 1.0) == pytest.approx(weights @ rate, rel=1e-4)


def test_a_call_without_an_end_costs_no_other_call(monkeypatch):
    program = "steps = [0]\nwait = 0\ndef call():\n    __import__('time').sleep(wait)"
    cases = {"dt is NaN": "wait = 60", "dt is negative": "raise ValueError('dt=-0.1')"}
    monkeypatch.setitem(PROGRAMS, "torchsde", program)
    monkeypatch.setattr(bad_input, "text_of", lambda name, case: cases.get(case))
    monkeypatch.setattr(bad_input, "LEAST", 1.0)
    outcomes = bad_input._outcomes.__wrapped__("torchsde")
    assert outcomes["dt is NaN"].what == "no end"
    assert outcomes["dt is negative"] == ("an error", "ValueError: dt=-0.1")


@pytest.mark.parametrize(
    ("found", "what"),
    [
        ({"error": None, "warned": ""}, "a result"),
        ({"error": None, "warned": "hm"}, "a warning"),
        ({"error": "ValueError", "bases": ["ValueError"], "message": "dt=nan is no step"}, "an error"),
        ({"error": "ValueError", "bases": ["ValueError"], "message": "bad"}, "an error that names nothing"),
        ({"error": "KeyError", "bases": ["KeyError"], "message": "dt=nan"}, "an error that names nothing"),
        ({"error": "ValueError", "bases": ["ValueError"], "message": "dt=nan", "steps": 9}, "an error later"),
    ],
)
def test_what_comes_of_a_call_is_judged(found, what):
    given = {"name": "dt is NaN", "message": "", "warned": "", "steps": 0} | found
    assert bad_input._judged(OURS, given).what == what


@pytest.mark.parametrize("name", PROGRAMS)
def test_scripts_are_programs(name):
    claims = [c for c in bad_input.claims(name) if not c.control]
    assert len(claims) > len(MALFORMED) / 2
    for claim in claims:
        text = bad_input.script(claim)
        assert text is not None
        compile(text, claim.subject, "exec")
        assert "sdegrad" not in text or name.startswith("sdegrad")
        assert text.count("\n") <= 40


@pytest.mark.parametrize(
    ("drift", "diffusion", "verdict"),
    [(1, 1, "holds"), (1, 2, "fails"), (2, 0, "fails"), (0, 0, "fails"), (0, 1, "fails")],
)
def test_evaluations_that_are_missing_are_not_counted_well(drift, diffusion, verdict):
    found = counts._judged({"drift": 1, "diffusion": 1}, {"drift": drift, "diffusion": diffusion})
    assert found.verdict == verdict


@pytest.mark.parametrize(("exact", "verdict"), [(1, "fails"), (64, "exceeds")])
def test_one_gradient_that_is_exact_does_not_make_all_of_them_so(exact, verdict, monkeypatch):
    truth = np.ones((64, 1))
    wrong = np.where(np.arange(64)[:, None] < exact, truth, 5 * truth)
    parts = [{"y0": wrong}] * len(gradient_orders.DTS), [{"y0": truth}] * len(gradient_orders.DTS)
    monkeypatch.setattr(gradient_orders, "_gradients", lambda *_: parts)
    claim = next(c for c in gradient_orders.claims("sdegrad_torch") if not c.control)
    assert gradient_orders.measure(claim, EFFORT).verdict == verdict
