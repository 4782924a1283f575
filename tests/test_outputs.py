"""Tasks, data sources and misfits: what outputs mean, where inputs come from, and what is refused."""

import keras
import numpy as np
import pytest

import manyminima as mm
from problems import alone, data, head, layers, several, two_heads

X, Y = data(70)
BCE, SCE = keras.losses.BinaryCrossentropy, keras.losses.SparseCategoricalCrossentropy


def _softmax(z):
    return np.exp(z) / np.exp(z).sum(-1, keepdims=True)


def _sigmoid(z):
    return 1 / (1 + np.exp(-z))


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


def test_several_inputs_and_outputs():
    model, x, y = two_heads(X, Y)
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
    with pytest.raises(ValueError, match="whole number of at least 1"):
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


# -- several outputs -------------------------------------------------------------------------------------------------


def pair(**compiled_with):
    x = keras.Input((4,))
    model = keras.Model(x, [layers.Dense(3, "softmax", name="kind")(x), layers.Dense(1, name="size")(x)])
    if compiled_with:
        model.compile(**compiled_with)
    return model


def test_a_list_of_outputs():
    model = pair(loss=["sparse_categorical_crossentropy", "mse"])
    ensemble = mm.Ensemble(model, [model.get_weights()])
    probs, expected = ensemble.predict(X), model.predict(X, verbose=0)
    assert list(probs) == ["kind", "size"]
    for found, one in zip(probs.values(), expected, strict=True):
        np.testing.assert_allclose(found, one, atol=1e-6)
    assert ensemble.about["task"] == {"kind": "multiclass", "size": "regression"}


def test_weights_and_labels_of_several_outputs():
    model = pair(loss=["sparse_categorical_crossentropy", "mse"])
    ensemble = mm.Ensemble(model, several(model))
    size, weight = X[:, 0].astype("float64"), np.arange(70.0)
    probs = ensemble.predict(X)
    nll, nll_weighted = (mm.metrics.nll(Y, probs["kind"], w) for w in (None, weight))
    error = np.average((probs["size"][:, 0] - size) ** 2, weights=weight)
    for weights, expected in (
        (weight, nll_weighted),
        ([None, weight], nll),
        ({"size": weight}, nll),
        ({"kind": None, "size": weight}, nll),
    ):
        for labels in ([Y, size], {"kind": Y, "size": size}):
            scores = ensemble.evaluate(X, labels, sample_weight=weights)
            assert scores["kind"]["nll"] == pytest.approx(expected)
            assert scores["size"]["squared_error"] == pytest.approx(error)
    batches = ((X[i : i + 30], (Y[i : i + 30], size[i : i + 30])) for i in (0, 30, 60))
    assert ensemble.evaluate(batches)["kind"]["nll"] == pytest.approx(nll)
    for labels in ({"kind": Y}, Y):
        with pytest.raises(
            ValueError, match=r"no labels for \[.*'size'\]. Pass a dict with the keys \['kind', 'size'\]"
        ):
            ensemble.evaluate(X, labels)


def test_one_output_with_a_name():
    x = keras.Input((4,))
    model = keras.Model(x, {"kind": layers.Dense(3, "softmax", name="kind")(x)})
    model.compile(loss={"kind": "sparse_categorical_crossentropy"})
    ensemble = mm.Ensemble(model, several(model))
    assert ensemble.evaluate(X, Y) == ensemble.evaluate(X, {"kind": Y})


def test_tasks_of_several_outputs():
    model = pair()
    ensemble = mm.Ensemble(model, several(model), task={"kind": "multiclass", "sise": "regression"})
    with pytest.raises(ValueError, match=r"output 'size' means. Say it: task=.*known: kind, sise"):
        ensemble.predict(X)
    tasks = {"kind": "multiclass", "size": "regression"}
    ensemble = mm.Ensemble(model, several(model), task=tasks)
    ensemble.predict(X)
    assert ensemble.about["task"] == tasks


def test_one_loss_for_outputs_of_different_widths():
    x = keras.Input((4,))
    outputs = [layers.Dense(units, "sigmoid", name=name)(x) for name, units in (("many", 3), ("one", 1))]
    model = keras.Model(x, outputs)
    ensemble = mm.Ensemble(model, several(model), task="binary")
    assert {name: probs.shape for name, probs in ensemble.predict(X).items()} == {"many": (70, 3), "one": (70, 2)}
    assert ensemble.about["task"] == {"many": "multilabel", "one": "binary"}


# -- what is no probability ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("units", [1, 4])
def test_undeclared_logits_of_sigmoids_are_noticed(units):
    model = head(units, None, "binary_crossentropy")
    with pytest.raises(ValueError, match=r"range from .* expected probabilities in 0..1. .*from_logits=True"):
        mm.Ensemble(model, several(model)).predict(9 * X)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_a_softmax_in_half_precision_is_rescaled(policy):
    outputs = layers.Dense(200, "softmax", dtype=policy)
    model = keras.Sequential([keras.Input((4,)), outputs])
    probs = mm.Ensemble(model, [model.get_weights()], task="multiclass").predict(X)
    np.testing.assert_allclose(probs.sum(-1), 1, atol=1e-6)
    np.testing.assert_allclose(probs, model.predict(X, verbose=0).astype("float32"), rtol=2e-2)


def test_classes_that_are_masked_out():
    class Mask(layers.Layer):
        def call(self, z):
            return keras.ops.concatenate([z, keras.ops.full_like(z[:, :1], -np.inf)], axis=-1)

    model = keras.Sequential([keras.Input((4,)), layers.Dense(3), Mask()])
    probs = mm.Ensemble(model, several(model), task="multiclass", from_logits=True).predict(X)
    np.testing.assert_array_equal(probs[:, 3], 0)
    np.testing.assert_allclose(probs.sum(-1), 1, atol=1e-6)


def test_images_of_classes_keep_their_axes():
    convolution = layers.Conv2D(3, 3, padding="same", activation="softmax")
    model = keras.Sequential([keras.Input((6, 5, 1)), convolution])
    model.compile(loss="sparse_categorical_crossentropy")
    ensemble = mm.Ensemble(model, several(model))
    x, y = np.ones((4, 6, 5, 1), "float32"), np.zeros((4, 6, 5), int)
    assert ensemble.predict_members(x).shape == (3, 4, 6, 5, 3)
    votes = ensemble.predict(x, combine=mm.combine.majority_vote)
    assert votes.shape == (4, 6, 5, 3)
    assert ensemble.evaluate(x, y)["nll"] == pytest.approx(-np.log(ensemble.predict(x)[..., 0]).mean(), rel=1e-5)


# -- members that are none -------------------------------------------------------------------------------------------


def test_what_users_pass_for_members(model):
    with pytest.raises(TypeError, match=r'write mm.load\("runs/x"\), or pass mm.Snapshots\("runs/x"\)'):
        mm.Ensemble(model, "runs/x")
    with pytest.raises(TypeError, match=r"write \[model.get_weights\(\)\]"):
        mm.Ensemble(model, model.get_weights())


def test_advice_about_a_diverged_member_can_be_followed(model):
    members = several(model)
    for diverged, advice in ((0, "1:"), (2, ":2")):
        broken = [[w * np.nan for w in weights] if i == diverged else weights for i, weights in enumerate(members)]
        ensemble = mm.Ensemble(model, broken)
        with pytest.raises(ValueError, match=rf"member {diverged} predicts NaN.*ensemble\[{advice}\]"):
            ensemble.predict(X)
        rest = ensemble[slice(*(int(part) if part else None for part in advice.split(":")))]
        assert np.isfinite(rest.predict(X)).all()
