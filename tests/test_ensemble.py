"""Predictions of many members: what they must equal, what they must leave alone, and what is refused."""

import json
import os
import random
import subprocess
import sys
import tracemalloc

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import manyminima as mm
from manyminima.inference.inputs import power_of_two
from problems import BACKEND, assert_same, compiled, data, layers, numbers

X, Y = data(70)
MODES = ["stacked", "looped", *(["mapped"] if BACKEND == "jax" else [])]


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


@pytest.fixture(scope="module")
def model():
    return compiled()


@pytest.fixture(scope="module")
def ensemble(model):
    return mm.Ensemble(model, several(model))


# -- identities ------------------------------------------------------------------------------------------------------


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
    class Counted(layers.Layer):
        traces = 0

        def call(self, x):
            Counted.traces += 1
            return x

    model = keras.Sequential([keras.Input((4,)), Counted(), layers.Dense(3, "softmax")])
    ensemble = mm.Ensemble(model, several(model, members=20), task="multiclass")
    Counted.traces = 0
    for rows in range(1, 65):
        ensemble.predict(np.zeros((rows, 4), "float32"))
    assert Counted.traces <= 7
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


# -- tasks -----------------------------------------------------------------------------------------------------------


def head(units, activation=None, loss=None, shape=(4,)):
    model = keras.Sequential([keras.Input(shape), layers.Dense(units, activation)])
    if loss is not None:
        model.compile(loss=loss)
    return model


def _softmax(z):
    return np.exp(z) / np.exp(z).sum(-1, keepdims=True)


def _sigmoid(z):
    return 1 / (1 + np.exp(-z))


BCE, SCE = keras.losses.BinaryCrossentropy, keras.losses.SparseCategoricalCrossentropy


@pytest.mark.parametrize(
    ("model", "options", "expected"),
    [
        (head(3, "softmax", "categorical_crossentropy"), {}, lambda z: z),
        (head(3, None, SCE(from_logits=True)), {}, _softmax),
        (head(3), {"task": "multiclass", "from_logits": True}, _softmax),
        (head(1, "sigmoid", "binary_crossentropy"), {}, lambda p: np.concatenate([1 - p, p], -1)),
        (head(1, None, BCE(from_logits=True)), {}, lambda z: np.concatenate([_sigmoid(-z), _sigmoid(z)], -1)),
        (head(4, "sigmoid", "binary_crossentropy"), {}, lambda p: p),
        (head(4, None, BCE(from_logits=True)), {}, _sigmoid),
        (head(2, None, "mse"), {}, lambda z: z),
        (head(3, "softmax", "sparse_categorical_crossentropy", shape=(5, 6, 4)), {}, lambda z: z),
        (head(1, "sigmoid", "binary_crossentropy", shape=(5, 6, 4)), {}, lambda p: np.concatenate([1 - p, p], -1)),
    ],
)
def test_outputs_become_probabilities(model, options, expected):
    ensemble = mm.Ensemble(model, several(model, members=2), **options)
    x = np.random.default_rng(0).normal(size=(9, *model.input_shape[1:])).astype("float32")
    for weights, found in zip(ensemble, ensemble.predict_members(x), strict=True):
        np.testing.assert_allclose(found, expected(alone(model, weights, x)), atol=1e-5)


def test_what_cannot_be_told_is_asked():
    model = head(3)
    model.compile(loss=lambda y, p: p)
    ensemble = mm.Ensemble(model, several(model))
    with pytest.raises(ValueError, match=r'Say it: task="multiclass".*from_logits=True'):
        ensemble.predict(X)
    with pytest.raises(ValueError, match="choose from multiclass"):
        mm.Ensemble(model, several(model), task="classification")


def test_undeclared_logits_are_noticed():
    model = head(3, None, "sparse_categorical_crossentropy")
    with pytest.raises(ValueError, match="from_logits=True"):
        mm.Ensemble(model, several(model)).predict(X)


def test_evaluate_agrees_with_the_metrics(ensemble):
    scores = ensemble.evaluate(X, Y)
    probs = ensemble.predict(X)
    assert scores["nll"] == pytest.approx(mm.metrics.nll(Y, probs))
    assert scores["accuracy"] == pytest.approx(mm.metrics.accuracy(Y, probs))
    weight = np.arange(70.0)
    weighted = ensemble.evaluate(X, Y, sample_weight=weight)
    assert weighted["nll"] == pytest.approx(mm.metrics.nll(Y, probs, weight), rel=1e-6)
    with pytest.raises(ValueError, match="pass y, or a data set"):
        ensemble.evaluate(X)


def two_heads():
    a, b = keras.Input((4,), name="a"), keras.Input((2,), name="b")
    body = layers.Dense(6, "relu")(layers.Concatenate()([a, b]))
    outputs = {"kind": layers.Dense(3, "softmax", name="k")(body), "size": layers.Dense(1, name="s")(body)}
    model = keras.Model({"a": a, "b": b}, outputs)
    model.compile(loss={"kind": "sparse_categorical_crossentropy", "size": "mse"})
    return model, {"a": X, "b": X[:, :2]}, {"kind": Y, "size": X[:, :1]}


def test_several_inputs_and_outputs():
    model, x, y = two_heads()
    ensemble = mm.Ensemble(model, several(model))
    probs = ensemble.predict_members(x)
    assert {name: p.shape for name, p in probs.items()} == {"kind": (3, 70, 3), "size": (3, 70, 1)}
    for i, weights in enumerate(ensemble):
        expected = alone(model, weights, x)
        for name in expected:
            np.testing.assert_allclose(probs[name][i], expected[name], atol=1e-5)
    scores = ensemble.evaluate(x, y)
    assert set(scores) == {"kind", "size"}
    assert scores["size"]["squared_error"] == pytest.approx(np.mean((ensemble.predict(x)["size"] - y["size"]) ** 2))
    assert mm.report(y, probs, output="kind").task == "multiclass"


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision_gives_float32(policy):
    keras.config.set_dtype_policy(policy)
    try:
        model = keras.Sequential([keras.Input((4,)), layers.Dense(3), layers.Activation("softmax", dtype="float32")])
    finally:
        keras.config.set_dtype_policy("float32")
    found = mm.Ensemble(model, several(model), task="multiclass")
    assert found.predict_members(X).dtype == np.float32
    np.testing.assert_allclose(found.predict(X).sum(-1), 1, atol=1e-5)


# -- sources of data -------------------------------------------------------------------------------------------------


def tf_data():
    tf = pytest.importorskip("tensorflow")
    rows = tf.data.Dataset.from_tensor_slices((X, Y)).shuffle(70, seed=3, reshuffle_each_iteration=True)
    return rows.batch(16)


def loader():
    torch = pytest.importorskip("torch")
    rows = torch.utils.data.TensorDataset(torch.from_numpy(X), torch.from_numpy(Y))
    return torch.utils.data.DataLoader(rows, batch_size=16, shuffle=True)


def one_shot():
    return ((X[i : i + 16], Y[i : i + 16]) for i in range(0, 70, 16))


@pytest.mark.parametrize("make", [tf_data, loader, one_shot, lambda: mm.datasets.Batches(X, Y, 16)])
def test_data_sets_are_read_once_so_labels_stay_aligned(ensemble, make):
    expected = ensemble.evaluate(X, Y)
    found = ensemble.evaluate(make())
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, rel=1e-5)


def test_inputs_that_cannot_be_predicted(ensemble):
    used = one_shot()
    list(used)
    for nothing in (used, X[:0]):
        with pytest.raises(ValueError, match="no example to predict"):
            ensemble.predict(nothing)
    with pytest.raises(ValueError, match="come out of the data set itself"):
        ensemble.evaluate(one_shot(), Y)
    with pytest.raises(ValueError, match="different lengths"):
        ensemble.evaluate(X, Y[:10])
    with pytest.raises(ValueError, match="expected at least 1"):
        ensemble.predict(X, batch_size=0)
    x = X.copy()
    x[37, 2] = np.nan
    with pytest.raises(ValueError, match="row 37. Look for NaN in that row of the inputs"):
        ensemble.predict(x)


def test_double_precision_and_integers(ensemble):
    np.testing.assert_allclose(ensemble.predict(X.astype("float64")), ensemble.predict(X), atol=1e-6)
    np.testing.assert_allclose(
        ensemble.predict((9 * X).astype("int32")), ensemble.predict((9 * X).astype("int32") * 1.0)
    )


# -- members that do not fit -----------------------------------------------------------------------------------------


def test_members_that_do_not_fit_the_model(model):
    weights = several(model)
    with pytest.raises(ValueError, match=r"member 0 holds 7 arrays, and model 'net' has 8.*Rebuild the model"):
        mm.Ensemble(model, [w[:-1] for w in weights])
    with pytest.raises(ValueError, match=r"first difference is array 0, 'net/dense/kernel': \(3, 2\) there, \(4, 8\)"):
        mm.Ensemble(model, [[np.zeros((3, 2)), *w[1:]] for w in weights])
    with pytest.raises(ValueError, match="holds no members"):
        mm.Ensemble(model, [])
    with pytest.raises(ValueError, match="is not built"):
        mm.Ensemble(keras.Sequential([layers.Dense(2)]), weights)
    with pytest.raises(ValueError, match='execution="vectorised" is not available'):
        mm.Ensemble(model, weights, execution="vectorised")


def test_a_diverged_member_is_named(model):
    members = several(model)
    members[1] = [np.full_like(w, np.nan) for w in members[1]]
    with pytest.raises(ValueError, match="member 1 predicts NaN .* the member has diverged"):
        mm.Ensemble(model, members).predict(X)


def test_normalization_of_other_data_is_noticed(tmp_path):
    def normalised(x):
        scale = layers.Normalization()
        scale.adapt(x)
        model = keras.Sequential([keras.Input((4,)), scale, layers.Dense(3, "softmax")])
        model.compile(loss="sparse_categorical_crossentropy")
        return model

    model, into = normalised(X), tmp_path / "run"
    model.fit(X, Y, verbose=0, callbacks=[mm.Collect(mm.recipes.checkpoints(), into=into)])
    np.testing.assert_allclose(mm.load(into).predict(X), model.predict(X, verbose=0), atol=1e-6)
    exported = mm.load(into).to_keras()
    np.testing.assert_allclose(exported.predict(X, verbose=0), model.predict(X, verbose=0), atol=1e-6)
    with pytest.raises(ValueError, match="adapted to other data"):
        mm.Ensemble(normalised(5 * X + 1), mm.Snapshots(into))


# -- one Keras model -------------------------------------------------------------------------------------------------


def nested():
    inner = keras.Sequential([keras.Input((4,)), layers.Dense(5, "relu"), layers.BatchNormalization()])
    x = keras.Input((4,))
    shared = layers.Dense(4)
    return keras.Model(x, layers.Dense(3, "softmax")(inner(shared(shared(x)))))


@pytest.mark.parametrize(
    ("build", "options"),
    [
        (compiled, {}),
        (nested, {"task": "multiclass"}),
        (lambda: head(3, None, SCE(from_logits=True)), {}),
        (lambda: head(1, "sigmoid", "binary_crossentropy"), {}),
        (lambda: head(2, None, "mse"), {}),
    ],
    ids=["sequential", "nested", "logits", "binary", "regression"],
)
@pytest.mark.parametrize("count", [1, 3])
def test_one_keras_model_averages_the_members(build, options, count, tmp_path):
    model = build()
    before = model.get_weights()
    ensemble = mm.Ensemble(model, several(model, count), **options)
    averaged = ensemble.to_keras()
    expected = ensemble.predict(X)
    found = averaged.predict(X, verbose=0)
    np.testing.assert_allclose(found, expected[:, 1:] if found.shape[1] == 1 else expected, atol=1e-6)
    assert not averaged.trainable_variables
    assert {layer.name for layer in averaged.layers} >= {f"member_{k:03d}" for k in range(count)}
    assert_same(model.get_weights(), before)


def test_the_keras_model_loads_without_us(tmp_path):
    model, x, _ = two_heads()
    ensemble = mm.Ensemble(model, several(model))
    ensemble.to_keras().save(tmp_path / "averaged.keras")
    np.savez(tmp_path / "x.npz", **x)
    program = (
        "import sys, json, numpy, keras;"
        f"m = keras.saving.load_model({str(tmp_path / 'averaged.keras')!r}); assert 'manyminima' not in sys.modules;"
        f"x = dict(numpy.load({str(tmp_path / 'x.npz')!r}));"
        "print(json.dumps({k: v.tolist() for k, v in m.predict(x, verbose=0).items()}))"
    )
    out = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout
    found, expected = json.loads(out.splitlines()[-1]), ensemble.predict(x)
    for name in expected:
        np.testing.assert_allclose(found[name], expected[name], atol=1e-5)


# -- from disk -------------------------------------------------------------------------------------------------------


def trained(into, seed=0):
    model = compiled(seed=seed)
    model.fit(X, Y, epochs=2, verbose=0, callbacks=[mm.Collect(mm.recipes.checkpoints(), into=into)])
    return model


def test_runs_are_joined(tmp_path):
    trained(tmp_path / "a"), trained(tmp_path / "b", seed=1)
    joined = mm.load([tmp_path / "a", tmp_path / "b"])
    assert len(joined) == 4
    separate = [mm.load(tmp_path / name).predict_members(X) for name in "ab"]
    np.testing.assert_allclose(joined.predict_members(X), np.concatenate(separate), atol=1e-6)
    assert joined.about["members"][2]["file"].startswith(str(tmp_path / "b"))
    (tmp_path / "b" / "members" / "r000-s00000003.safetensors").write_bytes(b"")
    with pytest.raises(ValueError, match=r"b/members/r000-s00000003.safetensors' is truncated"):
        mm.load([tmp_path / "a", tmp_path / "b"])
    with pytest.raises(ValueError, match='write mm.load\\("runs/x"\\)'):
        mm.load([])


def test_members_made_elsewhere(tmp_path):
    model = compiled()
    members = several(model, 3)
    for number, weights in zip((2, 9, 10), members, strict=True):
        model.set_weights(weights)
        model.save_weights(tmp_path / f"epoch-{number}.weights.h5")
        model.save(tmp_path / f"epoch-{number}.keras")
    for pattern in ("*.weights.h5", "*.keras"):
        ensemble = mm.Ensemble.from_files(compiled, [tmp_path / pattern])
        assert len(ensemble) == 3
        for found, expected in zip(ensemble, members, strict=True):
            assert_same(found, expected)
    with pytest.raises(FileNotFoundError, match="no file matches"):
        mm.Ensemble.from_files(compiled, [tmp_path / "*.hdf5"])
    (tmp_path / "weights.txt").touch()
    with pytest.raises(ValueError, match=r"ending in .keras or .weights.h5"):
        mm.Ensemble.from_files(compiled, [tmp_path / "weights.txt"])
    with pytest.raises(ValueError, match=r"epoch-2.keras' holds 8 arrays, and model"):
        mm.Ensemble.from_files(lambda: head(3, "softmax"), [tmp_path / "*.keras"], task="multiclass")


def others():
    from importlib.util import find_spec

    return [b for b in ("jax", "torch", "tensorflow") if b != BACKEND and find_spec(b)]


@pytest.mark.parametrize("backend", others())
def test_another_backend_predicts_the_same(backend, tmp_path):
    trained(tmp_path / "run")
    expected = mm.load(tmp_path / "run").predict_members(X)
    np.save(tmp_path / "x.npy", X)
    program = (
        f"import numpy, manyminima as mm; e = mm.load({str(tmp_path / 'run')!r});"
        f"numpy.save({str(tmp_path / 'out.npy')!r}, e.predict_members(numpy.load({str(tmp_path / 'x.npy')!r})))"
    )
    env = {**os.environ, "KERAS_BACKEND": backend}
    subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, env=env)
    np.testing.assert_allclose(np.load(tmp_path / "out.npy"), expected, atol=1e-5)
