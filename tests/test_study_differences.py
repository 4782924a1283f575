"""Differences of a study: paired by seed, and a headline that allows for how many are compared and can say "no gain"."""

import dataclasses

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

import manyminima as mm
from manyminima.comparison import results, verdict
from manyminima.comparison.results import paired


def test_differences_are_paired():
    rng = np.random.default_rng(0)
    common = 10 * rng.normal(size=12)
    ours, reference = common + rng.normal(size=12), common + 2
    found, expected = paired(tuple(ours), tuple(reference)), stats.ttest_rel(ours, reference).confidence_interval(0.95)
    np.testing.assert_allclose((found.low, found.high), (expected.low, expected.high))
    np.testing.assert_allclose(found.mean, np.mean(ours - reference))


def test_what_cannot_be_told_apart_is_no_gain():
    same = paired((0.1, 0.2, 0.3), (0.1, 0.2, 0.3))
    assert same.outcome == "unclear"
    row = results.Row("swa", 0.1, 4, 1, {"nll": (0.1, 0.2, 0.3)}, {"nll": same})
    single = dataclasses.replace(row, name="single", differences={})
    assert verdict.headline([single, row], "nll").startswith("No gain: over 3 seeds nothing beats one ordinary run")
    assert verdict.sentence(row) == "swa: no gain in NLL."
    worse = dataclasses.replace(row, differences={"nll": paired((1.0, 1.1, 1.2), (0.1, 0.3, 0.3))})
    assert verdict.headline([single, worse], "nll").endswith("Worse: swa.")
    better = dataclasses.replace(row, differences={"nll": paired((0.1, 0.3, 0.3), (1.0, 1.1, 1.2))})
    assert verdict.headline([single, worse, better], "nll").endswith("in NLL: swa (-0.8667 ± 0.1434).")
    mixed = dataclasses.replace(row, differences={**better.differences, "error": same, "ece": worse.differences["nll"]})
    assert verdict.sentence(mixed) == "swa: better in NLL; worse in ECE; no gain in error."


def test_p_values_are_those_of_pairs():
    rng = np.random.default_rng(3)
    ours, reference = rng.normal(size=7), rng.normal(size=7) + 0.5
    np.testing.assert_allclose(paired(tuple(ours), tuple(reference)).p, stats.ttest_rel(ours, reference).pvalue)
    assert paired((1.0, 2.0), (1.0, 2.0)).p == 1
    assert paired((1.0, 2.0), (2.0, 3.0)).p == 0


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_what_holm_believes_is_what_his_steps_reject(p_values):
    rejected = 0
    for k, p in enumerate(sorted(p_values)):
        if p * (len(p_values) - k) >= 0.05:
            break
        rejected += 1
    raised = results.holm(p_values)
    assert sum(p < 0.05 for p in raised) == rejected
    assert all(a >= b for a, b in zip(raised, p_values, strict=True))
    assert [p for _, p in sorted(zip(p_values, raised, strict=True))] == sorted(raised)


def test_the_headline_allows_for_how_many_are_compared():
    rng = np.random.default_rng(0)
    scores = tuple(rng.normal(1, 0.1, 6))
    gap = rng.normal(size=6)
    gap = (gap - gap.mean()) / gap.std(ddof=1)

    def row(name, t):
        ours = tuple(np.add(scores, 0.01 * (gap * np.sqrt(6) - t) / np.sqrt(6)))
        return results.Row(name, 0.1, 4, 1, {"nll": ours}, {"nll": paired(ours, scores)})

    single = dataclasses.replace(row("single", 0), differences={})
    weak, strong, none = row("weak", 2.8), row("strong", 20.0), row("none", 0.1)  # p = 0.038, 6e-6, 0.9
    assert verdict.headline([single, weak], "nll").endswith("weak (-0.0114 ± 0.0105).")
    text = verdict.headline([single, weak, none], "nll")
    assert "No gain" in text
    assert "Unsure: weak; taken alone better, but 2 methods were compared" in text
    assert [r.name for r in verdict.better([single, none, strong, weak], "nll")] == ["strong"]


def test_scores_are_those_of_each_seed():
    rng = np.random.default_rng(0)
    y, probs = rng.integers(3, size=40), rng.dirichlet(np.ones(3), size=(2, 40)).astype("float32")
    probs = np.concatenate([probs, np.full((1, 40, 3), np.nan, "float32")])
    found = results.scores_by_seed(y, probs, "multiclass")
    np.testing.assert_allclose(found["error"][:2], [1 - mm.metrics.accuracy(y, one) for one in probs[:2]])
    np.testing.assert_allclose(found["nll"][:2], [mm.metrics.nll(y, one) for one in probs[:2]])
    assert all(np.isnan(values[2]) for values in found.values())
