"""Ensembles that combine their members by coefficients and a temperature: predicted, kept beside a run, exported."""

import json
import subprocess
import sys
from dataclasses import replace

import keras
import numpy as np
import pytest

import manyminima as mm
from cases import noisy
from manyminima.inference.loading import COMBINATION, keep
from manyminima.selection import Selection
from problems import compiled, data, head, several, two_heads

X, Y = data(70)
X_VAL, Y_VAL = data(60, seed=1)
BCE, SCE = keras.losses.BinaryCrossentropy, keras.losses.SparseCategoricalCrossentropy
LABELS = (np.random.default_rng(0).uniform(size=(60, 4)) < 0.4).astype(int)
MODELS = {
    "softmax": (compiled, Y_VAL),
    "logits": (lambda: head(3, None, SCE(from_logits=True)), Y_VAL),
    "two units": (lambda: head(2, "softmax", SCE()), Y_VAL % 2),
    "binary": (lambda: head(1, "sigmoid", "binary_crossentropy"), Y_VAL % 2),
    "binary logits": (lambda: head(1, None, BCE(from_logits=True)), Y_VAL % 2),
    "multilabel": (lambda: head(4, "sigmoid", "binary_crossentropy"), LABELS),
    "multilabel logits": (lambda: head(4, None, BCE(from_logits=True)), LABELS),
    "regression": (lambda: head(2, None, "mse"), np.stack([Y_VAL, -Y_VAL], -1) * 0.5),
}
every_model = pytest.mark.parametrize("name", MODELS)


def ensemble_of(name, members=3, seed=0):
    model = MODELS[name][0]()
    return mm.Ensemble(model, several(model, members, seed))


def with_shares(selection, shares):
    return replace(selection, coefficients=np.asarray(shares, float))


def fitted(name, ensemble, coefficients="fitted", temperature=None):
    """What was fitted on validation rows, and coefficients that are none of equal, 0 and 1."""
    y = MODELS[name][1]
    calibrate = "none" if name == "regression" else "temperature"
    found = mm.Combination.fit(y, ensemble.predict_members(X_VAL), coefficients, calibrate)
    chosen = found.selection and with_shares(found.selection, [0.2, 0.5, 0.3])
    found = replace(found, selection=chosen)
    if temperature is not None and found.calibrator is not None:
        found = replace(found, calibrator=replace(found.calibrator, temperature=temperature))
    return found


def as_predicted(expected, found):
    """A model of one unit gives the second of the two columns."""
    return expected[..., 1:] if found.shape[-1] == 1 and expected.shape[-1] == 2 else expected


# -- predicting ---------------------------------------------------------------------------------------------------------


@every_model
def test_predictions_are_the_combination_of_the_members(name):
    plain = ensemble_of(name)
    found = fitted(name, plain)
    ensemble = plain.combined_by(found)
    expected = found(plain.predict_members(X))
    np.testing.assert_allclose(ensemble.predict(X), expected, atol=1e-5)
    np.testing.assert_array_equal(ensemble.predict(X, combine=mm.combine.mean), plain.predict(X))
    np.testing.assert_allclose(ensemble.predict(X, batch_size=16), expected, atol=1e-5)
    np.testing.assert_array_equal(ensemble.predict_members(X), plain.predict_members(X))
    np.testing.assert_array_equal(ensemble.combined_by(None).predict(X), plain.predict(X))
    assert plain.combination is None
    assert found.label in repr(ensemble)
    assert found.label not in repr(plain)


@every_model
def test_scores_are_those_of_the_combined_prediction(name):
    plain = ensemble_of(name)
    found, y = fitted(name, plain), MODELS[name][1]
    scores = plain.combined_by(found).evaluate(X_VAL, y)
    metric = mm.metrics.squared_error if name == "regression" else mm.metrics.nll
    probs = found(plain.predict_members(X_VAL))
    if y.ndim == 2 and name != "regression":
        y, probs = y.ravel(), np.stack([1 - probs.ravel(), probs.ravel()], -1)
    np.testing.assert_allclose(scores[metric.__name__], metric(y, probs), rtol=1e-4, atol=1e-9)


def test_other_members_go_back_to_the_mean():
    plain = ensemble_of("softmax")
    ensemble = plain.combined_by(fitted("softmax", plain))
    for part, members in (
        (ensemble[1:], [1, 2]),
        (ensemble.newest(2), [1, 2]),
        (ensemble[:], [0, 1, 2]),
        (ensemble.part([2, 0]), [2, 0]),
        (ensemble.of([ensemble[1]]), [1]),
    ):
        assert part.combination is None
        expected = plain.predict_members(X)[members].mean(axis=0)
        np.testing.assert_allclose(part.predict(X), expected, atol=1e-5)


def test_what_does_not_fit_is_refused():
    ensemble = ensemble_of("softmax")
    of_two = mm.Combination.fit(Y, noisy(Y, [1.0, 2.0]))
    with pytest.raises(
        ValueError, match=r"is of 2 members, and this ensemble has 3\. Fit one .*mm\.Combination\.fit\("
    ):
        ensemble.combined_by(of_two)
    temperature = mm.Combination.fit(Y, noisy(Y, [1.0, 2.0]), "uniform")
    for name in ("regression", "multilabel"):
        with pytest.raises(ValueError, match=rf"for the task 'multiclass', and this ensemble's is '{name}'\. Fit one"):
            ensemble_of(name).combined_by(temperature)
    model, _, _ = two_heads(X, Y)
    with pytest.raises(ValueError, match=r"is for one output, and this model has several: combine each by itself"):
        mm.Ensemble(model, several(model)).combined_by(temperature)
    with pytest.raises(ValueError, match=r"calibrator was fitted on 4 columns: expected \(\.\.\., 4\)"):
        ensemble.combined_by(mm.Combination.fit(Y, noisy(Y, [1.0, 2.0], 4), "uniform")).predict(X)


# -- as one model of Keras ----------------------------------------------------------------------------------------------


@every_model
@pytest.mark.parametrize(("coefficients", "temperature"), [("uniform", None), ("fitted", 0.4), ("fitted", 5.0)])
def test_the_exported_model_predicts_the_same(name, coefficients, temperature):
    plain = ensemble_of(name)
    ensemble = plain.combined_by(fitted(name, plain, coefficients, temperature))
    found = ensemble.to_keras().predict(X, verbose=0)
    np.testing.assert_allclose(found, as_predicted(ensemble.predict(X), found), atol=2e-5)
    assert found.dtype == np.float32


@pytest.mark.parametrize("name", ["softmax", "binary", "multilabel"])
def test_a_temperature_softens_what_is_almost_certain_the_same(name):
    """1 minus a float32 close to 1 has few digits left, and a temperature of 5 brings them to light."""
    model, rng = MODELS[name][0](), np.random.default_rng(0)
    weights = model.get_weights()
    members = [[rng.normal(0, 1.5, w.shape).astype("float32") if w.ndim > 1 else w for w in weights] for _ in range(3)]
    plain = mm.Ensemble(model, members)
    ensemble = plain.combined_by(fitted(name, plain, temperature=5.0))
    found = ensemble.to_keras().predict(X, verbose=0)
    expected = as_predicted(ensemble.predict(X), found)
    doubt = 1 - np.sort(plain.predict_members(X).reshape(3, len(X), -1), axis=-1)[..., -1].max(axis=0)
    assert np.any((doubt > 1e-6) & (doubt < 1e-3)), "some predictions have to be almost certain"
    # Beyond that a float32 is 1 or the number below it, as the backend's rounding has it.
    np.testing.assert_allclose(found[doubt > 1e-6], expected[doubt > 1e-6], atol=2e-3)
    np.testing.assert_allclose(found, expected, atol=0.05)


def test_members_of_coefficient_0_are_left_out():
    plain = ensemble_of("softmax", 4)
    found = mm.Combination.fit(Y_VAL, plain.predict_members(X_VAL), "fitted", "none")
    found = replace(found, selection=with_shares(found.selection, [0, 0.25, 0, 0.75]))
    exported = plain.combined_by(found).to_keras()
    names = [layer.name for layer in exported.layers if layer.name.startswith("member_")]
    assert names == ["member_001", "member_003"]
    np.testing.assert_allclose(exported.predict(X, verbose=0), found(plain.predict_members(X)), atol=1e-5)
    one = replace(found, selection=with_shares(found.selection, [0, 0, 1, 0]))
    found = plain.combined_by(one).to_keras().predict(X, verbose=0)
    np.testing.assert_allclose(found, plain.predict_members(X)[2], atol=1e-5)


def test_isotonic_regression_is_no_layer():
    plain = ensemble_of("softmax")
    found = mm.Combination.fit(Y_VAL, plain.predict_members(X_VAL), "uniform", "isotonic")
    ensemble = plain.combined_by(found)
    np.testing.assert_allclose(ensemble.predict(X), found(plain.predict_members(X)), atol=1e-5)
    with pytest.raises(ValueError, match=r"Calibrate by temperature, or export without: ensemble\.combined_by\(None\)"):
        ensemble.to_keras()
    ensemble.combined_by(None).to_keras()


def test_half_precision_outputs():
    policy = keras.DTypePolicy("mixed_float16")
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, "softmax", dtype=policy)])
    plain = mm.Ensemble(model, several(model), task="multiclass")
    ensemble = plain.combined_by(fitted("softmax", plain, temperature=3.0))
    found = ensemble.to_keras().predict(X, verbose=0)
    np.testing.assert_allclose(found, ensemble.predict(X), atol=5e-3)
    assert found.dtype == np.float32


def test_saved_models_load_with_keras_alone(tmp_path):
    expected = {}
    np.save(tmp_path / "x.npy", X)
    for name in ("logits", "binary", "multilabel", "regression"):
        plain = ensemble_of(name)
        ensemble = plain.combined_by(fitted(name, plain, temperature=2.0))
        ensemble.to_keras().save(tmp_path / f"{name}.keras")
        expected[name] = ensemble.predict(X)
    program = (
        "import sys, pathlib, numpy, keras\n"
        f"folder = pathlib.Path({str(tmp_path)!r}); x = numpy.load(folder / 'x.npy')\n"
        "for path in folder.glob('*.keras'):\n"
        "    numpy.save(path.with_suffix('.npy'), keras.saving.load_model(path).predict(x, verbose=0))\n"
        "assert 'manyminima' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, timeout=120)
    for name, probs in expected.items():
        found = np.load(tmp_path / f"{name}.npy")
        np.testing.assert_allclose(found, as_predicted(probs, found), atol=2e-5)


# -- beside a run -------------------------------------------------------------------------------------------------------


@pytest.fixture
def run(tmp_path):
    model = compiled(plain=True)
    collect = mm.Collect(mm.recipes.checkpoints(), into=tmp_path / "run")
    model.fit(X, Y, epochs=3, verbose=0, callbacks=[collect])
    return mm.Snapshots(tmp_path / "run")


def test_what_is_kept_is_used_by_load(run):
    plain = mm.load(run.path)
    assert plain.combination is None
    found = mm.Combination.fit(Y_VAL, plain.predict_members(X_VAL), "greedy", "temperature")
    path = keep(run, found)
    assert path == run.path / COMBINATION
    ensemble = mm.load(run.path)
    assert ensemble.combination.members == tuple(member.hash for member in run.members)
    np.testing.assert_allclose(ensemble.predict(X), found(plain.predict_members(X)), atol=1e-5)
    with pytest.raises(ValueError, match=r"fitted on these 60 examples.*on_fitting_data=True"):
        mm.report(Y_VAL, ensemble.predict_members(X_VAL), run=ensemble)
    assert mm.report(Y, ensemble.predict_members(X), run=ensemble).mixed.label == found.label
    joined = mm.load([run.path, run.path])
    assert joined.combination is None  # of other members
    keep(run, mm.Combination())
    np.testing.assert_allclose(mm.load(run.path).predict(X), plain.predict(X), atol=1e-5)


def test_members_that_came_later_are_not_combined_by_what_was_fitted_before(run):
    plain = mm.load(run.path)
    found = mm.Combination.fit(Y_VAL, plain.predict_members(X_VAL))
    path = keep(run, found)
    data = json.loads(path.read_text())
    for members in (data["members"][:2], data["members"][::-1], [*data["members"], "another"]):
        path.write_text(json.dumps({**data, "members": members}))
        with pytest.raises(
            ValueError, match=r"combination\.json' was fitted to other members than the run has now\. Delete it"
        ):
            mm.load(run.path)
    two = mm.Combination.fit(Y_VAL, plain.predict_members(X_VAL)[:2])
    two.to_json(path)
    with pytest.raises(
        ValueError, match=r"combination\.json' was fitted to other members.*manyminima evaluate .*run --coeff"
    ):
        mm.load(run.path)


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text[:-40],
        lambda text: "",
        lambda text: "[]",
        lambda text: text.replace('"format": 1', '"format": 2'),
        lambda text: text.replace('"kind": "temperature"', '"kind": "platt"'),
    ],
)
def test_a_damaged_combination_is_named(run, change):
    path = keep(run, mm.Combination.fit(Y_VAL, mm.load(run.path).predict_members(X_VAL)))
    path.write_text(change(path.read_text()))
    with pytest.raises(ValueError, match=r"run/analysis/combination\.json' is no combination that this version reads"):
        mm.load(run.path)


def test_selections_of_other_members_are_refused_when_combining():
    chosen = mm.selection.newest(Y, noisy(Y, [1.0, 2.0]))
    assert isinstance(chosen, Selection)
    with pytest.raises(ValueError, match="is of 2 members, and this ensemble has 3"):
        ensemble_of("softmax").combined_by(mm.Combination(chosen))
