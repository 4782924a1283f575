"""Coefficients are optima with a proof; how they are shrunk is cross-validation that a plain loop repeats."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize

from cases import noisy
from manyminima import combine, metrics
from manyminima.selection import fit_coefficients

SEEDS = st.integers(0, 10_000)
few = settings(max_examples=15)
REGRESSION = pytest.mark.parametrize("task", ["multiclass", "regression"])


def some(seed, members=4, examples=40, task="multiclass", classes=3):
    """Labels, and members of different quality; for regression, numbers of any sign."""
    rng = np.random.default_rng(seed)
    y = rng.integers(classes, size=examples)
    probs = noisy(y, rng.uniform(0.3, 4, size=members), classes, seed).astype(np.float64)
    probs /= probs.sum(-1, keepdims=True)
    if task == "multiclass":
        return y, probs
    targets = rng.normal(size=(examples, 2))
    return targets, targets + rng.uniform(0.2, 2, size=(members, 1, 1)) * rng.normal(size=(members, examples, 2))


def score(y, probs, coefficients, task="multiclass", weight=None):
    metric = metrics.squared_error if task == "regression" else metrics.nll
    return metric(y, combine.mean(probs, coefficients), weight)


def by_scipy(y, probs, task, weight=None):
    """The lowest score that a general optimizer finds, from several starts."""
    members = len(probs)
    starts = [np.full(members, 1 / members), *(np.eye(members) * 0.9 + 0.1 / members)]

    def loss(w):
        w = np.maximum(w, 0)
        return score(y, probs, w / w.sum(), task, weight)

    sum_is_1 = {"type": "eq", "fun": lambda w: w.sum() - 1}
    found = [
        optimize.minimize(loss, start, method="SLSQP", bounds=[(0, 1)] * members, constraints=sum_is_1, tol=1e-12)
        for start in starts[:2]
    ]
    return min(result.fun for result in found)


@REGRESSION
@pytest.mark.parametrize("weighted", [False, True])
def test_agrees_with_a_general_optimizer(task, weighted):
    for seed in range(3):
        y, probs = some(seed, task=task)
        weight = np.random.default_rng(seed).uniform(size=40) if weighted else None
        fitted = fit_coefficients(y, probs, shrinkage=0, task=task, sample_weight=weight)
        reference = by_scipy(y, probs, task, weight)
        np.testing.assert_allclose(fitted.score, reference, atol=1e-6)
        assert fitted.score <= reference + 1e-9


@REGRESSION
@few
@given(SEEDS, st.integers(1, 8), st.integers(1, 30))
def test_never_worse_than_equal_coefficients_or_the_best_single_member(task, seed, members, examples):
    y, probs = some(seed, members, examples, task)
    fitted = fit_coefficients(y, probs, shrinkage=0, task=task)
    singles = [score(y, probs[[m]], [1.0], task) for m in range(members)]
    np.testing.assert_allclose([fitted.best_single, fitted.uniform], [min(singles), score(y, probs, None, task)])
    assert fitted.score <= min(fitted.uniform, fitted.best_single) + 1e-9
    assert fitted.gap <= 1e-9
    assert fitted.coefficients.min() >= 0
    np.testing.assert_allclose(fitted.coefficients.sum(), 1, rtol=1e-12)


@REGRESSION
@few
@given(SEEDS, st.integers(2, 6), st.floats(0, 1))
def test_shrunk_is_never_worse_than_equal_and_lies_between(task, seed, members, shrinkage):
    y, probs = some(seed, members, 20, task)
    plain = fit_coefficients(y, probs, shrinkage=0, task=task)
    shrunk = fit_coefficients(y, probs, shrinkage=shrinkage, task=task)
    np.testing.assert_allclose(
        shrunk.coefficients, (1 - shrinkage) * plain.coefficients + shrinkage / members, atol=1e-12
    )
    assert shrunk.score <= shrunk.uniform + 1e-9
    assert (shrunk.gap, shrunk.shrinkage) == (plain.gap, shrinkage)


@REGRESSION
@few
@given(SEEDS)
def test_the_gap_bounds_the_distance_to_every_other_combination(task, seed):
    y, probs = some(seed, 4, 15, task)
    if task == "multiclass":  # labels that some members, or all of them, hold for (almost) impossible
        rng = np.random.default_rng(seed)
        probs = np.where(rng.uniform(size=(4, 15, 1)) < 0.4, np.eye(3)[rng.integers(3, size=(4, 15))], probs)
        probs[:, 0] = [1 - 2e-13, 1e-13, 1e-13]
        y[0] = 1
    fitted = fit_coefficients(y, probs, shrinkage=0, task=task)
    others = np.random.default_rng(seed).dirichlet(np.full(4, 0.5), size=6)
    best = min(score(y, probs, other, task) for other in [*others, *np.eye(4)])
    assert fitted.score - fitted.gap <= best + 1e-12
    np.testing.assert_allclose(fitted.score, score(y, probs, fitted.coefficients, task), rtol=1e-12)


@few
@given(SEEDS)
def test_conditions_of_the_optimum_hold_in_a_plain_loop(seed):
    """Where a member counts, the mean of its probability over the mixture's is 1; where it does not, at most 1."""
    y, probs = some(seed, 5, 25)
    fitted = fit_coefficients(y, probs, shrinkage=0)
    mixed = [sum(w * p[i][y[i]] for w, p in zip(fitted.coefficients, probs, strict=True)) for i in range(25)]
    for w, member in zip(fitted.coefficients, probs, strict=True):
        ratio = np.mean([member[i][y[i]] / mixed[i] for i in range(25)])
        assert ratio <= 1 + 1e-9
        if w > 0:
            np.testing.assert_allclose(ratio, 1, atol=1e-7)


def test_hard_instances_reach_the_aim():
    rng = np.random.default_rng(0)
    for trial in range(24):
        members, examples = rng.integers(2, 25), rng.integers(1, 60)
        chance = 10.0 ** rng.uniform(-10, 0, size=(members, examples))
        if trial % 4 == 1:
            chance = np.clip(chance[:1] * (1 + 1e-7 * rng.normal(size=(members, examples))), 0, 1)
        elif trial % 4 == 2:
            chance[-1] = chance[0] / 2
        elif trial % 4 == 3:
            chance = (rng.uniform(size=(members, examples)) < 0.5).astype(float)
        fitted = fit_coefficients(np.zeros(examples, int), np.stack([chance, 1 - chance], axis=-1), shrinkage=0)
        assert fitted.gap <= 1e-9
        assert fitted.score <= min(fitted.uniform, fitted.best_single) + 1e-9


@pytest.mark.parametrize("scale", [1e-8, 1.0, 1e8])
def test_two_members_of_a_regression_in_closed_form(scale):
    y, probs = (scale * values for values in some(1, 2, 30, "regression"))
    first, second = probs - y
    share = np.clip(np.sum(second * (second - first)) / np.sum((second - first) ** 2), 0, 1)
    fitted = fit_coefficients(y, probs, shrinkage=0)
    np.testing.assert_allclose(fitted.coefficients, [share, 1 - share], atol=1e-7)
    assert fitted.gap <= 1e-9 * fitted.score


def test_opposite_errors_cancel():
    y = np.linspace(0, 5, 20)
    fitted = fit_coefficients(y, np.stack([y + 1, y - 1, 2 * y + 1])[..., None], shrinkage=0)
    np.testing.assert_allclose(fitted.coefficients, [0.5, 0.5, 0], atol=1e-9)
    np.testing.assert_allclose(fitted.score, 0, atol=1e-15)


@REGRESSION
def test_members_that_are_alike_share_what_one_of_them_gets(task):
    y, probs = some(3, 3, 60, task)
    plain = fit_coefficients(y, probs, shrinkage=0, task=task).coefficients
    copied = fit_coefficients(y, probs[[0, 1, 0, 2, 1, 0]], shrinkage=0, task=task).coefficients
    np.testing.assert_allclose(copied, (plain / [3, 2, 1])[[0, 1, 0, 2, 1, 0]], atol=1e-12)
    for shrinkage in ("auto", 0.0):
        same = fit_coefficients(y, probs[[1] * 5], shrinkage=shrinkage, task=task)
        np.testing.assert_allclose(same.coefficients, np.full(5, 0.2), rtol=1e-12)


@REGRESSION
def test_one_member(task):
    y, probs = some(4, 1, 10, task)
    fitted = fit_coefficients(y, probs, task=task)
    np.testing.assert_array_equal(fitted.coefficients, [1])
    assert (fitted.gap, fitted.shrinkage) == (0, 0)
    assert fitted.reason == "The only member got 1. There is nothing to combine it with."


def test_a_member_that_is_best_alone_gets_everything():
    y, probs = some(5, 3, 50)
    probs[1] = np.eye(3)[y]
    fitted = fit_coefficients(y, probs)
    np.testing.assert_array_equal(fitted.coefficients, [0, 1, 0])
    assert (fitted.score, fitted.shrinkage) == (0, 0)
    assert fitted.reason.startswith("Members 1 and 3 got 0: taking any of them into the mix")


def test_labels_that_no_member_thinks_possible():
    fitted = fit_coefficients([1, 1, 1], np.array([[[1.0, 0.0]] * 3] * 2))
    np.testing.assert_allclose(fitted.coefficients, [0.5, 0.5])
    np.testing.assert_allclose([fitted.score, fitted.gap], [-np.log(metrics.NLL_FLOOR), 0])


@few
@given(SEEDS)
def test_order_does_not_matter_and_weights_are_repetitions(seed):
    y, probs = some(seed, 4, 30)
    rng = np.random.default_rng(seed)
    members, examples, times = rng.permutation(4), rng.permutation(30), rng.integers(3, size=30)
    plain = fit_coefficients(y, probs, shrinkage=0)
    moved = fit_coefficients(y[examples], probs[members][:, examples], shrinkage=0)
    np.testing.assert_allclose(moved.score, plain.score, atol=1e-9)
    np.testing.assert_allclose(moved.coefficients, plain.coefficients[members], atol=1e-4)
    if times.any():
        weighted = fit_coefficients(y, probs, shrinkage=0, sample_weight=times)
        repeated = fit_coefficients(np.repeat(y, times), np.repeat(probs, times, axis=1), shrinkage=0)
        np.testing.assert_allclose(weighted.score, repeated.score, atol=1e-9)


def test_every_layout_of_the_same_numbers():
    y, probs = some(6, 3, 60, classes=2)
    flat = fit_coefficients(y, probs, shrinkage=0)
    for same_y, same_probs in [
        (np.eye(2)[y], probs),
        (y.reshape(15, 2, 2), probs.reshape(3, 15, 2, 2, 2)),
        (y[:, None], probs[..., 1:]),
        (y.reshape(20, 3), probs[..., 1].reshape(3, 20, 3)),
    ]:
        fitted = fit_coefficients(same_y, same_probs, shrinkage=0)
        np.testing.assert_allclose(fitted.coefficients, flat.coefficients, atol=1e-7)
        np.testing.assert_allclose(fitted.score, flat.score, rtol=1e-9)


def shrinkage_by_hand(y, probs):
    """Five folds in the documented order; the largest shrinkage within one standard error of the best."""
    examples, members = len(y), len(probs)
    fold = np.random.default_rng(0).permutation(examples) % 5
    grid = [k / 10 for k in range(11)]
    losses = np.zeros((11, examples))
    for i in range(examples):
        inside = fold != fold[i]
        fitted = fit_coefficients(y[inside], probs[:, inside], shrinkage=0).coefficients
        for k, s in enumerate(grid):
            mixed = sum(((1 - s) * w + s / members) * p[i] for w, p in zip(fitted, probs, strict=True))
            losses[k, i] = -np.log(mixed[y[i]])
    best = losses[np.argmin(losses.mean(axis=1))]
    within = [s for s, row in zip(grid, losses, strict=True)
              if np.mean(row - best) <= np.std(row - best, ddof=1) / np.sqrt(examples)]  # fmt: skip
    return max(within)


@pytest.mark.parametrize("seed", [0, 1, 2, 5])
def test_shrinkage_agrees_with_cross_validation_in_a_plain_loop(seed):
    y, probs = some(seed, 3, 35)
    fitted = fit_coefficients(y, probs)
    np.testing.assert_allclose(fitted.shrinkage, shrinkage_by_hand(y, probs))
    assert f"Shrinkage {fitted.shrinkage:g} was chosen by 5-fold cross-validation on 35 examples" in fitted.reason


def test_the_plain_loop_is_asked_for_different_shrinkages():
    found = {fit_coefficients(*some(seed, 3, 35)).shrinkage for seed in (0, 1, 2, 5)}
    assert len(found) > 1


def test_rows_of_one_example_stay_in_one_fold():
    """Copies of a row inside an example say nothing new; split over folds they would."""
    y, probs = some(7, 4, 30)
    plain = fit_coefficients(y, probs)
    dense = fit_coefficients(np.repeat(y[:, None], 6, axis=1), np.repeat(probs[:, :, None], 6, axis=2))
    np.testing.assert_allclose(dense.shrinkage, plain.shrinkage)
    np.testing.assert_allclose(dense.coefficients, plain.coefficients, atol=1e-7)


def test_examples_of_weight_0_do_not_count():
    y, probs = some(8, 4, 60)
    weight = np.r_[np.ones(30), np.zeros(30)]
    fitted, part = fit_coefficients(y, probs, sample_weight=weight), fit_coefficients(y[:30], probs[:, :30])
    np.testing.assert_allclose(fitted.coefficients, part.coefficients, atol=1e-7)
    assert "30 examples" in fitted.reason


def test_members_that_differ_by_noise_are_combined_equally_and_better_ones_are_taken():
    y = np.arange(300) % 3
    alike = fit_coefficients(y, noisy(y, [1.5] * 6))
    assert alike.shrinkage > 0.7
    unlike = fit_coefficients(y, noisy(y, [0.5, 6.0, 7.0, 5.0]))
    assert unlike.shrinkage < 0.3
    assert unlike.coefficients.argmax() == 0


def test_the_same_call_gives_the_same_coefficients():
    y, probs = some(9)
    np.random.seed(1)  # noqa: NPY002
    first = fit_coefficients(y, probs)
    np.random.seed(2)  # noqa: NPY002
    np.testing.assert_array_equal(fit_coefficients(y, probs).coefficients, first.coefficients)


@pytest.mark.parametrize("examples", [1, 2, 4])
def test_fewer_examples_than_members(examples):
    y, probs = some(10, 5, examples)
    fitted = fit_coefficients(y, probs)
    np.testing.assert_allclose(fitted.coefficients, np.full(5, 0.2))
    assert fitted.shrinkage == 1
    these = "this 1 example" if examples == 1 else f"these {examples} examples"
    assert f"Shrinkage 1: 5 coefficients cannot be fitted on {these}, so all are equal." in fitted.reason
    assert fitted.reason.startswith("No member got 0. Shrinkage 1")
    assert fit_coefficients(y, probs, shrinkage=0).shrinkage == 0


def test_reasons():
    y, probs = some(11, 3, 30)
    probs[2] = np.roll(np.eye(3)[y], 1, axis=1) * 0.98 + 0.02 / 3
    shrunk = fit_coefficients(y, probs, shrinkage=0.25)
    assert (
        "Member 3 got 0 before shrinking: taking it into the mix of the others would not lower the NLL" in shrunk.reason
    )
    assert "on these 30 examples (duality gap" in shrunk.reason
    assert "nats). Shrinkage 0.25 was given." in shrunk.reason
    assert "which is few for 3 coefficients" not in fit_coefficients(y, probs).reason
    small = fit_coefficients(y[:20], probs[:, :20])
    assert "on 20 examples, which is few for 3 coefficients." in small.reason
    both = fit_coefficients([0, 1], [[[0.9, 0.1], [0.6, 0.4]], [[0.5, 0.5], [0.1, 0.9]]], shrinkage=0)
    assert both.reason == "No member got 0. The coefficients were not shrunk."


@pytest.mark.parametrize("shrinkage", [-0.1, 1.5, np.nan, "little", "0.5", True])
def test_shrinkage_out_of_range(shrinkage):
    with pytest.raises(ValueError, match=r"shrinkage is .*, expected 'auto' or a number from 0.*shrinkage='auto'"):
        fit_coefficients(*some(0), shrinkage=shrinkage)
