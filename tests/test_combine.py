import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cases import COMBINE
from manyminima import combine
from manyminima.arrays import as_problem

every_rule = pytest.mark.parametrize("case", COMBINE, ids=lambda case: case.rule.__name__)


def members(seed, count=4, shape=(7,), classes=3, zeros=False):
    rng = np.random.default_rng(seed)
    probs = rng.dirichlet(np.ones(classes), size=(count, *shape)).astype(np.float32)
    return np.where(probs == probs.max(-1, keepdims=True), 1, 0).astype(np.float32) if zeros else probs


def shares(seed, count):
    return np.random.default_rng(seed).dirichlet(np.ones(count))


def test_the_rows_are_all_the_rules():
    assert [case.rule.__name__ for case in COMBINE] == combine.__all__ == sorted(combine.__all__)


@every_rule
def test_agrees_with_a_plain_loop(case):
    probs, coefficients = members(0), shares(0, 4)
    for given_to_rule, used in ((None, np.full(4, 0.25)), (coefficients, coefficients)):
        expected = [case.reference(probs[:, i].astype(np.float64), used) for i in range(7)]
        np.testing.assert_allclose(case.rule(probs, given_to_rule), expected, rtol=1e-6)


@every_rule
@given(seed=st.integers(0, 10_000), count=st.integers(1, 5), zeros=st.booleans())
def test_rows_sum_to_one(case, seed, count, zeros):
    probs = members(seed, count, zeros=zeros)
    for coefficients in (None, shares(seed, count)):
        combined = case.rule(probs, coefficients)
        np.testing.assert_allclose(combined.sum(-1), 1, rtol=1e-6)
        assert combined.min() >= 0
        assert combined.dtype == np.float64


@every_rule
@given(seed=st.integers(0, 10_000))
def test_order_of_members_and_examples_does_not_matter(case, seed):
    probs, coefficients = members(seed), shares(seed, 4)
    rng = np.random.default_rng(seed)
    m, n, c = rng.permutation(4), rng.permutation(7), rng.permutation(3)
    expected = case.rule(probs, coefficients)[n][:, c]
    np.testing.assert_allclose(case.rule(probs[m][:, n][..., c], coefficients[m]), expected, atol=1e-12)


@pytest.mark.parametrize("zeros", [False, True])
def test_one_member_and_copies_are_the_member(zeros):
    one = members(1, 1, zeros=zeros)
    np.testing.assert_array_equal(combine.mean(one), one[0])
    np.testing.assert_array_equal(combine.mean(np.repeat(one, 7, axis=0)), one[0])
    np.testing.assert_allclose(combine.geometric_mean(one), one[0], rtol=1e-6, atol=1e-30)
    np.testing.assert_allclose(combine.geometric_mean(np.repeat(one, 7, axis=0)), one[0], rtol=1e-6, atol=1e-30)
    np.testing.assert_array_equal(combine.majority_vote(one), one[0] == one[0].max(-1, keepdims=True))


@every_rule
def test_all_weight_on_one_member_is_that_member_alone(case):
    probs = members(2)
    np.testing.assert_allclose(case.rule(probs, [0, 0, 1, 0]), case.rule(probs[2:3]), atol=1e-12)


@every_rule
def test_dense_outputs_keep_their_shape(case):
    probs = members(3, shape=(2, 4, 5))
    flat = case.rule(probs.reshape(4, 40, 3))
    np.testing.assert_allclose(case.rule(probs), flat.reshape(2, 4, 5, 3))


def test_ties_split_the_vote():
    np.testing.assert_array_equal(combine.majority_vote([[[0.4, 0.4, 0.2]], [[0.0, 0.0, 1.0]]]), [[0.25, 0.25, 0.5]])


def test_geometric_mean_where_members_exclude_everything():
    np.testing.assert_allclose(combine.geometric_mean([[[1.0, 0.0]], [[0.0, 1.0]]]), [[0.5, 0.5]])
    np.testing.assert_allclose(combine.geometric_mean([[[0.5, 0.5, 0.0]], [[0.0, 0.2, 0.8]]]), [[0, 1, 0]], atol=1e-30)


def test_mean_of_numbers_needs_no_probabilities():
    outputs = np.array([[[10.0], [-4.0]], [[20.0], [4.0]]])
    np.testing.assert_array_equal(combine.mean(outputs), [[15.0], [0.0]])


@every_rule
@pytest.mark.parametrize(
    ("coefficients", "says"),
    [
        ([0.5, 0.5], r"shape \(2,\), expected \(4,\): one for each member"),
        ([1.5, -0.5, 0, 0], r"non-negative, got \[1\.5, -0\.5, 0\.0, 0\.0\].*Use 0"),
        ([np.nan, 1, 0, 0], r"non-negative, got \[nan"),
        ([1, 1, 0, 0], r"sum to 2, expected 1 within 1e-06.*coefficients / np\.sum\(coefficients\)"),
    ],
)
def test_coefficient_errors(case, coefficients, says):
    with pytest.raises(ValueError, match=says):
        case.rule(members(4), coefficients)


@every_rule
def test_bad_probabilities(case):
    broken = members(5)
    broken[2, 3, 1] = np.nan
    with pytest.raises(ValueError, match=r"nan in member 2, row 3.*np\.delete\(probs, 2, axis=0\)"):
        case.rule(broken)
    with pytest.raises(ValueError, match=r"shape \(3,\).*probs\[None\]"):
        case.rule([0.2, 0.3, 0.5])
    with pytest.raises(ValueError, match="empty"):
        case.rule(np.zeros((0, 3, 2)))


def test_geometric_mean_needs_probabilities():
    with pytest.raises(ValueError, match="softmax"):
        combine.geometric_mean(np.log(members(6)))


def test_combining_a_flattened_problem_is_flattening_the_combination():
    y, probs = np.zeros((4, 6), int), members(7, 3, (4, 6))
    np.testing.assert_allclose(combine.mean(as_problem(y, probs).probs), combine.mean(probs).reshape(24, 3))
