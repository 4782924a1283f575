"""One model out of many: means of weights from memory and from disk, soups, scores against n, and the loss between members."""

import warnings

import keras
import numpy as np
import pytest

import manyminima as mm
from manyminima.averaging.coefficients import coefficients
from problems import alone, assert_same, compiled, data, head, layers, network, several

X, Y = data(120)


def on_disk(path, members):
    run = mm.Snapshots(path)
    for step, weights in enumerate(members, start=1):
        run.add(weights, step)
    return run


@pytest.fixture(scope="module")
def model():
    return compiled(plain=True)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Four members of one short run, with BatchNormalization."""
    path = tmp_path_factory.mktemp("run") / "run"
    keras.utils.set_random_seed(0)
    network = compiled()
    collect = mm.Collect(mm.recipes.checkpoints(last=4), into=path)
    network.fit(X, Y, batch_size=16, epochs=6, verbose=0, callbacks=[collect])
    return mm.load(path)


# -- the mean --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["equal", "linear", "exponential", [3, 0, 1, 2, 2]])
def test_weights_are_the_weighted_mean(model, kind, tmp_path):
    members = several(model, 5)
    expected = [np.tensordot(coefficients(kind, 5), np.array(a, "float64"), 1) for a in zip(*members, strict=True)]
    in_memory = mm.Ensemble(model, members).average(kind)
    from_disk = mm.Ensemble(model, on_disk(tmp_path / "run", members)).average(kind)
    for found, exact in zip(in_memory.get_weights(), expected, strict=True):
        np.testing.assert_allclose(found, exact, rtol=1e-6, atol=1e-7)
    assert_same(in_memory.get_weights(), from_disk.get_weights())


def test_copies_are_the_model_itself(model):
    weights = model.get_weights()
    assert_same(mm.Ensemble(model, [weights] * 7).average().get_weights(), weights)
    ensemble = mm.Ensemble(model, several(model, 5))
    assert_same(ensemble.average(last=1).get_weights(), ensemble[-1])
    assert_same(ensemble.average(last=3).get_weights(), ensemble[-3:].average().get_weights())
    for last in (0, 6):
        with pytest.raises(ValueError, match="expected between 1 and the number of members, 5"):
            ensemble.average(last=last)
    with pytest.raises(ValueError, match="expected one for each of 3 members"):
        ensemble.average([1] * 5, last=3)


def test_it_is_a_model_of_its_own(model, tmp_path):
    ensemble, before = mm.Ensemble(model, several(model)), model.get_weights()
    averaged = ensemble.average()
    averaged.set_weights([w + 1 for w in averaged.get_weights()])
    assert_same(model.get_weights(), before)
    averaged = ensemble.average()
    np.testing.assert_allclose(averaged.predict(X, verbose=0), alone(model, averaged.get_weights(), X), atol=1e-6)
    averaged.save(tmp_path / "a.keras")
    assert_same(keras.saving.load_model(tmp_path / "a.keras").get_weights(), averaged.get_weights())


def test_integers_and_quantised_layers_are_the_newest():
    model = keras.Sequential([keras.Input((4,)), layers.Dense(8), layers.Dense(3, "softmax")])
    model.layers[0].quantize("int8")
    members = [
        [w + i if w.dtype.kind == "f" else (w + i).astype(w.dtype) for w in model.get_weights()] for i in range(3)
    ]
    averaged = mm.Ensemble(model, members, task="multiclass").average().get_weights()
    places = {id(v): i for i, v in enumerate(model.weights)}
    for layer, expected in ((model.layers[0], 2), (model.layers[1], 1)):
        for v in layer.weights:
            np.testing.assert_allclose(averaged[places[id(v)]], members[expected][places[id(v)]], rtol=1e-6)


def test_counts_of_a_normalization_are_kept():
    normalization = layers.Normalization()
    normalization.adapt(X)
    model = keras.Sequential([keras.Input((4,)), normalization, layers.Dense(3, "softmax")])
    weights = model.get_weights()
    members = [
        [w if "normalization" in v.path else w + i for v, w in zip(model.weights, weights, strict=True)] for i in (0, 2)
    ]
    averaged = mm.Ensemble(model, members, task="multiclass").average()
    middle = [w if "normalization" in v.path else w + 1 for v, w in zip(model.weights, weights, strict=True)]
    np.testing.assert_allclose(averaged.predict(X, verbose=0), alone(model, middle, X), atol=1e-5)


def test_tied_weights_count_once():
    shared = layers.Dense(4)
    x = keras.Input((4,))
    model = keras.Model(x, layers.Dense(3, "softmax")(shared(shared(x))))
    members = several(model, 3)
    assert len(members[0]) == 4
    averaged = mm.Ensemble(model, members, task="multiclass").average().get_weights()
    for found, column in zip(averaged, zip(*members, strict=True), strict=True):
        np.testing.assert_allclose(found, np.mean(column, axis=0), rtol=1e-5, atol=1e-7)


# -- from disk -------------------------------------------------------------------------------------------------------


def test_the_best_is_not_averaged_in_a_second_time(tmp_path, model):
    run = on_disk(tmp_path / "run", several(model, 3))
    run.add_best(model.get_weights(), 2)
    expected = mm.Ensemble(model, several(model, 3)).average().get_weights()
    assert_same(mm.Ensemble(model, mm.Snapshots(tmp_path / "run")).average().get_weights(), expected)


def test_members_on_disk_are_read_when_they_are_asked_for(tmp_path, model):
    run = on_disk(tmp_path / "run", several(model, 4))
    ensemble = mm.Ensemble(model, run)[1:]
    assert_same(ensemble[-1], run[3])
    assert len(list(ensemble.part([0, 2]))) == 2
    assert_same(ensemble.part([0, 2])[1], run[3])
    (run.path / run.members[3].file).unlink()
    with pytest.raises(FileNotFoundError, match="is missing"):
        ensemble[-1]


# -- BatchNormalization and barriers ---------------------------------------------------------------------------------


def test_statistics_are_put_right_where_there_are_data(trained):
    with pytest.warns(UserWarning, match="has BatchNormalization.*pass training data, as in average"):
        plain = trained.average()
    refreshed = trained.average(x=X)
    assert_same(refreshed.get_weights(), mm.refresh_batchnorm(plain, plain.get_weights(), X))


def test_a_barrier_is_warned_of(model):
    """Two good networks that differ by the order of their hidden units: their mean is neither."""
    network = compiled(plain=True, learning_rate=0.1)
    network.fit(X, Y, epochs=30, verbose=0)
    a = network.get_weights()
    order = np.roll(np.arange(8), 3)
    b = [a[0][:, order], a[1][order], a[2][order], a[3]]
    ensemble = mm.Ensemble(network, [a, b])
    with pytest.warns(UserWarning, match=r"a loss barrier lies between .* instead: ensemble.predict\(x\)"):
        ensemble.average(validation_data=(X, Y))
    found = mm.barrier(network, a, b, X, Y, points=5)
    assert found.height > 0.02
    assert found.losses[0] == pytest.approx(found.losses[-1], rel=1e-4)
    assert found.losses[0] == pytest.approx(ensemble[:1].evaluate(X, Y)["nll"], rel=1e-5)
    np.testing.assert_array_equal(found.positions, [0, 0.25, 0.5, 0.75, 1])
    assert f"loss barrier {found.height:.4g} between" in str(found)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        mm.Ensemble(network, [a, a]).average(validation_data=(X, Y))


def test_fresh_statistics_alone_are_no_barrier(trained):
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        trained[-1:].average(x=X[:20], validation_data=(X, Y))


def test_barriers_have_fresh_statistics_at_every_point(trained):
    a, b = trained[0], trained[-1]
    assert mm.barrier(trained, a, a, X, Y).height == pytest.approx(0, abs=1e-9)
    found = mm.barrier(trained, a, b, X, Y, points=3)
    middle = [((p.astype("float64") + q) / 2).astype(p.dtype) for p, q in zip(a, b, strict=True)]
    fresh = mm.refresh_batchnorm(trained.model, middle, X)
    assert found.losses[1] == pytest.approx(trained.of([fresh]).evaluate(X, Y)["nll"], rel=1e-4)
    with pytest.raises(ValueError, match="expected at least 3, the ends and one between"):
        mm.barrier(trained, a, b, X, Y, points=2)
    with pytest.raises(ValueError, match="b holds 2 arrays, and model"):
        mm.barrier(trained, a, b[:2], X, Y)


# -- scores and soups ------------------------------------------------------------------------------------------------


def test_scores_against_n_are_those_made_one_by_one(trained):
    scores = trained.average_scores(X, Y, x_train=X)
    assert scores.refreshed
    probs = trained.predict_members(X)
    for n in (1, 2, 4):
        for kind in ("equal", "linear", "exponential"):
            averaged = trained.average(kind, last=n, x=X).predict(X, verbose=0)
            assert scores.weights["nll"][kind][n - 1] == pytest.approx(mm.metrics.nll(Y, averaged), rel=1e-4)
            mixed = mm.combine.mean(probs[-n:], coefficients(kind, n))
            assert scores.predictions["accuracy"][kind][n - 1] == mm.metrics.accuracy(Y, mixed)
        assert scores.single["nll"][n - 1] == mm.metrics.nll(Y, probs[-n])
    assert "weights, linear" in str(scores)


def test_scores_of_a_regression():
    model = head(1, loss="mse")
    scores = mm.Ensemble(model, several(model)).average_scores(X, X[:, 0])
    assert list(scores.single) == ["squared_error"]
    # Linear models: the mean of weights predicts the mean of predictions.
    for kind, values in scores.weights["squared_error"].items():
        np.testing.assert_allclose(values, scores.predictions["squared_error"][kind], rtol=1e-4)


def test_a_soup_is_never_worse_than_its_best_ingredient(trained):
    soup = mm.greedy_soup(trained, X, Y, x_train=X)
    single = [mm.metrics.accuracy(Y, p) for p in trained.predict_members(X)]
    assert soup.best_single == max(single)
    assert soup.score >= soup.best_single
    assert soup.score == pytest.approx(mm.metrics.accuracy(Y, soup.model.predict(X, verbose=0)))
    assert single[soup.members[0]] == max(single)


def test_a_soup_is_that_of_a_plain_loop(model):
    ensemble = mm.Ensemble(model, several(model, 5, seed=3))

    def nll(places):
        mean = [np.mean([ensemble[i][a] for i in places], axis=0, dtype="float64") for a in range(len(ensemble[0]))]
        return ensemble.of([[m.astype("float32") for m in mean]]).evaluate(X, Y)["nll"]

    order = sorted(range(5), key=lambda i: nll([i]))
    chosen = order[:1]
    for i in order[1:]:
        chosen = [*chosen, i] if nll([*chosen, i]) <= nll(chosen) else chosen
    soup = mm.greedy_soup(ensemble, X, Y, metric=mm.metrics.nll)
    assert list(soup.members) == chosen
    assert soup.score == pytest.approx(nll(chosen), rel=1e-5)


def test_a_soup_by_something_that_is_no_metric(trained):
    with pytest.raises(TypeError, match=r"metric='nll': expected one of mm.metrics, such as metric=mm.metrics.nll"):
        mm.greedy_soup(trained, X, Y, metric="nll")


def test_a_soup_of_one_is_that_member(trained):
    """Its statistics are its own, also where those of averages are computed anew."""
    good, rng = trained[-1], np.random.default_rng(0)
    bad = [w if w.dtype.kind != "f" else np.abs(w + 9 * rng.normal(size=w.shape)).astype(w.dtype) for w in good]
    soup = mm.greedy_soup(trained.of([bad, good]), X, Y, metric=mm.metrics.nll, x_train=X[:9])
    assert soup.members == (1,)
    assert_same(soup.model.get_weights(), good)
    assert soup.score == soup.best_single


def test_models_with_several_outputs_have_no_single_score():
    x = keras.Input((4,))
    model = keras.Model(x, [layers.Dense(3, "softmax", name="kind")(x), layers.Dense(1, name="size")(x)])
    model.compile(loss=["sparse_categorical_crossentropy", "mse"])
    ensemble = mm.Ensemble(model, several(model))
    with pytest.raises(ValueError, match="for one output only"):
        ensemble.average_scores(X, [Y, X[:, :1]])
    with pytest.raises(ValueError, match="A soup needs a model with one output"):
        mm.greedy_soup(ensemble, X, [Y, X[:, :1]])
    assert len(ensemble.average("linear").get_weights()) == 4


@pytest.mark.filterwarnings("ignore:a loss barrier")
def test_the_network_is_not_touched():
    model = network()
    before = model.get_weights()
    ensemble = mm.Ensemble(model, several(model), task="multiclass")
    ensemble.average(x=X, validation_data=(X, Y))
    ensemble.average_scores(X, Y, x_train=X)
    mm.greedy_soup(ensemble, X, Y, x_train=X)
    mm.barrier(ensemble, ensemble[0], ensemble[1], X, Y, points=3)
    assert_same(model.get_weights(), before)
