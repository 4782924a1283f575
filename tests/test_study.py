"""A study as a whole: what it trains and scores, what is kept when it is interrupted, and what it shows."""

import dataclasses
import json
from io import StringIO

import keras
import numpy as np
import pytest
from rich.console import Console

import manyminima as mm
from manyminima.comparison import results, running, showing, verdict
from manyminima.comparison.results import paired
from manyminima.comparison.store import Store
from page_checks import problems, problems_of_page

WINE = mm.datasets.load("wine")
OPTIONS = {"epochs": 4, "seeds": 2, "peaks": (0.03, 0.1)}
RECIPES = ["snapshot:cycles=2", "ema:decay=0.9", "deep-ensemble:members=2"]


def build_model():
    scale = keras.layers.Normalization()
    scale.adapt(WINE.x_train)
    model = keras.Sequential([keras.Input((13,)), scale, keras.layers.Dense(3, "softmax")])
    model.compile(keras.optimizers.SGD(0.01, momentum=0.9), "sparse_categorical_crossentropy")
    return model


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("study") / "wine"


@pytest.fixture(scope="module")
def done(folder):
    return mm.study(build_model, WINE, RECIPES, **OPTIONS, into=folder)


# -- the whole of it -----------------------------------------------------------------------------------------------------


def test_every_method_stands_beside_the_baselines(done, folder):
    assert [row.name for row in done.rows] == ["single", "constant", *RECIPES]
    assert [row.models for row in done.rows] == [1, 1, 2, 1, 2]
    assert [row.epochs for row in done.rows] == [4, 4, 4, 4, 2]
    assert {row.peak for row in done.rows} <= {0.03, 0.1}
    assert set(done.rows[0].scores) == {"error", "nll", "calibrated_nll", "ece"}
    text = " ".join(str(done).split())
    for row in done.rows:
        assert row.name in text
    assert "each interval stands for itself" in text
    assert "the best may lie beyond. Try " in text
    assert "2 seeds are few" in text
    assert f"To train an ordinary run, with its best peak: {done.rows[0].recipe}, 4 epochs. The study took" in text
    assert [tried.peak for tried in done.rows[0].tried] == [0.03, 0.1]
    best = min(done.rows[0].tried, key=lambda tried: tried.loss)
    assert done.rows[0].peak == best.peak


def test_runs_that_share_a_budget_have_the_first_seed_in_common(done):
    row = done.rows[-1]
    once = mm.recipes.snapshot(cycles=1, peak=row.peak)
    probs = [
        mm.train(build_model, WINE.x_train, WINE.y_train, once, epochs=2, batch_size=32, seed=seed).predict(WINE.x_test)
        for seed in (1, 1_000_001)
    ]
    np.testing.assert_allclose(row.scores["nll"][1], mm.metrics.nll(WINE.y_test, np.mean(probs, axis=0)), rtol=1e-4)


def test_epochs_that_cannot_be_shared_are_told(done):
    short = dataclasses.replace(done.rows[-1], name="deep-ensemble:members=3", runs=3, epochs=1)
    notes = " ".join(verdict.notes([*done.rows[:2], short], 4))
    assert (
        "4 epochs, or the most below it that its runs can share: deep-ensemble:members=3 3 × 1; peaks were chosen"
        in notes
    )


def test_a_method_is_what_its_recipe_trains_and_the_mean_of_its_members(done):
    row = done.rows[2]
    ensemble = mm.train(
        build_model, WINE.x_train, WINE.y_train, mm.recipes.snapshot(cycles=2, peak=row.peak), epochs=4, batch_size=32
    )
    np.testing.assert_allclose(row.scores["nll"][0], ensemble.evaluate(WINE.x_test, WINE.y_test)["nll"], rtol=1e-4)


def test_the_same_call_again_trains_nothing(done, folder, monkeypatch):
    def trained(*arguments):
        raise AssertionError("something was trained again")

    monkeypatch.setattr("manyminima.comparison.studying.predictions", trained)
    again = mm.study(build_model, WINE, RECIPES, **OPTIONS, into=folder)
    assert again.rows == done.rows


def test_an_interrupted_study_goes_on_where_it_stopped(tmp_path, monkeypatch, done):
    calls, make = [], running.predictions

    def interrupted(job, method, *rest):
        calls.append(method.name)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return make(job, method, *rest)

    monkeypatch.setattr("manyminima.comparison.studying.predictions", interrupted)
    for _ in range(2):
        try:
            found = mm.study(build_model, WINE, RECIPES, **OPTIONS, into=tmp_path / "study")
        except KeyboardInterrupt:
            continue
    parts = len(list((tmp_path / "study" / "parts").iterdir()))
    assert len(calls) == parts + 1  # the one that was interrupted was made twice
    assert [row.scores for row in found.rows] == [row.scores for row in done.rows]


def test_another_study_is_not_mixed_in(done, folder, tmp_path):
    with pytest.raises(
        FileExistsError, match=r"holds another study: epochs 4, not 5\..*choose another directory, or delete"
    ):
        mm.study(build_model, WINE, RECIPES, **{**OPTIONS, "epochs": 5}, into=folder)
    (tmp_path / "file").touch()
    with pytest.raises(FileExistsError, match="is not empty, and holds no study"):
        Store(tmp_path, {})


def test_a_study_writes_files(done, tmp_path):
    page = done.to_html(tmp_path / "a" / "study.html").read_text()
    assert page.count("<img") == 4
    assert problems_of_page(page) == []
    assert problems(done._repr_html_()) == []
    assert repr(done) == f"Study({len(done.rows)} methods, {done.about['seeds']} seeds: {done.headline!r})"
    assert "http:" not in page.replace("http://www.w3.org", "")
    assert "To train an ordinary run" in page
    data = json.loads(done.to_json(tmp_path / "study.json").read_text())
    assert data["winner"] == "single"
    assert data["about"]["seconds"] > 0
    assert [row["name"] for row in data["rows"]] == [row.name for row in done.rows]
    assert done.headline in done._repr_html_()


def test_a_run_that_diverges_is_named_and_compared_with_nothing(done):
    model = build_model()
    good = model.get_weights()
    bad = [*good[:-2], *(w * np.nan for w in good[-2:])]
    probs = running._every_member(mm.Ensemble(model, [good, bad, good]), WINE.x_test)
    assert np.isnan(probs[1]).all()
    np.testing.assert_array_equal(probs[0], probs[2])
    np.testing.assert_allclose(probs[0], model.predict(WINE.x_test, verbose=0), atol=1e-6)
    failed = (0.5, float("nan"))
    nothing = dict.fromkeys(done.rows[2].scores, paired(failed, (0.1, 0.2)))
    row = dataclasses.replace(done.rows[2], failed=(1,), differences=nothing)
    assert verdict.sentence(row).endswith(f"diverged at peak {row.peak:g} with seed 1, so it is compared in nothing.")
    study = dataclasses.replace(done, rows=(done.rows[0], row), sentences=(verdict.sentence(row),))
    tables = [body for _, (_, body) in showing._tables(study)]
    assert tables[0][1][3:] == tables[1][0][1:] == ["diverged"] * 4
    assert "Every method against" not in study._repr_html_()  # there is nothing to draw
    assert study.winner is study.rows[0]


def test_weights_that_are_finite_may_still_predict_nothing():
    model = keras.Sequential([keras.Input((13,)), keras.layers.Dense(3, "softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy")
    good = model.get_weights()
    huge = [np.full_like(w, 3e38) for w in good]
    probs = running._every_member(mm.Ensemble(model, [huge, good, huge]), WINE.x_test)
    assert np.isnan(probs[[0, 2]]).all()
    np.testing.assert_allclose(probs[1], model.predict(WINE.x_test, verbose=0), atol=1e-6)
    assert np.isnan(running._every_member(mm.Ensemble(model, [huge]), WINE.x_test)).all()


def test_peaks_at_which_everything_diverges(done):
    with pytest.raises(ValueError, match=r"diverged at peak 3e\+38 with every seed. Take lower peaks: peaks=\("):
        mm.study(build_model, WINE, ["swa"], epochs=2, seeds=2, peaks=(3e38,))
    found = mm.study(build_model, WINE, ["swa"], epochs=2, seeds=2, peaks=(0.1, 3e38))
    assert {row.peak for row in found.rows} == {0.1}
    assert [len(tried.diverged) for tried in found.rows[0].tried] == [0, 2]
    assert "Diverged while peaks were chosen" in " ".join(found.notes)
    assert "single at 3e+38 (2 runs)" in " ".join(found.notes)


# -- in a narrow place ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [80, 200])
def test_no_figure_is_cut_off(done, width):
    long = dataclasses.replace(done.rows[2], name="snapshot:cycles=10,floor=0.001,length_multiplier=2")
    study = dataclasses.replace(done, rows=(*done.rows, long))
    console = Console(file=StringIO(), width=width, color_system=None)
    console.print(study)
    text = console.file.getvalue()
    assert "…" not in text
    for row in study.rows[1:]:
        for metric, difference in row.differences.items():
            mean, half = verdict.plus_minus(metric, difference)
            assert mean in text
            assert f"± {half}" in text
    assert max(map(len, text.splitlines())) <= width


def test_a_plot_of_names_that_are_long_and_of_effects_that_are_large():
    names, means = ["a", "b", "c", "d"], np.array([0.01, -0.02, 0.015, 3.0])
    ax = mm.plots.forest(names, means, means - 0.01, means + 0.01, label="NLL")
    assert ax.get_xlim()[1] < 0.1  # the fourth does not make dots of the others
    assert [line.get_marker() for line in ax.lines].count(">") == 1
    alone = mm.plots.forest(["a"], [np.nan], [np.nan], [np.nan], label="NLL")
    assert np.isfinite(alone.get_xlim()).all()
    both = mm.plots.forest(["a", "b"], [np.nan, 0.1], [np.nan, 0.0], [np.nan, 0.2], label="NLL")
    assert both.get_xlim()[1] > 0.2


def test_peaks_to_try_lie_beyond_the_edge(done):
    def row(peak):
        tried = tuple(results.Tried(p, 0.1) for p in (0.03, 0.1, 0.3))
        return dataclasses.replace(done.rows[0], peak=peak, tried=tried, at_edge=peak != 0.1)

    assert verdict._wider([row(0.03), row(0.1)]) == [0.01, 0.03, 0.1, 0.3]
    assert verdict._wider([row(0.3), row(0.03)]) == [0.01, 0.03, 0.1, 0.3, 1.0]
