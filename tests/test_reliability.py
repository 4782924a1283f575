"""Bins of confidence, beside scikit-learn and the metric that is their mean gap."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.calibration import calibration_curve

from manyminima import metrics, reliability

Y = np.random.default_rng(0).integers(4, size=300)
P = np.random.default_rng(1).dirichlet(np.full(4, 0.4), size=300)


@given(st.integers(0, 2**31), st.integers(1, 40), st.integers(2, 5))
def test_their_gaps_are_the_calibration_error(seed, rows, classes):
    rng = np.random.default_rng(seed)
    y, probs, weight = (
        rng.integers(classes, size=rows),
        rng.dirichlet(np.ones(classes), size=rows),
        rng.uniform(size=rows),
    )
    found = reliability.bins(y, probs, weight)
    np.testing.assert_allclose(found.ece, metrics.ece(y, probs, weight), atol=1e-12)
    np.testing.assert_allclose(sum(found.share), 1)
    np.testing.assert_allclose(np.dot(found.share, found.confidence), np.average(probs.max(-1), weights=weight))
    assert list(found.confidence) == sorted(found.confidence)


def test_they_are_those_of_scikit_learn():
    found = reliability.bins(Y, P)
    right, sure = calibration_curve(P.argmax(-1) == Y, P.max(-1), n_bins=metrics.ECE_BINS)
    np.testing.assert_allclose(found.accuracy, right)
    np.testing.assert_allclose(found.confidence, sure)


def test_weights_are_repetitions():
    times = np.random.default_rng(2).integers(3, size=300)
    weighted, repeated = (
        reliability.bins(Y, P, times),
        reliability.bins(np.repeat(Y, times), np.repeat(P, times, axis=0)),
    )
    for ours, theirs in zip(vars(weighted).values(), vars(repeated).values(), strict=True):
        np.testing.assert_allclose(ours, theirs)


def test_bad_input():
    with pytest.raises(ValueError, match="apply a softmax first"):
        reliability.bins([0, 1], [[3.0, -1.0], [0.2, 0.9]])
    with pytest.raises(ValueError, match=r"Combine first, calibrate after: pass combine.mean\(probs\)"):
        reliability.bins([0, 1], np.full((3, 2, 2), 0.5))
