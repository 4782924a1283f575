import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.special import expit, logit, softmax
from sklearn.isotonic import IsotonicRegression

from manyminima import calibrate, combine, metrics
from manyminima.calibrate import Isotonic, Temperature, cross_fitted, isotonic, temperature

both = pytest.mark.parametrize("fit", [temperature, isotonic], ids=lambda fit: fit.__name__)


def problem(seed: int = 0, examples: int = 200, classes: int = 4, sharper: float = 2.0):
    """Labels drawn from a softmax, and probabilities that are too sure by a factor: the best temperature is near it."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(examples, classes), scale=1.5)
    y = (softmax(logits, axis=-1).cumsum(-1) < rng.random((examples, 1))).sum(-1)
    return y, softmax(sharper * logits, axis=-1)


def labels(seed: int = 0, examples: int = 100, count: int = 3):
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(examples, count), scale=1.5)
    return (rng.random(logits.shape) < expit(logits)).astype(int), expit(3 * logits)


def plain(probs, t):
    """The definition, row by row."""
    rows = [[max(p, 1e-12) ** (1 / t) for p in row] for row in probs]
    return np.array([[p / sum(row) for p in row] for row in rows])


def test_all_names_are_there_and_sorted():
    assert calibrate.__all__ == sorted(calibrate.__all__)
    assert all(hasattr(calibrate, name) for name in calibrate.__all__)


@pytest.mark.parametrize("weight", [None, np.arange(200.0)])
@pytest.mark.parametrize("sharper", [0.3, 1.0, 4.0])
def test_temperature_agrees_with_a_plain_minimisation(sharper, weight):
    y, probs = problem(1, sharper=sharper)
    found = temperature(y, probs, sample_weight=weight)
    best = minimize_scalar(
        lambda log_t: metrics.nll(y, plain(probs, np.exp(log_t)), weight), bounds=(-4, 4), options={"xatol": 1e-9}
    )
    np.testing.assert_allclose(found.temperature, np.exp(best.x), rtol=1e-5)
    np.testing.assert_allclose(found.after, best.fun, rtol=1e-10)
    np.testing.assert_allclose(found.before, metrics.nll(y, probs, weight), rtol=1e-12)
    np.testing.assert_allclose(found(probs), plain(probs, found.temperature), rtol=1e-10)
    assert not found.at_bound


def test_it_finds_the_temperature_that_the_data_have():
    y, probs = problem(2, examples=20_000, sharper=3.0)
    np.testing.assert_allclose(temperature(y, probs).temperature, 3.0, rtol=0.05)


@settings(max_examples=60)
@given(st.integers(0, 10_000), st.integers(1, 12), st.integers(2, 5), st.floats(0.01, 60), st.floats(0, 1))
def test_temperature_is_the_best_of_a_grid_and_never_worse_than_none(seed, examples, classes, sharper, right):
    rng = np.random.default_rng(seed)
    probs = softmax(sharper * rng.normal(size=(examples, classes)), axis=-1)
    y = np.where(rng.random(examples) < right, probs.argmax(-1), rng.integers(classes, size=examples))
    found = temperature(y, probs)
    assert 0.01 <= found.temperature <= 100
    assert found.after <= found.before
    np.testing.assert_allclose(metrics.nll(y, found(probs)), found.after, rtol=1e-9, atol=1e-12)
    logs = np.log(np.maximum(probs, 1e-12))
    grid = [
        -np.log(softmax(logs / t, axis=-1)[range(examples), y] + 1e-300).mean() for t in np.geomspace(0.01, 100, 41)
    ]
    own = -np.log(softmax(logs / found.temperature, axis=-1)[range(examples), y] + 1e-300).mean()
    assert own <= min(grid) * (1 + 1e-9) + 1e-9


@given(st.integers(0, 10_000), st.floats(0.1, 10))
def test_temperature_keeps_the_order_of_the_classes(seed, t):
    y, probs = problem(seed, 20)
    found = Temperature(t, 1.0, 1.0, False, "multiclass", 4, temperature(y, probs).data)
    np.testing.assert_array_equal(found(probs).argsort(-1), probs.argsort(-1))
    assert np.all((found(probs).max(-1) - probs.max(-1)) * np.sign(1 - t) >= -1e-12)


@pytest.mark.parametrize(
    ("y", "probs", "expected"),
    [
        ([0, 1], [[0.9, 0.1], [0.4, 0.6]], 0.01),
        ([1, 0], [[0.9, 0.1], [0.4, 0.6]], 100),
        ([0, 1], [[1.0, 0.0], [0.0, 1.0]], 0.01),
        ([0], [[0.8, 0.2]], 0.01),
    ],
)
def test_the_bounds_are_recorded(y, probs, expected):
    found = temperature(y, probs)
    np.testing.assert_allclose(found.temperature, expected, rtol=1e-12)
    assert found.at_bound
    assert "at the bound" in str(found)


def test_rows_that_say_nothing_keep_temperature_1():
    found = temperature([0, 1, 1], np.full((3, 2), 0.5))
    assert (found.temperature, found.at_bound, found.before) == (1.0, False, found.after)


def test_zeros_are_floored():
    found = temperature([0, 1, 0], [[1.0, 0.0], [1.0, 0.0], [1.0, 0.0]])
    np.testing.assert_allclose(found.before, -np.log(1e-12) / 3, rtol=1e-6)
    np.testing.assert_allclose(found([[1.0, 0.0]]), [[2 / 3, 1 / 3]], rtol=1e-6)


def test_labels_of_one_class_are_fitted():
    probs = problem(3, 50)[1]
    assert temperature(np.zeros(50, int), probs).after <= metrics.nll(np.zeros(50, int), probs)
    assert isotonic(np.zeros(50, int), probs)(probs)[:, 0].min() > 0.9


def test_weights_are_repetitions():
    y, probs = problem(4, 60)
    times = np.random.default_rng(1).integers(3, size=60)
    for fit in (temperature, isotonic):
        found, repeated = fit(y, probs, sample_weight=times), fit(np.repeat(y, times), np.repeat(probs, times, axis=0))
        np.testing.assert_allclose([found.before, found.after], [repeated.before, repeated.after], rtol=0.01)
        some = np.maximum(probs, 0.01) / np.maximum(probs, 0.01).sum(-1, keepdims=True)
        np.testing.assert_allclose(found(some), repeated(some), atol=0.005)


@both
def test_any_leading_axes_give_the_same_rows(fit):
    y, probs = problem(5, 60)
    found = fit(y, probs)
    expected = found(probs)
    np.testing.assert_allclose(expected.sum(-1), 1)
    np.testing.assert_array_equal(found(probs[0]), expected[0])
    np.testing.assert_array_equal(found(probs.reshape(5, 3, 4, 4)), expected.reshape(5, 3, 4, 4))
    assert found(probs.astype(np.float32)).dtype == np.float64


@both
def test_other_layouts_of_the_same_labels(fit):
    y, probs = problem(6, 60)
    expected = fit(y, probs)
    for same in (y[:, None], y.astype(float), np.eye(4)[y], y.tolist()):
        assert fit(same, probs) == expected
    dense = fit(y.reshape(15, 2, 2), probs.reshape(15, 2, 2, 4))
    assert (dense.before, dense.after, dense.data.examples) == (expected.before, expected.after, 15)


def test_independent_labels_share_a_temperature_of_their_logits():
    y, probs = labels()
    found = temperature(y, probs)
    flat = temperature(y.ravel(), np.stack([1 - probs.ravel(), probs.ravel()], -1))
    np.testing.assert_allclose(found.temperature, flat.temperature, rtol=1e-12)
    assert found.task == "multilabel"
    np.testing.assert_allclose(logit(found(probs)), logit(probs) / found.temperature, rtol=1e-9)
    assert found.data.examples == 100


def test_independent_labels_have_a_curve_each():
    y, probs = labels()
    found = isotonic(y, probs)
    for label in range(3):
        curve = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(probs[:, label], y[:, label])
        np.testing.assert_allclose(
            found(probs)[:, label], np.clip(curve.predict(probs[:, label]), 1 / 600, 1 - 1 / 600)
        )
    np.testing.assert_allclose(found.score(y, probs, on_fitting_data=True), found.after)


@pytest.mark.parametrize("classes", [2, 4])
def test_isotonic_agrees_with_scikit_learn(classes):
    y, probs = problem(7, classes=classes)
    new = problem(8, classes=classes)[1]
    curves = [
        IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(probs[:, c], y == c).predict(new[:, c])
        for c in range(classes)
    ]
    shares = np.stack(curves, -1) if classes > 2 else np.stack([1 - curves[1], curves[1]], -1)
    shares = np.maximum(shares / shares.sum(-1, keepdims=True), 1 / (200 * classes))
    np.testing.assert_allclose(isotonic(y, probs)(new), shares / shares.sum(-1, keepdims=True), atol=0.004)


@given(st.integers(0, 10_000), st.integers(1, 40))
def test_isotonic_of_two_classes_is_monotone_and_hardly_ever_worse_than_none(seed, examples):
    y, probs = problem(seed, examples, 2)
    found = isotonic(y, probs)
    after = found(probs)[probs[:, 1].argsort(), 1]
    assert np.all(np.diff(after) >= 0)
    assert found.after <= found.before + 1 / examples
    np.testing.assert_allclose(found.after, metrics.nll(y, found(probs)), rtol=1e-9)


@given(st.integers(0, 10_000))
def test_isotonic_curves_rise_and_no_class_is_impossible(seed):
    y, probs = problem(seed, 30, 3)
    found = isotonic(y, probs)
    assert all(np.all(np.diff(curve) >= 0) for curve in found.outputs)
    assert found(problem(seed + 1, 30, 3)[1]).min() > 0.5 / 90


def test_a_row_to_which_every_curve_gives_nothing_keeps_its_own_order():
    y = [2, 0, 1]
    fitted = isotonic(y, [[0.4, 0.4, 0.2], [0.5, 0.1, 0.4], [0.1, 0.5, 0.4]])
    nothing = fitted.__class__.from_dict(fitted.to_dict() | {"outputs": [[0.0] * len(x) for x in fitted.inputs]})
    np.testing.assert_allclose(nothing([[0.5, 0.3, 0.2]]), [[0.5, 0.3, 0.2]])


@both
def test_plain_data_and_back(fit):
    for y, probs in (problem(9, 50), problem(9, 50, 2), labels()):
        found = fit(y, probs)
        again = type(found).from_dict(json.loads(json.dumps(found.to_dict())))
        assert again == found
        np.testing.assert_array_equal(again(probs), found(probs))


def test_str_says_what_was_gained():
    y, probs = problem(10, 1500, 2)
    found, curves = temperature(y, probs), isotonic(y, probs)
    gain = f"NLL {found.before:.4f} → {found.after:.4f} nats on 1,500 examples"
    assert str(found) == f"temperature {found.temperature:.3g}: {gain}"
    assert (
        str(curves)
        == f"isotonic regression of 2 classes: NLL {curves.before:.4f} → {curves.after:.4f} nats on 1,500 examples"
    )


@pytest.mark.parametrize(("fit", "what"), [(temperature, "the temperature"), (isotonic, "the isotonic regression")])
def test_the_fitting_data_are_no_test_data(fit, what):
    y, probs = problem(11)
    found = fit(y, probs, sample_weight=np.arange(200.0))
    for same in (y, np.eye(4)[y], y.tolist()):
        with pytest.raises(ValueError, match=rf"^{what} was fitted on these 200 examples.*on_fitting_data=True"):
            found.score(same, probs)
    np.testing.assert_allclose(found.score(y, probs, on_fitting_data=True), metrics.nll(y, found(probs)))
    np.testing.assert_allclose(found.score(y[:100], probs[:100]), metrics.nll(y[:100], found(probs[:100])))
    with pytest.raises(ValueError, match=what):
        found.data.check_unseen(y, metrics.nll(y, probs), what)


@both
def test_cross_fitted_uses_the_other_folds_only(fit):
    y, probs = problem(12, 60)
    found = cross_fitted(y, probs, fit, folds=3, seed=4)
    np.testing.assert_allclose(found.sum(-1), 1)
    for part in np.array_split(np.random.default_rng(4).permutation(60), 3):
        rest = np.setdiff1d(np.arange(60), part)
        np.testing.assert_allclose(found[part], fit(y[rest], probs[rest])(probs[part]))
    np.testing.assert_array_equal(cross_fitted(y, probs, fit, folds=3, seed=4), found)


def test_cross_fitted_keeps_the_rows_of_an_example_together():
    y, probs = problem(13, 80)
    dense = cross_fitted(y.reshape(20, 2, 2), probs.reshape(20, 2, 2, 4), folds=2, seed=1)
    part = np.array_split(np.random.default_rng(1).permutation(20), 2)[0]
    rest = np.setdiff1d(np.arange(20), part)
    expected = temperature(y.reshape(20, 4)[rest].ravel(), probs.reshape(20, 4, 4)[rest].reshape(-1, 4))
    np.testing.assert_allclose(dense[part], expected(probs.reshape(20, 2, 2, 4)[part]))
    assert cross_fitted(*labels(), folds=2).shape == (100, 3)


def test_cross_fitted_temperature_helps_where_the_probabilities_are_too_sure():
    y, probs = problem(14, 500, sharper=4.0)
    assert temperature(y, probs).after < metrics.nll(y, cross_fitted(y, probs)) < metrics.nll(y, probs)


Y, P = problem(15, 5, 3)


@both
@pytest.mark.parametrize(
    ("y", "probs", "says"),
    [
        (Y, np.stack([P, P]), r"shape \(2, 5, 3\).*Combine first, calibrate after: pass combine\.mean\(probs\)"),
        (np.eye(3)[Y], np.stack([P, P]), r"Combine first, calibrate after"),
        (Y, np.stack([P] * 5), r"Combine first, calibrate after"),
        (Y, P[:, 0], r"np\.stack\(\[1 - probs, probs\], axis=-1\)"),
        (Y[:3], P, r"y has 3 examples, but probs has 5.*same examples, in the same order"),
        (Y + 1, P, r"outside 0\.\.2: probs has 3 classes"),
        (Y, 3 * P, r"row 0 of probs sums to 3, expected 1 within 0\.001.*softmax"),
        (Y, np.log(P), r"expected probabilities.*softmax"),
        (
            np.eye(3)[Y],
            np.log(P),
            r"numbers of a regression.*scipy\.special\.softmax\(probs, axis=-1\).*task='multiclass'",
        ),
        (np.linspace(0, 1, 5), P[:, :1], r"numbers of a regression"),
        (Y, np.full((5, 3), np.nan), r"probs holds nan in row 0"),
        (np.zeros(0, int), np.zeros((0, 3)), r"probs is empty"),
        (np.where(Y[0] == Y, np.nan, Y), P, r"y holds nan.*Leave out"),
    ],
)
def test_errors_say_what_to_type(fit, y, probs, says):
    for call in (fit, lambda *data: cross_fitted(*data, fit)):
        with pytest.raises(ValueError, match=says):
            call(y, probs)


@both
def test_what_is_calibrated_is_checked(fit):
    found = fit(Y, P)
    with pytest.raises(ValueError, match=r"shape \(5, 2\), but the calibrator was fitted on 3 columns.*fit again"):
        found(P[:, :2])
    with pytest.raises(ValueError, match=r"row 0 of probs sums to 2.*softmax"):
        found(2 * P)
    with pytest.raises(ValueError, match="probs holds nan"):
        found(P * np.nan)
    with pytest.raises(ValueError, match=r"int64 values.*astype"):
        found(P.round().astype(int))
    with pytest.raises(ValueError, match=r"ranges over .*expected probabilities in 0\.\.1.*expit"):
        fit(*labels())(np.full((2, 3), 1.5))
    with pytest.raises(ValueError, match=r"Combine first"):
        found.score(Y, np.stack([P, P]))
    with pytest.raises(ValueError, match="sample_weight has shape"):
        fit(Y, P, sample_weight=[1, 2])


@pytest.mark.parametrize("folds", [0, 1, 6])
def test_folds_are_checked(folds):
    with pytest.raises(ValueError, match=rf"folds is {folds} for 5 examples, expected 2 to 5\. Pass folds=2"):
        cross_fitted(Y, P, folds=folds)


def test_members_are_calibrated_after_they_are_combined():
    y, probs = problem(16, sharper=3.0)
    members = np.stack([probs, np.roll(probs, 1, axis=-1) * 0.1 + probs * 0.9])
    found = temperature(y, combine.mean(members))
    np.testing.assert_allclose(found(members)[0], found(members[0]))
    assert isinstance(isotonic(y, combine.mean(members)), Isotonic)
