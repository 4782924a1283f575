"""What the tests of the engine share: a small problem, its model, and the same replica trained by `fit`."""

import keras
import numpy as np

import manyminima as mm
from manyminima.datasets import Batches
from manyminima.training.engine.replicas import train
from problems import BACKEND, data

layers = keras.layers
X, Y = data()  # 100 rows: 7 batches of 16, the last one smaller
EPOCHS, BATCH, STEPS = 4, 16, 7
SNAPSHOT = mm.recipes.snapshot(cycles=3, peak=0.1)  # 28 steps: members in mid-epoch too
TOGETHER = {"jax": "stacked"}.get(BACKEND, "fit")


def model(optimizer=None, **options) -> keras.Model:
    """Compiled; its layers make exactness hard: dropout and batch statistics."""
    hidden = [layers.Dense(8, "relu"), layers.BatchNormalization(), layers.Dropout(0.3)]
    network = keras.Sequential([keras.Input((4,)), *hidden, layers.Dense(3, "softmax")])
    options = {"loss": "sparse_categorical_crossentropy", "metrics": ["accuracy"], **options}
    network.compile(optimizer=optimizer or keras.optimizers.SGD(0.05, momentum=0.9), **options)
    return network


def small(units=3, **options):
    """A model that is quickly compiled."""
    network = keras.Sequential([keras.Input((4,)), layers.Dense(units, "softmax")])
    options = {"optimizer": keras.optimizers.SGD(0.1), "loss": "sparse_categorical_crossentropy", **options}
    network.compile(**options)
    return network


def together(recipe=SNAPSHOT, *, build=model, x=X, y=Y, **options):
    """Two replicas trained together, of seeds 5 and 6."""
    options = {"epochs": EPOCHS, "batch_size": BATCH, "replicas": 2, "seed": 5, **options}
    return train(build, x, y, recipe, **options)


def alone(seed, recipe=SNAPSHOT, *, build=model, x=X, y=Y, into=None, epochs=EPOCHS, **options):
    """The members and the history of a replica that `fit` trains."""
    keras.utils.set_random_seed(seed)
    network, collect = build(), mm.Collect(recipe, into)
    if not network.built:
        network(x[:BATCH])
    batches = Batches(x, y, BATCH, seed=seed)
    history = network.fit(batches, shuffle=False, epochs=epochs, verbose=0, callbacks=[collect], **options)
    return list(collect.members), history


def of_replica(ensemble, replica):
    """The members of one replica, oldest first."""
    return [w for w, m in zip(ensemble, ensemble.about["members"], strict=True) if m["replica"] == replica]


def assert_members(found, expected, rtol=0.0):
    """The same members: bit for bit, or up to rounding, which grows over the steps of a run."""
    assert len(found) == len(expected) > 0
    for ours, theirs in zip(found, expected, strict=True):
        assert len(ours) == len(theirs)
        for a, b in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol / 10)
