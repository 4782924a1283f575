import json
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cases import COMBINE, METRICS, noisy
from manyminima import combine, metrics, selection

CLASSES = [case.metric for case in METRICS if case.inputs == "classes"]


def problem(members=5, examples=40, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(3, size=examples), rng.dirichlet(np.ones(3), size=(members, examples)).astype(np.float32)


@pytest.mark.parametrize("metric", CLASSES, ids=lambda metric: metric.__name__)
@pytest.mark.parametrize("rule", [case.rule for case in COMBINE], ids=lambda rule: rule.__name__)
def test_is_combining_again_for_every_size(metric, rule):
    y, probs = problem()
    newest = [metric(y, rule(probs[-n:])) for n in range(1, 6)]
    oldest = [metric(y, rule(probs[:n])) for n in range(1, 6)]
    np.testing.assert_allclose(selection.scores_by_size(y, probs, metric, rule=rule), newest, rtol=1e-9)
    np.testing.assert_allclose(selection.scores_by_size(y, probs, metric, "oldest", rule), oldest, rtol=1e-9)


def test_the_ends_are_single_members_and_the_ensemble():
    y, probs = problem()
    newest = selection.scores_by_size(y, probs)
    oldest = selection.scores_by_size(y, probs, order="oldest")
    np.testing.assert_allclose(
        [newest[0], oldest[0], newest[-1], oldest[-1]],
        [metrics.nll(y, one) for one in (probs[-1], probs[0], combine.mean(probs), combine.mean(probs))],
    )


def test_copies_stay_where_one_member_is():
    y, probs = problem(1)
    np.testing.assert_allclose(
        selection.scores_by_size(y, np.repeat(probs, 4, axis=0)), np.full(4, metrics.nll(y, probs[0])), rtol=1e-12
    )


def test_other_tasks_and_weights():
    rng = np.random.default_rng(1)
    y, outputs = rng.integers(2, size=20), rng.uniform(size=(3, 20, 1))
    expected = [metrics.squared_error(y, outputs[-n:].mean(0)) for n in (1, 2, 3)]
    np.testing.assert_allclose(selection.scores_by_size(y, outputs, metrics.squared_error), expected)
    times = rng.integers(3, size=20)
    repeated = selection.scores_by_size(np.repeat(y, times), np.repeat(outputs, times, axis=1))
    np.testing.assert_allclose(selection.scores_by_size(y, outputs, sample_weight=times), repeated)


def test_unknown_order():
    with pytest.raises(ValueError, match=r"order is 'best', expected 'newest'.* or 'oldest'"):
        selection.scores_by_size(*problem(), order="best")


def test_the_public_names_are_functions_not_modules():
    assert selection.__all__ == sorted(selection.__all__)
    for name in selection.__all__:
        assert callable(getattr(selection, name))


def greedy_by_hand(y, probs, size, metric=metrics.nll):
    """Every candidate combined and scored anew; the picks, cut after the lowest score."""
    picks, scores = [], []
    for _ in range(size):
        trials = [metric(y, np.mean([probs[m] for m in (*picks, new)], axis=0)) for new in range(len(probs))]
        picks.append(int(np.argmin(trials)))
        scores.append(min(trials))
    kept = picks[: 1 + int(np.argmin(scores))]
    return np.array([kept.count(m) / len(kept) for m in range(len(probs))]), min(scores)


@pytest.mark.parametrize("size", [1, 2, 12])
def test_greedy_agrees_with_a_plain_loop(size):
    y = np.arange(40) % 3
    probs = noisy(y, [2.0, 1.5, 1.8, 3.0]).astype(np.float64)
    expected, score = greedy_by_hand(y, probs, size)
    chosen = selection.greedy(y, probs, size=size)
    np.testing.assert_allclose(chosen.coefficients, expected)
    np.testing.assert_allclose(chosen.score, score)
    targets = np.random.default_rng(0).normal(size=(40, 2))
    outputs = targets + np.random.default_rng(1).normal(size=(4, 40, 2)) * [[[1.0]], [[0.8]], [[1.2]], [[3.0]]]
    expected, score = greedy_by_hand(targets, outputs, size, metrics.squared_error)
    np.testing.assert_allclose(selection.greedy(targets, outputs, size=size).coefficients, expected)


@settings(max_examples=15)
@given(st.integers(0, 10_000), st.integers(1, 6))
def test_greedy_is_never_worse_than_the_best_single_member(seed, members):
    y, probs = problem(members, 12, seed)
    chosen = selection.greedy(y, probs, size=7)
    assert chosen.score <= chosen.best_single + 1e-12
    np.testing.assert_allclose(chosen.best_single, min(metrics.nll(y, one) for one in probs))
    np.testing.assert_allclose(chosen.coefficients.sum(), 1)


def test_greedy_takes_the_older_of_equals_and_says_who_got_nothing():
    y, probs = problem(1)
    chosen = selection.greedy(y, np.repeat(probs, 3, axis=0), size=5)
    np.testing.assert_array_equal(chosen.coefficients, [1, 0, 0])
    assert chosen.reason.startswith("Members 2 and 3 got 0: at every pick another member gave")
    assert "Of 5 picks the first 1 count: more did not lower the NLL on these 40 examples" in chosen.reason
    assert selection.greedy(y, probs).reason == "The only member got 1."


@pytest.mark.parametrize("task", ["multiclass", "regression"])
def test_newest_is_the_best_of_the_scores_by_size(task):
    y = np.arange(60) % 3
    probs = noisy(y, [9.0, 2.0, 2.0, 2.0])
    labels, metric = (y, metrics.nll) if task == "multiclass" else (np.eye(3)[y], metrics.squared_error)
    chosen = selection.newest(labels, probs, task=task)
    scores = selection.scores_by_size(labels, probs, metric)
    assert scores.argmin() == 2, "the example has to leave the bad old member out"
    np.testing.assert_allclose(chosen.coefficients, [0, 1 / 3, 1 / 3, 1 / 3])
    np.testing.assert_allclose([chosen.score, chosen.uniform], [scores.min(), scores[-1]])
    assert chosen.metric == metric.__name__
    assert chosen.reason.startswith("Member 1 got 0: taking in older members than the newest 3 did not lower the")


def test_of_equal_sizes_newest_takes_the_smallest():
    y, probs = problem(1)
    np.testing.assert_array_equal(selection.newest(y, np.repeat(probs, 4, axis=0)).coefficients, [0, 0, 0, 1])


EVERY_METHOD = pytest.mark.parametrize("method", [selection.fit_coefficients, selection.greedy, selection.newest])


@EVERY_METHOD
@pytest.mark.parametrize("kind", ["classes", "labels", "dense", "targets"])
def test_the_result_is_what_the_metric_says_of_the_combination(method, kind):
    rng = np.random.default_rng(3)
    y, probs = rng.integers(2, size=(30, 4)), rng.uniform(size=(3, 30, 4))
    if kind == "classes":
        y, probs = problem(3, 30)
    elif kind == "dense":
        probs = rng.dirichlet(np.ones(5), size=(3, 30, 4))
    elif kind == "targets":
        y = rng.normal(size=(30, 4))
    weight = rng.integers(3, size=30)
    chosen = method(y, probs, sample_weight=weight)
    combined = chosen.combine(probs)
    np.testing.assert_array_equal(combined, combine.mean(probs, chosen.coefficients))
    if kind == "targets":
        expected = metrics.squared_error(y, combined, weight)
    elif kind == "labels":
        chance = np.where(y == 1, combined, 1 - combined)
        expected = np.average(-np.log(chance).mean(axis=1), weights=weight)
    elif kind == "dense":
        expected = metrics.nll(y.ravel(), combined.reshape(-1, 5), np.repeat(weight, 4))
    else:
        expected = metrics.nll(y, combined, weight)
    np.testing.assert_allclose(chosen.score, expected, rtol=1e-9)
    np.testing.assert_allclose(
        chosen.score_on(y, probs, on_fitting_data=True, sample_weight=weight), chosen.score, rtol=1e-12
    )


@EVERY_METHOD
def test_a_score_on_the_data_of_the_fit_is_refused(method):
    y, probs = problem(3, 30)
    chosen = method(y, probs)
    for weight in (None, np.arange(30)):
        with pytest.raises(ValueError, match=r"coefficients was fitted on these 30 examples.*on_fitting_data=True"):
            chosen.score_on(y, probs, sample_weight=weight)
    other_y, other = problem(3, 30, seed=1)
    np.testing.assert_allclose(
        chosen.score_on(other_y, other), metrics.nll(other_y, combine.mean(other, chosen.coefficients))
    )
    np.testing.assert_allclose(chosen.score_on(y, other), metrics.nll(y, combine.mean(other, chosen.coefficients)))


@EVERY_METHOD
def test_json_and_back(method):
    y, probs = problem(3, 30)
    chosen = method(y, probs)
    again = selection.Selection.from_dict(json.loads(json.dumps(chosen.to_dict())))
    np.testing.assert_array_equal(again.coefficients, chosen.coefficients)
    assert again.to_dict() == chosen.to_dict()
    assert str(again) == str(chosen)
    with pytest.raises(ValueError, match="was fitted on these 30 examples"):
        again.score_on(y, probs)
    for bad in ({}, {**chosen.to_dict(), "method": "best"}, {**chosen.to_dict(), "more": 1}):
        with pytest.raises(ValueError, match=r"Pass what Selection\.to_dict\(\) returned"):
            selection.Selection.from_dict(bad)


def test_printed():
    y, probs = problem(3, 30)
    text = str(selection.fit_coefficients(y, probs, shrinkage=0.5))
    assert re.match(r"fitted: coefficients 0\.\d{3} 0\.\d{3} 0\.\d{3}\nNLL [\d.]+ nats; equal", text)
    assert "duality gap" in text
    assert "Shrinkage 0.5 was given." in text
    numbers = str(selection.newest(probs[0], probs[1:], task="regression"))
    assert re.search(r"\nSquared error [\d.]+; equal", numbers)


@EVERY_METHOD
@pytest.mark.parametrize(
    ("y", "probs", "says"),
    [
        ([], np.zeros((2, 0, 3)), "probs is empty.*Pass at least one member and one example"),
        ([0, 1], np.full((2, 2, 2), np.nan), r"nan in member 0, row 0.*np\.delete\(probs, 0, axis=0\)"),
        ([0, 1], np.array([[[3.0, -2.0], [0.5, 0.5]]] * 2), "If these are logits, apply a softmax first"),
        ([0, 2], np.full((2, 2, 2), 0.5), r"label 2 at row 1, outside 0\.\.1.*Number the classes from 0"),
        ([0, 1, 1], np.full((2, 2, 2), 0.5), "y has 3 examples, but probs has 2.*same examples, in the same order"),
        ([0, 1], np.full((2, 2), 0.5), r"For a single member pass probs\[None\]"),
    ],
)
def test_bad_input(method, y, probs, says):
    with pytest.raises(ValueError, match=says):
        method(y, probs)


def test_other_errors():
    y, probs = problem(3, 30)
    chosen = selection.newest(y, probs)
    for call in (
        lambda: chosen.combine(probs[:2]),
        lambda: chosen.score_on(y, probs[:2]),
        lambda: chosen.combine(np.float64(0.5)),
    ):
        with pytest.raises(ValueError, match=r"coefficients for 3 members\. Pass the predictions of those 3"):
            call()
    with pytest.raises(ValueError, match=r"size is 0, expected how many times.*Pass size=50"):
        selection.greedy(y, probs, size=0)
    with pytest.raises(ValueError, match=r"task 'ranking' is not known"):
        selection.newest(y, probs, task="ranking")
