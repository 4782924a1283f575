"""Small models and data that Keras-dependent tests share. A fit costs the better part of a second: keep it small."""

import keras
import numpy as np

layers = keras.layers
BACKEND = keras.backend.backend()


def data(rows: int = 100, classes: int = 3, seed: int = 0):
    """Blobs that a small network can learn: x (rows, 4) float32, y (rows,)."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, classes, rows)
    x = 2 * rng.normal(size=(classes, 4))[y] + rng.normal(size=(rows, 4))
    return x.astype("float32"), y


def network(seed: int = 0, *, plain: bool = False) -> keras.Model:
    """A network with the layers that make exactness hard: dropout and batch statistics."""
    keras.utils.set_random_seed(seed)
    hidden = [] if plain else [layers.BatchNormalization(), layers.Dropout(0.3, seed=7)]
    return keras.Sequential(
        [keras.Input((4,)), layers.Dense(8, "relu"), *hidden, layers.Dense(3, "softmax")], name="net"
    )


def compiled(learning_rate=0.05, *, seed: int = 0, optimizer=None, plain: bool = False, **options) -> keras.Model:
    """The network, ready for `fit` on class numbers."""
    model = network(seed, plain=plain)
    optimizer = optimizer or keras.optimizers.SGD(learning_rate, momentum=0.9)
    options = {"loss": "sparse_categorical_crossentropy", "metrics": ["accuracy"], **options}
    model.compile(optimizer=optimizer, **options)
    return model


def numbers(variables) -> list[np.ndarray]:
    """Host copies of variables."""
    return [np.array(keras.ops.convert_to_numpy(v)) for v in variables]


def assert_same(found, expected):
    """Bit for bit."""
    assert len(found) == len(expected)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a, b)


def traced():
    """A network on four numbers, and the class of a layer of it: its `traces` are the calls, one for each program."""

    class Counted(layers.Layer):
        traces = 0

        def call(self, x):
            Counted.traces += 1
            return x

    return keras.Sequential([keras.Input((4,)), Counted(), layers.Dense(3, "softmax")]), Counted


def several(model, members=3, seed=0):
    """Members around the model's own weights; integers stay, and variances stay positive."""
    rng = np.random.default_rng(seed)
    return [
        [
            w if w.dtype.kind != "f" else np.abs(w * (1 + 0.3 * rng.normal(size=w.shape))).astype(w.dtype)
            for w in weights
        ]
        for weights in [model.get_weights()] * members
    ]


def alone(model, weights, x, **options):
    """What Keras predicts with a member's weights."""
    before = model.get_weights()
    model.set_weights(weights)
    try:
        return model.predict(x, verbose=0, **options)
    finally:
        model.set_weights(before)


def head(units, activation=None, loss=None, shape=(4,)):
    """One dense layer, compiled if there is a loss."""
    model = keras.Sequential([keras.Input(shape), layers.Dense(units, activation)])
    if loss is not None:
        model.compile(loss=loss)
    return model


def two_heads(x, y):
    """A model with two named inputs and outputs, and data for it."""
    a, b = keras.Input((4,), name="a"), keras.Input((2,), name="b")
    body = layers.Dense(6, "relu")(layers.Concatenate()([a, b]))
    outputs = {"kind": layers.Dense(3, "softmax", name="k")(body), "size": layers.Dense(1, name="s")(body)}
    model = keras.Model({"a": a, "b": b}, outputs)
    model.compile(loss={"kind": "sparse_categorical_crossentropy", "size": "mse"})
    return model, {"a": x, "b": x[:, :2]}, {"kind": y, "size": x[:, :1]}


def several_optimizers():
    """SGD for the layers called dense, Adam for the others."""
    dense = keras.optimizers.OptimizerMap(keras.optimizers.Adam(0.01))
    dense["dense"] = keras.optimizers.SGD(0.1)
    return keras.optimizers.MultiOptimizer(dense)
