"""Stacked, mapped and looped members: the same numbers, a static choice, few compilations, nothing left behind."""

import gc
import weakref

import keras
import numpy as np
import pytest

import manyminima as mm
from manyminima.inference import programs
from manyminima.inference.execution import choose, on_cpu
from manyminima.inference.inputs import rows_at_once
from manyminima.inference.outputs import widest
from problems import BACKEND, alone, data, head, layers, several, traced

MODES = ["stacked", "looped", *([] if BACKEND == "torch" else ["mapped"])]
RNG = np.random.default_rng(0)
X, Y = data(9)


def dense():
    hidden = [layers.Dense(8, "relu"), layers.BatchNormalization(), layers.Dropout(0.5), layers.LayerNormalization()]
    return keras.Sequential([keras.Input((4,)), *hidden, layers.Dense(3, "softmax")]), X


def image():
    body = [layers.Conv2D(4, 3, activation="relu"), layers.MaxPooling2D(2), layers.SeparableConv2D(3, 2)]
    return keras.Sequential(
        [keras.Input((8, 8, 2)), *body, layers.GlobalAveragePooling2D(), layers.Softmax()]
    ), RNG.normal(size=(9, 8, 8, 2)).astype("float32")


def recurrent(layer=layers.LSTM):
    model = keras.Sequential([keras.Input((6,)), layers.Embedding(20, 4), layer(5), layers.Dense(3, "softmax")])
    return model, RNG.integers(0, 20, (9, 6))


def attention():
    tokens = keras.Input((6,))
    embedded = layers.Embedding(20, 4)(tokens)
    mixed = layers.LayerNormalization()(embedded + layers.MultiHeadAttention(2, 4)(embedded, embedded))
    outputs = layers.Dense(3, "softmax")(layers.GlobalAveragePooling1D()(mixed))
    return keras.Model(tokens, outputs), RNG.integers(0, 20, (9, 6))


def pretrained():
    return keras.Sequential([keras.Input((4,)), layers.Rescaling(0.1), layers.Softmax()]), X


BUILDS = [dense, image, recurrent, lambda: recurrent(layers.GRU), attention, pretrained]


@pytest.mark.parametrize("build", BUILDS, ids=["dense", "image", "lstm", "gru", "attention", "no weights"])
def test_every_way_predicts_what_keras_does(build):
    model, x = build()
    members = several(model)
    expected = [alone(model, weights, x) for weights in members]
    chosen = choose(model)
    assert chosen in MODES
    for execution in MODES if BACKEND == "jax" else {chosen, *MODES[1:]}:
        found = mm.Ensemble(model, members, task="multiclass", execution=execution).predict_members(x)
        np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize(
    ("build", "stacked"),
    [
        (dense, ["jax", "tensorflow", "torch"]),
        (image, []),
        (recurrent, []),
        (attention, []),
        (lambda: (head(60, shape=(200,)), None), ["tensorflow", "torch"]),
        (lambda: (head(512, shape=(512,)), None), []),
        (pretrained, ["jax", "tensorflow", "torch"]),
    ],
)
def test_the_choice_is_a_static_rule(build, stacked):
    model, _ = build()
    if on_cpu():
        expected = "stacked" if BACKEND in stacked else "looped" if BACKEND == "torch" else "mapped"
    else:
        expected = "stacked" if BACKEND == "jax" or build not in (image, recurrent, attention) else "looped"
    assert choose(model) == expected
    for execution in MODES:
        assert choose(model, execution) == execution


@pytest.mark.parametrize("execution", MODES)
def test_weights_are_held_as_they_were(execution):
    model, x = dense()
    members = several(model)
    expected = [alone(model, weights, x) for weights in members]
    ensemble = mm.Ensemble(model, members, task="multiclass", execution=execution)
    ensemble.predict(x)
    for weights in members:
        for w in weights:
            w += 1
    np.testing.assert_allclose(ensemble.predict_members(x), expected, atol=1e-5)
    np.testing.assert_allclose(ensemble.predict(x), np.mean(expected, axis=0), atol=1e-5)


@pytest.mark.parametrize("execution", MODES)
def test_more_weights_than_are_held_are_sent_for_every_batch(execution, monkeypatch, tmp_path):
    model, x = dense()
    members = several(model)
    expected = [alone(model, weights, x) for weights in members]
    monkeypatch.setattr(programs, "_HELD", 1000)
    ensemble = mm.Ensemble(model, members, task="multiclass", execution=execution)
    np.testing.assert_allclose(ensemble.predict_members(x, batch_size=4), expected, atol=1e-5)
    np.testing.assert_allclose(ensemble.predict(x, batch_size=4), np.mean(expected, axis=0), atol=1e-5)


def test_the_largest_array_decides_how_many_rows_go_at_once():
    model, x = image()
    assert widest(model) == 6 * 6 * 4
    assert widest(dense()[0]) == 8
    nested = keras.Sequential([keras.Input((8, 8, 2)), keras.Sequential([layers.Conv2D(7, 1), layers.Flatten()])])
    assert widest(nested) == 8 * 8 * 7
    assert rows_at_once(x, 10, 2**20) == 32
    assert rows_at_once(x, 10, 26 * 26 * 16) == 64
    assert rows_at_once(x, 10, 100) == 1024


def test_a_way_that_there_is_not():
    model = head(3)
    with pytest.raises(
        ValueError, match='execution="vectorised" is not available .*choose "auto", "stacked", "looped"'
    ):
        mm.Ensemble(model, several(model), execution="vectorised")
    if BACKEND == "torch":
        with pytest.raises(ValueError, match='"mapped" needs JAX or TensorFlow'):
            mm.Ensemble(model, several(model), execution="mapped")


@pytest.mark.skipif(BACKEND != "torch", reason="a limit of PyTorch")
def test_what_pytorch_cannot_vectorise():
    model, x = image()
    ensemble = mm.Ensemble(model, several(model), task="multiclass", execution="stacked")
    with pytest.raises(RuntimeError, match='Write execution="looped"'):
        ensemble.predict(x)


@pytest.mark.skipif(BACKEND == "torch", reason="PyTorch compiles nothing here")
@pytest.mark.parametrize("execution", MODES)
def test_few_programs_are_compiled_whatever_is_predicted(execution):
    model, counted = traced()
    ensemble = mm.Ensemble(model, several(model, members=20), task="multiclass", execution=execution)
    counted.traces = 0
    for rows in range(1, 65, 3):
        ensemble.predict(np.zeros((rows, 4), "float32"))
    assert 1 <= counted.traces <= 7
    traces = counted.traces
    for rows in (5, 17, 64):
        ensemble.predict(np.zeros((rows, 4), "float32"))
    assert counted.traces == traces


def test_repeated_prediction_leaves_nothing_behind():
    left = []
    for _ in range(3):
        model = head(3, "softmax", "sparse_categorical_crossentropy")
        ensemble = mm.Ensemble(model, several(model))
        ensemble.predict(X)
        ensemble.evaluate(X, Y)
        left += [weakref.ref(ensemble), weakref.ref(model)]
        del ensemble, model
    gc.collect()
    assert [ref() for ref in left] == [None] * 6
