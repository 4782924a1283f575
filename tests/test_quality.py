"""The comparison at equal budget keeps its promises: one budget, seeds apart, and test rows that wait for the choice."""

import os
import sys
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

import manyminima as mm
from problems import BACKEND

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))

from quality import results, scoring, trails
from quality.ideas import EMA, IDEAS, SINGLE, Option
from quality.problem import EMA_NETS, EPOCHS, FINAL, NETS, SEARCH, network, per_epoch, rows, seeds_of

OPTIONS = [option for options in IDEAS.values() for option in options]
DATA = Path(os.environ.get("MANYMINIMA_DATA", "")) / "mnist1d.npz"
needs_data = pytest.mark.skipif(not DATA.is_file(), reason="MNIST-1D is not in $MANYMINIMA_DATA")


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setattr(trails, "CACHE", tmp_path)
    monkeypatch.setattr(results, "FROZEN", tmp_path / "frozen.json")
    monkeypatch.setattr(results, "SCORED", tmp_path / "scored.json")
    monkeypatch.setattr(results, "AGAIN", tmp_path / "again.json")
    return tmp_path


def test_no_seed_serves_two_purposes():
    runs = max(len(option.peaks) for option in OPTIONS)
    used = [{own for s in seeds for own in seeds_of(s, runs)} for seeds in (SEARCH, FINAL, NETS, EMA_NETS)]
    assert all(a.isdisjoint(b) for a, b in combinations(used, 2))
    assert all(len(own) == runs * len(seeds) for own, seeds in zip(used, (SEARCH, FINAL, NETS, EMA_NETS), strict=True))


def test_every_option_spends_one_budget_and_is_read_where_it_says():
    for option in OPTIONS:
        assert option.epochs * len(option.peaks) <= EPOCHS
        assert option.epochs * len(option.peaks) == EPOCHS
        (first, *_) = option.trails(0)
        assert set(option.steps) <= set(first.reads)
        assert first.reads[-1] == option.epochs * per_epoch(option.batch)


def test_options_of_the_reference_nets_are_one_model():
    assert {option.members for name in (SINGLE, EMA) for option in IDEAS[name]} == {1}


def test_more_than_the_budget_is_refused():
    with pytest.raises(ValueError, match="takes more than the budget of 60 epochs"):
        Option("constant", (0.1, 0.1), "newest", (32,))


def test_readings_are_moving_averages_of_every_fourth_step():
    readings, rng = trails.Readings(frozenset({8, 10})), np.random.default_rng(0)
    readings.begin()
    walk = rng.normal(size=(13, 3)).astype("float32")
    for step in (2, 4, 8, 10, 12):
        readings.add([walk[step]], step)
    found = np.array(list(readings)).reshape(2, len(trails.AVERAGES), 3)
    np.testing.assert_array_equal(found[:, 0], walk[[8, 10]])
    for place, decay in enumerate(trails.DECAYS, start=1):
        d = decay**4
        expected = (d * walk[4] + walk[8]) / (1 + d)
        np.testing.assert_allclose(found[:, place], np.stack([expected] * 2), rtol=1e-6)  # 10 is no fourth step


def test_test_rows_wait_for_the_choice_and_are_scored_once(cache):
    with pytest.raises(FileNotFoundError, match="python -m quality freeze"):
        results.score(1)
    results.FROZEN.write_text('{"references": null, "left_out": ["swa"]}')
    with pytest.raises(ValueError, match="part of the ideas: 1 .* Run python -m quality search"):
        results.score(1)
    results.FROZEN.write_text('{"references": {}}')
    results.SCORED.write_text("{}")
    for command in (results.score, results.freeze):
        with pytest.raises(FileExistsError, match="remove it with"):
            command(1)


def test_new_signals_wait_for_the_test_rows_and_are_scored_once(cache):
    with pytest.raises(FileNotFoundError, match="the test rows come first"):
        results.score_again(1)
    results.SCORED.write_text("{}")
    results.AGAIN.write_text("{}")
    with pytest.raises(FileExistsError, match=r"again.json' exists: these rows have been looked at"):
        results.score_again(1)


def test_groups_are_of_one_kind_and_shares_are_apart(cache):
    wanted = [trail for option in OPTIONS for trail in option.trails(1)]
    whole = trails.missing(wanted)
    assert {trail for group in whole for trail in group} == set(wanted)
    assert all(len({trail.kind for trail in group}) == 1 for group in whole)
    shares = [trails.missing(wanted, place, 2) for place in (0, 1)]
    assert sorted(map(str, shares[0] + shares[1])) == sorted(map(str, whole))


@needs_data
@pytest.mark.skipif(BACKEND != "jax", reason="trails are trained by the engine's program")
def test_a_trail_is_a_run_of_the_library(cache):
    trail = trails.Trail("snapshot-3", 0.1, seed=7, epochs=3, batch=800)
    trails.train([trail])
    assert trails.missing([trail]) == []
    x, y = trails.data().x_train, trails.data().y_train
    recipe = mm.recipes.snapshot(cycles=3, peak=0.1)
    ensemble = mm.train(network, x, y, recipe, epochs=3, batch_size=800, seed=7)
    expected = ensemble.predict_members(rows("val")[0])
    found = trails.predict(trail, "newest", (4, 8, 12), "val")
    np.testing.assert_allclose(found, expected, atol=1e-6)
    window = trails.predict(trail, "mean 2", (12,), "val")
    both = mm.Ensemble(network(), [[(a + b) / 2 for a, b in zip(ensemble[1], ensemble[2], strict=True)]])
    np.testing.assert_allclose(window, both.predict_members(rows("val")[0]), atol=1e-6)


def test_fitted_coefficients_are_never_judged_where_they_were_fitted():
    rng = np.random.default_rng(0)
    y, probs = rng.integers(10, size=200), rng.dirichlet(np.ones(10), size=(5, 200))
    option = Option("constant", (0.1,), "newest", (32,), combine="fitted")
    found = scoring.crossed(option, y, probs)
    half = np.random.default_rng(0).permutation(200) < 100
    for fit, use in ((half, ~half), (~half, half)):
        own = mm.selection.fit_coefficients(y[fit], probs[:, fit]).coefficients
        np.testing.assert_allclose(found[use], np.tensordot(own, probs[:, use], 1))
