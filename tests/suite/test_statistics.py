"""The measures: values by hand, scipy's where it has the same, and whether intervals cover what they say.

Coverage is counted over 2000 simulated experiments with a fixed seed. At 0.95 its standard deviation is
0.005, so the band of +-0.02 is 4 of them, and intervals of confidence 0.9 must fall out of it.
"""

import numpy as np
import pytest
from scipy import stats

from suite import statistics

REPEATS = 2000
DTS = [2.0**-k for k in range(3, 8)]


def test_relative_l1():
    a = {"w": np.array([1.0, -2.0]), "b": np.array([[3.0]])}
    b = {"w": np.array([1.0, -1.0]), "b": np.array([[4.0]])}
    assert statistics.relative_l1(a, b) == 2 / 6
    assert statistics.relative_l1(b, a) == 2 / 6
    assert statistics.relative_l1(a, {name: 3 * x for name, x in a.items()}) == 12 / 18
    assert statistics.relative_l1(a, a) == 0.0
    zero = {"w": np.zeros(2)}
    assert statistics.relative_l1(zero, zero) == 0.0
    assert statistics.relative_l1(zero, {"w": np.ones(2)}) == 1.0


def test_relative_l1_refuses_what_cannot_be_compared():
    a = {"w": np.ones(2)}
    for b in ({"v": np.ones(2)}, {"w": np.ones((2, 1))}, {"w": np.ones(2), "b": np.ones(1)}):
        with pytest.raises(ValueError, match="same names and shapes"):
            statistics.relative_l1(a, b)
    with pytest.raises(ValueError, match="gradient of 'w': 1 of 4 entries are not finite"):
        statistics.relative_l1(a, {"w": np.array([1.0, np.nan])})


def test_strong_error_is_the_root_mean_square():
    x, exact = np.array([[1.0, 2.0], [0.0, 0.0]]), np.array([[1.0, 1.0], [3.0, 0.0]])
    np.testing.assert_array_equal(statistics.squared_errors(x, exact), [1.0, 9.0])
    error = statistics.strong_error(x, exact)
    assert error.value == pytest.approx(5**0.5, rel=1e-15)
    assert error.low < error.value < error.high
    assert statistics.strong_error(x, x) == (0.0, 0.0, 0.0)
    single = statistics.strong_error(np.full((2, 1), 1 + 2.0**-20, np.float32), np.ones((2, 1)))
    assert single.value == pytest.approx(2.0**-20, rel=1e-12)


def test_errors_refuse_bad_arrays():
    x = np.zeros((3, 2))
    with pytest.raises(ValueError, match=r"\(3, 2\) and \(3, 1\)"):
        statistics.strong_error(x, x[:, :1])
    with pytest.raises(ValueError, match="paths >= 2"):
        statistics.strong_error(x[:1], x[:1])
    with pytest.raises(ValueError, match="solution: 1 of 6 entries are not finite"):
        statistics.strong_error(np.where(np.arange(6).reshape(3, 2) == 4, np.inf, x), x)
    with pytest.raises(ValueError, match="one number a path"):
        statistics.weak_error(x, 0.0)
    with pytest.raises(ValueError, match=r"squares must be \[dts, paths >= 2\]"):
        statistics.order(DTS, np.ones(5))


def test_weak_error_is_students_interval():
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((2, 50))
    for expected in (0.3, y):
        ours = statistics.weak_error(x, expected, confidence=0.9)
        test = stats.ttest_1samp(x - expected, 0.0)
        low, high = test.confidence_interval(0.9)
        np.testing.assert_allclose(ours, [np.mean(x - expected), low, high], rtol=1e-12)


def test_slope_is_that_of_the_regression():
    rng = np.random.default_rng(0)
    errors = np.exp(rng.standard_normal((5, 3)))
    expected = [stats.linregress(np.log(DTS), np.log(e)).slope for e in errors.T]
    np.testing.assert_allclose(statistics.slope(DTS, errors), expected, rtol=1e-12)
    assert statistics.slope(DTS, 3 * np.array(DTS) ** 1.5) == pytest.approx(1.5, rel=1e-12)


@pytest.mark.parametrize(
    ("dts", "errors"),
    [([0.1], [1.0]), ([0.1, 0.1], [1, 2]), ([0.1, 0.2], [0, 1]), ([0.1, -1], [1, 1]), ([0.1, 0.2], [1])],
)
def test_slope_refuses_bad_input(dts, errors):
    with pytest.raises(ValueError, match=r"two or more step sizes.*dts=\["):
        statistics.slope(dts, errors)


def simulated_squares(rng, paths):
    """Squared errors [dts, paths] of exact order 1, dependent across dts as on common Brownian paths."""
    common, own = rng.standard_normal(paths), rng.standard_normal((len(DTS), paths))
    return (np.array(DTS)[:, None] * (0.9**0.5 * common + 0.1**0.5 * own)) ** 2


def test_order_agrees_with_the_bootstrap_over_paths():
    squares = simulated_squares(np.random.default_rng(0), 3000)

    def resampled(*columns, axis=-1):
        return statistics.slope(DTS, np.array([np.mean(c, axis=axis) for c in columns])) / 2

    ours = statistics.order(DTS, squares)
    low, high = stats.bootstrap(
        list(squares),
        resampled,
        paired=True,
        method="percentile",
        n_resamples=2000,
        rng=np.random.default_rng(1),
    ).confidence_interval
    width = ours.high - ours.low
    assert abs(ours.low - low) < 0.15 * width
    assert abs(ours.high - high) < 0.15 * width


def covers(truth, experiment, confidence):
    """Whether the coverage over REPEATS simulated experiments is 0.95 within 4 of its standard deviations."""
    rng = np.random.default_rng(3)
    hits = sum(e.low <= truth <= e.high for e in (experiment(rng, confidence) for _ in range(REPEATS)))
    return abs(hits / REPEATS - 0.95) < 0.02


def strong(rng, confidence):
    return statistics.strong_error(rng.standard_normal((200, 2)), np.zeros((200, 2)), confidence=confidence)


def weak(rng, confidence):
    return statistics.weak_error(1 + rng.uniform(-1, 1, 30), 0.5, confidence=confidence)


def order(rng, confidence):
    return statistics.order(DTS, simulated_squares(rng, 500), confidence=confidence)


def order_by_unpaired_paths(rng, confidence):
    squares = simulated_squares(rng, 500)
    return statistics.order(DTS, np.array([rng.permutation(row) for row in squares]), confidence=confidence)


def middle(rng, confidence):
    return statistics.median(rng.exponential(size=44), confidence=confidence)  # covers 0.951, 0.904


@pytest.mark.parametrize(("truth", "experiment"), [(2**0.5, strong), (0.5, weak), (1.0, order), (np.log(2), middle)])
@pytest.mark.slow
def test_coverage(truth, experiment):
    assert covers(truth, experiment, 0.95)
    assert not covers(truth, experiment, 0.9)


@pytest.mark.slow
def test_coverage_rejects_errors_taken_as_independent_across_dts():
    assert not covers(1.0, order_by_unpaired_paths, 0.95)


@pytest.mark.parametrize("n", [6, 7, 20, 101])
@pytest.mark.parametrize("confidence", [0.9, 0.95])
def test_median_is_scipys_quantile_interval(n, confidence):
    x = np.random.default_rng(n).exponential(size=n)
    ours = statistics.median(x, confidence=confidence)
    theirs = stats.quantile_test(x, q=0, p=0.5).confidence_interval(confidence)
    assert ours == (np.median(x), theirs.low, theirs.high)


def test_median_refuses_too_few_samples():
    assert statistics.median(range(6)) == (2.5, 0.0, 5.0)
    with pytest.raises(ValueError, match="needs 6 samples or more, got 5"):
        statistics.median(range(5))
    with pytest.raises(ValueError, match="needs 8 samples or more, got 7"):
        statistics.median(range(7), confidence=0.99)
    with pytest.raises(ValueError, match="1 of 6 entries are not finite"):
        statistics.median([1.0, 2.0, 3.0, 4.0, 5.0, float("nan")])


def test_pairing_takes_out_what_slows_the_machine():
    rng = np.random.default_rng(0)
    machine = np.exp(rng.standard_normal(30))
    ours, theirs = machine * rng.uniform(0.99, 1.01, 30), 2 * machine * rng.uniform(0.99, 1.01, 30)
    paired = statistics.paired_ratio(theirs, ours)
    assert paired.low <= 2.0 <= paired.high
    assert paired.high - paired.low < 0.03
    shuffled = statistics.paired_ratio(rng.permutation(theirs), ours)
    assert shuffled.high - shuffled.low > 0.5


def test_paired_ratio_refuses_times_that_are_not_paired():
    t = np.ones(6)
    for times, reference in ((t, t[:5]), (0 * t, t), (t, -t)):
        with pytest.raises(ValueError, match="positive and of the same rounds"):
            statistics.paired_ratio(times, reference)
