import re

import numpy as np
from scipy import stats

from cases import noisy
from manyminima.reporting.report import Report, report
from manyminima.reporting.verdict import paired_interval

RNG = np.random.default_rng(0)
Y = RNG.integers(3, size=200)
GOOD = noisy(Y, [1.5, 1.5, 1.5])


def outcomes(result: Report):
    return {(c.metric, c.against): c.outcome for c in result.verdict.comparisons}


def test_a_clear_gain_is_called_one():
    result = report(Y, GOOD)
    assert outcomes(result)["nll", "last member"] == "better"
    assert "better in NLL" in result.verdict.headline
    assert "than its last member" in result.verdict.headline


def test_a_worse_ensemble_is_called_worse():
    result = report(Y, noisy(Y, [6, 6, 0.1]))
    assert outcomes(result)["nll", "last member"] == "worse"
    assert "worse in NLL" in result.verdict.headline
    assert re.search(r"the ensemble is worse than the last member by 0\.\d+ nats", result.verdict.sentences[0])
    low, high = re.findall(r"[\d.]+(?= nats)", result.verdict.sentences[0])[-2:]
    assert 0 < float(low) < float(high)
    assert any("member 3 alone has the better NLL" in note for note in result.verdict.notes)


def test_what_chance_can_explain_is_no_gain():
    result = report(Y[:8], GOOD[:, :8])
    assert outcomes(result)["accuracy", "last member"] == "unclear"
    assert "can be told from chance on 8 examples" in " ".join(result.verdict.sentences)


def test_few_differing_examples_are_no_evidence_however_unanimous():
    """Five examples out of 1,000 that all speak for the ensemble: a sign test gives p = 0.06."""
    y = np.zeros(1000, int)
    last = np.tile([0.6, 0.4], (1000, 1))
    last[:5] = [0.45, 0.55]
    other = np.tile([0.6, 0.4], (1000, 1))
    result = report(y, np.stack([other, last]), task="binary")
    accuracy = next(c for c in result.verdict.comparisons if (c.metric, c.against) == ("accuracy", "last member"))
    assert (accuracy.differing, accuracy.outcome) == (5, "unclear")
    assert accuracy.low is not None
    assert accuracy.low > 0
    assert "they differ on only 5" in result.verdict.sentences[2]


def test_every_verdict_says_what_one_run_cannot_show():
    assert "one run cannot tell whether the ensemble beats an ordinary single run" in report(Y, GOOD).verdict.notes[-1]


def test_one_example_has_no_interval():
    result = report(Y[:1], GOOD[:, :1])
    assert {c.low for c in result.verdict.comparisons} == {None}
    assert set(outcomes(result).values()) == {"unclear"}
    assert "no interval from one example" in result.verdict.sentences[0]


def test_interval_is_the_paired_t_interval():
    gains = RNG.normal(0.1, 1, size=50)
    mean, interval, differing = paired_interval(gains, np.arange(50), None)
    expected = stats.ttest_1samp(gains, 0).confidence_interval(0.95)
    np.testing.assert_allclose([mean, *interval, differing], [gains.mean(), expected.low, expected.high, 50])


def test_interval_is_over_original_examples():
    """Rows that repeat their example's gain add nothing: the interval is that of the examples."""
    gains = RNG.normal(0.1, 1, size=50)
    plain = paired_interval(gains, np.arange(50), None)
    pixels = paired_interval(np.repeat(gains, 9), np.repeat(np.arange(50), 9), None)
    np.testing.assert_allclose(pixels[1], plain[1])
    assert pixels[2] == plain[2]


def test_examples_of_weight_zero_are_left_out_of_the_interval():
    gains, kept = RNG.normal(size=50), np.arange(50) % 2 == 0
    left_out = paired_interval(gains, np.arange(50), kept.astype(float))
    np.testing.assert_allclose(left_out[1], paired_interval(gains[kept], np.arange(25), None)[1])


def test_intervals_cover_what_they_should():
    """The truth lies in about 95 of 100 intervals over correlated rows, where treating rows as examples fails."""
    rng, group = np.random.default_rng(1), np.repeat(np.arange(30), 10)
    grouped, single = 0, 0
    for _ in range(400):
        gains = np.repeat(rng.normal(size=30), 10) + 0.3 * rng.normal(size=300)
        low, high = paired_interval(gains, group, None)[1]
        grouped += low < 0 < high
        low, high = paired_interval(gains, np.arange(300), None)[1]
        single += low < 0 < high
    assert 0.92 < grouped / 400 < 0.98
    assert single / 400 < 0.7
