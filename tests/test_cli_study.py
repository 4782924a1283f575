"""`manyminima study` as it is typed."""

import json
import os
import shlex
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from commands import run
from manyminima.cli.study_next import command_of
from manyminima.comparison.results import Row

# Keras 3.15 asks NumPy 2 for a copy in a way that NumPy is giving up, whenever it turns a variable into an array.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

STUDY = ["study", "--data", "wine", "--model", "mlp:8", "--epochs", "2", "--seeds", "2"]
# A shell's background jobs, of which the tests may be one, start deaf to Ctrl-C.
_LISTENING = """
import signal
from manyminima.cli import main

signal.signal(signal.SIGINT, signal.default_int_handler)
main()
"""


def test_a_study_answers_and_goes_on_where_it_stopped(tmp_path):
    command = [
        *STUDY,
        "--recipes",
        "snapshot:cycles=2,floor=0.001,lawa:k=2",
        "--peaks",
        "0.01,0.1",
        "--out",
        tmp_path / "s",
    ]
    text = run(*command)
    for words in ("snapshot:cycles=2,floor=0.001", "lawa:k=2", "deep-ensemble:members=2", "over 2 seeds", "✓ better"):
        assert words in text.replace("Over", "over")
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "s" / "parts").iterdir()}
    assert "To train" in text
    trained = "Next: manyminima train --data wine --model mlp:8 --batch-size 32 --optimizer sgd --recipe "
    assert trained in text or "Next: mm.train with replicas=2" in text  # whichever two seeds make the best
    said = f"Going on: {tmp_path / 's'} holds {len(kept)} finished parts of this study. "
    assert run(*command).replace(said, "") == text
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "s" / "parts").iterdir()} == kept
    numbers = json.loads((tmp_path / "s" / "report.json").read_text())
    assert len(numbers["rows"]) == 5
    assert "<h1>" in (tmp_path / "s" / "study.html").read_text()
    assert "holds another study: epochs 2, not 3" in run(*command[:6], "3", *command[7:], status=1)


@pytest.mark.skipif(os.environ["KERAS_BACKEND"] != "jax", reason="parts are the same files, and come slower")
def test_a_study_that_is_killed_goes_on_where_it_stopped(tmp_path):
    command = [*STUDY, "--recipes", "swa,deep-ensemble:members=2", "--peaks", "0.03,0.1", "--out"]
    parts = tmp_path / "killed" / "parts"
    process = subprocess.Popen(
        [sys.executable, "-m", "manyminima", *command, tmp_path / "killed"], stderr=subprocess.DEVNULL
    )
    while len(list(parts.glob("*.npz"))) < 2 and process.poll() is None:
        time.sleep(0.01)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    kept = {path: path.stat().st_mtime_ns for path in parts.glob("*.npz")}
    run(*command, tmp_path / "killed")
    run(*command, tmp_path / "whole")
    assert len(kept) >= 2
    assert all(path.stat().st_mtime_ns == time for path, time in kept.items())
    rows = [json.loads((tmp_path / name / "report.json").read_text())["rows"] for name in ("killed", "whole")]
    for ours, theirs in zip(*rows, strict=True):
        assert ours["peak"] == theirs["peak"]
        np.testing.assert_allclose(ours["scores"]["nll"], theirs["scores"]["nll"], rtol=1e-4)


@pytest.mark.parametrize(
    ("options", "message", "status"),
    [
        (["--recipes", "snapshoot"], "no method 'snapshoot'. Did you mean snapshot?", 1),
        (["--recipes", ""], "there are no recipes to compare", 1),
        (["--recipes", "swa,swa"], "'swa' and 'swa' are the same method", 1),
        (["--peaks", "0.1,0"], "expected one learning rate above 0", 1),
        (["--peaks", "0.1,0.1"], "a peak is there twice", 1),
        (["--html", "/dev/null/x.html"], "'/dev/null' is a file", 1),
        (["--peaks", "0.1,big"], "expected numbers with commas between", 2),
        (["--optimizer", "adagrad"], "no optimizer 'adagrad'", 2),
        (["--seeds", "1"], "Invalid value for '--seeds'", 2),
    ],
)
def test_errors_come_at_once(options, message, status, tmp_path):
    assert message in run(*STUDY, *options, "--out", tmp_path / "s", status=status)
    assert not (tmp_path / "s").exists()


def test_ctrl_c_says_what_is_kept(tmp_path):
    out = tmp_path / "stopped"
    command = [*STUDY, "--recipes", "swa,deep-ensemble:members=2", "--peaks", "0.03,0.1", "--out", out]
    process = subprocess.Popen(
        [sys.executable, "-c", _LISTENING, *map(str, command)], stderr=subprocess.PIPE, text=True
    )
    while not list((out / "parts").glob("*.npz")) and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate()
    assert process.returncode == 130
    parts = len(list((out / "parts").glob("*.npz")))
    assert f"{parts} parts of the study are finished, in {out}: the same command goes on from there." in said


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("single", "--recipe snapshot --cycles 1 --peak 0.03 --epochs 60"),
        ("snapshot:cycles=5,update=epoch", "--recipe snapshot --cycles 5 --update epoch --peak 0.03 --epochs 60"),
        ("ema:decay=0.99", "--recipe ema --decay 0.99 --rate 0.03 --epochs 60"),
        ("constant", "--recipe checkpoints --last 1 --rate 0.03 --epochs 60"),
    ],
)
def test_the_next_command_is_one(name, command):
    row = Row(name, 0.03, 60, 1, {}, {})
    asked = {"data": "my data.csv", "model": "mlp", "target": None, "drop": ["a", "b"]}
    found = command_of(row, asked)
    assert found == f"manyminima train --data 'my data.csv' --model mlp --drop a --drop b {command}"
    options = shlex.split(found)[2:]
    for option in filter(lambda word: word.startswith("--"), options):
        assert option in run("train", "--help")


def test_a_deep_ensemble_is_trained_in_python():
    row = Row("deep-ensemble:members=5", 0.03, 12, 5, {}, {}, recipe="mm.train with replicas=5")
    assert command_of(row, {"data": "blobs"}) == "mm.train with replicas=5"
