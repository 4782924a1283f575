import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from manyminima import mixtures
from manyminima.mixtures import gaussian_nll, interval_coverage, mixture


def members(seed, count=4):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(count, 10, 2)), rng.uniform(0.1, 2, size=(count, 10, 2))


def test_the_names_are_sorted():
    assert mixtures.__all__ == sorted(mixtures.__all__)


@given(st.integers(0, 10_000), st.integers(1, 6))
def test_agrees_with_the_formula_of_the_paper(seed, count):
    means, variances = members(seed, count)
    both = mixture(means, variances)
    np.testing.assert_allclose(both.mean, means.mean(0))
    np.testing.assert_allclose(both.variance, np.mean(variances + means**2, axis=0) - means.mean(0) ** 2, atol=1e-12)
    assert both.epistemic.min() >= 0


def test_agrees_with_samples_of_the_mixture():
    means, variances = members(0)
    rng = np.random.default_rng(1)
    draws = norm.rvs(means[:, 0, 0], np.sqrt(variances[:, 0, 0]), size=(200_000, 4), random_state=rng)
    both = mixture(means, variances)
    np.testing.assert_allclose(draws.mean(), both.mean[0, 0], atol=0.01)
    np.testing.assert_allclose(draws.var(), both.variance[0, 0], rtol=0.01)


def test_the_variance_is_not_lost_far_from_zero():
    means, variances = members(2)
    np.testing.assert_allclose(mixture(means + 1e8, variances).variance, mixture(means, variances).variance, rtol=1e-6)


def test_one_member_and_copies_are_the_member():
    means, variances = members(3, 1)
    for copies in (1, 3):
        both = mixture(np.repeat(means, copies, axis=0), np.repeat(variances, copies, axis=0))
        np.testing.assert_allclose(both.mean, means[0], rtol=1e-15)
        np.testing.assert_allclose(both.variance, variances[0], rtol=1e-15)
        np.testing.assert_allclose(both.epistemic, np.zeros((10, 2)), atol=1e-30)


def test_members_without_a_spread_of_their_own():
    means, _ = members(4)
    both = mixture(means.astype(np.float32))
    assert both.mean.dtype == both.variance.dtype == np.float64
    np.testing.assert_allclose(both.variance, means.var(0), rtol=1e-5)
    np.testing.assert_array_equal(both.aleatoric, np.zeros((10, 2)))
    assert "20 values" in str(both)


def test_likelihood_agrees_with_scipy():
    means, variances = members(5)
    expected = -norm.logpdf(means[1], means[0], np.sqrt(variances[0])).mean()
    np.testing.assert_allclose(gaussian_nll(means[1], means[0], variances[0]), expected, rtol=1e-12)


@given(st.integers(0, 10_000))
def test_the_likelihood_is_best_at_the_moments_of_the_targets(seed):
    rng = np.random.default_rng(seed)
    y = rng.normal(size=30)
    best = gaussian_nll(y, np.full(30, y.mean()), np.full(30, y.var()))
    mean, variance = np.full(30, rng.normal()), np.full(30, rng.uniform(0.1, 3))
    assert best <= gaussian_nll(y, mean, variance) + 1e-12


@pytest.mark.parametrize("level", [0.5, 0.68, 0.95, 0.999])
def test_coverage_agrees_with_scipy_and_with_its_level(level):
    rng = np.random.default_rng(6)
    mean, variance = rng.normal(size=20_000), rng.uniform(0.5, 2, size=20_000)
    y = rng.normal(mean, np.sqrt(variance))
    low, high = norm.interval(level, mean, np.sqrt(variance))
    found = interval_coverage(y, mean, variance, level)
    np.testing.assert_allclose(found, np.mean((low <= y) & (y <= high)), atol=1e-12)
    np.testing.assert_allclose(found, level, atol=0.015)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (([1.0, 2.0],), r"means has shape \(2,\).*means\[None\]"),
        (
            (np.zeros((2, 3)), np.ones((2, 1))),
            r"variances has shape \(2, 1\).*np\.broadcast_to\(variances, means\.shape\)",
        ),
        ((np.zeros((2, 3)), np.full((2, 3), -1.0)), r"variances holds -1,.*np\.exp\(variances\)"),
        ((np.full((2, 3), np.nan),), r"means holds nan at \(0, 0\).*np\.isfinite\(means\)"),
        ((np.zeros((0, 3)),), r"means is empty"),
    ],
)
def test_errors_of_the_mixture(arguments, says):
    with pytest.raises(ValueError, match=says):
        mixture(*arguments)


@pytest.mark.parametrize("function", [gaussian_nll, interval_coverage])
def test_errors_of_the_scores(function):
    with pytest.raises(
        ValueError, match=r"y has shape \(3,\), mean \(3, 1\).*mixture\(means, variances\).*y\[\.\.\., None\]"
    ):
        function(np.zeros(3), np.zeros((3, 1)), np.ones((3, 1)))
    with pytest.raises(ValueError, match=r"variance holds 0, expected positive.*variance \+ np\.mean"):
        function(np.zeros(3), np.zeros(3), np.array([1.0, 0.0, 1.0]))
    with pytest.raises(ValueError, match=r"y holds inf at \(0,\)"):
        function([np.inf], [0.0], [1.0])


@pytest.mark.parametrize(
    ("level", "says"), [(95.0, r"level is 95.*level=0\.95"), (0.0, r"level is 0\.0,"), (1.0, r"level is 1\.0,")]
)
def test_levels_are_shares(level, says):
    with pytest.raises(ValueError, match=says):
        interval_coverage([0.0], [0.0], [1.0], level)
