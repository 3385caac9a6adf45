"""The law test accepts exact samples and rejects each defect, as often as its power says.

Exact samples: 40 seeds of 2 x 2q x 64 x 128 normals at a level of 1e-3 for all of them together.
"""

import numpy as np
import pytest
from scipy import stats

from suite import laws
from suite.verify import run
from suite.verify.brownian import ENTRIES, ROWS, SEEDS
from suite.verify.checks import claims_of
from suite.verify.spoiled import DEFECTS

QUERIES = ((0.5, 1.0), (0.0, 0.3), (0.25, 0.375), (0.1, 0.9), (0.31, 0.32), (0.0, 1.0))
PARTS = [(s, t, what) for what in ("W", "H") for s, t in QUERIES]
EXACT = laws.covariance(PARTS)
LEVEL = 1e-3


def samples(seed, shape=(2, 64, 128)):
    """[seeds, parts, rows, entries] with the exact law."""
    normals = np.random.default_rng(seed).standard_normal((len(PARTS), *shape))
    return np.moveaxis(np.tensordot(np.linalg.cholesky(EXACT), normals, 1), 0, 1)


def p_value(x):
    return laws.together(laws.tests(laws.whiten(x, EXACT)))


@pytest.mark.slow
def test_exact_samples_are_accepted():
    assert min(p_value(samples(seed)) for seed in range(40)) > LEVEL / 40


def test_p_values_are_those_of_the_samples():
    """Each single test, over 400 small samples: uniform (Kolmogorov-Smirnov at 1e-3 over all of them)."""
    rng = np.random.default_rng(1)
    found = {
        "mean": lambda x: laws.mean(x[0]),
        "variance": lambda x: laws.variance(x[0]),
        "correlation": lambda x: laws.correlation(x[:2]),
        "common part": laws.common_part,
    }
    for name, test in found.items():
        p = [test(rng.standard_normal((4, 30))) for _ in range(400)]
        assert stats.kstest(p, "uniform").pvalue > LEVEL / len(found), name


@pytest.mark.parametrize("by", [(0, 1, 0), (0, 0, 3), (0, 1, 1), (1, 0, 2), (2, 3, 0)])
@pytest.mark.parametrize("axis", [1, 2, 3])
def test_noise_used_again_at_an_offset_is_rejected(axis, by):
    """Every second query, row or entry is that before it, moved over the others."""
    x = np.random.default_rng(3).standard_normal((1, 8, 16, 32))
    odd, even = (tuple([slice(None)] * axis + [slice(start, None, 2)]) for start in (1, 0))
    again = x.copy()
    again[odd] = np.roll(x[even], by, (1, 2, 3))
    assert min(laws.tests(x).values()) > LEVEL / 15
    assert laws.together(laws.tests(again)) < run.ALPHA / 200


def test_offsets_are_seen_by_chance_as_rarely_as_they_say():
    """800 small samples: no more than 5 %, by five standard deviations of a proportion."""
    rng = np.random.default_rng(4)
    p = [laws.offset(*rng.standard_normal((2, 2, 3, 4, 5))) for _ in range(800)]
    assert 0.02 < np.mean(np.array(p) < 0.05) < 0.05 + 5 * (0.05 * 0.95 / 800) ** 0.5


@pytest.mark.exhaustive(but=["0-*"])
@pytest.mark.slow
@pytest.mark.parametrize("name", DEFECTS)
@pytest.mark.parametrize("seed", range(3))
def test_defects_are_rejected(seed, name):
    """In half the size and at the level of a whole run: 3 seeds, all of them."""
    x = samples(seed, (SEEDS, ROWS, ENTRIES // 2))
    assert p_value(DEFECTS[name](x)) < run.ALPHA / 200


def test_the_power_for_the_smallest_defects():
    """Of the verification, at its level, shared by the comparisons of the tests: at least 0.99 for each."""
    level = run.level_of(claims_of("sdegrad_torch")) / 4 / 12 / 66
    one_query = SEEDS * ROWS * ENTRIES
    assert laws.power_of_variance(len(PARTS) * one_query, 1.01**2, level) > 0.99
    assert laws.power_of_mean(one_query, 0.05, level) > 0.99
    assert laws.power_of_correlation(one_query, 0.1, level) > 0.99


def test_power_is_how_often_is_rejected():
    """2000 samples of 200 each; five standard deviations of a proportion."""
    rng, level = np.random.default_rng(2), 0.05
    x = rng.standard_normal((2000, 200))
    shifted = np.mean([laws.mean(row + 0.2) < level for row in x])
    wider = np.mean([laws.variance(row * 1.25**0.5) < level for row in x])
    y = 0.2 * x + (1 - 0.2**2) ** 0.5 * rng.standard_normal(x.shape)
    related = np.mean([laws.correlation(np.array(pair)) < level for pair in zip(x, y, strict=True)])
    assert shifted == pytest.approx(laws.power_of_mean(200, 0.2, level), abs=0.06)
    assert wider == pytest.approx(laws.power_of_variance(200, 1.25, level), abs=0.06)
    assert related == pytest.approx(laws.power_of_correlation(200, 0.2, level), abs=0.06)
    assert laws.power_of_variance(200, 1.0, level) == pytest.approx(level)
    needed = laws.samples_for(lambda n: laws.power_of_mean(n, 0.1, level))
    assert laws.power_of_mean(needed, 0.1, level) >= 0.99 > laws.power_of_mean(int(needed / 1.2), 0.1, level)


def test_covariance_of_increments_and_areas():
    """W_{0,1} and H_{0,1} are independent, of variance 1 and 1/12; H has covariance with a half of its interval."""
    parts = [(0.0, 1.0, "W"), (0.0, 1.0, "H"), (0.0, 0.5, "W"), (2.0, 3.0, "W")]
    expected = [[1, 0, 1 / 2, 0], [0, 1 / 12, 1 / 8, 0], [1 / 2, 1 / 8, 1 / 2, 0], [0, 0, 0, 1]]
    np.testing.assert_allclose(laws.covariance(parts), expected, atol=1e-15)


def test_what_is_no_sample_is_an_error():
    with pytest.raises(ValueError, match="must be finite"):
        laws.whiten(np.full((1, len(PARTS), 2, 2), np.nan), EXACT)
    with pytest.raises(ValueError, match=r"seeds, queries, rows, entries"):
        laws.whiten(np.zeros((len(PARTS), 2, 2)), EXACT)
