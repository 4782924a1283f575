import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax

from manyminima import combine, equivalent, metrics
from manyminima.calibrate import temperature
from manyminima.calibrated import calibrated_nll
from manyminima.equivalent import (
    ReferenceCurve,
    dee,
    deep_ensemble_equivalent,
    reference_curve,
)


def world(seed: int = 0, examples: int = 200, classes: int = 3, spread: float = 0.15):
    """Labels, and a function that trains another independent net; nets differ in quality by `spread`."""
    rng = np.random.default_rng(seed)
    y = rng.integers(classes, size=examples)
    base = 2 * np.eye(classes)[y] + rng.normal(size=(examples, classes))

    def net():
        own = 1.2 * np.exp(spread * rng.normal()) * rng.normal(size=(examples, classes))
        return softmax(1.5 * (base + own), axis=-1)

    return y, net


def several(net, count, together=1):
    return np.stack([np.mean([net() for _ in range(together)], axis=0) for _ in range(count)])


def by_hand(y, probs, weight=None):
    """The definition, with public functions and the same halves."""
    rng, total = np.random.default_rng(0), np.zeros(len(y))
    for _ in range(5):
        first = rng.permutation(len(y)) < len(y) // 2
        for half in (first, ~first):
            fitted = temperature(y[half], probs[half], sample_weight=None if weight is None else weight[half])
            total[~half] += metrics.nll.facts.per_example(y[~half], fitted(probs[~half]))
    return np.average(total / 5, weights=weight)


def test_all_names_are_there_and_sorted():
    assert equivalent.__all__ == sorted(equivalent.__all__)
    assert all(hasattr(equivalent, name) for name in equivalent.__all__)


@pytest.mark.parametrize("weight", [None, np.arange(1.0, 102.0)])
@pytest.mark.parametrize("classes", [2, 5])
def test_calibrated_nll_is_its_definition(classes, weight):
    y, net = world(1, 101, classes)
    probs = net()
    np.testing.assert_allclose(calibrated_nll(y, probs, sample_weight=weight), by_hand(y, probs, weight), rtol=1e-9)


@settings(max_examples=20)
@given(st.integers(0, 10_000), st.floats(0.3, 1.2))
def test_calibrated_nll_does_not_see_a_temperature_and_is_above_the_best_fit(seed, sharper):
    y, net = world(seed, 200)  # so many that no half is all right, whose temperature would be at its bound
    probs = net()
    score = calibrated_nll(y, probs)
    np.testing.assert_allclose(calibrated_nll(y, softmax(sharper * np.log(probs), axis=-1)), score, rtol=1e-4)
    assert score >= temperature(y, probs).after - 1e-12


def test_calibrated_nll_of_other_layouts():
    y, net = world(2, 80)
    probs = net()
    assert calibrated_nll(np.eye(3)[y], probs.astype(np.float64)) == calibrated_nll(y, probs)
    shuffled = np.random.default_rng(0).permutation(80)
    np.testing.assert_allclose(calibrated_nll(y[shuffled], probs[shuffled]), calibrated_nll(y, probs), rtol=0.1)
    assert np.isfinite(calibrated_nll(y.reshape(20, 4), probs.reshape(20, 4, 3)))
    assert np.isfinite(calibrated_nll(np.eye(3, dtype=int)[y], probs, task="multilabel"))


def test_pixels_of_an_image_are_in_one_half():
    """Each image is repeated four times: as with the images alone, none is scored by a fit on itself."""
    y, net = world(3, 40)
    probs = net()
    dense = calibrated_nll(np.repeat(y[:, None], 4, 1), np.repeat(probs[:, None], 4, 1))
    np.testing.assert_allclose(dense, calibrated_nll(y, probs), rtol=1e-9)


CURVE = ReferenceCurve((1.0, 0.8, 0.7, 0.69), nets=8, examples=100)


@pytest.mark.parametrize(
    ("score", "expected"),
    [(2.0, 1), (1.0, 1), (0.9, 1.5), (0.8, 2), (0.75, 2.5), (0.7, 3), (0.695, 3.5), (0.69, 4), (0.1, 4)],
)
def test_golden_equivalents(score, expected):
    np.testing.assert_allclose(dee(score, CURVE), expected, rtol=1e-12)
    assert type(dee(score, CURVE)) is float


def test_the_first_crossing_counts():
    up_and_down = ReferenceCurve((1.0, 0.8, 0.9, 0.6), nets=8, examples=100)
    np.testing.assert_allclose([dee(s, up_and_down) for s in (0.85, 0.8, 0.75)], [1.75, 2, 3.5])
    assert dee(1.0, ReferenceCurve((1.0, 1.0), 4, 10)) == 1
    assert dee(0.5, ReferenceCurve((1.0,), 2, 10)) == 1


@given(st.lists(st.floats(0.01, 3), min_size=1, max_size=8), st.floats(0, 3), st.floats(0, 3))
def test_better_scores_are_worth_no_fewer_nets(curve, one, other):
    curve = ReferenceCurve(tuple(sorted(curve, reverse=True)), 16, 100)
    better, worse = sorted((one, other))
    assert 1 <= dee(worse, curve) <= dee(better, curve) <= curve.largest
    for size, value in enumerate(curve.calibrated_nll, start=1):
        assert dee(value, curve) <= size


def test_reference_curve_of_few_nets_is_the_mean_of_all_choices():
    y, net = world(4, 60)
    nets = several(net, 5)
    curve = reference_curve(y, nets, largest=5)
    for size, found in enumerate(curve.calibrated_nll, start=1):
        choices = itertools.combinations(range(5), size)
        np.testing.assert_allclose(found, np.mean([by_hand(y, nets[list(c)].mean(0)) for c in choices]), rtol=1e-9)
    assert (curve.largest, curve.nets, curve.examples) == (5, 5, 60)


def test_reference_curve_of_many_nets_holds_each_as_often_as_every_other():
    for size in (2, 3, 7):
        choices = equivalent._choices(14, size, 0)
        assert choices.shape == (28, 14)
        np.testing.assert_array_equal(choices.sum(0), 2 * size)
        np.testing.assert_array_equal(choices.sum(1), size)
    np.testing.assert_array_equal(equivalent._choices(14, 1, 0).sum(0), 1)


def test_reference_curve_falls_and_its_own_sizes_are_worth_themselves():
    y, net = world(5)
    nets = several(net, 12)
    curve = reference_curve(y, nets)
    assert curve.largest == 6
    assert np.all(np.diff(curve.calibrated_nll) < 0)
    np.testing.assert_allclose([dee(x, curve) for x in curve.calibrated_nll], np.arange(1, 7))
    np.testing.assert_allclose(curve.calibrated_nll[0], np.mean([calibrated_nll(y, one) for one in nets]), rtol=1e-9)
    np.testing.assert_allclose(reference_curve(y, nets[::-1]).calibrated_nll, curve.calibrated_nll, rtol=0.02)
    assert reference_curve(y, nets, seed=1) != curve


def test_an_ensemble_of_four_nets_is_worth_four():
    """The truth is known: each run of the method is the mean of four nets of the same kind as the reference."""
    y, net = world(6, 250)
    found = deep_ensemble_equivalent(y, several(net, 20, together=4), several(net, 60))
    assert found.low <= 4 <= found.high
    assert found.low > 1.5
    assert (found.nets, found.seeds, found.examples, found.largest) == (60, 20, 250, 10)
    assert found.low <= found.value <= found.high


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    hits = []  # without the error of the nets, which differ much here, it would be some 70 %
    for seed in range(30):
        y, net = world(100 + seed, 200, spread=0.5)
        found = deep_ensemble_equivalent(y, several(net, 12, together=2), several(net, 8), draws=500, seed=seed)
        hits.append(found.low <= 2 <= found.high)
    assert sum(hits) >= 26


def test_the_value_is_that_of_the_plain_functions():
    y, net = world(7, 100)
    runs, nets = several(net, 3, together=2), several(net, 10)
    found = deep_ensemble_equivalent(y, runs, nets, seed=3)
    curve = reference_curve(y, nets, seed=3)
    np.testing.assert_allclose(found.value, dee(np.mean([calibrated_nll(y, p) for p in runs]), curve), rtol=1e-9)
    assert found == deep_ensemble_equivalent(y, runs, nets, seed=3)


def test_more_seeds_more_nets_and_more_rows_make_it_narrower():
    def width(seeds, nets, rows):
        y, net = world(8, rows)
        found = deep_ensemble_equivalent(y, several(net, seeds, together=3), several(net, nets), largest=8)
        return found.high - found.low

    assert width(12, 40, 400) < width(12, 40, 40)
    assert width(12, 40, 400) < width(3, 40, 400)
    assert width(12, 40, 400) < width(12, 16, 400)


def test_what_a_net_adds_is_exact_for_a_sum_over_nets():
    """Where a score is the mean of a number per net, the error of the curve is that of the mean of those numbers."""
    quality = np.random.default_rng(0).normal(size=14)
    for size in (1, 2, 5, 7):
        choices = equivalent._choices(14, size, 0)
        added = size * equivalent._added(choices, choices @ quality / size)
        np.testing.assert_allclose(added, quality - quality.mean(), atol=1e-9)


def test_errors_are_those_of_a_mean():
    parts = np.random.default_rng(1).normal(size=(30, 2)) @ np.array([[1.0, 0.5], [0.0, 2.0]])
    drawn = equivalent._errors(parts, 40_000, np.random.default_rng(2))
    np.testing.assert_allclose(np.cov(drawn.T), np.cov(parts.T) / 30 * 29 / 27, rtol=0.05)
    few = equivalent._errors(np.array([[0.0], [1.0]]), 40_000, np.random.default_rng(3))
    np.testing.assert_allclose(np.quantile(few, 0.975), 12.706 * 0.5, rtol=0.1)  # Student's t with 1 degree of freedom


def test_it_is_never_printed_without_its_interval():
    y, net = world(9, 1000)
    nets = several(net, 6)
    found = deep_ensemble_equivalent(y, several(net, 2), nets)
    ends = f"95 % {found.low:.1f} to {found.high:.1f}"
    assert str(found).startswith(f"{found.value:.1f} ({ends}")
    assert str(found).endswith("; 2 seeds, 6 nets, 1,000 rows)")
    better = deep_ensemble_equivalent(y, several(net, 4, together=40), nets)
    assert (better.value, better.capped_share) == (3.0, 1.0)
    assert str(better) == "3.0 (95 % 3.0 to 3.0 or more; 4 seeds, 6 nets, 1,000 rows)"
    worse = deep_ensemble_equivalent(y, np.full((3, 1000, 3), 1 / 3), nets)
    assert str(worse) == "1.0 (95 % 1.0 to 1.0; 3 seeds, 6 nets, 1,000 rows)"


Y, NET = world(10, 20)
NETS = several(NET, 6)


@pytest.mark.parametrize(
    ("runs", "nets", "says"),
    [
        (NETS[:1], NETS, r"probs_by_seed holds 1 seed, so an interval over seeds cannot be given.*at least 2 seeds"),
        (NETS[:2], NETS[:3], r"reference_probs holds 3 nets, expected at least 4.*Train more"),
        (NETS[0], NETS, r"probs_by_seed has shape \(20, 3\), expected \(seeds, examples, classes\).*np\.stack"),
        (NETS[:2], NETS[0], r"reference_probs has shape \(20, 3\), expected \(nets, examples, classes\)"),
        (
            NETS[None],
            NETS,
            r"shape \(1, 6, 20, 3\).*np\.stack\(\[combine\.mean\(members\) for members in probs_by_seed\]\)",
        ),
        (NETS[:2, :, :2], NETS, r"sums to .*, expected 1"),
        (np.full((2, 20, 2), 0.5), NETS, r"outside 0\.\.1|shape \(20, 2\) and reference_probs of shape \(20, 3\)"),
        (NETS[:2, :10], NETS, r"y has 20 examples, but probs has 10"),
        (NETS[:2] * np.nan, NETS, r"probs holds nan in member 0"),
    ],
)
def test_errors_say_what_to_type(runs, nets, says):
    with pytest.raises(ValueError, match=says):
        deep_ensemble_equivalent(Y, runs, nets)


def test_shapes_of_both_are_compared():
    with pytest.raises(
        ValueError, match=r"shape \(20, 4\) and reference_probs of shape \(20, 3\).*same examples and cl"
    ):
        deep_ensemble_equivalent(Y, np.full((2, 20, 4), 0.25), NETS)


def test_sizes_and_scores_are_checked():
    with pytest.raises(ValueError, match=r"largest is 4, expected 1 to 3, of 6 reference nets\. Pass largest=3"):
        deep_ensemble_equivalent(Y, NETS[:2], NETS, largest=4)
    with pytest.raises(ValueError, match=r"largest is 7, expected 1 to 6.*train more nets"):
        reference_curve(Y, NETS, largest=7)
    assert deep_ensemble_equivalent(Y[:3], NETS[:2, :3], NETS[:, :3]).examples == 3  # as many as classes
    with pytest.raises(ValueError, match=r"largest is 0"):
        reference_curve(Y, NETS, largest=0)
    with pytest.raises(ValueError, match=r"score is nan, expected a finite.*calibrated_nll\(y, probs\)"):
        dee(float("nan"), CURVE)
    with pytest.raises(ValueError, match=r"y holds 1 example, expected at least 2"):
        calibrated_nll(Y[:1], NETS[0, :1])
    with pytest.raises(ValueError, match=r"draws is 0, expected at least 100"):
        deep_ensemble_equivalent(Y, NETS[:2], NETS, draws=0)
    with pytest.raises(ValueError, match=r"Combine first, calibrate after: pass combine\.mean\(probs\)"):
        calibrated_nll(Y, NETS)
    assert calibrated_nll(Y, combine.mean(NETS)) > 0
