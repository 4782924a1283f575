"""Predictions of many members: what they must equal, and what they must leave alone."""

import random
import sys
import tracemalloc

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import manyminima as mm
from manyminima.inference.inputs import power_of_two
from problems import BACKEND, alone, assert_same, data, layers, numbers, several, traced

X, Y = data(70)
MODES = ["stacked", "looped", *([] if BACKEND == "torch" else ["mapped"])]


@pytest.mark.parametrize("execution", MODES)
def test_each_member_predicts_as_keras_does(model, execution):
    members = several(model)
    probs = mm.Ensemble(model, members, execution=execution).predict_members(X, batch_size=32)
    assert probs.shape == (3, 70, 3)
    assert probs.dtype == np.float32
    for weights, found in zip(members, probs, strict=True):
        np.testing.assert_allclose(found, alone(model, weights, X), atol=1e-6)


def test_the_combination_is_the_mean(ensemble):
    np.testing.assert_allclose(ensemble.predict(X), ensemble.predict_members(X).mean(axis=0), atol=1e-6)
    votes = ensemble.predict(X, combine=mm.combine.majority_vote)
    np.testing.assert_allclose(votes, mm.combine.majority_vote(ensemble.predict_members(X)), atol=1e-6)


def test_copies_of_the_model_are_the_model(model):
    for count in (1, 4):
        copies = mm.Ensemble(model, [model.get_weights()] * count)
        np.testing.assert_allclose(copies.predict(X), model.predict(X, verbose=0), atol=1e-6)


@settings(max_examples=5, deadline=None)
@given(order=st.permutations(range(3)))
def test_the_order_of_members_does_not_matter(model, ensemble, order):
    shuffled = mm.Ensemble(model, [ensemble[i] for i in order])
    np.testing.assert_allclose(shuffled.predict(X), ensemble.predict(X), atol=1e-6)


@pytest.mark.parametrize("rows", [1, 2, 31, 32, 33, 70])
def test_any_number_of_rows(ensemble, rows):
    whole = ensemble.predict_members(X)
    np.testing.assert_allclose(ensemble.predict_members(X[:rows], batch_size=32), whole[:, :rows], atol=1e-6)


def test_parts_of_an_ensemble(ensemble):
    assert len(ensemble) == 3
    assert len(list(ensemble)) == 3
    assert len(ensemble[-2:]) == 2
    assert_same(ensemble[-1], list(ensemble)[2])
    np.testing.assert_allclose(ensemble[1:].predict_members(X), ensemble.predict_members(X)[1:], atol=1e-6)
    assert "3 members of 'net', multiclass" in repr(ensemble)
    with pytest.raises(IndexError, match="selects none of 3"):
        ensemble[5:]


def test_nothing_of_the_users_is_touched(model, ensemble):
    def state():
        torch = sys.modules.get("torch")
        return (
            numbers(model.variables),
            [id(f) for f in (model.train_function, model.test_function, model.predict_function)],
            random.getstate(),
            np.random.get_state()[1].tolist(),  # noqa: NPY002
            torch.get_rng_state().tolist() if torch else None,
        )

    before = state()
    ensemble.predict(X)
    ensemble.evaluate(X, Y)
    ensemble.to_keras()
    with pytest.raises(ValueError, match="NaN"):
        ensemble.predict(np.full((3, 4), np.nan, "float32"))
    after = state()
    assert_same(after[0], before[0])
    assert after[1:] == before[1:]


def test_inference_mode():
    model = keras.Sequential(
        [
            keras.Input((4, 4, 1)),
            layers.RandomFlip(seed=1),
            layers.GaussianNoise(0.9, seed=2),
            layers.BatchNormalization(),
            layers.Dropout(0.5, seed=3),
            layers.Flatten(),
            layers.Dense(2, "softmax"),
        ]
    )
    ensemble = mm.Ensemble(model, several(model), task="multiclass")
    x = np.random.default_rng(0).normal(size=(9, 4, 4, 1)).astype("float32")
    np.testing.assert_array_equal(ensemble.predict_members(x), ensemble.predict_members(x))
    for weights, found in zip(ensemble, ensemble.predict_members(x), strict=True):
        np.testing.assert_allclose(found, alone(model, weights, x), atol=1e-6)


@pytest.mark.skipif(BACKEND != "jax", reason="counts traces, which is JAX's notion")
def test_few_shapes_are_compiled():
    model, counted = traced()
    ensemble = mm.Ensemble(model, several(model, members=20), task="multiclass")
    counted.traces = 0
    for rows in range(1, 65):
        ensemble.predict(np.zeros((rows, 4), "float32"))
    assert 1 <= counted.traces <= 7
    assert [power_of_two(n) for n in (1, 2, 3, 64, 65)] == [1, 2, 4, 64, 128]


def test_memory_is_flat_beyond_what_is_returned(ensemble):
    x = np.random.default_rng(0).normal(size=(60_000, 4)).astype("float32")
    ensemble.predict_members(x[:1000], batch_size=512)
    tracemalloc.start()
    probs = ensemble.predict_members(x, batch_size=512)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert probs.nbytes == 60_000 * 3 * 3 * 4
    assert peak < 1.3 * probs.nbytes
