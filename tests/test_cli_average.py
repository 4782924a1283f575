"""`manyminima average`, and averages in `evaluate`: one model out of a run, judged on its validation rows."""

import json

import keras
import numpy as np
import pytest

import manyminima as mm
from test_cli import run

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

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


def test_a_soup(trained, tmp_path):
    text = run("average", trained, "--soup", "-o", tmp_path / "soup.keras")
    assert "a greedy soup of" in text
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
