"""What a report says of how members are combined, what to ship, and what the ensemble doubts."""

import re
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cases import PROBLEM_CLASSES, PROBLEM_NOISE, members_of, noisy
from manyminima import calibrate, combine, metrics, selection, weight_space
from manyminima.arrays import as_problem
from manyminima.combination import Combination
from manyminima.reporting import inputs, ways
from manyminima.reporting.report import report

RNG = np.random.default_rng(0)


TASKS = ("multiclass", "binary", "multilabel", "dense", "regression")
every_task = pytest.mark.parametrize("task", TASKS)
Y, P = members_of(0)
VALIDATION = members_of(1)
IMAGES = RNG.uniform(size=(150, 8, 8))


def flat(y, probs, task):
    """The same as rows of classes, or of targets."""
    if task == "multilabel":
        return y.ravel(), np.stack([1 - probs, probs], axis=-1).reshape(len(probs), -1, 2)
    return (y.ravel() if task != "regression" else y), probs.reshape(len(probs), -1, probs.shape[-1])


# -- the ways to combine, and what to ship --------------------------------------------------------------------------------


@every_task
def test_the_scores_of_a_way_are_those_of_its_prediction(task):
    y, probs, validation = *members_of(0, task=task), members_of(1, task=task)
    result = report(y, probs, validation=validation)
    rows, members = flat(y, probs, task)
    known_y, known = flat(*validation, task)
    assert result.ways is not None
    for way in result.ways.ways:
        mixed = combine.mean(members, list(way.coefficients))
        assert way.members == np.count_nonzero(way.coefficients)
        for name, value in way.scores.items():
            np.testing.assert_allclose(value, getattr(metrics, name)(rows, mixed), rtol=1e-9)
        if task == "regression":
            np.testing.assert_allclose(
                way.validation, metrics.squared_error(known_y, combine.mean(known, list(way.coefficients)))
            )
            assert (way.temperature, way.validation_accuracy) == (None, None)
            assert way.calibrated == way.scores
            continue
        heated = calibrate.temperature(known_y, combine.mean(known, list(way.coefficients)))
        np.testing.assert_allclose([way.temperature, way.validation], [heated.temperature, heated.after], rtol=1e-9)
        for name, value in way.calibrated.items():
            np.testing.assert_allclose(value, getattr(metrics, name)(rows, heated(mixed)), rtol=1e-9)


@every_task
def test_the_ways_are_the_ways_of_selection(task):
    y, probs, validation = *members_of(0, task=task), members_of(1, task=task)
    found = {way.name: way.coefficients for way in report(y, probs, validation=validation).ways.ways}
    np.testing.assert_array_equal(found["last member: member 4"], [0, 0, 0, 1])
    np.testing.assert_array_equal(found["mean of all"], [0.25] * 4)
    np.testing.assert_array_equal(found["best member: member 1"], [1, 0, 0, 0])
    for name, fit in {"greedy selection": selection.greedy, "fitted coefficients": selection.fit_coefficients}.items():
        if name in found:
            np.testing.assert_allclose(found[name], fit(*validation).coefficients, atol=1e-12)
    assert len(set(found.values())) == len(found)


def compared(rows, validation):
    return ways.compare(as_problem(*rows), *validation, tuple("abcd"))


def decided(rows, validation):
    """All that validation rows decide."""
    found = compared(rows, validation)
    chosen = [(way.name, way.coefficients, way.temperature, way.validation, way.reason) for way in found.ways]
    return chosen, [(choice.goal, choice.way) for choice in found.choices]


@settings(max_examples=6)
@given(st.integers(0, 10_000), st.sampled_from(TASKS))
def test_no_choice_reads_the_rows_that_are_reported(seed, task):
    """Other labels, other predictions, other rows: coefficients, temperatures and choices stay."""
    (y, probs), validation = members_of(0, 20, task), members_of(1, 40, task)
    expected = decided((y, probs), validation)
    assert decided((np.random.default_rng(seed).permutation(y), probs), validation) == expected
    assert decided(members_of(seed + 2, 15, task), validation) == expected


@settings(max_examples=8)
@given(st.integers(2, 10_000), st.sampled_from(TASKS))
def test_what_ships_is_the_best_on_the_validation_rows(seed, task):
    validation = members_of(seed, 40, task)
    result = compared(members_of(0, 20, task), validation)
    found = {way.name: way for way in result.ways}
    *_, by_loss, single = (found[choice.way] for choice in result.choices)
    assert by_loss.validation == min(way.validation for way in found.values())
    assert single.members == 1
    known_y, known = flat(*validation, task)
    alone = [
        metrics.squared_error(known_y, one) if task == "regression" else calibrate.temperature(known_y, one).after
        for one in known
    ]
    np.testing.assert_allclose(single.validation, min(alone), rtol=1e-9)
    if task != "regression":
        first = found[result.choices[0].way]
        best = max(way.validation_accuracy for way in found.values())
        assert first.validation_accuracy == best
        assert first.members == min(way.members for way in found.values() if way.validation_accuracy == best)


def test_the_best_member_is_the_best_behind_its_temperature():
    """One member is far too sure and right most often: a temperature takes away what it loses."""
    y = np.arange(200) % 3
    right = np.where(np.arange(200) % 10 == 0, (y + 1) % 3, y)
    sure = np.full((200, 3), 1e-9) + np.eye(3)[right]
    vague = np.where(np.arange(200)[:, None] % 4 == 0, np.eye(3)[(y + 1) % 3], np.eye(3)[y]) * 0.7 + 0.1
    members = np.stack([sure, vague]) / np.stack([sure, vague]).sum(-1, keepdims=True)
    plain = [metrics.nll(y, one) for one in members]
    assert plain[0] > plain[1], "the example has to hide the better member"
    result = report(y[:99], members[:, :99], validation=(y[99:], members[:, 99:]))
    assert result.ways.choices[-1].way == "best member: member 1"


def test_ties_go_to_the_cheaper_way():
    same = np.repeat(P[:1], 3, axis=0)
    result = report(Y, same, validation=(VALIDATION[0], np.repeat(VALIDATION[1][:1], 3, axis=0)))
    assert {choice.way for choice in result.ways.choices} == {"last member: member 3"}


def test_one_member_is_one_way():
    result = report(Y, P[:1], validation=(VALIDATION[0], VALIDATION[1][:1]))
    assert [way.name for way in result.ways.ways] == ["last member: member 1"]
    assert "What to ship" in str(result)


@pytest.mark.parametrize("examples", [1, 2, 3])
def test_fewer_validation_rows_than_members(examples):
    """Nothing is estimated on so few: what was fitted is the mean, and the report says so."""
    few = members_of(1, examples)
    result = report(Y, P, validation=few, combination=Combination.fit(*few, "fitted", "none"))
    assert "fitted coefficients" not in [way.name for way in result.ways.ways]  # it is the mean of all
    np.testing.assert_allclose(result.mixed.coefficients, [0.25] * 4)
    these = "this 1 example" if examples == 1 else f"these {examples} examples"
    text = " ".join(str(result).split())
    assert f"Shrinkage 1: 4 coefficients cannot be fitted on {these}, so all are equal." in text
    assert f"the {examples} validation examples" in text


def test_coefficients_of_zero_are_explained():
    validation = (VALIDATION[0], np.concatenate([VALIDATION[1], 1 - np.eye(PROBLEM_CLASSES)[VALIDATION[0]][None]]))
    validation[1][-1] /= PROBLEM_CLASSES - 1
    members = np.concatenate([P, np.full((1, *P.shape[1:]), 1 / PROBLEM_CLASSES)])
    found = Combination.fit(*validation, "fitted", "none")
    result = report(Y, members, validation=validation, combination=found)
    text, page = " ".join(str(result).split()), result._repr_html_()
    assert re.search(
        r"Members? [\d, and]*5 got 0.*: taking .* into the mix of the others would not lower the NLL", text
    )
    assert "got 0" in page
    assert "duality gap" in page
    assert re.search(r"Greedy selection: Members? [\d, and]*5 got 0", page)


# -- rows that may not be reported on -------------------------------------------------------------------------------------


@every_task
def test_the_validation_rows_are_no_test_rows(task):
    y, probs = members_of(0, 60, task)
    order = np.random.default_rng(0).permutation(len(y))
    for rows in (np.arange(len(y)), order):
        with pytest.raises(
            ValueError, match=r"the validation rows are the rows to report on: .*neither trained on nor"
        ):
            report(y, probs, validation=(y[rows], probs[:, rows]))


@every_task
@pytest.mark.parametrize("shuffled", [False, True])
def test_the_fitting_rows_are_no_test_rows(task, shuffled):
    y, probs = members_of(0, 60, task)
    calibrator = "none" if task == "regression" else "temperature"
    order = np.random.default_rng(0).permutation(len(y)) if shuffled else np.arange(len(y))
    rows = y[order], probs[:, order]
    for way in (("fitted", "none"), ("uniform", calibrator)):
        found = Combination.fit(y, probs, *way)
        if way == ("uniform", "none"):
            continue
        for said in ({"combination": found}, {"run": SimpleNamespace(about={}, combination=found)}):
            with pytest.raises(ValueError, match=r"fitted on these \d+ examples.*on_fitting_data=True"):
                report(*rows, **said)
        assert report(*rows, combination=found, on_fitting_data=True).mixed is not None
        assert report(*members_of(3, 60, task), combination=found).mixed is not None


def test_errors_come_before_any_work():
    with pytest.raises(
        ValueError, match=r"validation rows have predictions of 2 members, the others of 4\. Pass those of"
    ):
        report(Y, P, validation=(VALIDATION[0], VALIDATION[1][:2]))
    with pytest.raises(ValueError, match=r"validation rows have predictions of 2 outputs, the others of 4"):
        report(Y, P, validation=(VALIDATION[0] % 2, noisy(VALIDATION[0] % 2, PROBLEM_NOISE, 2)))
    for wrong, what in (((Y, P, Y), "a tuple of 3"), ({"y": Y}, "a dict"), (P, "a ndarray")):
        with pytest.raises(ValueError, match=rf"validation is {what}, expected \(y_val, probs_val\)"):
            inputs.validation(wrong, None)
    with pytest.raises(ValueError, match="x has 149 inputs, but there are 150 examples. Pass the inputs of these rows"):
        report(Y, P, x=IMAGES[1:])
    with pytest.raises(ValueError, match="coefficients for 4 members"):
        report(Y, P[:2], combination=Combination.fit(*VALIDATION))
    bad = VALIDATION[1].copy()
    bad[2, 5] = np.nan
    with pytest.raises(ValueError, match="probs holds nan in member 2, row 5"):
        report(Y, P, validation=(VALIDATION[0], bad))


def test_what_is_no_combination_no_averages_and_no_list_of_members():
    with pytest.raises(
        TypeError, match=r"combination is 'fitted', expected what mm\.Combination\.fit\(y_val, probs_val\)"
    ):
        inputs.combination("fitted", None)
    with pytest.raises(TypeError, match=r"averages is a dict, expected what ensemble\.average_scores\(x, y\) returns"):
        inputs.averages({}, 3)
    with pytest.raises(ValueError, match="run says 3 of its members, expected a list with a dict for each"):
        inputs.labels(3, 3)


def test_several_outputs_have_validation_rows_of_their_own():
    several = {"kind": P, "size": RNG.normal(size=(4, 150, 1))}
    validation = ({"kind": VALIDATION[0]}, {"kind": VALIDATION[1], "size": RNG.normal(size=(4, 150, 1))})
    expected = report(Y, P, validation=VALIDATION)
    assert report(Y, several, output="kind", validation=validation) == expected
    assert report(Y, several, output="kind", validation=VALIDATION) == expected


# -- a combination that was fitted ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("calibrator", ["none", "temperature", "isotonic"])
@pytest.mark.parametrize("coefficients", ["uniform", "fitted"])
def test_a_combination_is_scored_step_by_step(coefficients, calibrator):
    found = Combination.fit(*VALIDATION, coefficients, calibrator)
    mixed = report(Y, P, combination=found).mixed
    shares = selection.fit_coefficients(*VALIDATION).coefficients if coefficients == "fitted" else None
    plain = combine.mean(P, shares)
    np.testing.assert_allclose(mixed.coefficients, [0.25] * 4 if shares is None else shares)
    for name, value in mixed.combined.items():
        np.testing.assert_allclose(value, getattr(metrics, name)(Y, plain), rtol=1e-12)
    if calibrator == "none":
        assert (mixed.calibrated, mixed.calibrator) == (None, "")
        return
    by_hand = getattr(calibrate, calibrator)(VALIDATION[0], combine.mean(VALIDATION[1], shares))
    for name, value in mixed.calibrated.items():
        np.testing.assert_allclose(value, getattr(metrics, name)(Y, by_hand(plain)), rtol=1e-12)
    assert mixed.calibrator == str(by_hand)


@every_task
def test_weights_count_in_a_combination_and_in_the_ways(task):
    y, probs, validation = *members_of(0, 40, task), members_of(1, 60, task)
    times = np.random.default_rng(3).integers(3, size=len(y))
    found = Combination.fit(*validation, "fitted", "none" if task == "regression" else "temperature")
    weighted = report(y, probs, combination=found, validation=validation, sample_weight=times)
    repeated = report(np.repeat(y, times, 0), np.repeat(probs, times, 1), combination=found, validation=validation)
    np.testing.assert_allclose(
        list(weighted.mixed.combined.values()), list(repeated.mixed.combined.values()), rtol=1e-9
    )
    for one, other in zip(weighted.ways.ways, repeated.ways.ways, strict=True):
        np.testing.assert_allclose(list(one.calibrated.values()), list(other.calibrated.values()), rtol=1e-9)
    assert weighted.ways.choices[0].way == repeated.ways.choices[0].way
    if task != "regression":
        shown = [weighted.doubt.area, weighted.doubt.total, *weighted.doubt.errors.values()]
        np.testing.assert_allclose(
            shown, [repeated.doubt.area, repeated.doubt.total, *repeated.doubt.errors.values()], rtol=1e-9
        )


def test_weights_at_hand_are_compared_too():
    class Ensemble(list):
        @property
        def about(self):
            return {}

    weights = Ensemble([[RNG.normal(size=(4, 3)), np.array(step)] for step in range(len(P))])
    found, pairs = report(Y, P, run=weights).diversity, np.triu_indices(len(P), 1)
    np.testing.assert_allclose(found["weight_cosine"], weight_space.weight_cosine(weights)[pairs].mean())
    np.testing.assert_allclose(found["weight_distance"], weight_space.weight_distance(weights)[pairs].mean())
    assert "cosine of their weights" in " ".join(str(report(Y, P, run=weights)).split())
    assert "weight_cosine" not in report(Y, P, run={}).diversity
    assert "weight_cosine" not in report(Y, P[:1], run=Ensemble(weights[:1])).diversity
