"""Runs that earlier versions wrote are read to the same values."""

import json
import shutil
from pathlib import Path

import numpy as np

import manyminima as mm
from manyminima.runs.verify import inspect

FORMAT1 = Path(__file__).parent / "data" / "format1"


def test_format_1():
    told = json.loads((FORMAT1 / "told.json").read_text())
    x = np.array(told["x"], "float32")
    ensemble, run = mm.load(FORMAT1 / "run"), mm.Snapshots(FORMAT1 / "run")
    assert [m.step for m in run.members] == told["steps"]
    assert [m.hash for m in run.members] == told["hashes"]
    assert [m.logs for m in run.members] == told["logs"]
    assert run.best[0].step == told["best"]
    np.testing.assert_allclose(ensemble.predict_members(x), told["probs"], atol=1e-6)
    np.testing.assert_allclose(ensemble.predict(x), told["combined"], atol=1e-6)
    assert ensemble.about["task"] == "multiclass"
    found = inspect(FORMAT1 / "run")
    assert found.sound, found.problems
    assert not found.notes


def test_format_1_without_its_index(tmp_path):
    run = shutil.copytree(FORMAT1 / "run", tmp_path / "run")
    (run / "index.json").unlink()
    assert mm.Snapshots(run).members == mm.Snapshots(FORMAT1 / "run").members
