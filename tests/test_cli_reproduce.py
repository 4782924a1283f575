"""A run tells how to repeat it, and the command, the program and the file that it prints do so bit for bit."""

import ast
import math
import os
import shlex
import subprocess
import sys
import tomllib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

import manyminima as mm
from cases import ABOUT, RECIPES
from manyminima.cli import app
from manyminima.reporting import reproduce

DIGITS = "--data digits --model mlp:16 --epochs 2 --recipe snapshot --cycles 2 --peak 0.1 --batch-size 128 --seed 3"
MORE = "--limit 500 --best val_loss --optimizer nesterov"


def run(*arguments, status=0):
    result = CliRunner(env={"COLUMNS": "200", "TERM": "dumb"}).invoke(app, [str(a) for a in arguments])
    assert result.exit_code == status, result.output + repr(result.exception)
    return result


def assert_same_members(one, two):
    one, two = mm.Snapshots(one), mm.Snapshots(two)
    assert [member.step for member in one.members] == [member.step for member in two.members]
    for ours, theirs in zip(one, two, strict=True):
        for a, b in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    out = tmp_path_factory.mktemp("digits") / "first run"
    run("train", *DIGITS.split(), *MORE.split(), "--out", out)
    return out


def test_the_command_repeats_it(digits, tmp_path):
    line = run("show", digits, "--command").stdout.strip()
    backend, *words = shlex.split(line)
    assert backend == f"KERAS_BACKEND={os.environ['KERAS_BACKEND']}"
    assert words[:2] == ["manyminima", "train"]
    assert words[-2:] == ["--out", f"{digits}-again"]
    run(*words[1:], "--out", tmp_path / "again")
    assert_same_members(digits, tmp_path / "again")
    assert mm.Snapshots(digits).about["data"] == mm.Snapshots(tmp_path / "again").about["data"]


def test_the_file_repeats_it(digits, tmp_path):
    text = run("show", digits, "--toml").stdout
    assert tomllib.loads(text)["recipe"] == {"name": "snapshot", "cycles": 2, "peak": 0.1}
    (tmp_path / "x.toml").write_text(text)
    run("train", tmp_path / "x.toml", "--out", tmp_path / "again")
    assert_same_members(digits, tmp_path / "again")


def test_the_program_repeats_it_in_a_process_of_its_own(digits, tmp_path):
    program = run("show", digits, "--python").stdout
    assert f'os.environ["KERAS_BACKEND"] = "{os.environ["KERAS_BACKEND"]}"' in program
    subprocess.run([sys.executable, "-c", program.replace(f"{digits}-again", "again")], cwd=tmp_path, check=True)
    assert_same_members(digits, tmp_path / "again")
    assert "best.safetensors" in os.listdir(tmp_path / "again")
    run("evaluate", tmp_path / "again")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with images and tables, in which commands run."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    y = np.arange(60) % 2
    np.savez("images.npz", x=(rng.random((60, 8, 8, 1)) * 255).astype("uint8"), y=y)
    lines = [
        f"{a:.3f},{'red' if b > 0 else 'blue'},{i},{100 * a + b:.3f}"
        for i, (a, b) in enumerate(rng.normal(size=(60, 2)))
    ]
    (tmp_path / "rows.csv").write_text("\n".join(["size,colour,extra,price", *lines]) + "\n")
    return tmp_path


IMAGES = "--data images.npz --model cnn --augment flip --cutout 2 --weight-decay 0.001"
OTHERS = {
    "images": f"{IMAGES} --label-smoothing 0.1 --recipe swa --peak 0.05 --start 0.0",
    "half precision": "--data wine --model mlp:4 --precision mixed_bfloat16 --recipe lawa --k 2",
    "regression": "--data rows.csv --target price --drop extra --model mlp:4 --rate 0.01 --recipe checkpoints --split-seed 1",
    "decay": "--data wine --model mlp:4 --weight-decay 0.01 --recipe polyak --last 2 --optimizer adamw",
}


@pytest.mark.parametrize("name", OTHERS)
def test_the_program_repeats_other_runs(name, folder):
    run("train", *OTHERS[name].split(), "--epochs", "2", "--out", "first")
    program = reproduce.program(mm.Snapshots("first").about)
    exec(compile(program, "again.py", "exec"), {})
    assert_same_members("first", "first-again")


def test_a_run_of_a_program_says_what_is_known():
    program = reproduce.program(ABOUT)
    assert "mm.recipes.snapshot(cycles=3, peak=0.1)" in program
    assert 'it was called "mlp", with 12345 parameters' in program
    assert "epochs=12" in program
    assert reproduce.command(ABOUT) is None
    assert reproduce.experiment(ABOUT) is None


def test_show_says_what_there_is_instead(tmp_path):
    run_ = mm.Snapshots(tmp_path / "x")
    run_.add([np.zeros(2, "float32")], 1)
    message = run("show", run_.path, "--command", status=1).stderr
    assert f"manyminima show {run_.path} --python for what is known." in message
    assert "mm.Collect" in run("show", run_.path, "--python").stdout


@pytest.mark.parametrize(("name", "arguments", "_"), RECIPES)
def test_every_recipe_is_called_as_it_was(name, arguments, _):
    made = getattr(mm.recipes, name)(**arguments)
    recorded = {"name": name, **vars(made)}
    line = next(line for line in reproduce.program({"recipe": recorded}).splitlines() if line.startswith("recipe = "))
    assert eval(line.removeprefix("recipe = "), {"mm": mm}) == made


words = st.text(max_size=12)
values = words | st.integers() | st.floats(allow_nan=False) | st.none() | st.booleans() | st.lists(words, max_size=2)
OPTIONS = {"data": "digits", "model": "mlp", "recipe": "snapshot", "epochs": 2, "cycles": 5}


@given(st.dictionaries(words, values, max_size=3), st.dictionaries(words, values, max_size=3), words, words, values)
def test_what_a_stranger_wrote_stays_in_quotes(optimizer, more, path, name, value):
    """Whatever a run says of itself, the program is the same statements, and the command the same words."""
    plain = {
        "path": "x",
        "recipe": {"name": "own"},
        "optimizer": {"class": "SGD"},
        "model": {"name": "m", "parameters": 1},
    }
    strange = {**plain, "path": path, "recipe": {"name": name, **more}, "optimizer": {"class": name, **optimizer}}
    strange["model"] = {"name": path, "parameters": 1}
    assert kinds(strange) == kinds(plain)
    recipe = {"name": "snapshot", "cycles": 5}
    options = OPTIONS | {"data": path or "x", "target": value}
    ours, theirs = ({"recipe": recipe, "data": {"training": {"options": o}}} for o in (options, OPTIONS))
    line = reproduce.command(ours)
    if line is None:  # no option of the command line has such a value
        assert (
            value is None
            or value in (math.inf, -math.inf)
            or not all_printable([path, *(value if isinstance(value, list) else [value])])
        )
        return
    assert kinds(ours) == kinds(theirs)
    assert shlex.split(line)[:4] == ["manyminima", "train", "--data", path or "x"]
    found = tomllib.loads(reproduce.experiment(ours))
    assert (found["data"], found["target"]) == (path or "x", value)


def all_printable(values):
    return all(value.isprintable() for value in values if isinstance(value, str))


def kinds(about):
    return [type(statement).__name__ for statement in ast.parse(reproduce.program(about)).body]
