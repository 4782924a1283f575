"""What there is to choose from: recipes in words, as pictures, and behind the Tab key; and a Ctrl-C that costs nothing."""

import json
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import manyminima as mm
from commands import run
from manyminima import recipes
from manyminima.cli import app, recipe_docs

SCHEDULE = ["plot", "schedule", "--recipe", "snapshot", "--cycles", "5", "--peak", "0.1", "--epochs", "20"]


# -- recipes -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("columns", ["60", "120"])
def test_every_recipe_is_listed_with_paper_and_options(columns):
    text = run("recipes", columns=columns)
    for name in recipes.__all__:
        for words in (name, recipe_docs.summary(name), *map(recipe_docs.flag, recipe_docs.fields(name))):
            assert " ".join(words.split()) in text
    assert text.count("Huang et al. 2017, Loshchilov & Hutter 2017") == 1
    for options in ("--cycles (needed)", "--decay=0.999", "--every=1"):
        assert options in text


@pytest.mark.parametrize("name", recipes.__all__)
def test_one_recipe_in_full(name):
    text = run("recipes", name)
    for option, field in recipe_docs.fields(name).items():
        assert recipe_docs.meaning(name, option), "an option that the docstring says nothing about"
        assert recipe_docs.meaning(name, option) in text
        assert isinstance(field.default, float) is False or f"{field.default:g}" in text
    assert recipe_docs.example(name) in text
    assert "`" not in text


@pytest.mark.parametrize("name", recipes.__all__)
def test_the_example_of_a_recipe_is_a_command(name, tmp_path):
    """It is right but for its directory, where there is a file."""
    (tmp_path / "x").write_text("")
    words = recipe_docs.example(name).split()[1:]
    assert "'. Choose another" not in run(*words, "--help")
    assert "cannot write to" in run(*words, "--out", tmp_path / "x" / "y", status=1)


def test_an_unknown_recipe():
    assert "no recipe 'swag'. Expected one of checkpoints, cyclic," in run("recipes", "swag", status=2)


def test_lists_import_no_keras():
    code = "import sys; from manyminima.cli import app\ntry: app(['recipes'])\nexcept SystemExit: pass\n"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}print('HEAVY', {{'keras', 'jax', 'torch'}} & sys.modules.keys())"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.endswith("HEAVY set()\n")


# -- plot ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
def test_the_picture_is_of_the_kind_of_its_suffix(tmp_path, suffix):
    path = tmp_path / "new" / f"lr.{suffix}"
    assert f"{path}: 5 members, rates from" in run(*SCHEDULE, "-o", path)
    starts = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}
    assert path.read_bytes().startswith(starts[suffix])
    if suffix == "png":
        with Image.open(path) as picture:
            assert min(picture.size) > 400


def test_what_is_drawn_is_the_plan(tmp_path):
    run(*SCHEDULE, "--steps-per-epoch", 10, "-o", tmp_path / "a.svg", "--json", tmp_path / "a.json")
    found = json.loads((tmp_path / "a.json").read_text())
    plan = recipes.snapshot(cycles=5, peak=0.1).plan(20, 10)
    assert found["collected"] == [40, 80, 120, 160, 200]
    assert found["steps"] == list(range(200))
    np.testing.assert_allclose(found["rates"], [plan.lr(step) for step in range(200)], rtol=1e-12)


def test_a_run_is_drawn_as_it_was(tmp_path):
    train = ["train", "--data", "wine", "--model", "mlp:4", "--epochs", "4", "--out"]
    run(*train, tmp_path / "x", "--recipe", "cyclic", "--cycles", "2", "--peak", "0.1")
    assert "2 members" in run("plot", "run", tmp_path / "x", "-o", tmp_path / "a.png", "--json", tmp_path / "a.json")
    about, found = mm.Snapshots(tmp_path / "x").about, json.loads((tmp_path / "a.json").read_text())
    assert (found["steps"], found["rates"]) == (about["lr_curve"]["steps"], about["lr_curve"]["rates"])
    assert found["collected"] == about["collect"]
    run(*train, tmp_path / "y", "--recipe", "checkpoints")
    message = run("plot", "run", tmp_path / "y", "-o", tmp_path / "b.png", status=1)
    assert "trained with checkpoints, which leaves the optimizer's learning rate alone" in message


@pytest.mark.parametrize(
    ("options", "message", "status"),
    [
        (["-o", "lr.xlsx"], "'lr.xlsx' ends in '.xlsx', which is no kind of picture. Expected one of .", 1),
        (["-o", "lr"], "write lr.png.", 1),
        (["-o", "file/lr.png"], "cannot write to 'file': 'file' is a file. Choose another --out.", 1),
        (["-o", "folder.png"], "'folder.png' is a directory. Name a file in it: folder.png/lr.png.", 1),
        (["-o", "a.png", "--gamma", "1"], "the recipe snapshot does not take --gamma", 2),
        (["-o", "a.png", "--cycles", "90", "--epochs", "1", "--steps-per-epoch", "3"], "has more cycles than", 1),
    ],
)
def test_what_cannot_be_drawn_is_said_at_once(tmp_path, monkeypatch, options, message, status):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    (tmp_path / "folder.png").mkdir()
    assert message in run(*SCHEDULE, *options, status=status)
    assert not (tmp_path / "a.png").exists()


def test_recipes_without_a_rate_are_not_drawn(tmp_path):
    plot = ["plot", "schedule", "--epochs", "9", "-o", tmp_path / "a.png", "--recipe"]
    assert "the recipe ema leaves the learning rate alone" in run(*plot, "ema", status=1)
    assert "a picture needs the highest rate, for example --peak 0.1." in run(*plot, "swa", status=2)


# -- the shell -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("manyminima rep", ["report"]),
        ("manyminima train --recipe s", ["snapshot", "swa"]),
        ("manyminima train --data w", ["wine"]),
        ("manyminima train --model wrn", ["wrn-16-4", "wrn-28-10"]),
        ("manyminima evaluate x --calibrate t", ["temperature"]),
        ("manyminima recipes f", ["fge"]),
        ("manyminima plot s", ["schedule"]),
    ],
)
def test_tab_offers_names(typed, offered):
    words = {"COMP_WORDS": typed, "COMP_CWORD": str(len(typed.split()) - 1), "_MANYMINIMA_COMPLETE": "complete_bash"}
    result = CliRunner(env=words).invoke(app, prog_name="manyminima")
    assert result.stdout.split() == offered


def test_ctrl_c_leaves_a_run_that_loads(tmp_path):
    out, members = tmp_path / "x", tmp_path / "x" / "members"
    command = [
        "train",
        "--data",
        "digits",
        "--model",
        "mlp:8",
        "--recipe",
        "checkpoints",
        "--epochs",
        "3000",
        "--out",
    ]
    # A suite that runs in the background ignores Ctrl-C, and so would the processes that it starts.
    program = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n" + (
        "from manyminima.cli import main; main()"
    )
    process = subprocess.Popen([sys.executable, "-c", program, *command, out], stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while len(list(members.glob("*.safetensors"))) < 3 and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Interrupted. What was written before is complete." in said
    assert "Traceback" not in said
    assert mm.Snapshots(out).problems() == []
    assert len(mm.load(out)) >= 3
    assert "All is well" in run("verify", out)
