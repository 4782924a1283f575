"""The examples run as they stand, but for the length of their training, and write what they say."""

import os
import re
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest

from manyminima.datasets.sources import FOLDER

EXAMPLES = Path(__file__).parents[1] / "examples"

_FEWER = {f'        "snapshot:cycles={which}",\n': "" for which in ("5", "25", "10,update=epoch")}

# What is replaced to make them short, what they print, and the picture or page that they write.
EXPECTED = {
    "any_framework": (
        {"(100, ": "(10, ", "(64,), max_iter=300": "(8,), tol=0.01"},
        "coefficients",
        "any_framework.html",
    ),
    "blobs_scatter": ({}, "is written", "blobs_scatter.png"),
    "extensions": (
        {"epochs=500": "epochs=10", "seeds=30": "seeds=2", "0.003, 0.01, 0.03, 0.1": "0.1,", **_FEWER},
        "cyclic:cycles=10",
        "extensions.png",
    ),
    "fashion_mnist": ({}, "fashion-mnist", "fashion_mnist.png"),
    "learning_curves": ({"epochs=200": "epochs=10"}, "accuracy on the test rows", "learning_curves.png"),
    "mlp_snapshot_ensemble": ({"epochs=500": "epochs=20"}, "10: single", "mlp_snapshot_ensemble.png"),
    "own_table": ({"epochs=60,": "epochs=10,"}, "size: category", "own/tumours.csv"),
    "polyak_averages": ({"epochs=500": "epochs=12"}, "exponential", "polyak_averages.png"),
    "readme_picture": ({"epochs=100": "epochs=10"}, "readme.png is written", "../docs/images/readme.png"),
    "regression": ({"epochs=2000": "epochs=8"}, "8 runs, all 32 members", "regression.png"),
    "schedule_plot": ({}, "is written", "schedule_plot.png"),
    "segmentation": (
        {"epochs=60": "epochs=4", "(200,": "(40,", "(100,": "(10,", "(300,": "(20,"},
        "4 snapshots",
        "segmentation.png",
    ),
    "weight_averaging": ({"epochs=500": "epochs=12"}, "exponential: accuracy", "averages.png"),
}
ARGUMENTS = {"fashion_mnist": ["60", "5"]}


@pytest.fixture
def pictures(tmp_path, monkeypatch):
    """Fashion-MNIST with few pictures."""
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (100, 28, 28), np.uint8), np.arange(100) % 10
    np.savez(tmp_path / "fashion_mnist.npz", x_train=images, y_train=labels, x_test=images[:40], y_test=labels[:40])
    monkeypatch.setenv(FOLDER, str(tmp_path))


def test_every_example_is_tried():
    assert {path.stem for path in EXAMPLES.glob("*.py")} == set(EXPECTED)


@pytest.mark.parametrize("name", EXPECTED)
def test_an_example_does_what_it_says(name, tmp_path, monkeypatch, capsys, pictures):
    replaced, printed, written = EXPECTED[name]
    program = (EXAMPLES / f"{name}.py").read_text()
    assert len(program.splitlines()) < 60
    for long, short in replaced.items():
        assert long in program
        program = program.replace(long, short)
    path = tmp_path / "examples" / f"{name}.py"
    path.parent.mkdir()
    path.write_text(program)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [str(path), *ARGUMENTS.get(name, [])])
    runpy.run_path(str(path), run_name="__main__")
    assert printed in capsys.readouterr().out
    assert Path(os.path.normpath(tmp_path / "runs" / written)).stat().st_size > 1000


@pytest.mark.parametrize("name", EXPECTED)
def test_an_example_says_what_it_is_and_chooses_a_backend_first(name):
    program = (EXAMPLES / f"{name}.py").read_text()
    assert re.match(r'"""[A-Z]', program)
    if "import keras" in program:
        assert program.index("KERAS_BACKEND") < program.index("import keras")
