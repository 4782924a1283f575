"""The two tutorials' programs, with the import line changed."""

import contextlib
import io
from pathlib import Path

import keras
import numpy as np
import pytest
from keras.layers import Dense
from keras.models import Sequential
from keras.optimizers import SGD
from keras.utils import to_categorical
from sklearn.datasets import make_blobs
from sklearn.metrics import accuracy_score

import manyminima as mm
from manyminima.compat import (
    CosineAnnealingLearningRateSchedule,
    SnapshotEnsemble,
    cosine_annealing,
    ensemble_predictions,
    evaluate_n_averaged,
    evaluate_n_members,
    load_all_models,
    model_weight_ensemble,
)
from problems import layers

X, y = make_blobs(n_samples=1100, centers=3, n_features=2, cluster_std=2, random_state=2)
trainX, testX, trainy, testy = X[:100], X[100:], to_categorical(y[:100]), y[100:]


def tutorial_model(units=25):
    keras.utils.set_random_seed(0)
    model = Sequential()
    model.add(keras.Input((2,)))
    model.add(Dense(units, activation="relu"))
    model.add(Dense(3, activation="softmax"))
    model.compile(loss="categorical_crossentropy", optimizer=SGD(momentum=0.9), metrics=["accuracy"])
    return model


@pytest.fixture(scope="module")
def snapshots(tmp_path_factory):
    """The folder, the callback and what it printed, the trained model and the loaded members, newest first."""
    folder, told = tmp_path_factory.mktemp("snapshots"), io.StringIO()
    with contextlib.chdir(folder), contextlib.redirect_stdout(told):
        model = tutorial_model()
        n_epochs = 6
        n_cycles = n_epochs / 2
        ca = SnapshotEnsemble(n_epochs, n_cycles, 0.01, verbose=1)
        model.fit(trainX, trainy, epochs=n_epochs, verbose=0, callbacks=[ca])
        members = load_all_models(3)
    return folder, ca, told.getvalue().splitlines(), model, list(reversed(members))


def test_a_model_is_saved_at_each_cycles_end(snapshots):
    folder, ca, told, model, members = snapshots
    assert sorted(path.name for path in folder.iterdir()) == [f"snapshot_model_{n}.keras" for n in (1, 2, 3)]
    assert told == [f">saved snapshot snapshot_model_{n}.keras, epoch {2 * n - 1}" for n in (1, 2, 3)]
    for a, b in zip(members[0].get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    with contextlib.chdir(folder):
        for weights, member in zip(ca.members, reversed(members), strict=True):
            for a, b in zip(weights, member.get_weights(), strict=True):
                np.testing.assert_array_equal(a, b)


def test_rates_are_remembered(snapshots):
    ca = snapshots[1]
    np.testing.assert_allclose(ca.lrates, [cosine_annealing(i, 6, 3.0, 0.01) for i in range(6)], rtol=1e-6)
    assert SnapshotEnsemble(6, 3, 0.01).lrates == []


def test_members_and_ensembles_are_evaluated(snapshots):
    members = snapshots[-1]
    testy_enc = to_categorical(testy)
    for i in range(1, len(members) + 1):
        score = evaluate_n_members(members, i, testX, testy)
        summed = sum(model.predict(testX, verbose=0) for model in members[:i])
        assert score == pytest.approx(accuracy_score(testy, np.argmax(summed, axis=1)))
        assert score == evaluate_n_members(members, i, testX, testy_enc)
    _, single_score = members[0].evaluate(testX, testy_enc, verbose=0)
    assert single_score == pytest.approx(evaluate_n_members(members, 1, testX, testy))


def test_the_files_make_an_ensemble(snapshots):
    folder, *_, members = snapshots
    ensemble = mm.Ensemble.from_files(tutorial_model, [folder / "snapshot_model_*.keras"], task="multiclass")
    np.testing.assert_array_equal(ensemble.predict(testX).argmax(axis=1), ensemble_predictions(members, testX))


def test_files_of_a_run_with_more_cycles_are_not_mixed_in(snapshots, monkeypatch):
    monkeypatch.chdir(snapshots[0])
    with pytest.raises(
        FileExistsError, match=r"snapshot_model_3\.keras' is there from another run.*Delete 'snapshot_model_\*"
    ):
        tutorial_model().fit(trainX, trainy, epochs=2, verbose=0, callbacks=[SnapshotEnsemble(2, 2, 0.01)])


def test_the_schedule_alone_keeps_its_members_in_memory():
    model = tutorial_model()
    ca = CosineAnnealingLearningRateSchedule(4, 2, 0.01)
    model.fit(trainX, trainy, epochs=4, verbose=0, callbacks=[ca])
    np.testing.assert_allclose(ca.lrates, [0.01, 0.005, 0.01, 0.005], rtol=1e-6)
    np.testing.assert_array_equal(mm.Ensemble(model, ca.members)[-1][0], model.get_weights()[0])


def test_the_series_is_the_tutorials():
    per_cycle = 100 // 5
    expected = [0.01 / 2 * (np.cos(np.pi * (i % per_cycle) / per_cycle) + 1) for i in range(100)]
    np.testing.assert_allclose([cosine_annealing(i, 100, 5, 0.01) for i in range(100)], expected, rtol=1e-12)


# -- averages of weights ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """The members of the averaging tutorial's loop, newest first."""
    with contextlib.chdir(tmp_path_factory.mktemp("averages")):
        model = tutorial_model()
        n_epochs, n_save_after = 5, 2
        for i in range(n_epochs):
            model.fit(trainX, trainy, epochs=1, verbose=0)
            if i >= n_save_after:
                model.save("model_" + str(i) + ".keras")
        members = load_all_models(2, 5)
    return list(reversed(members))


@pytest.mark.parametrize("kind", ["equal", "linear", "exponential"])
def test_averages_are_numpys(saved, kind):
    n = len(saved)
    weights = {
        "equal": [1 / n for _ in range(1, n + 1)],
        "linear": [i / n for i in range(n, 0, -1)],
        "exponential": [np.exp(-i / 2.0) for i in range(1, n + 1)],
    }[kind]
    model = model_weight_ensemble(saved, weights)
    for i, found in enumerate(model.get_weights()):
        expected = np.average([member.get_weights()[i] for member in saved], axis=0, weights=weights)
        np.testing.assert_allclose(found, expected, atol=1e-6)


def test_an_average_is_compiled_as_its_members_are(saved):
    _, score = model_weight_ensemble(saved, [1, 0, 0]).evaluate(testX, to_categorical(testy), verbose=0)
    assert score == pytest.approx(saved[0].evaluate(testX, to_categorical(testy), verbose=0)[1])
    assert score == pytest.approx(evaluate_n_averaged(saved, 1, testX, testy))
    plain = [keras.Sequential([keras.Input((2,)), layers.Dense(3)]) for _ in range(2)]
    assert not model_weight_ensemble(plain, [1, 1]).compiled


def test_averaged_members_are_evaluated(saved):
    score = evaluate_n_averaged(saved, 3, testX, to_categorical(testy))
    predicted = model_weight_ensemble(saved, [1, 1, 1]).predict(testX, verbose=0).argmax(axis=1)
    assert score == pytest.approx(accuracy_score(testy, predicted))


# -- bad input -------------------------------------------------------------------------------------------------------------


def test_errors_say_what_to_do(saved, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("snapshot_model_x.keras").touch()
    with pytest.raises(
        FileNotFoundError, match=r"no 'snapshot_model_1\.keras'.*holds 1 of such files.*SnapshotEnsemble writes"
    ):
        load_all_models(10)
    with pytest.raises(ValueError, match=r"asks for no model: write load_all_models\(10\)"):
        load_all_models(10, 10)
    with pytest.raises(ValueError, match="n_members=4: expected between 1 and the number of members, 3"):
        evaluate_n_members(saved, 4, testX, testy)
    with pytest.raises(ValueError, match="n_members=0: expected between 1"):
        model_weight_ensemble([], [])
    with pytest.raises(ValueError, match="there are 5 labels for 1000 examples"):
        evaluate_n_members(saved, 1, testX, testy[:5])
    with pytest.raises(ValueError, match="one for each of 3 members"):
        model_weight_ensemble(saved, [0.5, 0.5])
    regressor = [keras.Sequential([keras.Input((2,)), layers.Dense(1)])]
    with pytest.raises(ValueError, match=r"expected one column for each class.*mm\.Ensemble\(members\[0\]"):
        ensemble_predictions(regressor, testX[:3])
