from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from manyminima import diversity


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


@pytest.mark.parametrize("copies", [1, 2, 5])
def test_copies_of_a_member_are_like_the_member_alone(copies):
    same = np.repeat(members(2, 1), copies, axis=0)
    assert diversity.disagreement(same) == 0
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
    ):
        np.testing.assert_allclose(measure(probs[m][:, n]), measure(probs), rtol=1e-9, atol=1e-12)
        values = matrix(probs)
        np.testing.assert_allclose(values, values.T)
        np.testing.assert_array_equal(np.diag(values), np.full(count, diagonal))
        assert np.abs(values).max() <= 1


def test_dense_outputs_are_flattened():
    probs = members(4, 3, 40)
    dense = probs.reshape(3, 10, 2, 2, 3)
    assert diversity.disagreement(dense) == diversity.disagreement(probs)
    assert diversity.softmax_correlation(dense) == diversity.softmax_correlation(probs)


@pytest.mark.parametrize("measure", [diversity.disagreement, diversity.softmax_correlation])
def test_errors(measure):
    with pytest.raises(ValueError, match=r"probs\[None\]"):
        measure(members(5)[0])
    with pytest.raises(ValueError, match=r"nan in member 0, row 0"):
        measure(np.full((2, 3, 3), np.nan))
    with pytest.raises(ValueError, match="empty"):
        measure(np.zeros((2, 0, 3)))
