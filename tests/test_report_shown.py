"""A report in the terminal, as JSON, as a page and in a notebook."""

import dataclasses
import html
import json
import re
import subprocess
import sys

import numpy as np
import pytest
from rich.console import Console

from cases import ABOUT, members_of, noisy
from manyminima.combination import Combination
from manyminima.reporting import terminal, ways
from manyminima.reporting.report import report

Y = np.random.default_rng(0).integers(3, size=200)
GOOD = noisy(Y, [1.5, 1.5, 1.5])


def test_text():
    text = str(report(Y, GOOD, run=ABOUT))
    for words in ("better in NLL", "accuracy % ↑".replace("% ", "%\N{NO-BREAK SPACE}"), "step 600", "ensemble of 3"):
        assert words in text
    for words in ("members, mean", "± standard deviation", "oldest first", "snapshot(cycles=3, peak=0.1)", "jax"):
        assert words in text
    assert "\x1b" not in text
    assert max(map(len, text.splitlines())) <= 110


def test_markup_in_names_is_text():
    about = {"path": "runs/[bold]x[/bold]", "members": [{"step": f"[red]{n}"} for n in range(3)]}
    text = str(report(Y, GOOD, run=about))
    assert "[bold]x[/bold]" in text
    assert "step [red]2" in text


def test_rich_console_prints_it(capsys):
    Console(width=100).print(report(Y, GOOD))
    assert "ensemble of 3" in capsys.readouterr().out


def test_dict_and_json_are_the_same_plain_data(tmp_path):
    result = report(Y, GOOD, run=ABOUT)
    path = result.to_json(tmp_path / "new" / "report.json")
    data = json.loads(path.read_text(encoding="utf-8"), parse_constant=pytest.fail)
    assert data == result.to_dict()
    assert data["ensemble"] == result.ensemble
    assert data["metrics"]["nll"]["better"] == "lower"
    assert data["about"]["members"][0]["logs"]["val_loss"] is None


def test_json_takes_numbers_of_numpy(tmp_path):
    about = {"collect": np.array([1, 2]), "data": {"seed": np.int64(3), "path": tmp_path}}
    assert report(Y, GOOD, run=about).to_dict()["about"] == {
        "collect": [1, 2],
        "data": {"seed": 3, "path": str(tmp_path)},
    }


def test_page_stands_alone_and_escapes(tmp_path):
    result = report(Y, GOOD, run=ABOUT)
    page = result.to_html(tmp_path / "report.html").read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>")
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert not re.findall(r"""(?:src|href)=["'](?!data:)""", page)
    assert "http:" not in re.sub(r"data:[^\"]+", "", page)
    assert html.escape(result.verdict.headline) in page
    assert page.index(html.escape(result.verdict.headline)) < page.index("<table>")
    alts = re.findall(r'<img src="data:image/svg\+xml;base64,[^"]+" alt="([^"]+)"', page)
    assert (
        len(alts) == page.count("<img") == 8
    )  # rates, score by size in two metrics, two of pairs, reliability, doubt, confusion
    assert "prefers-color-scheme: dark" in page
    assert "viewport" in page


def test_page_is_the_same_every_time():
    result = report(Y, GOOD)
    assert result._repr_html_() == result._repr_html_()


def test_notebooks_get_a_part_of_a_page():
    part = report(Y, GOOD)._repr_html_()
    assert part.startswith('<div class="manyminima">')
    assert "<html" not in part
    assert all(
        line.startswith((".manyminima", "@media", " ", "<", "}")) for line in part.split("</style>")[0].splitlines()
    )


def test_unwritable_path(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        report(Y, GOOD).to_json(tmp_path / "file" / "report.json")


def test_report_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        report(Y, GOOD).task = "binary"  # pyright: ignore


def test_nothing_after_training_imports_keras():
    program = """
import sys, tempfile
import numpy as np
import manyminima.arrays
from manyminima import combine, diversity, metrics, plots, selection
import manyminima as mm
result = mm.report([0, 1, 1], np.full((2, 3, 2), 0.5), run={"lr_curve": {"steps": [0, 1], "rates": [0.1, 0.0]}})
print(result)
result.to_html(tempfile.mkdtemp() + "/report.html")
plots.correlation(np.full((2, 3, 2), 0.5))
found = {"keras", "jax", "torch", "tensorflow", "matplotlib.pyplot"} & set(sys.modules)
assert not found, found
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


# --- with what was fitted and chosen

every_task = pytest.mark.parametrize("task", ["multiclass", "binary", "multilabel", "dense", "regression"])
IMAGES = np.random.default_rng(0).uniform(size=(150, 8, 8))


def full(task="multiclass"):
    y, probs, validation = *members_of(0, task=task), members_of(1, task=task)
    found = Combination.fit(*validation, "fitted", "none" if task == "regression" else "temperature")
    x = IMAGES if task in ("multiclass", "binary") else None
    return report(y, probs, validation=validation, combination=found, x=x)


@every_task
def test_json_has_no_images_and_nothing_that_is_no_number(task, tmp_path):
    result = full(task)
    data = json.loads(result.to_json(tmp_path / "r.json").read_text(encoding="utf-8"), parse_constant=pytest.fail)
    assert data == result.to_dict()
    assert "images" not in data
    assert [way["coefficients"] for way in data["ways"]["ways"]] == [list(way.coefficients) for way in result.ways.ways]
    assert data["mixed"]["label"] == result.mixed.label
    assert (data["doubt"] is None) == (task == "regression")


def test_the_page_is_the_same_every_time():
    first, second = full(), full()
    assert first == second
    assert first._repr_html_() == second._repr_html_()


@pytest.mark.parametrize("task", ["binary", "regression"])
def test_the_page_says_it(task):
    page = full(task)._repr_html_()
    for said in ("What to ship", "fitted coefficients", "Ways to combine the members, fitted on"):
        assert said in page
    assert ("How far to trust it" in page) == (task != "regression")
    assert ("How often two members predict different classes" in page) == (task != "regression")


@pytest.mark.parametrize("columns", ["80", "120"])
@every_task
def test_the_terminal_shows_whole_numbers(task, columns, monkeypatch):
    monkeypatch.setenv("COLUMNS", columns)
    result = full(task)
    text = terminal.text(result)
    assert max(map(len, text.splitlines())) <= int(columns)
    table = text[text.index("Ways to combine") :]
    for way in result.ways.ways:
        row = next(line for line in table.splitlines() if line.startswith(way.name))
        numbers = row[len(way.name) :].split()
        assert numbers[0] == str(way.members)
        assert "…" not in row
        if task != "regression":
            assert numbers[-2] == f"{way.calibrated['nll']:.4f}"
    assert "Coefficients: member 1 0." in text


def test_names_are_no_markup():
    members = [{"step": f"[red]{n}"} for n in range(4)]
    result = report(
        *members_of(0), validation=members_of(1), run={"members": members, "data": {"classes": ["[b]", "1", "2", "3"]}}
    )
    assert "last member: step [red]3" in str(result)
    assert "[b]" in str(result)


def test_the_shipped_way_is_said_with_its_cost():
    text = " ".join(str(report(*members_of(0), validation=members_of(1))).split())
    assert re.search(r"Best NLL at any cost: .* \(\d models, temperature [\d.]+\): NLL [\d.]+ nats, accuracy", text)
    assert re.search(r"Best single model, at the cost of one: .*\(1 model, temperature", text)
    assert "every score here is of the 150, which took no part in it" in text
    assert ways.GOALS[0] == "best accuracy"
