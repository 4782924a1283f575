import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss

from cases import METRICS
from manyminima import arrays, combine, metrics
from manyminima.arrays import as_problem, infer_task

CLASSES = [case.metric for case in METRICS if case.inputs == "classes"]
every_metric = pytest.mark.parametrize("case", METRICS, ids=lambda case: case.metric.__name__)
class_metrics = pytest.mark.parametrize("metric", CLASSES, ids=lambda metric: metric.__name__)


def problem(seed: int, members: int = 4, examples: int = 60, classes: int = 5):
    """Labels and members' probabilities, none of them 0."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(members, examples, classes), scale=2)
    probs = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    return rng.integers(classes, size=examples), probs.astype(np.float32)


def inputs(case, seed=0):
    y, probs = problem(seed)
    probs = probs.astype(np.float64)
    probs /= probs.sum(-1, keepdims=True)
    return (y, probs[0]) if case.inputs == "classes" else (probs[1], probs[0])


def test_the_rows_are_all_the_metrics():
    assert [case.metric.__name__ for case in METRICS] == metrics.__all__ == sorted(metrics.__all__)


@every_metric
@pytest.mark.parametrize("weight", [None, np.arange(60.0)])
def test_agrees_with_an_independent_reference(case, weight):
    y, probs = inputs(case)
    np.testing.assert_allclose(case.metric(y, probs, weight), case.reference(y, probs, weight), rtol=1e-6)


@every_metric
def test_weights_are_repetitions(case):
    y, probs = inputs(case)
    times = np.random.default_rng(1).integers(3, size=len(y))
    repeated = case.metric(np.repeat(y, times, axis=0), np.repeat(probs, times, axis=0))
    np.testing.assert_allclose(case.metric(y, probs, times), repeated, rtol=1e-12)


@every_metric
def test_order_of_examples_does_not_matter(case):
    y, probs = inputs(case)
    order = np.random.default_rng(2).permutation(len(y))
    np.testing.assert_allclose(case.metric(y[order], probs[order]), case.metric(y, probs), rtol=1e-12)


@every_metric
def test_facts_hold(case):
    facts, (y, probs) = case.metric.facts, inputs(case)
    score = case.metric(y, probs)
    assert type(score) is float
    assert facts.bounds[0] <= score <= facts.bounds[1]
    perfect = case.metric(y, np.eye(5)[y] if case.inputs == "classes" else y)
    assert perfect == facts.bounds[0 if facts.better == "lower" else 1]
    if facts.per_example:
        np.testing.assert_allclose(facts.per_example(y, probs).mean(), score, rtol=1e-12)


@class_metrics
def test_other_layouts_of_the_same_labels(metric):
    y, probs = problem(3)
    expected = metric(y, probs[0])
    for same in (y[:, None], y.astype(float), np.eye(5)[y], np.eye(5)[y].astype(bool), y.tolist()):
        assert metric(same, probs[0]) == expected
    assert metric(y.reshape(15, 2, 2), probs[0].reshape(15, 2, 2, 5)) == expected


def test_worst_cases():
    wrong = np.array([[1.0, 0.0]])
    assert metrics.nll([1], wrong) == pytest.approx(-np.log(1e-12))
    assert metrics.brier([1], wrong) == 2
    assert metrics.ece([1], wrong) == 1
    assert metrics.accuracy([1], wrong) == 0


def test_ece_and_brier_agree_with_scikit_learn():
    y, probs = problem(3, examples=500)
    rows = probs[0].astype("float64")
    rows /= rows.sum(-1, keepdims=True)
    confidence, hit = rows.max(-1), rows.argmax(-1) == y
    share, mean = calibration_curve(hit, confidence, n_bins=15, strategy="uniform")
    counts = np.histogram(-confidence, np.linspace(-1, 0, 16))[0][::-1]  # turned round: bins closed above
    np.testing.assert_allclose(metrics.ece(y, rows), np.average(np.abs(share - mean), weights=counts[counts > 0]))
    np.testing.assert_allclose(metrics.brier(y, rows), brier_score_loss(y, rows, scale_by_half=False))


def test_ece_bins_are_open_below_and_closed_above():
    """Confidences 9/15 and a little more fall into different bins, so opposite gaps cannot cancel."""
    edge = 9 / 15
    probs = np.array([[edge, 1 - edge], [edge + 1e-9, 1 - edge - 1e-9]])
    np.testing.assert_allclose(metrics.ece([0, 1], probs), (1 - edge + edge) / 2, atol=1e-8)


@given(st.integers(0, 10_000), st.integers(1, 6), st.integers(2, 5))
def test_the_mean_is_at_least_as_good_as_its_members_on_average(seed, members, classes):
    y, probs = problem(seed, members, 8, classes)
    for metric in (metrics.nll, metrics.brier):
        assert metric(y, combine.mean(probs)) <= np.mean([metric(y, one) for one in probs]) + 1e-9


@given(st.integers(0, 10_000))
def test_ambiguity_decomposition_is_exact(seed):
    rng = np.random.default_rng(seed)
    y, outputs = rng.normal(size=(20, 2)), rng.normal(size=(3, 20, 2))
    members = np.mean([metrics.squared_error(y, one) for one in outputs])
    np.testing.assert_allclose(metrics.squared_error(y, combine.mean(outputs)), members - outputs.var(0).mean())


Y, P = problem(5, members=2, examples=3, classes=3)


@pytest.mark.parametrize(
    ("y", "probs", "says"),
    [
        (Y, P, r"probs has shape \(2, 3, 3\).*metrics\.nll\(y, combine\.mean\(probs\)\)"),
        (Y, P[0, :, 0], r"np\.stack\(\[1 - probs, probs\], axis=-1\)"),
        (Y, P[0] * 3, r"row 0 of probs sums to 3, expected 1 within 0\.001.*softmax"),
        (Y, np.log(P[0]), r"holds -.* in row 0, expected probabilities.*softmax"),
        (Y[:2], P[0], r"y has 2 examples, but probs has 3.*same examples, in the same order"),
        ([0, 1, 3], P[0], r"label 3 at row 2, outside 0\.\.2: probs has 3 classes.*Number the classes from 0"),
        ([1, 2, 3], P[0], r"label 3 at row 2.*count from 1: pass y - 1"),
        ([0, -1, 2], P[0], r"label -1 at row 1"),
        ([0.0, 0.5, 1.0], P[0], r"holds 0\.5 at row 1, expected whole class numbers 0\.\.2.*task='regression'"),
        ([0.0, np.nan, 1.0], P[0], r"y holds nan at row 1.*Leave out"),
        (["a", "b", "c"], P[0], r"y holds <U1 values.*np\.unique\(y, return_inverse=True\)"),
        (np.array(0), P[0], r"y is the single value 0"),
        (np.full((3, 3), 1 / 3), P[0], r"not one-hot.*y\.argmax\(-1\)"),
        (np.zeros((3, 2), int), P[0], r"y has shape \(3, 2\).*Expected \(3,\), or \(3, 3\) for one-hot"),
        (Y, P[0, :, :1], r"np\.concatenate\(\[1 - probs, probs\], axis=-1\)"),
        (Y, P[0].round().astype(int), r"int64 values.*astype\('float32'\)"),
        (np.zeros(0, int), np.zeros((0, 3)), r"probs is empty: its shape is"),
        (Y, np.full((3, 3), np.nan), r"probs holds nan in row 0"),
    ],
)
def test_errors_say_what_to_type(y, probs, says):
    with pytest.raises(ValueError, match=says):
        metrics.nll(y, probs)


@pytest.mark.parametrize(
    ("weight", "says"),
    [
        ([1, 2], r"shape \(2,\), expected \(3,\): one weight per example"),
        ([1, -1, 2], r"holds -1\.0 at row 1.*Use 0 to leave an example out"),
        ([1, 2, np.nan], r"holds nan at row 2"),
        (["a", "b", "c"], r"sample_weight holds <U1 values, expected numbers: one weight of at least 0 per example"),
        ([0, 0, 0], r"0 for every example.*weight above 0"),
    ],
)
def test_weight_errors(weight, says):
    with pytest.raises(ValueError, match=says):
        metrics.nll(Y, P[0], weight)


def test_a_sentence_begins_with_a_capital():
    assert [getattr(metrics, name).facts.title for name in metrics.__all__] == [
        *("Accuracy", "Brier", "ECE", "NLL", "Squared error")
    ]


def test_a_name_is_no_metric():
    assert metrics.known(metrics.nll) is metrics.nll
    for other in ("nll", np.mean):
        with pytest.raises(TypeError, match="expected one of mm.metrics, such as metric=mm.metrics.nll"):
            metrics.known(other)


def test_no_examples_are_no_prediction():
    with pytest.raises(ValueError, match=r"probs is empty: its shape is \(0, 3\)\. Pass at least one example"):
        metrics.nll([], np.zeros((0, 3)))


def test_array_errors_say_which_member():
    broken = P.copy()
    broken[1, 2, 0] = np.inf
    with pytest.raises(ValueError, match=r"inf in member 1, row 2.*np\.delete\(probs, 1, axis=0\)"):
        as_problem(Y, broken)
    broken[1, 2, 0] = 0.9
    with pytest.raises(ValueError, match=r"member 1, row 2 of probs sums to .*task='multilabel'"):
        as_problem(Y, broken, "multiclass")
    with pytest.raises(ValueError, match=r"probs has shape \(3, 3\).*probs\[None\]"):
        as_problem(Y, P[0])
    with pytest.raises(ValueError, match=r"task 'classes' is not known.*'multiclass', 'binary'"):
        as_problem(Y, P, "classes")
    dense = np.full((2, 1, 2, 2, 2), 0.5)
    dense[1, 0, 1, 0] = 0.7
    with pytest.raises(ValueError, match=r"member 1, row \(0, 1, 0\) of probs sums to 1\.4"):
        as_problem(np.zeros((1, 2, 2), int), dense)


def test_task_errors():
    with pytest.raises(ValueError, match=r"4 in member 0, row 0, outside 0\.\.1.*expit"):
        as_problem([[0], [1]], [[[4.0], [0.2]], [[0.1], [0.2]]], "multilabel")
    with pytest.raises(ValueError, match=r"y holds 2 at row 1, but labels are 0 or 1.*task='multiclass'"):
        as_problem([[0], [2]], [[[0.4], [0.2]]], "multilabel")
    with pytest.raises(ValueError, match=r"Expected \(2, 3\): a 0 or 1 for every label"):
        as_problem([0, 1], np.full((1, 2, 3), 0.5), "multilabel")
    with pytest.raises(ValueError, match=r"Expected \(2, 3\): a number for every output"):
        as_problem([0, 1], np.full((1, 2, 3), 0.5), "regression")


SIGMOID = np.array([[[0.2, 0.9, 0.4], [0.7, 0.1, 0.3]]])


@pytest.mark.parametrize(
    ("y", "probs", "task"),
    [
        ([0, 1], [[[0.2, 0.8], [0.5, 0.5]]], "binary"),
        (Y, P, "multiclass"),
        (np.eye(3)[Y], P, "multiclass"),
        ([[1, 0], [0, 1]], [[[0.2, 0.8], [0.5, 0.5]]], "binary"),
        ([[1, 1, 0], [0, 0, 1]], SIGMOID, "multilabel"),
        ([[1, 0, 0], [0, 0, 1]], SIGMOID, "multilabel"),
        ([1, 0], SIGMOID[..., :1], "multilabel"),
        ([0.5, 1.0], SIGMOID[..., :1], "regression"),
        ([3, 7], SIGMOID[..., :1], "regression"),
        ([[1, 0, 0], [0, 0, 1]], 5 * SIGMOID, "regression"),
    ],
)
def test_infers_the_task(y, probs, task):
    assert infer_task(y, probs) == as_problem(y, probs).task == task


def test_flattening_keeps_the_original_example():
    y = np.array([[1, 0, 1], [0, 0, 1]])
    flat = as_problem(y, SIGMOID, sample_weight=[1, 3])
    np.testing.assert_array_equal(flat.group, [0, 0, 0, 1, 1, 1])
    np.testing.assert_array_equal(flat.sample_weight, [1, 1, 1, 3, 3, 3])
    np.testing.assert_array_equal(flat.y, y.ravel())
    np.testing.assert_array_equal(flat.probs[0, :, 1], SIGMOID.ravel())
    np.testing.assert_allclose(flat.probs.sum(-1), 1)


def test_half_precision_and_other_float_types_are_taken():
    assert as_problem(Y, P.astype(np.float16)).probs.dtype == np.float32
    assert as_problem(Y, P.astype(np.float64)).probs.dtype == np.float64
    assert set(arrays.CLASSIFICATION) < set(arrays.TASKS)
