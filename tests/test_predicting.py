"""From batches to rows: a mean taken on the device is the mean, the next batch is read ahead, and precision is a choice."""

import tracemalloc

import keras
import numpy as np
import pytest

import manyminima as mm
from problems import BACKEND, assert_same, compiled, data, head, layers, numbers, several, traced, two_heads

X, Y = data(70)
MODES = ["stacked", "looped", *([] if BACKEND == "torch" else ["mapped"])]
BCE, SCE = keras.losses.BinaryCrossentropy, keras.losses.SparseCategoricalCrossentropy


def mean_of_arrays(probs):
    """The mean, in a form that is not recognised as one: what every member predicts is brought to the host."""
    return probs.mean(axis=0, dtype="float64")


# -- the mean on the device ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("execution", MODES)
@pytest.mark.parametrize(
    ("activation", "units", "loss"),
    [
        ("softmax", 3, "sparse_categorical_crossentropy"),
        (None, 3, SCE(from_logits=True)),
        ("sigmoid", 1, "binary_crossentropy"),
        (None, 1, BCE(from_logits=True)),
        ("sigmoid", 4, "binary_crossentropy"),
        (None, 4, BCE(from_logits=True)),
        (None, 2, "mse"),
    ],
    ids=["softmax", "logits", "binary", "binary logits", "labels", "label logits", "regression"],
)
def test_the_mean_on_the_device_is_that_of_the_arrays(execution, activation, units, loss):
    model = head(units, activation, loss)
    ensemble = mm.Ensemble(model, several(model, members=4), execution=execution)
    expected = ensemble.predict(X, batch_size=32, combine=mean_of_arrays)
    found = ensemble.predict(X, batch_size=32)
    assert found.dtype == np.float32
    assert found.shape == (70, max(units, 2))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(ensemble.predict(X, batch_size=32, combine=mm.combine.mean), found)


def test_dense_outputs_and_several_of_them():
    dense = head(3, "softmax", "sparse_categorical_crossentropy", shape=(5, 6, 4))
    images = np.random.default_rng(0).normal(size=(7, 5, 6, 4)).astype("float32")
    ensemble = mm.Ensemble(dense, several(dense))
    np.testing.assert_allclose(ensemble.predict(images), ensemble.predict_members(images).mean(0), atol=1e-6)
    model, x, _ = two_heads(X, Y)
    for execution in MODES:
        ensemble = mm.Ensemble(model, several(model), execution=execution)
        members, found = ensemble.predict_members(x), ensemble.predict(x)
        assert set(found) == {"kind", "size"}
        for name in found:
            np.testing.assert_allclose(found[name], members[name].mean(0), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("execution", MODES)
def test_any_coefficients_are_applied_in_single_precision(model, execution):
    members = several(model, members=7)
    ensemble = mm.Ensemble(model, members, execution=execution)
    probs = ensemble.predict_members(X).astype("float64")
    program = ensemble._program()
    for seed in range(2):
        coefficients = np.random.default_rng(seed).dirichlet(np.ones(7))
        found = program.mean(coefficients)(X)()[""]
        np.testing.assert_allclose(found, np.tensordot(coefficients, probs, 1), rtol=2e-6, atol=1e-7)


@pytest.mark.parametrize("execution", MODES)
def test_coefficients_and_a_temperature(model, execution):
    ensemble = mm.Ensemble(model, several(model), execution=execution)
    fitted = mm.Combination.fit(Y, ensemble.predict_members(X), "fitted", "temperature")
    expected = fitted(ensemble.predict_members(X))
    np.testing.assert_allclose(ensemble.combined_by(fitted).predict(X), expected, atol=2e-6)
    np.testing.assert_allclose(ensemble.predict(X, combine=fitted), expected, atol=2e-6)
    with pytest.raises(ValueError, match="there are coefficients for 3 members"):
        ensemble[1:].predict(X, combine=fitted)


@pytest.mark.parametrize("rows", [1, 2, 31, 32, 33, 64, 65])
@pytest.mark.parametrize("execution", MODES)
def test_padding_changes_nothing(model, execution, rows):
    ensemble = mm.Ensemble(model, several(model), execution=execution)
    whole = ensemble.predict(X, batch_size=70)
    np.testing.assert_allclose(ensemble.predict(X[:rows], batch_size=32), whole[:rows], atol=1e-6)
    np.testing.assert_allclose(ensemble.predict(X[:rows]), whole[:rows], atol=1e-6)


def test_no_rows_at_all(ensemble):
    with pytest.raises(ValueError, match="there is no example to predict: x is empty"):
        ensemble.predict(X[:0])
    with pytest.raises(ValueError, match="there is no example to predict"):
        ensemble.predict(iter([]))


@pytest.mark.parametrize("execution", MODES)
def test_what_is_wrong_is_named_though_only_the_mean_was_asked_for(model, execution):
    members = several(model)
    diverged = [*members[:1], [np.full_like(w, np.nan) if w.dtype.kind == "f" else w for w in members[1]], members[2]]
    ensemble = mm.Ensemble(model, diverged, execution=execution)
    with pytest.raises(ValueError, match=r"member 1 predicts NaN or infinity for row 0.*as in ensemble\[:1\]"):
        ensemble.predict(X, batch_size=32)
    x = X.copy()
    x[40] = np.inf
    with pytest.raises(ValueError, match="member 0 predicts NaN or infinity for row 40"):
        mm.Ensemble(model, members, execution=execution).predict(x, batch_size=32)
    logits = head(3)
    ensemble = mm.Ensemble(logits, several(logits), task="multiclass", execution=execution)
    with pytest.raises(ValueError, match=r"expected probabilities in 0\.\.1.*from_logits=True"):
        ensemble.predict(10 * X)
    halves = keras.Sequential([keras.Input((4,)), layers.Dense(3, "sigmoid")])
    ensemble = mm.Ensemble(halves, several(halves), task="multiclass", execution=execution)
    with pytest.raises(ValueError, match=r"sums to .*expected 1 for probabilities"):
        ensemble.predict(X)


def test_nothing_but_finite_targets_comes_out():
    model = head(2, None, "mse")
    members = several(model)
    members[1] = [-w for w in members[1]]
    x = X.copy()
    x[50, 0] = np.inf
    ensemble = mm.Ensemble(model, members)
    with pytest.raises(ValueError, match="member 0 predicts NaN or infinity for row 50"):
        ensemble.predict(x, batch_size=32)


@pytest.mark.parametrize("execution", MODES)
@pytest.mark.parametrize("off", [0, 1e-5, -5e-4])
def test_numbers_a_little_beside_probabilities_are_taken_as_they_are(execution, off):
    model = head(2)
    kernel, bias = np.zeros((4, 2), "float32"), np.array([-off, 1 + off], "float32")
    ensemble = mm.Ensemble(model, [[kernel, bias]] * 2, task="multiclass", execution=execution)
    np.testing.assert_array_equal(ensemble.predict(X), np.broadcast_to(bias, (70, 2)))


def test_what_a_softmax_gives_is_not_believed_of_a_layer_that_only_has_one_inside():
    model = keras.Sequential([keras.Input((5, 4)), layers.LSTM(3, activation="softmax")])
    ensemble = mm.Ensemble(model, several(model), task="multiclass")
    with pytest.raises(ValueError, match=r"sums to .*expected 1 for probabilities"):
        ensemble.predict(np.ones((7, 5, 4), "float32"))


@pytest.mark.parametrize("execution", MODES)
def test_a_sigmoid_of_several_units_is_no_softmax(execution):
    model = head(3, "sigmoid")
    ensemble = mm.Ensemble(model, several(model), task="multiclass", execution=execution)
    with pytest.raises(ValueError, match=r"sums to .*expected 1 for probabilities"):
        ensemble.predict(X)


@pytest.mark.parametrize("execution", MODES)
def test_what_is_returned_is_the_users(ensemble, model, execution):
    ensemble = mm.Ensemble(model, several(model), execution=execution)
    first = ensemble.predict(X)
    expected = first.copy()
    first += 1
    np.testing.assert_array_equal(ensemble.predict(X), expected)


def test_a_task_that_is_not_known():
    model = head(3, "softmax")
    with pytest.raises(ValueError, match='Say it: task="multiclass"'):
        mm.Ensemble(model, several(model)).predict(X)


def test_members_are_not_brought_together_for_a_mean():
    model = head(200, "softmax")
    ensemble = mm.Ensemble(model, several(model, members=30), task="multiclass")
    x = np.zeros((2000, 4), "float32")

    def peak(predict):
        predict(x, batch_size=1000)
        tracemalloc.start()
        predict(x, batch_size=1000)
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most / (2000 * 200 * 4)

    assert peak(ensemble.predict) < 3
    assert peak(ensemble.predict_members) > 30


# -- compiled once, read ahead ---------------------------------------------------------------------------------------------


@pytest.mark.skipif(BACKEND == "torch", reason="PyTorch compiles nothing here")
@pytest.mark.parametrize("execution", MODES)
def test_one_program_serves_all_batches_and_calls(execution):
    model, counted = traced()
    ensemble = mm.Ensemble(model, several(model, members=5), task="multiclass", execution=execution)
    counted.traces = 0
    ensemble.predict(X, batch_size=32)
    ensemble.predict(X[i : i + 32] for i in range(0, 70, 32))
    once = 1 if BACKEND == "jax" else 2  # TensorFlow traces a second number of rows for any
    vectorised = 2 if (BACKEND, execution) == ("tensorflow", "stacked") else 1  # it looks at the first member apart
    assert 1 <= counted.traces <= once * vectorised
    traces = counted.traces
    for rows in (32, 33, 65, 70):
        ensemble.predict(X[:rows], batch_size=32)
        ensemble.evaluate(X[:rows], Y[:rows], batch_size=32)
    if execution == "looped":  # another number of members is no reason to compile
        ensemble[1:].predict(X, batch_size=32)
    assert counted.traces == traces


def test_one_batch_is_read_ahead_and_no_more(ensemble):
    read, combined = [], []

    def source():
        for i in range(0, 70, 10):
            read.append(i)
            yield X[i : i + 10]

    def rule(probs):
        combined.append(len(read))
        return probs.mean(0)

    np.testing.assert_allclose(ensemble.predict(source(), combine=rule), ensemble.predict(X), atol=1e-6)
    assert combined == [2, 3, 4, 5, 6, 7, 7]


def test_a_source_may_use_its_buffer_again(ensemble):
    def source(with_labels):
        x, y = np.empty((10, 4), "float32"), np.empty(10, "int64")
        for i in range(0, 70, 10):
            x[:], y[:] = X[i : i + 10], Y[i : i + 10]
            yield (x, y) if with_labels else x
            x[:], y[:] = 0, 0

    np.testing.assert_allclose(ensemble.predict(source(False)), ensemble.predict(X), atol=1e-6)
    found = ensemble.evaluate(source(True))
    assert found["nll"] == pytest.approx(ensemble.evaluate(X, Y)["nll"], abs=1e-6)


# -- precision -------------------------------------------------------------------------------------------------------------


def convolutional():
    body = [
        layers.Rescaling(0.1),
        layers.Conv2D(4, 3, activation="relu"),
        layers.BatchNormalization(),
        layers.Flatten(),
    ]
    model = keras.Sequential([keras.Input((6, 6, 1)), *body, layers.Dense(3, "softmax")])
    model.compile(loss="sparse_categorical_crossentropy")
    return model, np.random.default_rng(0).normal(size=(20, 6, 6, 1)).astype("float32")


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("build", [lambda: (compiled(), X), convolutional], ids=["dense", "convolutional"])
def test_half_precision_is_close(build, dtype):
    model, x = build()
    ensemble = mm.Ensemble(model, several(model))
    before, policies = numbers(model.variables), [layer.compute_dtype for layer in model.layers]
    half = ensemble.astype(dtype)
    found, exact = half.predict(x), ensemble.predict(x)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, exact, atol=2e-2)
    assert np.abs(found - exact).max() > 1e-6  # it did compute in half precision
    np.testing.assert_allclose(found.sum(-1), 1, atol=1e-5)
    np.testing.assert_allclose(half.predict_members(x).mean(0), found, atol=1e-5)
    np.testing.assert_allclose(half.astype("float32").predict(x), exact, atol=1e-6)
    assert_same(numbers(model.variables), before)
    assert [layer.compute_dtype for layer in model.layers] == policies
    assert half[0][0].dtype == np.float32


def test_raw_data_are_prepared_in_full_precision():
    prepare = layers.Normalization(mean=[10_000.0] * 4, variance=[1.0] * 4)
    model = keras.Sequential([keras.Input((4,)), prepare, layers.Dense(8, "relu"), layers.Dense(3, "softmax")])
    ensemble = mm.Ensemble(model, several(model), task="multiclass")
    x = X + np.float32(10_000)
    np.testing.assert_allclose(ensemble.astype("bfloat16").predict(x), ensemble.predict(x), atol=2e-2)


def test_precision_keeps_what_was_fitted_and_who_the_members_are(model, ensemble):
    fitted = mm.Combination.fit(Y, ensemble.predict_members(X), "fitted", "temperature")
    half = ensemble.combined_by(fitted).astype("bfloat16")
    assert half.combination is fitted
    assert half.tasks == ensemble.tasks
    np.testing.assert_allclose(half.predict(X), ensemble.predict(X, combine=fitted), atol=3e-2)
    assert len(half[1:]) == 2
    np.testing.assert_allclose(half[1:].predict(X), ensemble[1:].predict(X), atol=2e-2)


def test_a_precision_that_there_is_not(ensemble):
    with pytest.raises(ValueError, match='dtype="int8" is none to predict in: choose "float32", "bfloat16", "float16"'):
        ensemble.astype("int8")


def test_a_model_that_cannot_be_copied_keeps_its_precision():
    class Own(keras.Model):
        def __init__(self, units):
            super().__init__()
            self.out = layers.Dense(units, "softmax")

        def call(self, x):
            return self.out(x)

    model = Own(3)
    model(X)
    with pytest.raises(ValueError, match=r"cannot be copied: [\s\S]*Give its class a get_config\(\)"):
        mm.Ensemble(model, several(model), task="multiclass").astype("bfloat16")
