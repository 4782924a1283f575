import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import entropy

from manyminima import combine, diversity, uncertainty

ALL = [getattr(uncertainty, name) for name in uncertainty.__all__]
every = pytest.mark.parametrize("measure", ALL, ids=lambda measure: measure.__name__)


def members(seed, count=4, examples=30, classes=3, concentration=0.5):
    rng = np.random.default_rng(seed)
    return rng.dirichlet(np.full(classes, concentration), size=(count, examples)).astype(np.float32)


def test_the_names_are_sorted():
    assert uncertainty.__all__ == sorted(uncertainty.__all__)


def test_entropies_agree_with_scipy():
    probs = members(0).astype(np.float64)
    probs /= probs.sum(-1, keepdims=True)
    total, own = entropy(probs.mean(0), axis=-1), entropy(probs, axis=-1).mean(0)
    np.testing.assert_allclose(uncertainty.total(probs), total, rtol=1e-12)
    np.testing.assert_allclose(uncertainty.aleatoric(probs), own, rtol=1e-12)
    np.testing.assert_allclose(uncertainty.epistemic(probs), total - own, atol=1e-12)


def test_mutual_information_agrees_with_the_table_of_class_and_member():
    """Member and class are two random variables, the member drawn evenly."""
    probs = members(1, examples=5).astype(np.float64)
    joint = probs / len(probs)
    independent = joint.sum(0) * joint.sum(-1, keepdims=True)
    expected = np.sum(joint * np.log(joint / independent), axis=(0, -1))
    np.testing.assert_allclose(uncertainty.epistemic(probs), expected, rtol=1e-6)


def test_disagreement_agrees_with_a_plain_loop():
    labels = members(2).argmax(-1)
    pairs = [(i, j) for i in range(4) for j in range(i)]
    expected = [np.mean([labels[i, n] != labels[j, n] for i, j in pairs]) for n in range(30)]
    np.testing.assert_allclose(uncertainty.disagreement(members(2)), expected, atol=1e-15)


@given(st.integers(0, 10_000), st.integers(1, 6), st.integers(2, 5))
def test_bounds_and_sums(seed, count, classes):
    probs = members(seed, count, 8, classes, 0.1)
    total, own, between = (f(probs) for f in (uncertainty.total, uncertainty.aleatoric, uncertainty.epistemic))
    np.testing.assert_allclose(total, own + between, atol=1e-12)
    assert between.min() >= 0
    assert between.max() <= np.log(count) + 1e-6
    assert total.max() <= np.log(classes) + 1e-6
    assert own.min() >= 0
    share = uncertainty.disagreement(probs)
    assert share.min() >= 0
    assert share.max() <= 1
    np.testing.assert_allclose(share.mean(), diversity.disagreement(probs), atol=1e-12)
    highest = uncertainty.max_probability(probs)
    np.testing.assert_array_equal(highest, combine.mean(probs).max(-1))
    assert highest.min() >= 1 / classes - 1e-6


@every
@given(st.integers(0, 10_000))
def test_the_order_of_members_does_not_matter_and_that_of_examples_is_kept(measure, seed):
    probs = members(seed)
    rng = np.random.default_rng(seed)
    m, n = rng.permutation(4), rng.permutation(30)
    np.testing.assert_allclose(measure(probs[m][:, n]), measure(probs)[n], atol=1e-12)


@pytest.mark.parametrize("copies", [1, 2, 5])
def test_copies_of_a_member_differ_in_nothing(copies):
    one = members(3, 1)
    same = np.repeat(one, copies, axis=0)
    np.testing.assert_allclose(uncertainty.epistemic(same), np.zeros(30), atol=1e-14)
    np.testing.assert_array_equal(uncertainty.disagreement(same), np.zeros(30))
    np.testing.assert_allclose(uncertainty.total(same), uncertainty.aleatoric(one), atol=1e-14)
    np.testing.assert_allclose(uncertainty.max_probability(same), one[0].max(-1), rtol=1e-14)


def test_certain_members():
    """Zeros have an entropy of 0 and no NaN; two certain members of different minds share one bit."""
    probs = np.array([[[1.0, 0.0], [1.0, 0.0]], [[1.0, 0.0], [0.0, 1.0]]])
    np.testing.assert_array_equal(uncertainty.total(probs), [0, np.log(2)])
    np.testing.assert_array_equal(uncertainty.aleatoric(probs), [0, 0])
    np.testing.assert_array_equal(uncertainty.epistemic(probs), [0, np.log(2)])
    np.testing.assert_array_equal(uncertainty.disagreement(probs), [0, 1])
    assert not np.signbit(uncertainty.aleatoric(probs)).any()


def test_a_row_a_little_above_one_is_certain():
    assert uncertainty.aleatoric(np.array([[[1.0005, 0.0]]])) == 0


@every
def test_several_labels_are_rows_of_two_columns(measure):
    outputs = members(4)
    per_label = measure(np.stack([1 - outputs, outputs], axis=-1))
    assert per_label.shape == (30, 3)
    alone = [measure(np.stack([1 - outputs[..., k], outputs[..., k]], axis=-1)) for k in range(3)]
    np.testing.assert_allclose(per_label, np.stack(alone, axis=-1), atol=1e-15)


@every
def test_half_precision_is_computed_in_double(measure):
    found = measure(members(5).astype(np.float16))
    assert found.dtype == np.float64
    if measure is not uncertainty.disagreement:
        np.testing.assert_allclose(found, measure(members(5)), atol=5e-3)


@every
def test_errors(measure):
    with pytest.raises(ValueError, match=r"probs\[None\]"):
        measure(members(5)[0])
    with pytest.raises(ValueError, match=r"nan in member 0, row 0"):
        measure(np.full((2, 3, 3), np.nan))
    with pytest.raises(ValueError, match=r"int64 values.*astype\('float32'\)"):
        measure(np.zeros((2, 3, 3), int))


@pytest.mark.parametrize("measure", [m for m in ALL if m is not uncertainty.disagreement], ids=lambda m: m.__name__)
def test_errors_of_what_is_no_distribution(measure):
    with pytest.raises(
        ValueError, match=r"sum to 0\.6 \.\. 0\.6.*scipy\.special\.softmax.*np\.stack\(\[1 - probs, probs\]"
    ):
        measure(np.full((2, 3, 3), 0.2))
    with pytest.raises(ValueError, match=r"holds -1 in member 0, row 0, expected probabilities.*softmax"):
        measure(np.full((2, 3, 3), -1.0))


@pytest.mark.parametrize("column", [[[[0.2], [0.9]]], [[[0.0], [0.9]]], [[[0.0, 0.7]]]])
def test_labels_that_are_no_distribution_say_how_to_make_them_one(column):
    with pytest.raises(
        ValueError, match=r"rows of probs sum to .*make each label two classes: np\.stack\(\[1 - probs, probs\]"
    ):
        uncertainty.total(column)
