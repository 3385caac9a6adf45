"""Orders, agreement, weak orders, adaptive steps and stability: the truth is accepted, and what is not true is not."""

from dataclasses import replace

import numpy as np
import pytest

from suite import laws, mutants, statistics
from suite.harness import load
from suite.mutants import solvers
from suite.paths import make_path
from suite.problems import make
from suite.verify import adaptive, agreement, orders, schemes, stability, weak
from suite.verify.findings import GOOD, Effort, Unsupported

LEVEL = 1e-6  # about the share of a row in a run of a thousand
EFFORT = Effort(LEVEL, 20211)
MODULES = {"agreement": agreement, "order": orders, "weak": weak, "adaptive": adaptive, "stability": stability}


def find(module, **known):
    for claim in module.claims("sdegrad_torch"):
        facts = {**claim.case, "kind": claim.kind, "claim": claim.claim}
        if all(facts.get(key) == value for key, value in known.items()):
            return claim
    raise LookupError(known)


@pytest.mark.parametrize("check", ["agreement", "order", "adaptive", "stability", "weak"])
@pytest.mark.parametrize("kind", ["positive control", "negative control"])
def test_controls_are_judged_rightly(check, kind):
    controls = [c for c in MODULES[check].claims("sdegrad_torch") if c.kind == kind and c.spoil]
    assert controls
    for claim in controls:
        assert (MODULES[check].measure(claim, EFFORT).verdict in GOOD) == (kind == "positive control"), claim


@pytest.mark.parametrize("check", MODULES)
def test_what_a_library_refuses_is_unsupported(check, monkeypatch):
    monkeypatch.setattr(type(load("sdegrad_torch")), "unsupported", lambda *_: "it is gone.")
    claim = next(c for c in MODULES[check].claims("sdegrad_torch") if not c.control)
    with pytest.raises(Unsupported, match="it is gone"):
        MODULES[check].measure(claim, EFFORT)


def test_controls_have_the_power_to_be_rejected():
    """Errors of an order a tenth too low, the bound being the margin below it; increments a fifth too large."""
    gap = orders.SYNTHETIC["negative control"] - orders.MARGIN
    noise = orders.NOISES["diagonal"]
    assert statistics.power_of_order(noise.dts, noise.paths, gap, LEVEL) > 0.99
    assert laws.power_of_variance(adaptive.SAMPLES, 1.2**2, LEVEL / 3) > 0.99
    squares = stability._squares("sdegrad_torch", "heun", stability.MEAN_PATHS, 1)  # 2 % too large
    assert laws.power_of_mean(stability.MEAN_PATHS, 0.02 * squares.mean() / squares.std(), LEVEL) > 0.99
    # a bias of order 1 for 2 with a deviation of its own size: the slope over steps of 1/2, 1/4, 1/8
    deviation = (weak.PAIRS * (np.log(weak.DTS) - np.log(weak.DTS).mean()) @ np.log(weak.DTS)) ** -0.5
    assert laws.power_of_mean(1, (1 - weak.MARGIN) / deviation, LEVEL / 4) > 0.99


def test_a_functional_that_is_not_decided_is_named():
    estimates = {"first": statistics.Estimate(2.0, 1.9, 2.1), "second": statistics.Estimate(1.8, 1.2, 2.4)}
    found = weak._judged(2.0, estimates, 1000)
    assert (found.verdict, found.reason) == ("holds", "first, the clearest of 2; not decided: second")


def test_power_of_an_order_is_what_simulation_says():
    """2000 runs of 64 samples; the rejections of a binomial within 4 standard deviations of the power, about 0.045."""
    dts, samples, gap, level = (0.5, 0.25, 0.125), 64, 0.3, 0.05
    rng, rejected = np.random.default_rng(0), 0
    for _ in range(2000):
        errors = np.array(dts)[:, None] ** (1 - gap) * rng.standard_normal((3, samples))
        rejected += statistics.order(dts, errors**2, confidence=1 - level).high < 1
    power = statistics.power_of_order(dts, samples, gap, level)
    assert abs(rejected / 2000 - power) < 0.06


def test_a_bend_is_seen_and_cut_off():
    """Errors dt + 20 dt^3: order 1, but for long steps. Normal errors of 4000 paths."""
    dts = (0.5, 0.25, 0.125, 0.0625, 0.03125)
    size = np.array(dts) + 20 * np.array(dts) ** 3
    squares = (size[:, None] * np.random.default_rng(0).standard_normal(4000)) ** 2
    kept, _ = orders.straight(dts, squares, 1 - LEVEL)
    assert kept == dts[2:]


@pytest.mark.parametrize("noise", orders.NOISES)
def test_solutions_are_exact_enough_for_the_orders(noise):
    """What half of the cells leave unknown is less than a tenth of the smallest error of the best method there is."""
    known = orders.NOISES[noise]
    best = {"additive": "sra1", "diagonal": "srk", "scalar": "srk"}.get(noise, "heun")
    path, exact, blur = orders.fine(noise, 256, 3)
    problem = orders.posed(known, "ito" if best == "srk" else "stratonovich", 256, 3)
    steps = np.arange(0, len(path.times), 2)
    errors = statistics.squared_errors(schemes.solve(problem, best, path, steps, {})[-1], exact)
    assert blur < orders.BLUR * errors.mean() ** 0.5


@pytest.mark.parametrize(
    ("method", "noise", "sde_type", "order"),
    [
        ("srk", "scalar", "ito", 1.5),
        ("milstein", "diagonal", "ito", 1.0),
        ("heun", "commutative", "stratonovich", 1.0),
        ("sra1", "additive", "ito", 1.5),
        ("heun", "general", "stratonovich", 0.5),
        ("euler", "general", "ito", 0.5),
    ],
)
def test_orders_are_sharp_on_their_problems(method, noise, sde_type, order):
    """The formulas in NumPy, 1024 paths: within 0.15 of the order, which is 4 standard errors or more."""
    known = orders.NOISES[noise]
    path, exact, _ = orders.fine(noise, 1024, 3)
    problem = orders.posed(known, sde_type, 1024, 3)
    cells = [round(dt * (len(path.times) - 1)) for dt in known.dts[1:]]
    ends = [schemes.solve(problem, method, path, np.arange(0, len(path.times), k), {})[-1] for k in cells]
    squares = np.array([statistics.squared_errors(end, exact) for end in ends])
    assert abs(statistics.order(known.dts[1:], squares).value - order) < 0.15


def test_a_step_of_a_formula_is_that_of_its_derivative():
    """The correction of Milstein's scheme by complex steps, against differences."""
    problem = make("twisted_scalar", sde_type="ito")
    at, eps = schemes.Fields(problem), 1e-6
    b = at.b(0.3, problem.y0)[..., 0]
    difference = (at.b(0.3, problem.y0 + eps * b) - at.b(0.3, problem.y0 - eps * b))[..., 0] / (2 * eps)
    np.testing.assert_allclose(at.along(0.3, problem.y0, 0), difference, atol=1e-8)


def test_a_library_takes_the_steps_of_the_formula():
    for method, problem in (("srk", "twisted_diagonal"), ("heun", "twisted_general")):
        claim = find(agreement, method=method, problem=problem, grid="even steps")
        assert agreement.measure(claim, EFFORT).verdict == "holds"


def caught(name, known):
    claim = replace(find(agreement, **known), implementation=name)
    return agreement.measure(claim, EFFORT).verdict == "fails"


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("milstein: correction", {"method": "milstein"}),
        ("heun: rounded", {"method": "heun"}),
        ("srk: I_10", {"method": "srk"}),
        ("grid: the last step", {"grid": "a last step that is cut short"}),
        ("sra1: weights", {"method": "sra1"}),
    ],
)
def test_a_solver_that_is_wrong_is_caught(name, known):
    assert caught(name, known)


def test_mutants_of_solvers_name_checks_and_what_they_repeat():
    assert solvers.MUTANTS.items() <= mutants.MUTANTS.items()
    assert sum(bool(mutant.after) for mutant in solvers.MUTANTS.values()) >= 5


@pytest.mark.parametrize("problem", ["sinh", "sheared", "squares", "areas", "winding"])
def test_solutions_are_the_same_in_both_calculi(problem):
    """The drift follows the calculus, so that the solution is one."""
    ito, other = (make(problem, paths=3, sde_type=sde_type) for sde_type in ("ito", "stratonovich"))
    path = make_path(0.0, 1.0, 8, 3, ito.noise_dim, 0)
    np.testing.assert_array_equal(ito.exact(path, ito.y0, ito.params), other.exact(path, other.y0, other.params))
    drifts = [p.drift(schemes.XP, 0.2, p.y0, p.params) for p in (ito, other)]
    assert np.allclose(*drifts) == (ito.noise_type == "additive")
