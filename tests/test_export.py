"""One ordinary Keras model out of many members."""

import json
import subprocess
import sys

import keras
import numpy as np
import pytest

import manyminima as mm
from problems import assert_same, compiled, data, head, layers, several, two_heads

X, Y = data(70)
BCE, SCE = keras.losses.BinaryCrossentropy, keras.losses.SparseCategoricalCrossentropy


def nested():
    inner = keras.Sequential([keras.Input((4,)), layers.Dense(5, "relu"), layers.BatchNormalization()])
    x = keras.Input((4,))
    shared = layers.Dense(4)
    return keras.Model(x, layers.Dense(3, "softmax")(inner(shared(shared(x)))))


@pytest.mark.parametrize(
    ("build", "options"),
    [
        (compiled, {}),
        (nested, {"task": "multiclass"}),
        (lambda: head(3, None, SCE(from_logits=True)), {}),
        (lambda: head(1, "sigmoid", "binary_crossentropy"), {}),
        (lambda: head(2, None, "mse"), {}),
    ],
    ids=["sequential", "nested", "logits", "binary", "regression"],
)
@pytest.mark.parametrize("count", [1, 3])
def test_one_keras_model_averages_the_members(build, options, count, tmp_path):
    model = build()
    before = model.get_weights()
    ensemble = mm.Ensemble(model, several(model, count), **options)
    averaged = ensemble.to_keras()
    expected = ensemble.predict(X)
    found = averaged.predict(X, verbose=0)
    np.testing.assert_allclose(found, expected[:, 1:] if found.shape[1] == 1 else expected, atol=1e-6)
    assert not averaged.trainable_variables
    assert {layer.name for layer in averaged.layers} >= {f"member_{k:03d}" for k in range(count)}
    assert_same(model.get_weights(), before)


def test_the_keras_model_loads_without_us(tmp_path):
    model, x, _ = two_heads(X, Y)
    ensemble = mm.Ensemble(model, several(model))
    ensemble.to_keras().save(tmp_path / "averaged.keras")
    np.savez(tmp_path / "x.npz", **x)
    program = (
        "import sys, json, numpy, keras;"
        f"m = keras.saving.load_model({str(tmp_path / 'averaged.keras')!r}); assert 'manyminima' not in sys.modules;"
        f"x = dict(numpy.load({str(tmp_path / 'x.npz')!r}));"
        "print(json.dumps({k: v.tolist() for k, v in m.predict(x, verbose=0).items()}))"
    )
    out = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout
    found, expected = json.loads(out.splitlines()[-1]), ensemble.predict(x)
    for name in expected:
        np.testing.assert_allclose(found[name], expected[name], atol=1e-5)
