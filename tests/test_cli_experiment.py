"""A run as a TOML file: its keys are the options of `manyminima train`, and what is wrong with it is said at once."""

import os
import tomllib

import numpy as np
import pytest

import manyminima as mm
from commands import run

WINE = """
data = "wine"
model = "mlp:4"
epochs = 2
batch-size = 64
split_seed = 1

[recipe]
name = "snapshot"
cycles = 2
peak = 1
"""


@pytest.fixture
def file(tmp_path):
    def written(text):
        path = tmp_path / "experiment.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return written


def test_a_file_is_a_run(file, tmp_path):
    run("train", file(WINE + "floor = 0.5"), "--out", tmp_path / "x")
    about = mm.Snapshots(tmp_path / "x").about
    recipe = {"name": "snapshot", "cycles": 2, "peak": 1.0, "floor": 0.5}
    assert about["recipe"].items() >= recipe.items()
    assert about["data"]["seed"] == 1
    assert about["data"]["training"]["batch_size"] == 64
    told = {"data": "wine", "model": "mlp:4", "recipe": "snapshot", "epochs": 2, "batch_size": 64, "split_seed": 1}
    assert about["data"]["training"]["options"] == told | {"cycles": 2, "peak": 1.0, "floor": 0.5}


def test_what_is_typed_comes_first(file, tmp_path):
    run("train", file(WINE), "--epochs", 3, "--cycles", 3, "--out", tmp_path / "x")
    about = mm.Snapshots(tmp_path / "x").about
    assert (about["epochs"], about["recipe"]["cycles"], about["recipe"]["peak"]) == (3, 3, 1.0)


def test_another_recipe_leaves_the_options_of_the_file_s(file, tmp_path):
    run("train", file(WINE), "--recipe", "lawa", "--k", 2, "--out", tmp_path / "x")
    about = mm.Snapshots(tmp_path / "x").about
    assert about["recipe"] == {"name": "lawa", "k": 2}
    assert "cycles" not in about["data"]["training"]["options"]


def test_a_training_that_is_asked_for_in_another_way_is_the_same(file, tmp_path):
    run("train", file(WINE), "--out", tmp_path / "x")
    typed = (
        "--data wine --model mlp:4 --epochs 2 --batch-size 64 --split-seed 1 --seed 0 --optimizer sgd --recipe snapshot"
    )
    again = ["train", *typed.split(), "--cycles", "2", "--peak", "1.0", "--out", tmp_path / "x", "--resume"]
    assert "nothing is trained" in run(*again)
    assert "holds a run of another training: the recipe" in run(*again, "--floor", "0.5", status=1)


def test_paths_begin_at_the_file(tmp_path, monkeypatch):
    folder = tmp_path / "experiments"
    folder.mkdir()
    np.savez(folder / "rows.npz", x=np.random.default_rng(0).normal(size=(40, 3)), y=np.arange(40) % 2)
    text = WINE.replace('"wine"', '"rows.npz"').replace("epochs", 'out = "../runs/x"\nepochs')
    (folder / "a.toml").write_text(text)
    monkeypatch.chdir(tmp_path)
    run("train", "experiments/a.toml")
    assert mm.Snapshots("runs/x").about["data"]["training"]["options"]["data"] == os.path.join(
        "experiments", "rows.npz"
    )
    assert "On the 8 test rows" in run("evaluate", "runs/x")


def test_a_recipe_without_options_is_a_text(file, tmp_path):
    text = WINE[: WINE.index("[recipe]")] + 'recipe = "checkpoints"\n'
    run("train", file(text), "--out", tmp_path / "x")
    assert len(mm.Snapshots(tmp_path / "x")) == 2


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("epochs", "epoch", "epoch is no option. Did you mean epochs?"),
        ("cycles", "cycle", "cycle is no option. Did you mean cycles?"),
        ("epochs", "zzz", "zzz is no option. Expected one of augment, batch-size, best,"),
        ("epochs = 2", 'epochs = "two"', "epochs is 'two'. Expected a whole number, such as 5."),
        ("epochs = 2", "epochs = true", "epochs is True. Expected a whole number"),
        ("epochs = 2", "epochs = 2.5", "epochs is 2.5. Expected a whole number"),
        ("peak = 1", 'peak = "high"', "recipe.peak is 'high'. Expected a number, such as 0.1."),
        ('"wine"', "5", 'data is 5. Expected a text in quotes, such as "snapshot".'),
        ("epochs = 2", "epochs = 2\ndrop = [1]", 'drop is [1]. Expected a list of texts, such as ["id"].'),
        ("epochs", "cycles = 3\nepochs", "cycles is an option of the recipe. Write it in the table [recipe]."),
        ("cycles", "seed = 3\ncycles", "seed is no option of a recipe. Write seed above the table [recipe]."),
        ("epochs", "batch_size = 3\nepochs", "is there twice, with - and with _. Leave one of them out."),
        ('name = "snapshot"', "", 'the table [recipe] has no name. Write name = "snapshot" in it.'),
        (
            "epochs = 2",
            "epochs = ",
            'it is no TOML: Invalid value (at line 4, column 10). Write lines such as data = "digits".',
        ),
        ("epochs = 2", "debug = true", "debug is no option."),
    ],
)
def test_what_is_wrong_is_named_with_file_and_key(file, tmp_path, old, new, message):
    assert old in WINE
    path = file(WINE.replace(old, new, 1))
    text = run("train", path, "--out", tmp_path / "x", status=2)
    assert f"Invalid value for '{path}':" in text
    assert message in text
    assert not (tmp_path / "x").exists()


def test_no_file_and_no_text(tmp_path):
    assert "there is no such file. Expected one with data, model" in run("train", tmp_path / "x.toml", status=2)
    assert "it cannot be read" in run("train", tmp_path, status=2)


def test_what_a_file_leaves_out_is_still_needed(file):
    assert "Missing option '--epochs'" in run("train", file(WINE.replace("epochs = 2", "")), status=2)
    assert "the recipe snapshot needs --cycles" in run("train", file(WINE.replace("cycles = 2", "")), status=2)


def test_the_file_in_the_documentation_is_one(file):
    from pathlib import Path

    page = (Path(__file__).parents[1] / "docs" / "command_line.md").read_text()
    (text,) = (block.partition("```")[0] for block in page.split("```toml\n")[1:])
    assert tomllib.loads(text)["recipe"]["name"] == "snapshot"
    assert "Missing" not in run("train", file(text), "--out", file(text), status=1)
