"""`manyminima average`, and averages in `evaluate`: one model out of a run, judged on its validation rows."""

import json
import re

import keras
import numpy as np
import pytest

import manyminima as mm
from test_cli import run

TRAIN = ["train", "--data", "wine", "--model", "mlp:8", "--epochs", "4", "--recipe"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    path = tmp_path_factory.mktemp("cli") / "run"
    run(*TRAIN, "checkpoints", "--out", path)
    return path


def test_a_model_and_its_scores(trained, tmp_path):
    out = tmp_path / "new" / "averaged.keras"
    text = run("average", trained, "--coefficients", "exponential", "--last", "3", "-o", out)
    assert "On the 36 validation rows of wine" in text
    assert "weights, exponential" in text
    assert "the average of 3 members, exponential coefficients" in text
    expected = mm.load(trained)[-3:].average("exponential").get_weights()
    for found, weights in zip(keras.saving.load_model(out).get_weights(), expected, strict=True):
        np.testing.assert_array_equal(found, weights)


def test_the_table_has_the_decay_that_is_averaged_with(trained, tmp_path):
    text = run("average", trained, "--coefficients", "exponential", "--decay", "0.5", "-o", tmp_path / "a.keras")
    data = mm.datasets.load("wine")
    probs = keras.saving.load_model(tmp_path / "a.keras").predict(data.x_val, verbose=0)
    shown = text.split("weights, exponential")[1].split()[:4]
    assert float(shown[-1]) == pytest.approx(mm.metrics.nll(data.y_val, probs), abs=1e-4)


def test_a_model_beside_the_run_may_have_its_name(trained, tmp_path):
    run("average", trained, "-o", f"{trained}.keras")
    run("evaluate", trained, "--html", f"{trained}.html", "--json", f"{trained}.json")


def test_a_soup(trained, tmp_path):
    text = run("average", trained, "--soup", "-o", tmp_path / "soup.keras")
    assert re.search(r"a greedy soup of \d of 4 members \(steps 16.*\), accuracy .* of the best member", text)
    keras.saving.load_model(tmp_path / "soup.keras")


def test_what_cannot_be_is_said_before_anything_is_done(trained, tmp_path):
    there = tmp_path / "there.keras"
    there.write_text("mine")
    assert "is not overwritten. Choose another --out" in run("average", trained, "-o", there, status=1)
    assert there.read_text() == "mine"
    assert "does not end in .keras" in run("average", trained, "-o", tmp_path / "a.h5", status=2)
    text = run("average", trained, "-o", tmp_path / "a.keras", "--coefficients", "cubic", status=2)
    assert "'cubic' is none of equal, linear, exponential" in text
    text = run("average", trained, "-o", tmp_path / "a.keras", "--last", "9", status=1)
    assert "expected between 1 and the number of members, 4" in text
    assert "decay=0.0: expected" in run("average", trained, "-o", tmp_path / "a.keras", "--decay", "0", status=1)
    text = run("average", trained, "-o", tmp_path / "a.keras", "--soup", "--coefficients", "linear", status=2)
    assert "a soup has equal coefficients" in text
    assert "is a file. Choose another --out." in run("average", trained, "-o", there / "a.keras", status=1)
    assert "is a file. Choose another --html." in run("evaluate", trained, "--html", there / "a.html", status=1)
    assert "holds no run" in run("average", tmp_path / "nothing", "-o", tmp_path / "a.keras", status=1)
    assert not (tmp_path / "a.keras").exists()


@pytest.mark.parametrize(("recipe", "members"), [("ema", 1), ("lawa", 4), ("polyak", 2), ("swa", 1)])
def test_recipes_that_are_averages(recipe, members, tmp_path):
    options = {"lawa": ["--k", "2"], "polyak": ["--last", "2"], "swa": ["--peak", "0.1"], "ema": ["--decay", "0.9"]}
    run(*TRAIN, recipe, *options[recipe], "--out", tmp_path / "run")
    ensemble = mm.load(tmp_path / "run")
    assert len(ensemble) == members
    assert ensemble.about["recipe"]["name"] == recipe
    assert ensemble.about["data"]["source"] == "wine"


def test_averages_in_the_report(trained, tmp_path):
    text = run("evaluate", trained, "--averages", "--html", tmp_path / "r.html", "--json", tmp_path / "r.json")
    assert "predictions, linear" in text
    assert "with all 4 members" in text
    numbers = json.loads((tmp_path / "r.json").read_text())["averages"]
    assert np.shape(numbers["weights"]["nll"]["equal"]) == (4,)
    page = (tmp_path / "r.html").read_text()
    assert "One model of averaged weights, or averaged predictions" in page
    run("evaluate", trained, "--html", tmp_path / "r.html", "--json", tmp_path / "r.json")
    assert json.loads((tmp_path / "r.json").read_text())["averages"] is None
    assert "averaged weights" not in (tmp_path / "r.html").read_text()


# -- whose data are not where they were ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """A run of a network with BatchNormalization, and a copy of its file, which is gone."""
    folder = tmp_path_factory.mktemp("images")
    x = np.random.default_rng(0).normal(size=(60, 8, 8, 1)).astype("float32")
    np.savez(folder / "data.npz", x=x, y=np.arange(60) % 3)
    options = ["--model", "cnn", "--recipe", "checkpoints", "--epochs", "2"]
    run("train", "--data", folder / "data.npz", *options, "--out", folder / "run")
    (folder / "data.npz").rename(folder / "moved.npz")
    return folder


def test_a_copy_of_the_data_gives_the_statistics(images, tmp_path):
    out = tmp_path / "a.keras"
    assert "Error: no file" in run("average", images / "run", "-o", out, status=1)
    text = run("average", images / "run", "-o", out, "--data", images / "moved.npz")
    assert "computed anew for each average" in text
    data = mm.datasets.load(images / "moved.npz")
    expected = mm.load(images / "run").average(x=data.x_train).get_weights()
    for found, weights in zip(keras.saving.load_model(out).get_weights(), expected, strict=True):
        np.testing.assert_array_equal(found, weights)
    pages = ["--html", tmp_path / "r.html", "--json", tmp_path / "r.json"]
    text = run("evaluate", images / "run", "--averages", "--data", images / "moved.npz", *pages)
    assert "12 test rows" in text
    assert "computed anew for each average" in text


def test_a_file_that_has_changed_is_not_averaged_on(images, tmp_path):
    with np.load(images / "moved.npz") as arrays:
        np.savez_compressed(tmp_path / "other.npz", **arrays)
    text = run("average", images / "run", "-o", tmp_path / "a.keras", "--data", tmp_path / "other.npz", status=1)
    assert "is not the file any more that the run was trained on" in text
    assert not (tmp_path / "a.keras").exists()


@pytest.mark.parametrize("recorded", [None, {"name": "mine"}])
def test_runs_that_do_not_say_what_they_were_trained_on(recorded, tmp_path):
    data = mm.datasets.load("wine")
    model = keras.Sequential([keras.Input((13,)), keras.layers.Dense(3, activation="softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy")
    into = mm.Snapshots(tmp_path / "run", data=recorded)
    model.fit(data.x_train, data.y_train, epochs=2, verbose=0, callbacks=[mm.Collect(mm.recipes.checkpoints(), into)])
    text = run("average", tmp_path / "run", "-o", tmp_path / "a.keras", status=1)
    assert "does not say which data it was trained on" in text
    assert "average(x=x_train)" in text
    assert "--data file.npz" in run("evaluate", tmp_path / "run", status=1)
    assert "with all 2 members" in run("evaluate", tmp_path / "run", "--averages", "--data", "wine")


# -- what lies between members ---------------------------------------------------------------------------------------


class Shuffled(keras.callbacks.Callback):
    """Puts the hidden units in another order before the last epoch: the same function, far away."""

    def on_epoch_begin(self, epoch, logs=None):
        """Shuffle, before the second epoch."""
        if epoch == 1:
            kernel, bias, out, bias_out = self.model.get_weights()
            order = np.roll(np.arange(len(bias)), 3)
            self.model.set_weights([kernel[:, order], bias[order], out[order], bias_out])


def test_a_barrier_points_to_evaluate(tmp_path):
    data = mm.datasets.load("digits")
    keras.utils.set_random_seed(0)
    layers = [keras.layers.Rescaling(1 / 16), keras.layers.Dense(8, "relu"), keras.layers.Dense(10, "softmax")]
    model = keras.Sequential([keras.Input((64,)), *layers])
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9), "sparse_categorical_crossentropy")
    model.fit(data.x_train, data.y_train, epochs=5, verbose=0)
    model.compile(keras.optimizers.SGD(0.0), "sparse_categorical_crossentropy")
    collect = mm.Collect(mm.recipes.checkpoints(), into=mm.Snapshots(tmp_path / "run", data=data.contract))
    model.fit(data.x_train, data.y_train, epochs=2, verbose=0, callbacks=[Shuffled(), collect])
    text = run("average", tmp_path / "run", "-o", tmp_path / "a.keras")
    assert f"instead: manyminima evaluate {tmp_path / 'run'}" in text
    assert "Warning: A loss barrier lies between the members: the average of all 2 members' weights has NLL" in text
    one = run("average", tmp_path / "run", "-o", tmp_path / "b.keras", "--last", "1")
    assert "loss barrier" not in one
    assert "one member, so there is nothing to average" in one
    assert "Warning" not in run("average", tmp_path / "run", "-o", tmp_path / "c.keras", "--soup")
