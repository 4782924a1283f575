"""Statistics of BatchNormalization for given weights: exact, each example by its weight, and nothing else touched."""

import keras
import numpy as np
import pytest

import manyminima as mm
from manyminima.averaging.batchnorm import layers_of
from problems import BACKEND, assert_same, data, layers, network, numbers

RNG = np.random.default_rng(0)
X = data(103)[0] * 3 + 2


def paths(model, before, after):
    """What is different, by the last part of its path."""
    pairs = zip(model.weights, before, after, strict=True)
    return sorted(v.path.rsplit("/", 1)[-1] for v, a, b in pairs if not np.array_equal(a, b))


def statistics(model, weights):
    """Mean and variance of each layer."""
    places = {id(v): i for i, v in enumerate(model.weights)}
    return [(weights[places[id(b.moving_mean)]], weights[places[id(b.moving_variance)]]) for b in layers_of(model)]


def close(found, expected, rtol=1e-5):
    for pair, other in zip(found, expected, strict=True):
        for a, b in zip(pair, other, strict=True):
            np.testing.assert_allclose(a, b, rtol=rtol, atol=1e-5)


def first(*after, **options):
    """A model that normalises its inputs."""
    return keras.Sequential([keras.Input((4,)), layers.BatchNormalization(**options), *after])


# -- exact -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch_size", [16, 103, 1000])
@pytest.mark.parametrize("options", [{}, {"scale": False}, {"center": False}])
def test_moments_are_those_of_all_rows(batch_size, options):
    model = first(layers.Dense(2), **options)
    found = mm.refresh_batchnorm(model, model.get_weights(), X, batch_size=batch_size)
    wide = X.astype("float64")
    close(statistics(model, found), [(wide.mean(axis=0), wide.var(axis=0))])
    assert paths(model, model.get_weights(), found) == ["moving_mean", "moving_variance"]


def test_large_means_do_not_swallow_the_variance():
    model, x = first(), (1e4 + RNG.normal(size=(500, 4))).astype("float32")
    found = statistics(model, mm.refresh_batchnorm(model, model.get_weights(), x, batch_size=32))
    close(found, [(x.mean(axis=0, dtype="float64"), x.var(axis=0, dtype="float64"))], rtol=1e-3)


def test_channels_wherever_they_are():
    images = RNG.normal(2, 3, size=(20, 5, 6, 3)).astype("float32")
    for axis in (-1, 1):
        model = keras.Sequential([keras.Input((5, 6, 3)), layers.BatchNormalization(axis=axis)])
        over = tuple(a for a in range(4) if a != axis % 4)
        found = mm.refresh_batchnorm(model, model.get_weights(), images, batch_size=8)
        close(statistics(model, found), [(images.mean(axis=over), images.var(axis=over))])


def test_a_layer_sees_what_the_layers_before_make_of_a_batch():
    """By hand: each batch is normalised by its own moments, as in training, and those of the second layer are pooled."""
    model = first(layers.Dense(3, use_bias=False), layers.BatchNormalization())
    weights = model.get_weights()
    kernel = next(w for v, w in zip(model.weights, weights, strict=True) if v.path.endswith("kernel"))
    parts = [X[i : i + 40].astype("float64") for i in range(0, 103, 40)]
    hidden = np.concatenate([(p - p.mean(0)) / np.sqrt(p.var(0) + 1e-3) @ kernel for p in parts])
    found = statistics(model, mm.refresh_batchnorm(model, weights, X, batch_size=40))
    close(found, [(X.mean(0), X.var(0)), (hidden.mean(0), hidden.var(0))])


def test_the_order_of_batches_does_not_matter():
    model = network()
    cuts = [slice(0, 40), slice(40, 80), slice(80, 103)]
    found = [mm.refresh_batchnorm(model, model.get_weights(), (X[c] for c in order)) for order in (cuts, cuts[::-1])]
    close(*(statistics(model, one) for one in found))


def test_a_weight_counts_as_so_many_rows():
    model, weight = first(layers.Dense(3), layers.BatchNormalization()), RNG.integers(0, 3, 103)
    repeated = mm.refresh_batchnorm(model, model.get_weights(), np.repeat(X, weight, axis=0), batch_size=1000)
    weighted = mm.refresh_batchnorm(model, model.get_weights(), X, sample_weight=weight, batch_size=1000)
    close(statistics(model, weighted), statistics(model, repeated))
    batches = ((X[i : i + 50], np.zeros(len(X[i : i + 50])), weight[i : i + 50]) for i in (0, 50, 100))
    in_parts = mm.refresh_batchnorm(model, model.get_weights(), batches)
    plain = mm.refresh_batchnorm(model, model.get_weights(), X, sample_weight=weight, batch_size=50)
    close(statistics(model, in_parts), statistics(model, plain))


def test_a_batch_whose_examples_all_have_the_weight_0_is_not_there():
    model, weight = first(layers.Dense(3), layers.BatchNormalization()), np.repeat([0, 1], [40, 63])
    found = mm.refresh_batchnorm(model, model.get_weights(), X, sample_weight=weight, batch_size=40)
    expected = mm.refresh_batchnorm(model, model.get_weights(), X[40:], batch_size=40)
    close(statistics(model, found), statistics(model, expected))


def test_batches_may_be_of_any_sizes():
    model = first()
    batches = (X[a:b] for a, b in ((0, 10), (10, 60), (60, 61), (61, 103)))
    found = mm.refresh_batchnorm(model, model.get_weights(), batches)
    close(statistics(model, found), [(X.mean(0), X.var(0))])


def test_examples_that_are_taken_apart_before_the_layer():
    model = keras.Sequential([keras.Input((5, 4)), layers.TimeDistributed(layers.BatchNormalization())])
    x = RNG.normal(2, 3, size=(30, 5, 4)).astype("float32")
    found = mm.refresh_batchnorm(model, model.get_weights(), x, batch_size=8)
    close(statistics(model, found), [(x.mean(axis=(0, 1)), x.var(axis=(0, 1)))])


def test_steps_that_are_masked_do_not_count():
    tokens = RNG.integers(0, 5, (30, 7))
    tokens[:8] = 0  # a batch without a single one
    model = keras.Sequential([keras.Input((7,)), layers.Embedding(5, 3, mask_zero=True), layers.BatchNormalization()])
    table = model.get_weights()[0].astype("float64")
    seen = table[tokens[tokens > 0]]
    found = mm.refresh_batchnorm(model, model.get_weights(), tokens, batch_size=8)
    close(statistics(model, found), [(seen.mean(axis=0), seen.var(axis=0))])


# -- which layers ----------------------------------------------------------------------------------------------------


def test_layers_within_models_and_layers_that_are_shared():
    shared = layers.BatchNormalization()
    inner = keras.Sequential([keras.Input((4,)), layers.Dense(4), layers.BatchNormalization()])
    x = keras.Input((4,))
    model = keras.Model(x, inner(shared(layers.Dense(4, use_bias=False)(shared(x)))))
    weights = model.get_weights()
    kernel = next(w for v, w in zip(model.weights, weights, strict=True) if v.shape == (4, 4))
    found = mm.refresh_batchnorm(model, weights, X, batch_size=1000)
    assert paths(model, weights, found) == ["moving_mean"] * 2 + ["moving_variance"] * 2
    once = (X - X.mean(0)) / np.sqrt(X.var(0) + 1e-3)
    both = np.concatenate([X, once @ kernel])
    shared_one = statistics(model, found)[layers_of(model).index(shared)]
    close([shared_one], [(both.mean(axis=0), both.var(axis=0))])


def test_frozen_layers_keep_theirs():
    frozen = layers.BatchNormalization(trainable=False)
    model = first(frozen)
    found = mm.refresh_batchnorm(model, model.get_weights(), X)
    assert paths(model, model.get_weights(), found) == ["moving_mean", "moving_variance"]
    model = keras.Sequential([keras.Input((4,)), layers.BatchNormalization(trainable=False)])
    assert_same(mm.refresh_batchnorm(model, model.get_weights(), X), model.get_weights())
    body = first(layers.Dense(4))
    model = keras.Sequential([keras.Input((4,)), body, layers.BatchNormalization()])
    body.trainable = False
    found = mm.refresh_batchnorm(model, model.get_weights(), X)
    places = {id(v): i for i, v in enumerate(model.weights)}
    for v in body.weights:
        np.testing.assert_array_equal(found[places[id(v)]], keras.ops.convert_to_numpy(v))
    assert paths(model, model.get_weights(), found) == ["moving_mean", "moving_variance"]


def test_a_model_without_such_layers_is_as_it_was():
    model = network(plain=True)
    assert_same(mm.refresh_batchnorm(model, model.get_weights(), X), model.get_weights())


def test_dictionaries_of_inputs():
    a, b = keras.Input((4,), name="a"), keras.Input((4,), name="b")
    model = keras.Model({"a": a, "b": b}, layers.BatchNormalization()(layers.Add()([a, b])))
    found = mm.refresh_batchnorm(model, model.get_weights(), {"a": X, "b": X[::-1]}, batch_size=30)
    both = X + X[::-1]
    close(statistics(model, found), [(both.mean(axis=0), both.var(axis=0))])


def test_half_precision():
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = first(layers.Dense(3))
    finally:
        keras.config.set_dtype_policy("float32")
    found = mm.refresh_batchnorm(model, model.get_weights(), X, batch_size=30)
    close(statistics(model, found), [(X.mean(axis=0), X.var(axis=0))], rtol=5e-3)


# -- nothing else ----------------------------------------------------------------------------------------------------


def noisy():
    return first(layers.Dropout(0.5, seed=1), layers.GaussianNoise(1.0, seed=2), layers.BatchNormalization())


def test_dropout_and_noise_are_off_and_no_random_number_is_drawn():
    model = noisy()
    state = numbers(model.non_trainable_variables)
    np.random.seed(0)  # noqa: NPY002
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    found = [mm.refresh_batchnorm(model, model.get_weights(), X, batch_size=1000) for _ in range(2)]
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002
    assert_same(*found)
    once = (X - X.mean(0)) / np.sqrt(X.var(0) + 1e-3)
    close(statistics(model, found[0]), [(X.mean(0), X.var(0)), (once.mean(0), once.var(0))])
    assert_same(numbers(model.non_trainable_variables), state)


def test_the_model_is_untouched_also_after_an_error():
    model = noisy()
    weights, state = [w + 1 for w in model.get_weights()], numbers(model.variables)
    mm.refresh_batchnorm(model, weights, X)

    def broken():
        yield X[:50]
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        mm.refresh_batchnorm(model, weights, broken())
    with pytest.raises(Exception, match=r"shape|size|match|dimension"):
        mm.refresh_batchnorm(model, weights, X[:, :3])
    assert_same(numbers(model.variables), state)
    assert not [layer for layer in layers_of(model) if "call" in vars(layer)]


def test_what_is_learnt_in_training_is_what_is_found_here():
    """With a momentum of 0 Keras keeps the last batch's moments: those of all rows, if they are one batch."""
    model = first(layers.Dense(3), layers.BatchNormalization(momentum=0.0), momentum=0.0)
    model.compile(keras.optimizers.SGD(0.0), "mse")
    found = mm.refresh_batchnorm(model, model.get_weights(), X, batch_size=103)
    model.fit(X, np.zeros((103, 3)), batch_size=103, verbose=0)
    close(statistics(model, found), statistics(model, model.get_weights()), rtol=1e-4)


@pytest.mark.skipif(BACKEND == "torch", reason="TensorFlow's data sets are for where it is installed beside")
def test_data_sets_with_labels():
    tf = pytest.importorskip("tensorflow")
    model = network()
    batches = tf.data.Dataset.from_tensor_slices((X, np.zeros(103))).batch(40)
    found = mm.refresh_batchnorm(model, model.get_weights(), batches)
    close(
        statistics(model, found),
        statistics(model, mm.refresh_batchnorm(model, model.get_weights(), X, batch_size=40)),
    )


def test_errors():
    model = network()
    weights = model.get_weights()
    with pytest.raises(ValueError, match=r"the list of weights holds 3 arrays, and model 'net' has"):
        mm.refresh_batchnorm(model, weights[:3], X)
    with pytest.raises(ValueError, match="expected one finite number of at least 0 for each example"):
        mm.refresh_batchnorm(model, weights, X, sample_weight=-np.ones(103))
    with pytest.raises(ValueError, match=r"shape \(103, 1\): expected one finite number"):
        mm.refresh_batchnorm(model, weights, X, sample_weight=np.ones((103, 1)))
    with pytest.raises(ValueError, match=r"different lengths: \[50, 103\]. Expected one row per example"):
        mm.refresh_batchnorm(model, weights, X, sample_weight=np.ones(50))
    with pytest.raises(ValueError, match="all examples have the weight 0"):
        mm.refresh_batchnorm(model, weights, X, sample_weight=np.zeros(103))
    with pytest.raises(ValueError, match="there is no example"):
        mm.refresh_batchnorm(model, weights, X[:0])
