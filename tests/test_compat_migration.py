"""The migration page runs as it stands there, with fewer epochs; and the examples that need no training run."""

import re
import runpy
from pathlib import Path

import pytest
from typer.main import get_command

import manyminima as mm
from manyminima import compat
from manyminima.cli import app
from problems import compiled, data

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "migration.md").read_text()
PROGRAMS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
SHORTER = {r"\b10\b": "3", r"\b200\b": "10", r"\b500\b": "6", r"/ 50\b": "/ 2"}


def run(program, model, folder, monkeypatch):
    for pattern, shorter in SHORTER.items():
        program = re.sub(pattern, shorter, program)
    monkeypatch.chdir(folder)
    (trainX, trainY), (valX, valY), (testX, testY) = (data(40, seed=seed) for seed in (0, 1, 2))
    names = {"model": model, "trainX": trainX, "trainY": trainY, "valX": valX, "valY": valY}
    exec(program, {**names, "testX": testX, "testY": testY, "testy": testY})


@pytest.mark.parametrize("program", PROGRAMS, ids=range(len(PROGRAMS)))
def test_the_programs_run(program, tmp_path, monkeypatch, capsys):
    model = compiled(plain=True)
    run(program, model, tmp_path, monkeypatch)
    assert list(tmp_path.iterdir())


def test_the_page_names_everything_there_is():
    assert compat.__all__ == sorted(compat.__all__)
    assert [name for name in compat.__all__ if name not in PAGE] == []
    assert mm.compat is compat


COMMANDS = get_command(app).commands


@pytest.mark.parametrize("line", re.findall(r"^manyminima .*", PAGE, re.MULTILINE))
def test_the_command_line_has_the_options(line):
    _, command, *rest = line.split()
    known = {option for parameter in COMMANDS[command].params for option in parameter.opts}
    assert {word for word in rest if word.startswith("--")} <= known


@pytest.mark.parametrize("link", re.findall(r"\]\(([^)#]+)\)", PAGE))
def test_the_links_lead_somewhere(link):
    assert (ROOT / "docs" / link).exists()


@pytest.mark.parametrize("name", ["blobs_scatter", "schedule_plot"])
def test_examples_that_need_no_training_run(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(ROOT / "examples" / f"{name}.py"))
    assert (tmp_path / "runs" / f"{name}.png").stat().st_size > 10_000
