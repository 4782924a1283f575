"""The average judged while training goes on: Keras's own numbers, raw weights untouched, and the best average kept."""

import keras
import numpy as np
import pytest

import manyminima as mm
from problems import assert_same, compiled, data
from runs_of_100 import X, Y, fit

CHECKPOINTS = mm.recipes.checkpoints()
VALIDATION = data(70, seed=0)


def copy_of(model, weights):
    copy = keras.models.clone_model(model)
    copy.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    copy.set_weights(weights)
    return copy


@pytest.mark.parametrize("make", [lambda: mm.Ema(0.8), mm.Mean, lambda: mm.LastK(2)], ids=["Ema", "Mean", "LastK"])
def test_logs_are_those_of_keras(make):
    model, fold = compiled(), make()
    weight = np.linspace(0, 2, 70, dtype="float32")
    history = fit(model, mm.Collect(CHECKPOINTS, into=fold, validation_data=(*VALIDATION, weight)))
    (average,) = list(fold)
    expected = copy_of(model, average).evaluate(*VALIDATION, sample_weight=weight, verbose=0, return_dict=True)
    for name, value in expected.items():
        assert history.history[f"val_avg_{name}"][-1] == pytest.approx(value, rel=1e-5)
    assert len(history.history["val_avg_loss"]) == 4


def test_a_data_set_will_do_as_well():
    batches = mm.datasets.Batches(*VALIDATION, 32, seed=0)
    logs = [
        fit(compiled(), mm.Collect(CHECKPOINTS, into=mm.Ema(0.8), validation_data=source)).history["val_avg_loss"]
        for source in (VALIDATION, batches)
    ]
    np.testing.assert_allclose(*logs, rtol=1e-5)


def test_training_and_its_metrics_are_untouched():
    judged, plain = compiled(), compiled()
    history = fit(
        judged, mm.Collect(CHECKPOINTS, into=mm.Ema(0.8), validation_data=VALIDATION), validation_data=VALIDATION
    )
    expected = fit(plain, validation_data=VALIDATION)
    assert_same(judged.get_weights(), plain.get_weights())
    for name, values in expected.history.items():
        assert history.history[name] == values
    assert judged.evaluate(X, Y, verbose=0) == plain.evaluate(X, Y, verbose=0)


def test_a_test_step_and_metrics_of_the_users_own():
    class Doubled(keras.Model):
        def test_step(self, *args):
            return super().test_step(*args)

    inputs = keras.Input((4,))
    model = Doubled(inputs, keras.layers.Dense(3, "softmax")(inputs))
    metrics = [keras.metrics.TopKCategoricalAccuracy(2, name="top"), keras.metrics.F1Score(name="f1")]
    model.compile("sgd", "categorical_crossentropy", metrics=metrics)
    labels = np.eye(3)[VALIDATION[1]]
    ema = mm.Ema(0.8)
    history = fit(
        model,
        mm.Collect(CHECKPOINTS, into=ema, validation_data=(VALIDATION[0], labels)),
        source=(X, np.eye(3)[Y]),
        epochs=2,
    )
    assert {"val_avg_loss", "val_avg_top"} <= set(history.history)
    assert "val_avg_f1" not in history.history  # a number for each class is no score
    probs = mm.Ensemble(model, ema).predict(VALIDATION[0])
    top = np.mean([label in np.argsort(row)[-2:] for row, label in zip(probs, VALIDATION[1], strict=True)])
    assert history.history["val_avg_top"][-1] == pytest.approx(top, abs=1e-6)


def test_early_stopping_by_the_average():
    stopping = keras.callbacks.EarlyStopping("val_avg_loss", mode="min", patience=1, min_delta=100)
    history = fit(compiled(), mm.Collect(CHECKPOINTS, into=mm.Ema(0.8), validation_data=VALIDATION), stopping)
    assert len(history.history["loss"]) == 2


def test_the_best_average_is_kept():
    ema = mm.Ema(0.8)
    collect = mm.Collect(CHECKPOINTS, into=[None, ema], best="val_avg_loss", validation_data=VALIDATION)
    model = compiled(0.5)
    history = fit(model, collect, epochs=5)
    about, weights = collect.members.best
    losses = history.history["val_avg_loss"]
    assert about.epoch == 1 + np.argmin(losses)
    copy = copy_of(model, weights)
    assert copy.evaluate(*VALIDATION, verbose=0)[0] == pytest.approx(min(losses), rel=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"validation_data": VALIDATION}, r"names none: write into=mm.Ema\(0.999\)"),
        ({"into": mm.Mean(), "validation_data": VALIDATION[0]}, r"is a ndarray: expected \(x, y\), or a data set"),
        ({"into": mm.Mean(), "validation_data": {"x": 1}}, r"is a dict: expected \(x, y\)"),
    ],
)
def test_validation_data_that_are_none(options, message):
    with pytest.raises(ValueError, match=message):
        mm.Collect(CHECKPOINTS, **options)


def test_a_best_average_without_validation_data():
    with pytest.raises(ValueError, match=r"needs mm.Collect\(…, validation_data=\(x_val, y_val\)\)"):
        fit(compiled(), mm.Collect(CHECKPOINTS, into=[None, mm.Mean()], best="val_avg_loss"))
