"""The checks of Brownian motions: they accept what is true, reject their controls, and pass on what is not supported.

The law tests with an eighth of their samples and at a level of 1e-6; what is to be seen with all of them is a matter of
their power, which is computed.
"""

from dataclasses import replace
from functools import reduce

import numpy as np
import pytest
import torch

from sdegrad.adapters.torch_run import ProblemSDE
from sdegrad.torch import BrownianInterval, sdeint
from suite import laws
from suite.verify import areas, brownian, consumed, determinism, increments, run, solving
from suite.verify.findings import GOOD, Effort, Unsupported
from suite.verify.intervals import SITUATIONS

EFFORT = Effort(1e-6, 7)
MODULES = {"law": brownian, "levy area": areas, "increments": increments, "consumed": consumed}
MODULES["determinism"] = determinism
COMPARISONS = 15 * 15  # tests, and vectors of each


@pytest.fixture(autouse=True)
def small(monkeypatch):
    for module in (brownian, areas):
        monkeypatch.setattr(module, "ENTRIES", 96)
    monkeypatch.setattr(consumed, "ENTRIES", 64)
    monkeypatch.setattr(consumed, "PATHS", 256)
    solving.forget()
    yield
    solving.forget()


def claims(check, *words, kinds=("claim", "theory")):
    found = [c for c in MODULES[check].claims("sdegrad_torch") if c.kind in kinds]
    return [c for c in found if all(word in f"{c.subject}: {c.claim}" for word in words)]


@pytest.mark.exhaustive(but=["law", "levy area", "increments", "determinism"])
@pytest.mark.slow
@pytest.mark.parametrize("check", MODULES)
def test_what_is_true_is_accepted(check):
    few = {"law": claims("law")[2:3] + claims("law", "backwards"), "determinism": claims("determinism")[:-4]}
    for claim in few.get(check, [c for c in claims(check) if not c.subject.endswith("with K")]):  # of JAX alone
        found = MODULES[check].measure(claim, EFFORT)
        assert found.verdict in GOOD, (claim.subject, found)


@pytest.mark.exhaustive(but=["law", "levy area", "increments", "determinism"])
@pytest.mark.slow
@pytest.mark.parametrize("check", MODULES)
def test_positive_controls_are_accepted_and_negative_ones_rejected(check):
    too_small = {"H correlated with W by 0.02", "scaled by 1.01", "mean of 0.05 standard deviations"}
    controls = claims(check, kinds=("negative control", "positive control"))
    assert {c.kind for c in controls} == {"negative control", "positive control"}
    for claim in controls:
        if claim.spoil.get("defect") in too_small:
            continue
        found = MODULES[check].measure(claim, EFFORT)
        assert (found.verdict in GOOD) == (claim.kind == "positive control"), (claim.subject, found)


def test_the_smallest_controls_are_seen():
    """With all samples, at the level of a row of a run of 1000, shared by all that is compared: at least 0.99."""
    level = run.ALPHA / 1000 / COMPARISONS
    of_a_query = 2 * 128 * 768
    assert (brownian.SEEDS, brownian.ROWS) == (areas.SEEDS, areas.ROWS) == (2, 128)
    assert laws.power_of_variance(12 * of_a_query, 1.01, level) > 0.99  # of all parts together, 1 %
    of_areas = 15 * 2 * 128 * 900  # W, H and A of five intervals: the defect is in a third
    assert laws.power_of_variance(of_areas, 1 + (1.01**2 - 1) / 3, level) > 0.99
    assert laws.power_of_mean(of_a_query, 0.05, level) > 0.99
    pairs = 14 * 13 / 2
    assert laws.power_of_correlation(of_a_query, 0.02, run.ALPHA / 1000 / 12 / pairs) > 0.99
    assert laws.power_of_variance(15 * 128 * 512, 1.01**2, level) > 0.99  # of consumed increments
    # Levy areas, 5 % larger: their squares have twice their mean as standard deviation, by the kurtosis 5 of 1 / cosh
    assert laws.power_of_mean(consumed.AREA_PATHS, (1 - 1.05**-2) / 2, level) > 0.99


@pytest.mark.parametrize("situation", SITUATIONS)
def test_situations_can_be_told_from_rounding(situation):
    """Whitening magnifies the rounding of samples by the root of the condition of their correlation: below 1e-3."""
    for seed in range(5):
        task = SITUATIONS[situation].task("sdegrad_torch", seed, 0, (1,))
        assert all(task.t0 <= s < t <= task.t1 for s, t in task.queries)
        exact = laws.covariance([(s, t, what) for what in brownian.PARTS[task.levy_area] for s, t in task.queries])
        deviations = np.diag(exact) ** 0.5
        magnified = np.linalg.cond(exact / deviations / deviations[:, None]) ** 0.5
        assert magnified * np.finfo(task.dtype).eps < 1e-3


def test_covariance_of_k():
    """K is independent of W and H, and of variance h/720; of the left half it has covariance with the whole."""
    parts = [(0.0, 2.0, "W"), (0.0, 2.0, "H"), (0.0, 2.0, "K"), (0.0, 1.0, "W")]
    expected = np.diag([2.0, 2 / 12, 2 / 720])
    np.testing.assert_allclose(laws.covariance(parts)[:3, :3], expected, atol=1e-16)
    assert laws.covariance(parts)[2, 3] == pytest.approx(0.0, abs=1e-16)  # P2 is even, and of mean zero on each half
    assert laws.covariance(parts)[1, 3] == pytest.approx(0.25)


def test_what_is_not_supported_passes_through(monkeypatch):
    monkeypatch.setattr(type(solving.implementation("sdegrad_torch")), "unsupported", lambda self, task: "it is gone.")
    for check, module in MODULES.items():
        with pytest.raises(Unsupported, match="it is gone"):
            module.measure(claims(check)[0], EFFORT)


def test_k_over_a_union_is_that_of_the_integrals():
    """W, H and K by Gauss's rule of dW = cos(5 u) du, over three parts of unequal length and over all."""
    x, w = np.polynomial.legendre.leggauss(30)

    def piece(s, t):
        density = np.cos(5 * (s + (t - s) * (x + 1) / 2)) * (t - s) / 2 * w
        parts = (density * weight for weight in (1, -x / 2, (3 * x**2 - 1) / 24))
        W, H, K = (part.sum(keepdims=True) for part in parts)
        return increments.Piece(t - s, W, H, None, K)

    joined = reduce(increments.join, (piece(0.0, 0.3), piece(0.3, 1.0), piece(1.0, 1.6)))
    whole = piece(0.0, 1.6)
    np.testing.assert_allclose(joined[1:3], whole[1:3], rtol=1e-12)
    np.testing.assert_allclose(joined.K, whole.K, rtol=1e-12)


def test_the_bound_of_rounding_is_no_loose_one():
    """Of a motion of ours it is met with less than three digits in hand, and what is off by 1e-12 is not within it."""
    claim = claims("increments", "without a grid")[0]
    assert 1e-3 < increments.measure(claim, EFFORT).value < 1
    off = replace(claim, spoil={"part": 1e-12})
    assert increments.measure(off, EFFORT).value > 1


def test_chen_joins_areas():
    """H and A of two steps of a path of three points, by hand."""
    W = np.array([[1.0, 2.0], [3.0, -1.0]])
    left, right = (increments.Piece(1.0, w, 0 * w, np.zeros((2, 2))) for w in W)
    joined = increments.join(left, right)
    np.testing.assert_allclose(joined.H, (W[0] - W[1]) / 4)
    assert joined.A[0, 1] == -joined.A[1, 0] == (1 * -1 - 2 * 3) / 2


@pytest.mark.exhaustive(but=["0.01"])
@pytest.mark.parametrize("tolerance", [consumed.TOLERANCE, consumed.TOLERANCE / 10])
@pytest.mark.slow
def test_rejections_happen_and_steps_are_as_many_as_the_bound_of_rounding_allows(tolerance):
    """Otherwise the noise of adaptive steps would prove nothing: more trials than accepted steps."""
    problem = consumed.noise_and_integral(consumed.STIFF)
    y0 = torch.zeros(16, problem.y0.shape[1], dtype=torch.float64)
    size, areas = (16, consumed.NOISE), {"levy_area_approximation": "space-time"}
    bm = BrownianInterval(0.0, 1.0, size, torch.float64, entropy=1, **areas)
    tolerances = {"rtol": tolerance, "atol": tolerance}
    solve = {"method": "shark", "dt": consumed.FIRST, "adaptive": True, "return_stats": True}
    sde, ts = ProblemSDE(problem, torch.float64, "cpu"), torch.tensor([0.0, 1.0], dtype=torch.float64)
    stats = sdeint(sde, y0, ts, bm=bm, **solve, **tolerances)[-1]
    assert stats.num_rejected >= 5
    assert stats.num_steps <= consumed.STEPS


def test_a_library_known_to_this_process_alone_is_unsupported():
    with pytest.raises(Unsupported, match="this process alone"):
        determinism.elsewhere("mylib", 1, 1)


def test_more_samples_are_taken_where_more_are_asked(monkeypatch):
    seen = []
    monkeypatch.setattr(brownian, "_samples", lambda *arguments: seen.append(arguments[2]) or 1 / 0)
    for more in (1.0, 2.5):
        with pytest.raises(ZeroDivisionError):
            brownian.measure(claims("law")[0], replace(EFFORT, more=more))
    assert seen == [96, 240]
