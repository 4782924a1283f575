"""The command line, killed by the operating system and started again: the same members and the same report."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time

import manyminima as mm
from commands import run

TRAIN = (
    *("train", "--data", "digits", "--model", "mlp:16", "--recipe", "snapshot", "--cycles", "6", "--peak", "0.1"),
    *("--epochs", "36", "--batch-size", "16", "--best", "val_loss"),
)


def killed_after(path, members):
    """Start the command as a process of its own, and kill it without warning when so many members are there."""
    command = [sys.executable, "-m", "manyminima", *TRAIN, "--out", str(path), "--resume"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=os.environ)
    deadline = time.monotonic() + 240
    while len(list(path.glob("members/r*"))) < members and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    return process.wait()


def arrays_of(path):
    snapshots = mm.Snapshots(path)
    kept = [*snapshots, snapshots.best[1]]
    return [hashlib.sha256(b"".join(array.tobytes() for array in weights)).hexdigest() for weights in kept]


def numbers_of(path):
    run("evaluate", path)
    report = json.loads((path / "analysis" / "report.json").read_text())
    for name in ("about", "run"):
        report.pop(name, None)
    return report


def test_killed_three_times(tmp_path):
    died, whole = tmp_path / "died", tmp_path / "whole"
    assert [killed_after(died, members) for members in (1, 2, 4)] == [-signal.SIGKILL] * 3
    mm.Snapshots(died)[0]  # loads as it is
    text = run(*TRAIN, "--out", died, status=1)
    assert "already holds a run, which is never overwritten: a run that was interrupted: it has" in text
    assert "To go on with it add --resume to the command; to train anew choose another --out" in text

    text = run(*TRAIN, "--out", died, "--resume")
    assert "of 6 members and can go on from step" in text
    assert "member 6/6 at step 2,448, epoch 36" in text
    run(*TRAIN, "--out", whole)
    assert arrays_of(died) == arrays_of(whole)
    assert mm.Snapshots(died).problems() == []
    assert numbers_of(died) == numbers_of(whole)

    text = run(*TRAIN, "--out", died, "--resume")
    assert "holds a finished run of 6 of 6 members: nothing is trained" in text
    assert "member 1/6" not in text
    text = run(*TRAIN, "--out", died, status=1)
    assert f"To judge it type manyminima evaluate {died}; to train anew" in text
    text = run(*TRAIN, "--out", died, "--resume", "--batch-size", "20", status=1)
    assert "holds a run of another training: rows in a batch: 16 there, 20 here" in text
