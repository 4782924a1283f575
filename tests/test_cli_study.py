"""`manyminima study` as it is typed."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from typer.testing import CliRunner

from manyminima.cli import app

# Keras 3.15 asks NumPy 2 for a copy in a way that NumPy is giving up, whenever it turns a variable into an array.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

STUDY = ["study", "--data", "wine", "--model", "mlp:8", "--epochs", "2", "--seeds", "2"]


def run(*arguments, status=0):
    result = CliRunner(env={"COLUMNS": "160", "TERM": "dumb"}).invoke(app, [str(a) for a in arguments])
    assert result.exit_code == status, result.output + repr(result.exception)
    return " ".join(result.output.replace("│", " ").split())


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
    assert run(*command) == text
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "s" / "parts").iterdir()} == kept
    numbers = json.loads((tmp_path / "s" / "report.json").read_text())
    assert len(numbers["rows"]) == 5
    assert "<h1>" in (tmp_path / "s" / "study.html").read_text()
    assert "holds a study with another epochs" in run(*command[:6], "3", *command[7:], status=1)


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
        (["--recipes", "snapshoot"], "no method 'snapshoot'", 1),
        (["--peaks", "0.1,big"], "expected numbers with commas between", 2),
        (["--optimizer", "adagrad"], "no optimizer 'adagrad'", 2),
        (["--seeds", "1"], "Invalid value for '--seeds'", 2),
    ],
)
def test_errors_come_at_once(options, message, status, tmp_path):
    assert message in run(*STUDY, *options, "--out", tmp_path / "s", status=status)
    assert not (tmp_path / "s").exists()
