import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import jaccard_score

from manyminima import metrics, segmentation
from manyminima.segmentation import iou, mean_iou


def images(seed, classes=4):
    rng = np.random.default_rng(seed)
    return rng.integers(classes, size=(3, 4, 5)), rng.dirichlet(np.ones(classes), size=(3, 4, 5))


def test_the_names_are_sorted():
    assert segmentation.__all__ == sorted(segmentation.__all__)


@settings(max_examples=25)
@given(st.integers(0, 10_000), st.integers(2, 5))
def test_agree_with_scikit_learn(seed, classes):
    y, probs = images(seed, classes)
    weight = np.random.default_rng(seed).uniform(0.1, 1, size=3)
    flat = y.ravel(), probs.argmax(-1).ravel()
    for each in (None, weight):
        pixels = None if each is None else np.repeat(each, 20)
        there = np.union1d(*flat)
        expected = jaccard_score(*flat, labels=there, average=None, sample_weight=pixels, zero_division=0)
        np.testing.assert_allclose(iou(y, probs, sample_weight=each)[there], expected, rtol=1e-12)
        np.testing.assert_allclose(mean_iou(y, probs, each), np.mean(expected), rtol=1e-12)


def test_a_class_that_is_nowhere_has_none():
    y = np.array([[[0, 0], [1, 1]]])
    probs = np.eye(4)[[[[0, 2], [1, 1]]]]
    np.testing.assert_array_equal(iou(y, probs), [0.5, 1, 0, np.nan])
    assert mean_iou(y, probs) == 0.5


def test_images_of_weight_zero_are_not_there():
    y, probs = images(0)
    np.testing.assert_array_equal(iou(y, probs, sample_weight=[1, 0, 1]), iou(y[[0, 2]], probs[[0, 2]]))
    only = np.zeros((2, 1, 1), int)
    np.testing.assert_array_equal(iou(only, np.eye(2)[[[[0]], [[1]]]], sample_weight=[1, 0]), [1, np.nan])


def test_one_hot_and_flat_labels_are_the_same():
    y, probs = images(1)
    np.testing.assert_array_equal(iou(np.eye(4)[y], probs), iou(y, probs))
    np.testing.assert_array_equal(iou(y.ravel(), probs.reshape(-1, 4)), iou(y, probs))
    assert mean_iou(y, np.eye(4)[y]) == 1


def test_it_is_a_metric():
    assert isinstance(mean_iou, metrics.Metric)
    assert mean_iou.facts.better == "higher"
    assert mean_iou.facts.bounds == (0, 1)


@pytest.mark.parametrize("function", [iou, mean_iou])
def test_errors(function):
    y, probs = images(2)
    with pytest.raises(
        ValueError, match=r"shape \(2, 3, 4, 5, 4\), expected \(examples, height.*combine\.mean\(probs\)"
    ):
        function(y, np.stack([probs, probs]))
    with pytest.raises(ValueError, match=r"np\.stack\(\[1 - probs, probs\], axis=-1\)"):
        function([0, 1], [0.1, 0.9])
    with pytest.raises(ValueError, match=r"label 4 at row 0, outside 0\.\.3"):
        function(np.full_like(y, 4), probs)
    with pytest.raises(ValueError, match=r"y has shape \(3, 5, 4\), which does not fit"):
        function(y.swapaxes(1, 2), probs)
    with pytest.raises(ValueError, match=r"sums to 2.*softmax"):
        function(y, probs * 2)
