"""A model described before training is the model that the run gives back: weights in place, nothing executed."""

import json
import random
import sys

import keras
import numpy as np
import pytest

import manyminima as mm
from manyminima.runs.architecture import adopt, describe, rebuild, rebuild_of
from problems import BACKEND, assert_same, data, layers

X, Y = data(40)


def outputs(model, x):
    return [keras.ops.convert_to_numpy(out) for out in keras.tree.flatten(model(x, training=False))]


def random_graph(seed):
    """A functional model with shared and nested layers, joined at random; all weights are of one shape."""
    choose = random.Random(seed)
    inputs = [keras.Input((4,)) for _ in range(choose.randint(1, 3))]
    nodes, used = list(inputs), []
    for _ in range(choose.randint(3, 8)):
        nested = keras.Sequential([keras.Input((4,)), layers.Dense(4), layers.Dense(4)])
        layer = choose.choice([*used, layers.Dense(4), nested])
        used.append(layer)
        x = choose.choice(nodes)
        nodes.append(layer(layers.Add()([x, choose.choice(nodes)]) if choose.random() < 0.4 else x))
    ends = choose.sample(nodes[len(inputs) :], 2)
    return keras.Model(inputs, ends)


@pytest.mark.parametrize("seed", range(8))
def test_weights_keep_their_places(seed):
    model = random_graph(seed)
    rng = np.random.default_rng(seed)
    weights = [rng.normal(size=w.shape).astype("float32") for w in model.weights]
    model.set_weights(weights)
    twin = rebuild(json.loads(json.dumps(describe(model))))
    twin.set_weights(weights)
    x = [rng.normal(size=(5, 4)).astype("float32") for _ in model.inputs]
    assert_same(outputs(twin, x), outputs(model, x))


class Tied(layers.Layer):
    """Maps back with the weights of another layer."""

    def __init__(self, other, **options):
        super().__init__(**options)
        self.other = other

    def call(self, x):
        return keras.ops.matmul(x, keras.ops.transpose(self.other.kernel))

    def get_config(self):
        return {**super().get_config(), "other": keras.saving.serialize_keras_object(self.other)}

    @classmethod
    def from_config(cls, config):
        return cls(keras.saving.deserialize_keras_object(config.pop("other")), **config)


def test_several_inputs_and_outputs_of_mixed_kinds(tmp_path):
    a, b = keras.Input((4,), name="a"), keras.Input((2,), dtype="int32", name="b")
    h = layers.Concatenate()([a, layers.Flatten()(layers.Embedding(3, 2)(b))])
    model = keras.Model({"a": a, "b": b}, {"p": layers.Dense(3, "softmax")(h), "q": layers.Dense(1)(h)})
    model.compile("sgd", {"p": "sparse_categorical_crossentropy", "q": "mse"})
    x = {"a": X, "b": np.random.default_rng(0).integers(0, 3, (40, 2))}
    collect = mm.Collect(mm.recipes.snapshot(cycles=2, peak=0.1), into=tmp_path / "run")
    history = model.fit(x, {"p": Y, "q": Y}, batch_size=16, epochs=2, verbose=0, callbacks=[collect])
    assert {"p_loss", "q_loss", "loss"} <= set(history.members[0].logs)
    ensemble = mm.load(tmp_path / "run")
    probs, expected = ensemble.predict_members(x), model.predict(x, verbose=0)
    for name in ("p", "q"):
        np.testing.assert_allclose(probs[name][-1], expected[name], atol=1e-5)
    assert {k: t.kind for k, t in ensemble.tasks.items()} == {"p": "multiclass", "q": "regression"}


def test_a_shared_kernel_is_one_weight():
    with keras.saving.custom_object_scope({"Tied": Tied}):
        x = keras.Input((4,))
        encode = layers.Dense(2, use_bias=False)
        model = keras.Model(x, Tied(encode)(encode(x)))
        assert len(model.weights) == 1
        assert describe(model)["parameters"] == 8
        twin = rebuild(describe(model))
        twin.set_weights(model.get_weights())
    np.testing.assert_allclose(outputs(twin, X)[0], outputs(model, X)[0], rtol=1e-6)


def test_generators_and_names_are_left_alone():
    model = keras.Sequential(
        [keras.Input((4, 4, 1)), layers.RandomFlip(), layers.Flatten(), layers.Dropout(0.5), layers.Dense(3)]
    )
    states = [random.getstate, lambda: np.random.get_state()[1].tolist()]  # noqa: NPY002
    if "torch" in sys.modules:
        states.append(lambda: sys.modules["torch"].get_rng_state().tolist())
    if BACKEND == "tensorflow":
        import tensorflow as tf

        states.append(lambda: tf.random.get_global_generator().state.numpy().tolist())
    name = layers.Dense(1).name
    before, seeds = [state() for state in states], [np.array(v) for v in model.non_trainable_variables]
    describe(model)
    assert [state() for state in states] == before
    assert_same([np.array(v) for v in model.non_trainable_variables], seeds)
    assert int(layers.Dense(1).name.rpartition("_")[2]) == int(name.rpartition("_")[2]) + 1


class Inexact(layers.Layer):
    """A layer whose config JSON cannot hold."""

    def __init__(self, limit, **options):
        super().__init__(**options)
        self.limit = limit

    def call(self, x):
        return keras.ops.minimum(x, 1.0)

    def get_config(self):
        return {**super().get_config(), "limit": self.limit}


@pytest.mark.parametrize("limit", [float("inf"), float("nan")])
def test_configs_that_do_not_survive_are_refused(limit):
    with keras.saving.custom_object_scope({"Inexact": Inexact}):
        model = keras.Sequential([keras.Input((4,)), Inexact(limit)])
        with pytest.raises(ValueError, match=r"could not be rebuilt .*not JSON compliant[\s\S]*rebuild=False"):
            describe(model)
        assert describe(keras.Sequential([keras.Input((4,)), Inexact(np.float32(2))]))["parameters"] == 0


def test_numbers_of_numpy_are_numbers():
    model = keras.Sequential([keras.Input((4,)), layers.Dense(3), layers.LeakyReLU(np.float32(0.5))])
    assert describe(model)["parameters"] == 15


@pytest.mark.parametrize(
    "entry",
    [
        {"module": "os", "class_name": "system", "config": {"command": "true"}, "registered_name": None},
        {"module": "antigravity", "class_name": "function", "config": "geohash", "registered_name": "function"},
        {"module": "keras_evil.layers", "class_name": "Dense", "config": {}, "registered_name": "Dense"},
    ],
)
def test_a_config_imports_nothing(entry):
    model = keras.Sequential([keras.Input((4,)), layers.Dense(3, "relu")])
    about = json.loads(json.dumps(describe(model)))
    about["config"]["config"]["layers"][1]["config"]["activation"] = entry
    with pytest.raises(ValueError, match=rf"uses {entry['module']}.*which Keras does not know.*custom_objects="):
        rebuild(about)
    assert "antigravity" not in sys.modules


def honest():
    """Models with state, random layers, recurrent cells, attention and nested parts."""
    image, words = keras.Input((8, 8, 3)), keras.Input((6,), dtype="int32")
    nested = keras.Sequential([layers.Dense(4, "relu"), layers.BatchNormalization()])
    convolved = layers.Conv2D(4, 3)(layers.RandomRotation(0.1)(layers.RandomFlip()(image)))
    yield keras.Model(image, nested(layers.GlobalAveragePooling2D()(layers.DepthwiseConv2D(2)(convolved))))
    embedded = layers.Embedding(20, 8)(words)
    attended = layers.MultiHeadAttention(2, 4, dropout=0.1)(embedded, embedded)
    read = layers.Bidirectional(layers.LSTM(3, dropout=0.1))(layers.LayerNormalization()(attended))
    yield keras.Model(words, layers.Dense(2)(layers.Concatenate()([read, layers.GRU(3)(embedded)])))
    scale = layers.Normalization()
    scale.adapt(X)
    spectral = layers.SpectralNormalization(layers.Dense(4))
    yield keras.Sequential(
        [keras.Input((4,)), scale, spectral, layers.PReLU(), layers.GaussianNoise(0.1), layers.Dense(3)]
    )
    half = keras.Sequential([keras.Input((4,)), layers.Dense(3, dtype="mixed_bfloat16"), layers.UnitNormalization()])
    yield half


def test_honest_models_are_built_with_sizes_untrusted():
    for model in honest():
        about = json.loads(json.dumps(describe(model)))
        shapes = [w.shape for w in model.get_weights()]
        twin = rebuild_of(about, shapes, "here")
        adopt(twin, model.get_weights())
        assert_same(twin.get_weights(), model.get_weights())
        assert_same([np.shape(v) for v in twin.variables], [np.shape(v) for v in model.variables])
        if model.inputs[0].shape == (None, 4):
            np.testing.assert_allclose(twin.predict(X, verbose=0), model.predict(X, verbose=0), rtol=1e-2)
        with pytest.raises(ValueError, match=rf"here holds {len(shapes) - 1} arrays, and model"):
            rebuild_of(about, shapes[:-1], "here")
