"""What users call data: every source predicts the same, nothing is read twice, and memory stays flat."""

import itertools
import tracemalloc

import keras
import numpy as np
import pytest

import manyminima as mm
from manyminima.inference.inputs import Rows, batches, is_dataset, pad, power_of_two, rows, rows_at_once
from problems import BACKEND, data, layers, several

X, Y = data(70)


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int64", "float16", "float64"])
def test_any_kind_of_number_predicts_as_in_keras(model, dtype):
    x = np.abs(3 * X).astype(dtype)
    found = mm.Ensemble(model, [model.get_weights()]).predict(x)
    np.testing.assert_allclose(found, model.predict(x, verbose=0), atol=1e-6)


def test_one_example_at_a_time(ensemble):
    np.testing.assert_allclose(ensemble.predict(X[:9], batch_size=1), ensemble.predict(X[:9]), atol=1e-6)
    assert ensemble.predict_members(X[:1]).shape == (3, 1, 3)


def frame():
    return pytest.importorskip("pandas").DataFrame(X, columns=list("abcd"))


def tensor():
    return keras.ops.convert_to_tensor(X)


def torch_tensor():
    return pytest.importorskip("torch").from_numpy(X).requires_grad_()


def readonly():
    x = X.copy()
    x.setflags(write=False)
    return x


def fortran():
    return np.asfortranarray(X)


@pytest.mark.parametrize("make", [frame, tensor, torch_tensor, readonly, fortran])
def test_every_kind_of_array(ensemble, make):
    np.testing.assert_allclose(ensemble.predict(make()), ensemble.predict(X), atol=1e-6)


def tf_of_inputs():
    tf = pytest.importorskip("tensorflow")
    return tf.data.Dataset.from_tensor_slices(X).batch(32)


def loader_of_inputs():
    torch = pytest.importorskip("torch")
    return torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.from_numpy(X)), batch_size=32)


@pytest.mark.parametrize(
    "make", [tf_of_inputs, loader_of_inputs, lambda: (X[i : i + 30] for i in (0, 30, 60)), lambda: iter([X])]
)
def test_data_sets_without_labels(ensemble, make):
    np.testing.assert_allclose(ensemble.predict_members(make()), ensemble.predict_members(X), atol=1e-6)
    with pytest.raises(ValueError, match="pass y, or a data set that yields"):
        ensemble.evaluate(make())


def test_weights_come_out_of_a_data_set_too(ensemble):
    weight = np.arange(70.0)
    found = ensemble.evaluate((X[i : i + 30], Y[i : i + 30], weight[i : i + 30]) for i in (0, 30, 60))
    assert found["nll"] == pytest.approx(ensemble.evaluate(X, Y, sample_weight=weight)["nll"])


def test_batches_may_grow_and_shrink(ensemble):
    cuts = [0, 5, 40, 41, 70]
    parts = (X[a:b] for a, b in itertools.pairwise(cuts))
    np.testing.assert_allclose(ensemble.predict(parts), ensemble.predict(X), atol=1e-6)


class Endless(keras.utils.PyDataset):
    num_batches = None

    def __getitem__(self, index):
        return X, Y


def endless_tf():
    return pytest.importorskip("tensorflow").data.Dataset.from_tensor_slices((X, Y)).batch(8).repeat()


@pytest.mark.parametrize("make", [Endless, endless_tf])
def test_a_data_set_that_never_ends(ensemble, make):
    with pytest.raises(ValueError, match=r"never ends: leave out repeat\(\), or pass dataset.take"):
        ensemble.evaluate(make())


def test_a_data_set_may_have_a_shape():
    class Images(keras.utils.PyDataset):
        shape = (4,)

        def __len__(self):
            return 2

        def __getitem__(self, index):
            return X[35 * index : 35 * index + 35]

    assert is_dataset(Images())
    found = np.concatenate([batch.x for batch in batches(Images(), 10)])
    np.testing.assert_array_equal(found, X)


def test_rows_of_one_part_are_not_copied():
    gathered = Rows(70)
    gathered.add(X, 70)
    assert gathered.array is X
    for cuts in ([0, 70], [0, 32, 64, 70]):
        parts, gathered, nested = Rows(None), Rows(70), Rows(70, axis=1)
        for a, b in itertools.pairwise(cuts):
            parts.add(X[a:b], b - a)
            gathered.add(X[a:b], b - a)
            nested.add({"x": X[None, a:b], "y": None}, b - a)
        np.testing.assert_array_equal(parts.array, X)
        np.testing.assert_array_equal(gathered.array, X)
        np.testing.assert_array_equal(nested.array["x"], X[None])
        assert nested.array["y"] is None


def test_what_is_no_array(ensemble):
    for x in (None, 3.0, "digits", [[1.0, 2.0, 3.0, 4.0]], np.float32(1)):
        with pytest.raises(ValueError, match=r"where an array was expected.*np.array\(x\)"):
            ensemble.predict(x)
    with pytest.raises(ValueError, match=r"found 0|found 1|found 2"):
        ensemble.evaluate(X, Y.tolist())
    with pytest.raises(ValueError, match=r'holds Python objects, such as .* Write x.astype\("float32"\)'):
        ensemble.predict(np.array([["a", 1, 2, 3]], dtype=object))
    for size in (0, -1):
        with pytest.raises(ValueError, match="whole number of at least 1"):
            ensemble.predict(X, batch_size=size)


def test_an_input_that_may_be_left_out():
    class Sum(layers.Layer):
        def call(self, a, b=None):
            return a if b is None else a + b

    a, b = keras.Input((4,)), keras.Input((4,), optional=True)
    model = keras.Model([a, b], layers.Dense(3, "softmax")(Sum()(a, b)))
    ensemble = mm.Ensemble(model, several(model), task="multiclass")
    assert ensemble.predict([X, X]).shape == (70, 3)
    expected = ensemble.predict([X, np.zeros_like(X)])
    np.testing.assert_allclose(ensemble.predict([X, None]), expected, atol=1e-6)


def test_a_list_of_inputs():
    a, b = keras.Input((4,)), keras.Input((4,))
    model = keras.Model([a, b], layers.Dense(3, "softmax")(layers.Subtract()([a, b])))
    model.compile(loss="sparse_categorical_crossentropy")
    ensemble = mm.Ensemble(model, [model.get_weights()])
    np.testing.assert_allclose(ensemble.predict([X, 2 * X]), model.predict([X, 2 * X], verbose=0), atol=1e-6)
    with pytest.raises(ValueError, match=r"different lengths: \[60, 70\]"):
        ensemble.predict([X, X[:60]])


def test_sequences_of_any_length():
    model = keras.Sequential(
        [keras.Input((None,)), layers.Embedding(20, 4, mask_zero=True), layers.LSTM(5), layers.Dense(3, "softmax")]
    )
    ensemble = mm.Ensemble(model, [model.get_weights()], task="multiclass")
    for length in (4, 6):
        tokens = np.random.default_rng(0).integers(0, 20, (5, length))
        np.testing.assert_allclose(ensemble.predict(tokens), model.predict(tokens, verbose=0), atol=1e-6)


# -- memory ----------------------------------------------------------------------------------------------------------


def test_double_precision_is_not_copied_as_a_whole():
    x = np.zeros((20_000, 50))
    source = batches(x, 100)
    next(source)  # what NumPy needs once
    tracemalloc.start()
    for _ in source:
        pass
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < x.nbytes / 20


def test_how_many_rows_go_at_once():
    def images(*shape):
        return np.broadcast_to(np.float32(0), (1000, *shape))

    assert rows_at_once(images(20), 30) == 1024
    assert rows_at_once(images(28, 28, 1), 100) == 128
    assert rows_at_once(images(224, 224, 3), 10_000) == 32
    assert rows_at_once(images(256, 256, 3), 10 * 256 * 256 * 20) == 1
    assert rows_at_once({"a": images(14, 28), "b": images(14, 28)}, 100) == 128
    assert rows_at_once(iter([]), 100) == 1024


def test_padding_repeats_the_last_row():
    np.testing.assert_array_equal(pad(np.array([[1], [2]]), 4), [[1], [2], [2], [2]])
    padded = pad({"a": X[:3], "b": None}, 4)
    assert rows(padded) == 4
    assert padded["b"] is None
    assert pad(X, 10) is X
    assert [power_of_two(n) for n in (1, 2, 3, 64, 65)] == [1, 2, 4, 64, 128]


@pytest.mark.skipif(BACKEND != "tensorflow", reason="only TensorFlow computes with text")
def test_text():
    lookup = layers.StringLookup(vocabulary=["a", "b"], output_mode="one_hot")
    model = keras.Sequential([keras.Input((1,), dtype="string"), lookup, layers.Dense(2, "softmax")])
    ensemble = mm.Ensemble(model, [model.get_weights()], task="multiclass")
    text = np.array([["a"], ["b"], ["c"]])
    probs = ensemble.predict(text)
    assert probs.shape == (3, 2)
    np.testing.assert_allclose(ensemble.predict(text.astype(object)), probs)
