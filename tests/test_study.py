"""A study: methods as they are typed, what is kept when it is interrupted, and paired differences that can say "no gain"."""

import dataclasses
import json

import keras
import numpy as np
import pytest
from scipy import stats

import manyminima as mm
from manyminima.cli.study import separated
from manyminima.comparison import results, running, showing, verdict
from manyminima.comparison.methods import PEAKS, method_of, peaks_of
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


# -- methods -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "recipe"),
    [
        ("single", mm.recipes.snapshot(cycles=1, peak=0.1)),
        ("snapshot:cycles=5,floor=0.001", mm.recipes.snapshot(cycles=5, peak=0.1, floor=0.001)),
        ("swa", mm.recipes.swa(peak=0.1)),
        ("swa:start=0.5", mm.recipes.swa(start=0.5, peak=0.1)),
    ],
)
def test_a_method_is_a_recipe_with_a_peak_to_come(text, recipe):
    assert method_of(text).recipe(0.1) == recipe


@pytest.mark.parametrize("text", ["constant", "ema:decay=0.9", "lawa:k=2", "polyak:last=2", "checkpoints:last=2"])
def test_recipes_that_leave_the_rate_alone_run_along_a_constant_one(text):
    plan = method_of(text).recipe(0.25).plan(6, 10)
    assert {float(plan.lr(t)) for t in range(60)} == {0.25}
    assert plan.when(60)


def test_peaks_that_are_not_given_are_those_of_the_optimizer():
    assert peaks_of(keras.optimizers.SGD()) == PEAKS["SGD"]
    assert peaks_of(keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD())) == PEAKS["SGD"]
    assert max(peaks_of(keras.optimizers.AdamW())) < min(PEAKS["SGD"])


def test_a_deep_ensemble_shares_the_budget():
    method = method_of("deep-ensemble:members=3")
    assert (method.runs, method.epochs(10)) == (3, 3)
    with pytest.raises(ValueError, match="2 epochs cannot be shared by 3 runs"):
        method.epochs(2)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("snapshoot", "no method 'snapshoot'. Expected one of single, constant, deep-ensemble, "),
        ("snapshot:cycle=5", "unknown option cycle. It takes cycles, floor"),
        ("snapshot:cycles=5,peak=1", "The peak is chosen on validation rows, from --peaks"),
        ("snapshot:cycles=five", "expected a number for cycles, got 'five'"),
        ("snapshot:5", "'5' is no option. Write name=value"),
        ("snapshot:cycles=0", "expected cycles to be a whole number of at least 1"),
        ("deep-ensemble:members=0", "expected a whole number of at least 1, got '0'"),
        ("single:x=1", "unknown option x. It takes none"),
    ],
)
def test_what_is_no_method(text, message):
    with pytest.raises(ValueError, match=message):
        method_of(text)


def test_recipes_are_separated_by_the_commas_between_them():
    assert separated("single, snapshot:cycles=3,floor=0.1,swa") == ["single", "snapshot:cycles=3,floor=0.1", "swa"]


# -- differences ---------------------------------------------------------------------------------------------------------


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
    assert verdict.sentence(row) == "swa: no gain in NLL, +0.0000 (95% +0.0000 to +0.0000)."
    worse = dataclasses.replace(row, differences={"nll": paired((1.0, 1.1, 1.2), (0.1, 0.3, 0.3))})
    assert verdict.headline([single, worse], "nll").endswith("Worse: swa.")
    better = dataclasses.replace(row, differences={"nll": paired((0.1, 0.3, 0.3), (1.0, 1.1, 1.2))})
    assert verdict.headline([single, worse, better], "nll").endswith("in NLL: swa (-0.8667).")


def test_scores_are_those_of_each_seed():
    rng = np.random.default_rng(0)
    y, probs = rng.integers(3, size=40), rng.dirichlet(np.ones(3), size=(2, 40)).astype("float32")
    probs = np.concatenate([probs, np.full((1, 40, 3), np.nan, "float32")])
    found = results.scores_by_seed(y, probs, "multiclass")
    np.testing.assert_allclose(found["error"][:2], [1 - mm.metrics.accuracy(y, one) for one in probs[:2]])
    np.testing.assert_allclose(found["nll"][:2], [mm.metrics.nll(y, one) for one in probs[:2]])
    assert all(np.isnan(values[2]) for values in found.values())


# -- the whole of it -----------------------------------------------------------------------------------------------------


def test_every_method_stands_beside_the_baselines(done, folder):
    assert [row.name for row in done.rows] == ["single", "constant", *RECIPES]
    assert [row.models for row in done.rows] == [1, 1, 2, 1, 2]
    assert [row.epochs for row in done.rows] == [4, 4, 4, 4, 2]
    assert {row.peak for row in done.rows} <= {0.03, 0.1}
    assert set(done.rows[0].scores) == {"error", "nll", "calibrated_nll", "ece"}
    text = str(done)
    for row in done.rows:
        assert row.name in text
    assert "each stands for itself" in text
    assert "try others beyond it" in text


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

    def interrupted(job, method, peaks, seeds, progress):
        calls.append(method.name)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return make(job, method, peaks, seeds, progress)

    monkeypatch.setattr("manyminima.comparison.studying.predictions", interrupted)
    for _ in range(2):
        try:
            found = mm.study(build_model, WINE, RECIPES, **OPTIONS, into=tmp_path / "study")
        except KeyboardInterrupt:
            continue
    parts = len(list((tmp_path / "study" / "parts").iterdir()))
    assert len(calls) == parts + 1  # the one that was interrupted was made twice
    assert found.headline == done.headline


def test_another_study_is_not_mixed_in(done, folder, tmp_path):
    with pytest.raises(FileExistsError, match=r"holds a study with another epochs\. Choose another directory"):
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
    data = json.loads(done.to_json(tmp_path / "study.json").read_text())
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
    assert "predictions of seeds 1 are not finite" in verdict.sentence(row)
    study = dataclasses.replace(done, rows=(done.rows[0], row))
    assert "diverged" in "".join(
        cell for _, (_, body) in showing._tables(study) for cells in body for cell in cells[1:]
    )


def test_peaks_at_which_everything_diverges(done):
    with pytest.raises(ValueError, match="every run has diverged at every peak. Take lower ones"):
        mm.study(build_model, WINE, ["swa"], epochs=2, seeds=2, peaks=(3e38,))
    found = mm.study(build_model, WINE, ["swa"], epochs=2, seeds=2, peaks=(0.1, 3e38))
    assert {row.peak for row in found.rows} == {0.1}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seeds": 1}, "an interval over seeds needs at least 2"),
        ({"peaks": ()}, "expected one learning rate above 0"),
        ({"peaks": (0.1, -1)}, "expected one learning rate above 0"),
        ({"batch_size": 1000}, "expected 1 to 106, the number of training rows"),
        ({"recipes": ["snapshot:cycles=100"]}, "more cycles than"),
        ({"recipes": ["deep-ensemble:members=9"]}, "4 epochs cannot be shared by 9 runs"),
    ],
)
def test_errors_come_before_training(changes, message):
    options = {"recipes": RECIPES, **OPTIONS, **changes}
    with pytest.raises(ValueError, match=message):
        mm.study(lambda: pytest.fail("a model was built"), WINE, **options)
    with pytest.raises(TypeError, match="End the function with return model"):
        mm.study(lambda: None, WINE, RECIPES, epochs=4, seeds=2)
    with pytest.raises(TypeError, match="expected a list of them"):
        mm.study(build_model, WINE, "swa", **OPTIONS)
