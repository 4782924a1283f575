import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cases import noisy
from manyminima import combine, decomposition, diversity, metrics
from manyminima.decomposition import ambiguity, jensen_gap, normalised_disagreement


def problem(seed, members=4, examples=30, classes=3):
    rng = np.random.default_rng(seed)
    y = rng.integers(classes, size=examples)
    return y, noisy(y, rng.uniform(0.5, 3, size=members), classes, seed)


def test_the_names_are_sorted():
    assert decomposition.__all__ == sorted(decomposition.__all__)


def test_normalised_disagreement_agrees_with_a_plain_loop():
    y, probs = problem(0)
    labels = probs.argmax(-1)
    differ = np.mean([np.mean(labels[i] != labels[j]) for i in range(4) for j in range(i)])
    np.testing.assert_allclose(normalised_disagreement(y, probs), differ / np.mean(labels != y))


@given(st.integers(0, 10_000), st.integers(1, 5), st.integers(2, 4))
def test_members_disagree_at_most_where_one_of_them_is_wrong(seed, members, classes):
    y, probs = problem(seed, members, 12, classes)
    assert 0 <= normalised_disagreement(y, probs) <= 2 + 1e-9


def test_members_without_an_error_cannot_disagree():
    right = np.repeat(np.eye(3)[None], 3, axis=0)
    assert normalised_disagreement([0, 1, 2], right) == 0
    assert diversity.disagreement(right) == 0


@settings(max_examples=25)
@given(st.integers(0, 10_000), st.integers(1, 5))
def test_the_gap_is_what_the_mean_gains(seed, members):
    y, probs = problem(seed, members)
    gap = np.mean([metrics.nll(y, one) for one in probs]) - metrics.nll(y, combine.mean(probs))
    np.testing.assert_allclose(jensen_gap(y, probs), gap, atol=1e-12)
    assert jensen_gap(y, probs) >= 0


def test_the_floor_never_makes_a_negative_gap():
    tiny = np.array([[[1.0, 0.0]], [[1 - 2e-12, 2e-12]]])
    assert metrics.nll([1], combine.mean(tiny)) > np.mean([metrics.nll([1], one) for one in tiny])
    assert jensen_gap([1], tiny) == 0


@pytest.mark.parametrize("copies", [1, 3])
def test_copies_of_a_member_gain_nothing(copies):
    y, probs = problem(1, 1)
    same = np.repeat(probs, copies, axis=0)
    assert normalised_disagreement(y, same) == 0
    np.testing.assert_allclose(jensen_gap(y, same), 0, atol=1e-12)
    parts = ambiguity(y, same)
    np.testing.assert_allclose([parts.variance, parts.ensemble], [0, parts.members], atol=1e-12)


@given(st.integers(0, 10_000), st.integers(1, 5))
def test_ambiguity_is_exact_for_regression(seed, members):
    rng = np.random.default_rng(seed)
    y, outputs = rng.normal(size=(20, 2)), rng.normal(size=(members, 20, 2))
    parts = ambiguity(y, outputs)
    np.testing.assert_allclose(parts.ensemble, parts.members - parts.variance, atol=1e-12)
    np.testing.assert_allclose(parts.ensemble, np.mean((outputs.mean(0) - y) ** 2))
    np.testing.assert_allclose(parts.members, np.mean((outputs - y) ** 2))
    np.testing.assert_allclose(parts.variance, outputs.var(0).mean(), atol=1e-12)


@settings(max_examples=25)
@given(st.integers(0, 10_000), st.integers(1, 5), st.integers(2, 4))
def test_ambiguity_is_exact_for_classes(seed, members, classes):
    y, probs = problem(seed, members, 15, classes)
    parts = ambiguity(y, probs)
    np.testing.assert_allclose(parts.ensemble, parts.members - parts.variance, atol=1e-12)
    np.testing.assert_allclose(parts.ensemble, metrics.brier(y, combine.mean(probs)))
    np.testing.assert_allclose(parts.variance, probs.astype(float).var(0).sum(-1).mean(), atol=1e-12)


@pytest.mark.parametrize("function", [jensen_gap, ambiguity])
def test_weights_are_repetitions(function):
    y, probs = problem(2)
    times = np.random.default_rng(3).integers(3, size=len(y))
    one, other = function(y, probs, sample_weight=times), function(np.repeat(y, times), np.repeat(probs, times, axis=1))
    values = [(one, other)] if isinstance(one, float) else zip(vars(one).values(), vars(other).values(), strict=True)
    for found, expected in values:
        np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_several_labels():
    rng = np.random.default_rng(4)
    y, outputs = rng.integers(2, size=(20, 3)), rng.uniform(size=(4, 20, 3))
    parts = ambiguity(y, outputs, task="multilabel")
    np.testing.assert_allclose(parts.ensemble, 2 * np.mean((outputs.mean(0) - y) ** 2))
    np.testing.assert_allclose(parts.ensemble, parts.members - parts.variance)
    flat = y.ravel(), outputs.reshape(4, -1)
    two = np.stack([1 - flat[1], flat[1]], axis=-1)
    np.testing.assert_allclose(jensen_gap(y, outputs), jensen_gap(flat[0], two))
    np.testing.assert_allclose(normalised_disagreement(y, outputs), normalised_disagreement(flat[0], two))


def test_what_a_person_reads():
    assert str(ambiguity([0.5], [[[0.0]], [[2.0]]])) == "ensemble 0.25 = members 1.25 - variance 1"


@pytest.mark.parametrize("function", [normalised_disagreement, jensen_gap])
def test_errors_where_classes_are_needed(function):
    with pytest.raises(
        ValueError, match=r"task is regression.*decomposition\.ambiguity\(y, probs\).*task='multiclass'"
    ):
        function([0.5, 1.5], np.zeros((2, 2, 1)))


@pytest.mark.parametrize("function", [normalised_disagreement, jensen_gap, ambiguity])
def test_errors(function):
    y, probs = problem(5)
    with pytest.raises(ValueError, match=r"probs\[None\]"):
        function(y, probs[0])
    with pytest.raises(ValueError, match="same examples, in the same order"):
        function(y[1:], probs)
    with pytest.raises(ValueError, match="sums to 2"):
        function(y, probs * 2)
    with pytest.raises(ValueError, match="task 'classes' is not known"):
        function(y, probs, task="classes")
