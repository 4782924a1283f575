"""Weight decay as L2: part of the gradient, of the loss and of the record."""

import keras
import numpy as np
import pytest

from manyminima import zoo


def small(rate=0.1, momentum=0.9):
    keras.utils.set_random_seed(0)
    hidden = [keras.layers.Dense(5), keras.layers.BatchNormalization(), keras.layers.ReLU()]
    model = keras.Sequential([keras.Input((4,)), *hidden, keras.layers.Dense(3, "softmax")])
    model.compile(keras.optimizers.SGD(rate, momentum), "sparse_categorical_crossentropy")
    return model


def penalty(model):
    return sum(float(keras.ops.convert_to_numpy(loss)) for loss in model.losses)


def test_one_step_moves_by_the_gradient_and_decay_times_the_weight():
    x, y = np.random.default_rng(0).normal(size=(8, 4)).astype("float32"), np.arange(8) % 3
    steps = []
    for decay in (0.0, 0.25):
        model = small()
        model.set_weights([w + 0.3 for w in model.get_weights()])
        if decay:
            zoo.add_weight_decay(model, decay)
        before = [np.array(v) for v in model.trainable_variables]
        model.fit(x, y, batch_size=8, epochs=1, shuffle=False, verbose=0)
        steps.append([np.array(v) - b for v, b in zip(model.trainable_variables, before, strict=True)])
    for plain, decayed, weight in zip(*steps, before, strict=True):
        np.testing.assert_allclose(decayed - plain, -0.1 * 0.25 * weight, atol=1e-6)
    assert len(before) == 6  # kernels, biases, scale and offset: all of them


def test_decay_is_part_of_the_loss_and_of_the_record(tmp_path):
    model = small()
    zoo.add_weight_decay(model, 1e-2)
    total = sum(float((np.array(v) ** 2).sum()) for v in model.trainable_variables)
    np.testing.assert_allclose(penalty(model), 0.5e-2 * total, rtol=1e-5)
    model.save(tmp_path / "m.keras")
    again = keras.saving.load_model(tmp_path / "m.keras", compile=False)
    np.testing.assert_allclose(penalty(again), 0.5e-2 * total, rtol=1e-5)
    zoo.add_weight_decay(model, 0)
    assert model.losses == []


def test_decay_that_is_none():
    with pytest.raises(ValueError, match=r"weight decay is -1\. Expected .*write 5e-4"):
        zoo.add_weight_decay(small(), -1)
    with pytest.raises(ValueError, match=r"has no weights yet\. Build it first, by keras\.Input"):
        zoo.add_weight_decay(keras.Sequential([keras.layers.Dense(2)], name="late"), 1e-4)
