import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from manyminima import weight_space
from manyminima.weight_space import weight_cosine, weight_distance


def members(seed, count=4):
    """Two float arrays, and the state of a seed, which counts nothing."""
    rng = np.random.default_rng(seed)
    return [
        [
            rng.normal(size=(3, 5)).astype(np.float32),
            rng.integers(2**31, size=2, dtype=np.uint32),
            rng.normal(size=5).astype(np.float32),
        ]
        for _ in range(count)
    ]


def flat(lists):
    return np.stack([np.concatenate([w.ravel() for w in weights if w.dtype.kind == "f"]) for weights in lists])


def test_the_names_are_sorted():
    assert weight_space.__all__ == sorted(weight_space.__all__)


@given(st.integers(0, 10_000), st.integers(1, 5))
def test_agree_with_scipy(seed, count):
    lists = members(seed, count)
    vectors = flat(lists).astype(np.float64)
    np.testing.assert_allclose(weight_cosine(lists), 1 - cdist(vectors, vectors, "cosine"), atol=1e-12)
    np.testing.assert_allclose(weight_distance(lists), cdist(vectors, vectors), atol=1e-12)
    np.testing.assert_array_equal(np.diag(weight_cosine(lists)), np.ones(count))
    np.testing.assert_array_equal(np.diag(weight_distance(lists)), np.zeros(count))
    np.testing.assert_array_equal(weight_distance(lists), weight_distance(lists).T)


def test_copies_and_opposites():
    one = members(1, 1)[0]
    opposite = [-w if w.dtype.kind == "f" else w for w in one]
    np.testing.assert_allclose(weight_cosine([one, one, opposite]), [[1, 1, -1], [1, 1, -1], [-1, -1, 1]], rtol=1e-12)
    np.testing.assert_array_equal(weight_distance([one, one]), np.zeros((2, 2)))


def test_close_members_keep_their_distance():
    """From products the distance would drown in rounding."""
    far = np.full(1000, 1e4)
    near = far.copy()
    near[0] += 1e-4
    np.testing.assert_allclose(weight_distance([[far], [near]])[0, 1], 1e-4, rtol=1e-6)


def test_a_member_of_zeros_has_no_direction():
    lists = [[np.zeros(3)], [np.ones(3)], [np.zeros(3)]]
    np.testing.assert_allclose(weight_cosine(lists), [[1, 0, 1], [0, 1, 0], [1, 0, 1]], rtol=1e-12)


def test_half_precision_counts_and_is_computed_in_double():
    values = np.array([1.0, 2.0, 3.0])
    for dtype in (np.float16, ml_dtypes.bfloat16):
        lists = [[values.astype(dtype)], [2 * values.astype(dtype)]]
        np.testing.assert_allclose(weight_distance(lists)[0, 1], np.sqrt(14))
        assert weight_cosine(lists).dtype == np.float64


@pytest.mark.parametrize("function", [weight_cosine, weight_distance])
def test_errors(function):
    lists = members(2)
    with pytest.raises(ValueError, match=r"no members.*\[model\.get_weights\(\)\]"):
        function([])
    with pytest.raises(ValueError, match=r"member 1 has arrays of shapes 2: .* member 0 has 3: .*one architecture"):
        function([lists[0], lists[1][:2]])
    with pytest.raises(ValueError, match=r"member 1 has arrays of shapes 3: \(5, 3\), \(2,\), \(5,\), but"):
        function([lists[0], [lists[1][0].T, *lists[1][1:]]])
    with pytest.raises(ValueError, match=r"no array of floating point.*get_weights\(\)"):
        function([[np.zeros(3, int)]])
    lists[2][2][0] = np.nan
    with pytest.raises(ValueError, match=r"member 2 holds NaN or infinity in array 2.*Leave it out"):
        function(lists)
