"""Batches: an order that anyone can compute, in a real fit too."""

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from manyminima.datasets import Batches


def order(seed, epoch, rows):
    """The definition, written again."""
    return np.random.Generator(np.random.Philox(key=np.array([seed, epoch], np.uint64))).permutation(rows)


def served(batches):
    return np.concatenate([batch[0] for batch in batches])


sizes = st.integers(1, 60)
seeds = st.integers(0, 2**64 - 1)


@given(rows=sizes, batch_size=st.integers(1, 70), seed=seeds, epoch=st.integers(0, 2**63))
def test_an_epoch_is_the_permutation_of_its_seed_and_number(rows, batch_size, seed, epoch):
    batches = Batches(np.arange(rows), batch_size=batch_size, seed=seed, epoch=epoch)
    np.testing.assert_array_equal(served(batches), order(seed, epoch, rows))
    np.testing.assert_array_equal(np.sort(served(batches)), np.arange(rows))
    lengths = [len(batch[0]) for batch in batches]
    assert len(lengths) == len(batches) == -(-rows // batch_size)
    assert all(length == batch_size for length in lengths[:-1])


@given(rows=sizes, seed=seeds, epochs=st.lists(st.integers(0, 99), min_size=1, max_size=5))
def test_the_same_arguments_give_the_same_batches_whatever_was_asked_before(rows, seed, epochs):
    one = Batches(np.arange(rows), batch_size=7, seed=seed)
    for epoch in epochs:
        one.epoch = epoch
        other = Batches(np.arange(rows), batch_size=7, seed=seed, epoch=epoch)
        index = epoch % len(one)
        np.testing.assert_array_equal(one[index][0], other[index][0])


def test_labels_weights_and_structures_stay_with_their_rows():
    rows = np.arange(10)
    x = {"a": rows, "b": (rows * 2, rows[:, None] * np.ones(3))}
    for features, labels, weights in Batches(x, rows * 3, 4, sample_weight=rows * 4.0, seed=5):
        np.testing.assert_array_equal(features["b"][0], features["a"] * 2)
        np.testing.assert_array_equal(features["b"][1][:, 2], features["a"])
        np.testing.assert_array_equal(labels, features["a"] * 3)
        np.testing.assert_array_equal(weights, features["a"] * 4)


class Spy(keras.callbacks.Callback):
    """Notes the epoch counter at both ends of each epoch."""

    def __init__(self, batches):
        super().__init__()
        self.batches, self.begins, self.ends = batches, [], []

    def on_epoch_begin(self, epoch, logs=None):
        self.begins.append(self.batches.epoch)

    def on_epoch_end(self, epoch, logs=None):
        self.ends.append(self.batches.epoch)


class Noted(Batches):
    """Notes which rows were asked for in which epoch, and in which order."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.notes = {}

    def __getitem__(self, index):
        batch = super().__getitem__(index)
        self.notes.setdefault(self.epoch, {})[index] = batch[0][:, 0]
        return batch


def compiled():
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse", metrics=["mae"])  # unbuilt metrics: Keras draws a batch before training
    return model


@pytest.mark.parametrize("rows", [3, 10, 37])
def test_the_epoch_is_right_in_a_fit_from_its_first_to_its_last(rows):
    batches = Noted(np.arange(rows)[:, None].astype("float32"), np.zeros(rows), 4, seed=7, epoch=2)
    model, spy = compiled(), Spy(batches)
    model.fit(batches, epochs=3, shuffle=False, verbose=0, callbacks=[spy])
    assert (spy.begins, spy.ends) == ([2, 3, 4], [3, 4, 5])
    model.fit(batches, epochs=1, shuffle=False, verbose=0)  # a second fit goes on, with no draw before it
    assert batches.epoch == 6
    for epoch in range(2, 6):
        rows_served = np.concatenate([batches.notes[epoch][index] for index in range(len(batches))])
        np.testing.assert_array_equal(rows_served, order(7, epoch, rows))


def fitted(model, *parts):
    """Weights after fits that each serve some of the epochs."""
    x = np.random.default_rng(0).normal(size=(50, 1)).astype("float32")
    model.set_weights([np.ones(w.shape) for w in model.weights])
    for first, epochs in parts:
        model.fit(Batches(x, x**2, 8, seed=3, epoch=first), epochs=epochs, shuffle=False, verbose=0)
    return [keras.ops.convert_to_numpy(w) for w in model.weights]


def test_training_in_two_parts_is_training_in_one():
    model = compiled()
    whole = fitted(model, (0, 4))
    for one, other in zip(whole, fitted(model, (0, 1), (1, 3)), strict=True):
        np.testing.assert_array_equal(one, other)
    assert any(not np.array_equal(a, b) for a, b in zip(whole, fitted(model, (0, 1), (2, 3)), strict=True))


def test_a_fit_that_shuffles_is_refused():
    batches = Batches(np.zeros((400, 1), "float32"), np.zeros(400), 4)
    # TensorFlow hands errors of a data set on in a class of its own
    with pytest.raises(Exception, match=r"fit shuffles the batches.*write model\.fit\(batches, shuffle=False\)"):
        compiled().fit(batches, epochs=2, verbose=0)


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((np.arange(3), np.arange(4)), {}, r"shapes \(3,\), \(4,\)\. Expected the same number of rows.*equal length"),
        ((np.arange(3),), {"sample_weight": np.ones(3)}, r"without y.*Batches\(x, y, sample_weight=w\)"),
        ((np.float32(3),), {}, r"shapes \(\)\. Expected.*NumPy arrays"),
        ((np.zeros((0, 2)),), {}, "have no rows.*check what was selected"),
        ((np.arange(3),), {"batch_size": 0}, "batch_size is 0.*write batch_size=1"),
        ((np.arange(3),), {"seed": -1}, "seed is -1.*write seed=0"),
        ((np.arange(3),), {"seed": 2**64}, r"seed is 18446744073709551616\. .*below 2\*\*64"),
        ((np.arange(3),), {"epoch": -1}, "epoch is -1.*write epoch=0"),
    ],
)
def test_what_cannot_be_served_is_refused(arguments, options, message):
    with pytest.raises(ValueError, match=message):
        Batches(*arguments, **options)


def test_a_batch_beyond_the_last():
    with pytest.raises(IndexError, match="Expected 0 to 1"):
        Batches(np.arange(4), batch_size=2)[2]
