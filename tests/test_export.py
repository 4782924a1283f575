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


# -- models of every make --------------------------------------------------------------------------------------------


def keras_saves_and_loads(averaged, x, path, **custom):
    averaged.save(path)
    return keras.saving.load_model(path, **custom).predict(x, verbose=0)


class Double(layers.Layer):
    def call(self, x):
        return 2 * x


@keras.saving.register_keras_serializable("tests")
class OfDicts(keras.Model):
    """It takes no name, as many that users write."""

    def __init__(self, units):
        super().__init__()
        self.units = units
        self.dense = layers.Dense(units, "softmax")

    def call(self, x):
        return {"kind": self.dense(x["a"] + x["b"])}

    def get_config(self):
        return {"units": self.units}


def subclassed():
    model = OfDicts(3)
    model({"a": X[:1], "b": X[:1]})
    return model


def test_a_subclassed_model_with_dicts(tmp_path):
    model, x = subclassed(), {"a": X, "b": X[::-1]}
    ensemble = mm.Ensemble(model, several(model), task="multiclass")
    averaged, expected = ensemble.to_keras(), ensemble.predict(x)["kind"]
    np.testing.assert_allclose(averaged.predict(x, verbose=0)["kind"], expected, atol=1e-6)
    loaded = keras_saves_and_loads(averaged, x, tmp_path / "averaged.keras")
    np.testing.assert_allclose(loaded["kind"], expected, atol=1e-6)


def test_a_layer_that_is_not_registered(tmp_path):
    model = keras.Sequential([keras.Input((4,)), Double(), layers.Dense(3, "softmax")])
    ensemble = mm.Ensemble(model, several(model), task="multiclass")
    averaged = ensemble.to_keras()
    np.testing.assert_allclose(averaged.predict(X, verbose=0), ensemble.predict(X), atol=1e-6)
    path, custom = tmp_path / "averaged.keras", {"Double": Double}
    loaded = keras_saves_and_loads(averaged, X, path, custom_objects=custom)
    np.testing.assert_allclose(loaded, ensemble.predict(X), atol=1e-6)


def test_lists_of_inputs_and_outputs(tmp_path):
    a, b = keras.Input((4,), name="a"), keras.Input((4,), name="b")
    both = layers.Add()([a, b])
    outputs = [layers.Dense(3, "softmax", name="kind")(both), layers.Dense(1, name="size")(both)]
    model = keras.Model([a, b], outputs)
    model.compile(loss=["sparse_categorical_crossentropy", "mse"])
    ensemble = mm.Ensemble(model, several(model))
    averaged, expected = ensemble.to_keras(), list(ensemble.predict([X, X]).values())
    for found in (averaged.predict([X, X], verbose=0), keras_saves_and_loads(averaged, [X, X], tmp_path / "m.keras")):
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_allclose(one, other, atol=1e-5)


def test_what_acts_in_training_only_is_pinned():
    noisy = [layers.Reshape((2, 2, 1)), layers.RandomFlip(seed=1), layers.GaussianNoise(0.9, seed=2)]
    head = [layers.BatchNormalization(), layers.Flatten(), layers.Dropout(0.5, seed=3), layers.Dense(3, "softmax")]
    model = keras.Sequential([keras.Input((4,)), *noisy, *head])
    ensemble = mm.Ensemble(model, several(model), task="multiclass")
    averaged = ensemble.to_keras()
    before = averaged.get_weights()
    for training in (None, False):  # an explicit True reaches every layer: Keras lets it win over what was pinned
        found = keras.ops.convert_to_numpy(averaged(keras.ops.convert_to_tensor(X), training=training))
        np.testing.assert_allclose(found, ensemble.predict(X), atol=1e-6)
    assert_same(averaged.get_weights(), before)


def test_the_original_can_be_trained_on():
    model = compiled()
    ensemble = mm.Ensemble(model, several(model))
    expected = ensemble.predict(X)
    averaged = ensemble.to_keras()
    assert model.trainable
    model.fit(X, Y, verbose=0)
    np.testing.assert_array_equal(ensemble.predict(X), expected)
    np.testing.assert_allclose(averaged.predict(X, verbose=0), expected, atol=1e-6)


class Unknown(keras.Model):
    def __init__(self, dense):
        super().__init__()
        self.dense = dense

    def call(self, x):
        return self.dense(x)


def test_models_that_cannot_be_copied():
    model = Unknown(layers.Dense(3, "softmax"))
    model(X[:1])
    with pytest.raises(ValueError, match=r"model 'unknown.*' cannot be copied(.|\n)*Give its class a get_config"):
        mm.Ensemble(model, several(model), task="multiclass").to_keras()

    def activation(z):
        return keras.ops.softmax(z)

    model = head(3, activation)
    with pytest.raises(ValueError, match=r"cannot be copied(.|\n)*register_keras_serializable"):
        mm.Ensemble(model, several(model), task="multiclass").to_keras()
