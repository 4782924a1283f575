"""From members to one prediction: what was fitted, where it may be used, and that no damaged file is."""

import json
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cases import noisy
from manyminima import calibrate, combination, combine, selection
from manyminima.combination import Combination
from manyminima.fitting_data import FittingData

RNG = np.random.default_rng(0)
Y = RNG.integers(3, size=120)
P = noisy(Y, [1.0, 2.0, 4.0])
LABELS = RNG.integers(2, size=(60, 4))
PROBLEMS = {
    "multiclass": (Y, P),
    "one-hot": (np.eye(3)[Y], P),
    "binary": (Y % 2, noisy(Y % 2, [1.0, 2.0], classes=2)),
    "multilabel": (LABELS, np.clip(0.6 * LABELS + 0.4 * RNG.uniform(size=(3, 60, 4)), 0, 1)),
    "dense": (Y.reshape(30, 2, 2), P.reshape(3, 30, 2, 2, 3)),
    "regression": (Y[:, None] * 1.0, Y[:, None] + RNG.normal(size=(3, 120, 1))),
    "regression without targets' axis": (Y * 1.5, Y[:, None] + RNG.normal(size=(3, 120, 1))),
}
every_problem = pytest.mark.parametrize(("y", "probs"), PROBLEMS.values(), ids=PROBLEMS)
WAYS = [
    (coefficients, calibrator) for coefficients in combination.COEFFICIENTS for calibrator in combination.CALIBRATORS
]
every_way = pytest.mark.parametrize(("coefficients", "calibrator"), WAYS)


@every_way
def test_it_is_the_selection_and_then_the_calibrator(coefficients, calibrator):
    fit = {"fitted": selection.fit_coefficients, "greedy": selection.greedy, "newest": selection.newest}.get(
        coefficients
    )
    shares = fit(Y, P).coefficients if fit else np.full(3, 1 / 3)
    expected = combine.mean(P, shares)
    if calibrator != "none":
        expected = getattr(calibrate, calibrator)(Y, expected)(expected)
    found = Combination.fit(Y, P, coefficients, calibrator)
    np.testing.assert_allclose(found(P), expected, rtol=1e-12)
    np.testing.assert_array_equal(found.coefficients(3), shares)
    assert (found.selection is None) == (coefficients == "uniform")
    assert (found.calibrator is None) == (calibrator == "none")


def test_nothing_fitted_is_the_mean():
    np.testing.assert_array_equal(Combination()(P), combine.mean(P))
    assert str(Combination()) == "equal coefficients"
    assert Combination().label == "equal coefficients"
    Combination().check_unseen(Y, P)


@pytest.mark.parametrize(
    ("given", "label"),
    [
        (("uniform", "temperature"), r"equal coefficients, temperature [\d.]+\d"),
        (("fitted", "isotonic"), "fitted coefficients, isotonic regression"),
        (("newest", "none"), "newest coefficients"),
    ],
)
def test_label(given, label):
    found = Combination.fit(Y, P, *given)
    assert re.fullmatch(label, found.label)
    assert str(found).splitlines()


def test_a_temperature_in_three_digits():
    wrong = np.full((1, 4, 2), [0.99, 0.01])
    assert Combination.fit([1, 1, 1, 1], wrong, "uniform").label == "equal coefficients, temperature 100"


# -- data that a part of it was fitted on -------------------------------------------------------------------------------


@every_problem
@pytest.mark.parametrize("weighted", [False, True])
def test_the_data_of_the_fit_are_refused_in_any_order_and_layout(y, probs, weighted):
    kinds = ["none"] if y.dtype.kind == "f" and np.any(y > 1) else ["none", "temperature", "isotonic"]
    order = np.random.default_rng(1).permutation(len(y))
    weight = np.arange(len(y)) if weighted else None
    for way in [("newest", "none"), *(("uniform", kind) for kind in kinds if kind != "none")]:
        found = Combination.fit(y, probs, *way, sample_weight=weight)
        for rows in (np.arange(len(y)), order):
            with pytest.raises(ValueError, match=rf"was fitted on these {len(y)} examples.*on_fitting_data=True"):
                found.check_unseen(y[rows], probs[:, rows])
        found.check_unseen(y[1:], probs[:, 1:])


@pytest.mark.parametrize(("coefficients", "calibrator"), [("greedy", "none"), ("uniform", "temperature")])
def test_one_hot_labels_and_class_numbers_are_the_same_data(coefficients, calibrator):
    for fitted, reported in ((Y, np.eye(3)[Y]), (np.eye(3)[Y], Y), (Y[:, None], Y), (Y.astype(float), Y)):
        with pytest.raises(ValueError, match="was fitted on these 120 examples"):
            Combination.fit(fitted, P, coefficients, calibrator).check_unseen(reported, P)


def test_other_rows_with_the_same_labels_are_other_data():
    other = noisy(Y, [1.0, 2.0, 4.0], seed=9)
    for way in WAYS[1:]:
        Combination.fit(Y, P, *way).check_unseen(Y, other)


@settings(max_examples=30)
@given(st.integers(0, 10_000), st.integers(1, 30), st.integers(1, 4))
def test_fitting_data_do_not_depend_on_the_order(seed, examples, columns):
    rng = np.random.default_rng(seed)
    y = rng.integers(-2, 3, size=(examples, columns))
    known = FittingData.of(y, 0.5)
    assert known == FittingData.of(rng.permutation(y), 0.5)
    assert known.is_same(y * 1.0, 0.5 + 1e-8)
    assert not known.is_same(y, 0.5 + 1e-4)
    assert examples == 1 or not known.is_same(y[1:], 0.5)
    changed = y.copy()
    changed[rng.integers(examples), rng.integers(columns)] += 7
    assert not known.is_same(changed, 0.5)
    assert FittingData(**json.loads(json.dumps(known.to_dict()))) == known


def test_a_negative_zero_is_zero():
    assert FittingData.of([-0.0, 1.0], 0.0) == FittingData.of([1, 0], 0.0)


# -- errors -------------------------------------------------------------------------------------------------------------


def test_errors_say_what_to_type():
    with pytest.raises(ValueError, match="coefficients='best' is not known. Choose one of 'uniform', 'fitted'"):
        Combination.fit(Y, P, "best")
    with pytest.raises(ValueError, match="calibrate='platt' is not known. Choose one of 'none', 'temperature'"):
        Combination.fit(Y, P, calibrate="platt")
    with pytest.raises(ValueError, match="calibrate='temperature' is for probabilities, .* pass calibrate='none'"):
        Combination.fit(*PROBLEMS["regression"])
    with pytest.raises(ValueError, match="y has 119 examples, but probs has 120"):
        Combination.fit(Y[1:], P)
    with pytest.raises(ValueError, match=r"coefficients for 3 members\. Pass the predictions of those 3"):
        Combination.fit(Y, P)(P[:2])


def test_where_it_fits():
    found = Combination.fit(Y, P)
    found.check_fits(3, "multiclass")
    found.check_fits(3, None)
    with pytest.raises(ValueError, match=r"of 3 members, and this ensemble has 2\. Fit one .* mm\.Combination\.fit\("):
        found.check_fits(2, "multiclass")
    for task in ("regression", "multilabel", "binary"):
        if task == "binary":  # a softmax of two units is one as well
            found.check_fits(3, task)
            continue
        with pytest.raises(ValueError, match=rf"for the task 'multiclass', and this ensemble's is '{task}'\. Fit one"):
            found.check_fits(3, task)
    Combination().check_fits(7, "regression")
