"""Predictions of every pixel: what holds for rows holds for images, and what needs rows says so."""

import numpy as np
import pytest

from cases import noisy
from manyminima import (
    combine,
    decomposition,
    detection,
    diversity,
    metrics,
    mixtures,
    segmentation,
    selection,
    uncertainty,
)

SHAPE = (6, 4, 5)
Y = np.random.default_rng(0).integers(3, size=SHAPE)
PROBS = noisy(Y.ravel(), [1.0, 2.0, 3.0], seed=1).reshape(3, *SHAPE, 3)
ROWS = Y.ravel(), PROBS.reshape(3, -1, 3)
WEIGHT = np.array([1, 2, 0, 1, 3, 0.5])
CLASSES = [getattr(metrics, name) for name in metrics.__all__ if name != "squared_error"]


def named(functions):
    return pytest.mark.parametrize("function", functions, ids=lambda function: function.__name__)


@named([getattr(combine, name) for name in combine.__all__])
def test_rules_combine_each_pixel(function):
    for coefficients in (None, [0.5, 0.2, 0.3]):
        found = function(PROBS, coefficients)
        assert found.shape == (*SHAPE, 3)
        np.testing.assert_array_equal(found.reshape(-1, 3), function(ROWS[1], coefficients))


@named([*CLASSES, segmentation.mean_iou])
def test_metrics_count_every_pixel(function):
    one = PROBS[0]
    expected = function(ROWS[0], ROWS[1][0])
    for y in (Y, Y[..., None], np.eye(3)[Y]):
        np.testing.assert_allclose(function(y, one), expected, rtol=1e-12)
    weighted = function(ROWS[0], ROWS[1][0], np.repeat(WEIGHT, 20))
    np.testing.assert_allclose(function(Y, one, WEIGHT), weighted, rtol=1e-12)


def test_squared_error_counts_every_pixel_and_target():
    rng = np.random.default_rng(2)
    y, outputs = rng.normal(size=(*SHAPE, 2)), rng.normal(size=(*SHAPE, 2))
    np.testing.assert_allclose(metrics.squared_error(y, outputs), np.mean((outputs - y) ** 2))
    np.testing.assert_allclose(metrics.squared_error(y[..., 0], outputs[..., :1]), np.mean((outputs - y)[..., 0] ** 2))


@named([*CLASSES, segmentation.mean_iou])
def test_members_are_not_one_prediction(function):
    with pytest.raises(ValueError, match=r"probs has shape \(3, 6, 4, 5, 3\), expected .*combine\.mean\(probs\)"):
        function(Y, PROBS)


@named([*CLASSES, segmentation.mean_iou])
@pytest.mark.parametrize("order", ["newest", "oldest"])
def test_scores_by_size(function, order):
    kept = [PROBS[-n:] if order == "newest" else PROBS[:n] for n in (1, 2, 3)]
    for rule in (combine.mean, combine.geometric_mean):
        expected = [function(Y, rule(members)) for members in kept]
        np.testing.assert_allclose(selection.scores_by_size(Y, PROBS, function, order, rule), expected, rtol=1e-9)


@named([diversity.disagreement, diversity.softmax_correlation, diversity.kl, diversity.js])
def test_diversity(function):
    np.testing.assert_allclose(function(PROBS), function(ROWS[1]), rtol=1e-12)


@named([getattr(uncertainty, name) for name in uncertainty.__all__])
def test_uncertainty_is_a_map(function):
    found = function(PROBS)
    assert found.shape == SHAPE
    np.testing.assert_array_equal(found.ravel(), function(ROWS[1]))


@named([decomposition.ambiguity, decomposition.jensen_gap, decomposition.normalised_disagreement])
def test_decompositions(function):
    one, other = function(Y, PROBS), function(*ROWS)
    same = vars(one) == vars(other) if function is decomposition.ambiguity else one == other
    assert same


@named([detection.risk_coverage, detection.misclassification])
def test_detection_takes_a_map(function):
    mean, score = combine.mean(PROBS), uncertainty.total(PROBS)
    one, other = function(Y, mean, score), function(ROWS[0], mean.reshape(-1, 3), score.ravel())
    for name in vars(one):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    assert vars(function(Y, mean, score[..., None])).keys() == vars(one).keys()
    weighted = function(Y, mean, score, sample_weight=WEIGHT)
    flat = function(ROWS[0], mean.reshape(-1, 3), score.ravel(), sample_weight=np.repeat(WEIGHT, 20))
    for name in vars(one):
        np.testing.assert_array_equal(getattr(weighted, name), getattr(flat, name))
    with pytest.raises(ValueError, match=r"uncertainty has shape \(6, 5, 4\), expected \(6, 4, 5\)"):
        function(Y, mean, score.swapaxes(1, 2))


def test_out_of_distribution_takes_maps_of_any_size():
    score = uncertainty.total(PROBS)
    found = detection.out_of_distribution(score, score[:2, :3] + 0.1)
    np.testing.assert_allclose(found.share, 30 / 150)
    assert found == detection.out_of_distribution(score.ravel(), score[:2, :3].ravel() + 0.1)


def test_mixtures():
    rng = np.random.default_rng(3)
    means, variances = rng.normal(size=(3, *SHAPE, 1)), rng.uniform(1, 2, size=(3, *SHAPE, 1))
    both, y = mixtures.mixture(means, variances), rng.normal(size=(*SHAPE, 1))
    flat = mixtures.mixture(means.reshape(3, -1, 1), variances.reshape(3, -1, 1))
    np.testing.assert_array_equal(both.variance.reshape(-1, 1), flat.variance)
    for score in (mixtures.gaussian_nll, mixtures.interval_coverage):
        np.testing.assert_allclose(
            score(y, both.mean, both.variance), score(y.reshape(-1, 1), flat.mean, flat.variance), rtol=1e-12
        )


def test_labels_of_another_layout():
    with pytest.raises(
        ValueError, match=r"y has shape \(6, 5, 4\).*Expected \(6, 4, 5\), or \(6, 4, 5, 3\) for one-hot"
    ):
        metrics.nll(Y.swapaxes(1, 2), PROBS[0])
    with pytest.raises(ValueError, match=r"y has shape \(6, 20\)"):
        selection.scores_by_size(Y.reshape(6, 20), PROBS)


@pytest.mark.parametrize(
    "members",
    [
        lambda: uncertainty.total(PROBS[0, 0, 0]),
        lambda: diversity.js(PROBS[0, 0, 0]),
        lambda: diversity.disagreement(PROBS[0, 0, 0]),
    ],
)
def test_rows_of_one_member_are_not_members(members):
    with pytest.raises(ValueError, match=r"expected \(members, examples, classes\).*probs\[None\]"):
        members()
