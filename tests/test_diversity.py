from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon
from scipy.stats import entropy

from manyminima import diversity, uncertainty

DIVERGENCES = [diversity.kl, diversity.js]


def members(seed, count=4, examples=30, classes=3):
    return np.random.default_rng(seed).dirichlet(np.ones(classes), size=(count, examples)).astype(np.float32)


def test_disagreement_agrees_with_a_plain_loop():
    probs = members(0)
    shares = [
        np.mean([a.argmax() != b.argmax() for a, b in zip(one, other, strict=True)])
        for one, other in combinations(probs, 2)
    ]
    np.testing.assert_allclose(diversity.disagreement(probs), np.mean(shares))


def test_correlation_agrees_with_numpy():
    probs = members(1).astype(np.float64)
    matrix = np.corrcoef(probs.reshape(4, -1))
    np.testing.assert_allclose(diversity.softmax_correlation_matrix(probs), matrix, atol=1e-12)
    np.testing.assert_allclose(diversity.softmax_correlation(probs), matrix[np.triu_indices(4, 1)].mean())


def test_divergences_agree_with_scipy():
    """Enough rows for several pieces, and no whole number of them."""
    probs = members(6, examples=6000).astype(np.float64)
    probs /= probs.sum(-1, keepdims=True)
    kl = [[entropy(p, q, axis=-1).mean() for q in probs] for p in probs]
    js = [[np.mean(jensenshannon(p, q, axis=-1) ** 2) for q in probs] for p in probs]
    np.testing.assert_allclose(diversity.kl_matrix(probs), kl, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(diversity.js_matrix(probs), js, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(diversity.kl(probs), np.sum(kl) / 12)
    np.testing.assert_allclose(diversity.js(probs), np.mean([js[i][j] for i, j in combinations(range(4), 2)]))


@given(st.integers(0, 10_000), st.integers(1, 5), st.integers(2, 4))
def test_divergences_have_bounds(seed, count, classes):
    probs = members(seed, count, 10, classes).round(1)
    probs /= np.maximum(probs.sum(-1, keepdims=True), 0.1)
    probs[..., 0] += 1 - probs.sum(-1)
    kl, js = diversity.kl_matrix(probs), diversity.js_matrix(probs)
    assert kl.min() >= 0
    assert js.min() >= 0
    assert kl.max() <= -np.log(1e-12) * (1 + 1e-6)
    assert js.max() <= np.log(2)
    np.testing.assert_array_equal(js, js.T)
    # Half of Jeffreys' divergence is at least twice that of Jensen and Shannon.
    assert np.all((kl + kl.T) / 2 >= 2 * js - 1e-6)


def test_divergence_of_two_is_their_mutual_information():
    probs = members(7, 2)
    np.testing.assert_allclose(diversity.js(probs), uncertainty.epistemic(probs).mean(), rtol=1e-9)


def test_certain_members_of_different_minds():
    """The floor of the likelihood stands for a class that the other rules out."""
    probs = np.array([[[1.0, 0.0]], [[0.0, 1.0]]])
    np.testing.assert_allclose(diversity.kl(probs), -np.log(1e-12))
    np.testing.assert_allclose(diversity.js(probs), np.log(2))


@pytest.mark.parametrize("copies", [1, 2, 5])
def test_copies_of_a_member_are_like_the_member_alone(copies):
    same = np.repeat(members(2, 1), copies, axis=0)
    assert diversity.disagreement(same) == diversity.kl(same) == diversity.js(same) == 0
    np.testing.assert_array_equal(diversity.kl_matrix(same), np.zeros((copies, copies)))
    np.testing.assert_array_equal(diversity.js_matrix(same), np.zeros((copies, copies)))
    np.testing.assert_allclose(diversity.softmax_correlation(same), 1, rtol=1e-12)
    np.testing.assert_array_equal(diversity.disagreement_matrix(same), np.zeros((copies, copies)))
    np.testing.assert_allclose(diversity.softmax_correlation_matrix(same), np.ones((copies, copies)), rtol=1e-12)


def test_constant_probabilities():
    probs = members(3, 3)
    probs[:2] = np.float32(1 / 3)
    np.testing.assert_array_equal(diversity.softmax_correlation_matrix(probs), [[1, 1, 0], [1, 1, 0], [0, 0, 1]])
    assert diversity.disagreement(probs[:2]) == 0


def test_two_classes_that_are_always_opposite():
    probs = np.array([[[1.0, 0.0], [0.0, 1.0]], [[0.0, 1.0], [1.0, 0.0]]])
    assert diversity.disagreement(probs) == 1
    np.testing.assert_allclose(diversity.softmax_correlation(probs), -1)


@given(st.integers(0, 10_000), st.integers(1, 5))
def test_order_does_not_matter_and_matrices_are_what_they_should_be(seed, count):
    probs = members(seed, count)
    rng = np.random.default_rng(seed)
    m, n = rng.permutation(count), rng.permutation(30)
    for measure, matrix, diagonal in (
        (diversity.disagreement, diversity.disagreement_matrix, 0),
        (diversity.softmax_correlation, diversity.softmax_correlation_matrix, 1),
        (diversity.js, diversity.js_matrix, 0),
        (diversity.kl, diversity.kl_matrix, 0),
    ):
        np.testing.assert_allclose(measure(probs[m][:, n]), measure(probs), rtol=1e-9, atol=1e-12)
        values = matrix(probs)
        np.testing.assert_array_equal(np.diag(values), np.full(count, diagonal))
        if measure is not diversity.kl:
            np.testing.assert_allclose(values, values.T)
            assert np.abs(values).max() <= 1


def test_dense_outputs_are_flattened():
    probs = members(4, 3, 40)
    dense = probs.reshape(3, 10, 2, 2, 3)
    assert diversity.disagreement(dense) == diversity.disagreement(probs)
    assert diversity.softmax_correlation(dense) == diversity.softmax_correlation(probs)
    assert diversity.kl(dense) == diversity.kl(probs)
    assert diversity.js(dense) == diversity.js(probs)


@pytest.mark.parametrize("measure", [diversity.disagreement, diversity.softmax_correlation, *DIVERGENCES])
def test_errors(measure):
    with pytest.raises(ValueError, match=r"probs\[None\]"):
        measure(members(5)[0])
    with pytest.raises(ValueError, match=r"nan in member 0, row 0"):
        measure(np.full((2, 3, 3), np.nan))
    with pytest.raises(ValueError, match="empty"):
        measure(np.zeros((2, 0, 3)))


@pytest.mark.parametrize("measure", DIVERGENCES)
def test_errors_of_what_is_no_distribution(measure):
    with pytest.raises(ValueError, match=r"sum to 0\.6 \.\. 0\.6.*np\.stack\(\[1 - probs, probs\], axis=-1\)"):
        measure(np.full((2, 3, 3), 0.2))
    with pytest.raises(ValueError, match=r"holds -1 in member 0, row 0, expected probabilities.*softmax"):
        measure(np.full((2, 3, 3), -1.0))
