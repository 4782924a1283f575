"""`--json` is the same on every command: a file, or with - one object on standard output and nothing beside it."""

import json

import numpy as np
import pytest
import typer.main
from typer.testing import CliRunner

from cases import noisy
from manyminima.cli import app

TRAIN = ["train", "--data", "wine", "--model", "mlp:4", "--epochs", "2", "--recipe", "checkpoints", "--out"]


def commands():
    """Every command that can be typed, by its words."""
    found = typer.main.get_command(app).commands
    plots = {f"plot {name}": command for name, command in found["plot"].commands.items()}
    return {name: command for name, command in found.items() if name != "plot"} | plots


COMMANDS = commands()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a run, its rows, and predictions of another framework."""
    folder = tmp_path_factory.mktemp("json")
    y = np.arange(40) % 3
    np.save(folder / "probs.npy", noisy(y, [1.0, 2.0]))
    np.save(folder / "y.npy", y)
    np.save(folder / "new.npy", np.random.default_rng(0).normal(size=(5, 13)))
    invoke(folder, *TRAIN, "x")
    return folder


def invoke(folder, *arguments, status=0):
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        result = CliRunner(env={"COLUMNS": "200", "TERM": "dumb"}).invoke(app, list(arguments))
    assert result.exit_code == status, result.output + repr(result.exception)
    return result


# The arguments of every command, the keys that its help names, and words that people read beside it.
CASES = {
    "train": ([*TRAIN, "new"], ["run_id", "members", "recipe", "model"], "member 2/2"),
    "evaluate": (
        ["evaluate", "x", "--html", "a.html"],
        ["verdict", "members", "by_size", "about"],
        "On the 36 test rows",
    ),
    "predict": (
        ["predict", "x", "--data", "new.npy", "--out", "p.csv"],
        ["rows", "classes", "disputed"],
        "5 rows of new.npy",
    ),
    "report": (["report", "--probs", "probs.npy", "--labels", "y.npy"], ["verdict", "ensemble"], "On 40 examples"),
    "average": (
        ["average", "x", "-o", "a.keras"],
        ["members", "scores", "soup", "parameters"],
        "a.keras: the average of 2",
    ),
    "study": (
        ["study", *TRAIN[1:7], "--recipes", "swa", "--seeds", "2", "--peaks", "0.1", "--out", "study"],
        ["headline", "rows", "notes"],
        "over 2 seeds",
    ),
    "show": (["show", "x"], ["recipe", "members", "repeat", "problems"], "All files are complete."),
    "verify": (["verify", "x"], ["sound", "problems", "members", "notes"], "All is well: 2 whole members"),
    "recipes": (["recipes"], ["recipes"], "Huang et al. 2017"),
    "plot schedule": (
        ["plot", "schedule", "--recipe", "swa", "--peak", "0.1", "--epochs", "4", "-o", "lr.svg"],
        ["out", "steps", "rates", "collected"],
        "lr.svg: 1 member, rates from 0.02 to 0.1",
    ),
    "plot run": (["plot", "run", "cycles", "-o", "run.png"], ["out", "steps", "rates", "collected"], "2 members"),
}


def test_every_command_has_it_with_an_example_in_its_help():
    assert CASES.keys() == COMMANDS.keys()
    for name, command in COMMANDS.items():
        options = {option: parameter for parameter in command.params for option in parameter.opts}
        for key in CASES[name][1]:
            assert key in options["--json"].help or name == "train"
        assert f"Example: manyminima {name} " in command.help


@pytest.mark.parametrize("name", CASES)
def test_standard_output_is_one_object(folder, name):
    arguments, keys, words = CASES[name]
    if name == "plot run":
        invoke(folder, *TRAIN[:-2], "snapshot", "--cycles", "2", "--peak", "0.1", "--out", "cycles")
    result = invoke(folder, *arguments, "--json", "-")
    found = json.loads(result.stdout, parse_constant=pytest.fail)
    assert found.keys() >= set(keys)
    assert words in " ".join(result.stderr.split()).replace("Over", "over")


def test_a_file_leaves_standard_output_to_people(folder):
    result = invoke(folder, "show", "x", "--json", "new/about.json")
    found = json.loads((folder / "new" / "about.json").read_text())
    assert "All files are complete." in result.stdout
    assert found["repeat"]["command"].endswith("--out x-again")
    assert [member["step"] for member in found["members"]] == [4, 8]


def test_errors_stay_on_standard_error_with_their_status(folder):
    result = invoke(folder, "show", "gone", "--json", "-", status=1)
    assert result.stdout == ""
    assert "'gone' holds no run" in result.stderr
    assert invoke(folder, "recipes", "gone", "--json", "-", status=2).stdout == ""


@pytest.mark.parametrize("name", CASES)
def test_a_place_that_cannot_be_written_is_refused_before_any_work(folder, name):
    arguments = CASES[name][0]
    message = invoke(folder, *arguments, "--json", "y.npy/x.json", status=1).stderr
    assert "cannot write to 'y.npy': 'y.npy' is a file. Choose another --json." in " ".join(message.split())
    message = invoke(folder, *arguments, "--json", ".", status=1).stderr
    assert "'.' is a directory. Name a file in it: report.json." in " ".join(message.split())


def test_a_damaged_run_is_status_1_and_still_told(folder, tmp_path):
    import shutil

    copy = shutil.copytree(folder / "x", tmp_path / "copy")
    member = copy / "members" / "r000-s00000004.safetensors"
    member.write_bytes(member.read_bytes()[:-8])
    for command in ("show", "verify"):
        found = json.loads(invoke(tmp_path, command, "copy", "--json", "-", status=1).stdout)
        assert "r000-s00000004.safetensors" in str(found["problems"])
