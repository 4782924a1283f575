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
