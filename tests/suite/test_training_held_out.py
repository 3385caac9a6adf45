"""Measures on held-out data: what is known of them, and a control that each must tell from it.

Accuracies on n paths are within 4 standard deviations, 2 / sqrt(n), of the known probability: significance 6e-5.
"""

import numpy as np
import pytest
from scipy.stats import norm

from suite.training.held_out import features, label_accuracy, prediction_loss, real_fake_accuracy
from suite.training.ou import OrnsteinUhlenbeck

OU, TS, PATHS = OrnsteinUhlenbeck(), np.arange(16.0), 1000
NEAR = 2 / np.sqrt(PATHS)


@pytest.fixture(scope="module")
def real():
    rng = np.random.default_rng(0)
    return [OU.sample(rng, TS, PATHS) for _ in range(2)]


def test_real_paths_are_not_told_from_real_ones_and_wrong_ones_are(real):
    assert abs(real_fake_accuracy(*real) - 0.5) < NEAR
    assert real_fake_accuracy(real[0], real[1] + 3) > 0.95
    wider = OrnsteinUhlenbeck(noise=0.6).sample(np.random.default_rng(1), TS, PATHS)
    assert real_fake_accuracy(real[0], wider) > 0.5 + 2 * NEAR  # the same mean: a classifier linear in y sees nothing
    shuffled = real[1][np.random.default_rng(2).permutation(len(TS))]
    assert real_fake_accuracy(real[0], shuffled) > 0.9


def test_the_accuracy_of_two_normal_laws_is_the_best_that_there_can_be():
    """Constant paths at normal heights with means apart by 2: a share Phi(1) can be told."""
    rng = np.random.default_rng(0)
    a, b = (rng.normal(size=(1, PATHS, 1)) + shift + np.zeros((8, 1, 1)) for shift in (0, 2))
    assert abs(real_fake_accuracy(a, b) - norm.cdf(1)) < NEAR


def test_labels_are_learned_from_paths_that_have_them_and_not_from_shuffled_ones(real):
    rng = np.random.default_rng(0)
    both = []
    for ys in real:
        labels = rng.integers(0, 3, PATHS)
        both.append((np.concatenate((ys, ys + 4 * labels[:, None]), -1), labels))
    assert label_accuracy(*both) > 0.95
    shuffled = both[0][0], rng.permutation(both[0][1])
    assert abs(label_accuracy(shuffled, both[1]) - 1 / 3) < 2 * NEAR


def test_the_prediction_loss_is_the_variance_that_is_left(real):
    """Of the last 3 of 16 times, given the path until then: deviation^2 of the law after 1, 2, 3; within 10 %."""
    expected = np.mean([OU.law(t)[2] ** 2 for t in (1.0, 2.0, 3.0)])
    assert prediction_loss(*real) == pytest.approx(expected, rel=0.1)
    backwards = real[0][::-1]
    assert prediction_loss(backwards, real[1]) > 1.5 * expected
    noise = np.random.default_rng(0).normal(size=real[0].shape)
    assert prediction_loss(noise, real[1]) > 3 * expected


def test_features_see_where_a_path_begins_and_do_not_grow_with_the_channels():
    ys = np.random.default_rng(0).normal(size=(5, 100, 1))
    assert np.abs(features(ys) - features(ys + 1)).min(0).max() > 0.5
    for channels in (1, 2, 5, 10):
        assert features(np.zeros((5, 100, channels))).shape[1] <= 132


@pytest.mark.parametrize(
    ("ys", "sentence"),
    [
        (np.zeros((8, 99, 1)), "99 paths are too few to learn from; give 100 or more"),
        (np.full((8, 100, 1), np.nan), "NaN or infinite"),
        (np.zeros((2, 100, 1)), "2 times are too few to predict"),
    ],
)
def test_what_is_refused(ys, sentence):
    with pytest.raises(ValueError, match=sentence):
        prediction_loss(ys, ys)


def test_a_classifier_refuses_too_few_paths():
    with pytest.raises(ValueError, match="99 paths are too few"):
        real_fake_accuracy(np.zeros((8, 199, 1)), np.zeros((8, 1000, 1)))
