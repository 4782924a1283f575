import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cases import noisy
from manyminima import combine, detection, metrics, uncertainty
from manyminima.detection import misclassification, out_of_distribution, risk_coverage


def problem(seed=0, examples=60):
    """Labels, one prediction, and an uncertainty with many ties."""
    rng = np.random.default_rng(seed)
    y = rng.integers(3, size=examples)
    probs = noisy(y, [1.5, 2.0], seed=seed)
    return y, combine.mean(probs), uncertainty.total(probs).round(1)


def wrong(y, probs):
    return (probs.argmax(-1) != y).astype(float)


def loop(loss, score):
    """The curve and its area, threshold by threshold."""
    thresholds = sorted(set(score))
    inside = [[x for x, s in zip(loss, score, strict=True) if s <= t] for t in thresholds]
    at = {t: np.mean(kept) for t, kept in zip(thresholds, inside, strict=True)}
    return [len(kept) / len(loss) for kept in inside], list(at.values()), np.mean([at[s] for s in score])


def pairs(positive, score):
    """The share of pairs of a positive and a negative in the right order, ties half."""
    p, n = score[positive], score[~positive]
    return np.mean((p[:, None] > n) + 0.5 * (p[:, None] == n))


def alarms(positive, score):
    """False positives at the highest threshold that finds 95 % of the positives, by trying all of them."""
    for threshold in sorted(set(score), reverse=True):
        if np.mean(score[positive] >= threshold) >= 0.95:
            return np.mean(score[~positive] >= threshold)
    raise AssertionError


def precision(positive, score):
    """Average precision: precision at each threshold, weighted with the positives found there."""
    total = 0.0
    for threshold in set(score):
        taken = score >= threshold
        total += np.mean(positive[taken]) * np.sum(positive[score == threshold]) / positive.sum()
    return total


def test_the_names_are_sorted():
    assert detection.__all__ == sorted(detection.__all__)


def test_risk_and_coverage_agree_with_a_plain_loop():
    y, probs, score = problem()
    assert len(set(score)) < len(score)
    curve = risk_coverage(y, probs, score)
    coverage, risk, area = loop(wrong(y, probs), score)
    np.testing.assert_allclose(curve.coverage, coverage)
    np.testing.assert_allclose(curve.risk, risk, atol=1e-15)
    np.testing.assert_allclose(curve.area, area)
    np.testing.assert_allclose(curve.risk[-1], 1 - metrics.accuracy(y, probs))


def test_without_ties_it_is_the_mean_of_the_running_error_rate():
    y, probs, _ = problem(1)
    score = np.random.default_rng(0).permutation(len(y))
    losses = wrong(y, probs)[np.argsort(score)]
    np.testing.assert_allclose(
        risk_coverage(y, probs, score).area, np.mean(np.cumsum(losses) / np.arange(1, len(y) + 1))
    )


@settings(max_examples=25)
@given(st.integers(0, 10_000))
def test_the_order_of_rows_does_not_matter(seed):
    y, probs, score = problem(seed % 7, 30)
    n = np.random.default_rng(seed).permutation(30)
    for one, other in (
        (risk_coverage(y, probs, score), risk_coverage(y[n], probs[n], score[n])),
        (misclassification(y, probs, score), misclassification(y[n], probs[n], score[n])),
    ):
        for name in vars(one):
            np.testing.assert_allclose(getattr(one, name), getattr(other, name), atol=1e-12)


@given(st.integers(0, 10_000), st.sampled_from([1, 2, 20]))
def test_no_order_is_better_than_the_best(seed, levels):
    rng = np.random.default_rng(seed)
    y, outputs, score = rng.normal(size=20), rng.normal(size=(20, 1)), rng.integers(levels, size=20)
    loss = (outputs[:, 0] - y) ** 2
    for task in ({"y": y, "probs": outputs}, {"y": rng.integers(2, size=20), "probs": rng.dirichlet([1, 1], 20)}):
        curve = risk_coverage(**task, uncertainty=score)
        assert 0 <= curve.excess <= curve.area
        assert curve.area <= max(curve.risk) + 1e-12
    best = risk_coverage(y, outputs, loss)
    assert best.area <= risk_coverage(y, outputs, score).area + 1e-12


def test_the_excess_is_that_of_the_paper():
    y, probs, score = problem(2)
    curve, r = risk_coverage(y, probs, score), wrong(y, probs).mean()
    np.testing.assert_allclose(curve.area - curve.excess, r + (1 - r) * np.log(1 - r))


def test_the_best_area_is_the_limit_of_many_copies():
    """Copies far apart in the order draw the curve ever finer."""
    rng = np.random.default_rng(3)
    y, outputs = rng.normal(size=12), rng.normal(size=(12, 1))
    loss = np.repeat(np.sort((outputs[:, 0] - y) ** 2), 5000)
    limit = np.mean(np.cumsum(loss) / np.arange(1, len(loss) + 1))
    curve = risk_coverage(y, outputs, np.zeros(12))
    np.testing.assert_allclose(curve.area - curve.excess, limit, rtol=1e-4)


def test_a_constant_uncertainty_is_worth_nothing():
    y, probs, _ = problem(4)
    curve, r = risk_coverage(y, probs, np.full(60, 0.3)), wrong(y, probs).mean()
    np.testing.assert_allclose([curve.coverage, curve.risk, [curve.area]], [[1], [r], [r]])
    found = misclassification(y, probs, np.full(60, 0.3))
    np.testing.assert_allclose([found.auroc, found.aupr, found.fpr95, found.share], [0.5, r, 1, r])


def test_without_errors():
    y = np.array([0, 1, 2])
    curve = risk_coverage(y, np.eye(3), [0.1, 0.2, 0.3])
    assert (curve.area, curve.excess) == (0, 0)
    found = misclassification(y, np.eye(3), [0.1, 0.2, 0.3])
    np.testing.assert_array_equal([found.auroc, found.aupr, found.fpr95, found.share], [np.nan, np.nan, np.nan, 0])
    found = misclassification((y + 1) % 3, np.eye(3), [0.1, 0.2, 0.3])
    np.testing.assert_array_equal([found.auroc, found.aupr, found.fpr95, found.share], [np.nan, np.nan, np.nan, 1])


def test_everything_wrong_is_the_risk_of_every_share():
    curve = risk_coverage([1, 0], np.eye(2), [0.1, 0.2])
    np.testing.assert_allclose([curve.area, curve.excess], [1, 0], atol=1e-15)


@pytest.mark.parametrize("seed", range(3))
def test_detection_agrees_with_plain_loops(seed):
    y, probs, score = problem(seed)
    found, positive = misclassification(y, probs, score), wrong(y, probs) > 0
    np.testing.assert_allclose(found.auroc, pairs(positive, score))
    np.testing.assert_allclose(found.aupr, precision(positive, score))
    np.testing.assert_allclose(found.fpr95, alarms(positive, score))
    np.testing.assert_allclose(found.share, positive.mean())
    foreign = out_of_distribution(score[~positive].reshape(-1, 1), score[positive])
    np.testing.assert_allclose(list(vars(foreign).values()), list(vars(found).values()))


def test_95_percent_found_exactly_is_enough():
    """19 of 20 positives lie above all negatives, and the last below all of them."""
    known = np.linspace(0.2, 0.3, 10)
    foreign = np.append(np.full(19, 0.9), 0.1)
    assert out_of_distribution(known, foreign).fpr95 == 0
    assert out_of_distribution(known, np.append(foreign, 0.1)).fpr95 == 1


def test_the_other_side_as_positives():
    _, _, score = problem(5)
    known, foreign = score[:40], score[20:] + 0.2
    one, other = out_of_distribution(known, foreign), out_of_distribution(-foreign, -known)
    np.testing.assert_allclose(one.auroc, other.auroc)
    np.testing.assert_allclose(one.share + other.share, 1)
    np.testing.assert_allclose(out_of_distribution(foreign, known).auroc, 1 - one.auroc)


def test_weights_are_repetitions():
    y, probs, score = problem(6)
    times = np.random.default_rng(1).integers(3, size=len(y))
    again = [np.repeat(values, times, axis=0) for values in (y, probs, score)]
    for function in (risk_coverage, misclassification):
        one, other = function(y, probs, score, sample_weight=times), function(*again)
        for name in vars(one):
            np.testing.assert_allclose(getattr(one, name), getattr(other, name), rtol=1e-10, atol=1e-12)


def test_other_tasks():
    rng = np.random.default_rng(0)
    y, outputs, score = rng.normal(size=(20, 2)), rng.normal(size=(20, 2)), rng.uniform(size=20)
    losses = np.mean((outputs - y) ** 2, axis=-1)
    np.testing.assert_allclose(risk_coverage(y, outputs, score).area, loop(losses, score)[2])
    labels, several = rng.integers(2, size=(20, 3)), rng.uniform(size=(20, 3))
    per_label = rng.uniform(size=(20, 3))
    errors = ((several > 0.5) != labels).ravel()
    found = misclassification(labels, several, per_label)
    np.testing.assert_allclose(found.auroc, pairs(errors, per_label.ravel()))
    np.testing.assert_allclose(
        risk_coverage(labels, several, per_label).area, loop(errors.astype(float), per_label.ravel())[2]
    )
    whole = risk_coverage(labels[:, 0], several[:, :1], score[:, None], task="regression")
    np.testing.assert_allclose(whole.risk[-1], metrics.squared_error(labels[:, 0], several[:, :1]))


def test_what_a_person_reads():
    y, probs, score = [0, 1, 1], [[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]], [0.1, 0.2, 0.4]
    assert str(risk_coverage(y, probs, score)) == (
        "area under risk and coverage 0.1111, 0.04809 above the best order; risk 0.3333 where everything is answered"
    )
    assert "AUROC 1.0000" in str(misclassification(y, probs, score))


Y, P, U = problem(7, 6)


@pytest.mark.parametrize("function", [risk_coverage, misclassification])
@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((Y, np.stack([P, P]), U), r"shape \(2, 6, 3\), expected \(examples, classes\).*combine\.mean\(probs\)"),
        ((Y, P[:, 0], U), r"probs has shape \(6,\).*np\.stack\(\[1 - probs, probs\], axis=-1\)"),
        ((Y, P, U[:5]), r"uncertainty has shape \(5,\), expected \(6,\): one number per prediction"),
        ((Y, P, P), r"uncertainty has shape \(6, 3\).*uncertainty\.mean\(-1\)"),
        ((Y, P, np.full(6, np.nan)), r"uncertainty holds nan at \(0,\).*np\.isfinite\(uncertainty\)"),
        ((Y, P, []), r"uncertainty is empty"),
        ((Y[:5], P, U), r"y has 5 examples, but probs has 6"),
        ((Y, P * 3, U), r"sums to 3, expected 1"),
    ],
)
def test_errors(function, arguments, says):
    with pytest.raises(ValueError, match=says):
        function(*arguments)


def test_errors_of_one_function():
    with pytest.raises(ValueError, match=r"task is regression.*detection\.risk_coverage.*task='multiclass'"):
        misclassification([0.5, 1.5], [[0.1], [0.2]], [0.1, 0.2])
    with pytest.raises(ValueError, match=r"uncertainty_out is empty"):
        out_of_distribution([0.1], [])
    with pytest.raises(ValueError, match=r"uncertainty_in holds inf at \(1, 0\)"):
        out_of_distribution([[0.1], [np.inf]], [0.2])
