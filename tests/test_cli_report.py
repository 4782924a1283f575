"""`manyminima report` on files that others wrote, and what `evaluate` fits and keeps beside a run."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from cases import noisy
from commands import run
from manyminima.cli.output import show

RNG = np.random.default_rng(0)
Y = RNG.integers(3, size=80)
P = noisy(Y, [1.0, 2.0, 4.0])


@pytest.fixture
def files(tmp_path, monkeypatch):
    """A folder with members and labels; commands run in it."""
    monkeypatch.chdir(tmp_path)
    np.savez("members.npz", *P)
    np.save("y.npy", Y)
    return tmp_path


REPORT = ["report", "--probs", "members.npz", "--labels", "y.npy"]
SPLIT = ["--validation-share", "0.5"]
FIT = [*SPLIT, "--coefficients", "fitted", "--calibrate", "temperature"]


def numbers(folder):
    return json.loads((folder / "report.json").read_text(), parse_constant=pytest.fail)


def test_a_report_of_arrays(files):
    text = run(*REPORT)
    assert "On 80 examples of members.npz:" in text
    assert "Report: report.html Numbers: report.json" in text
    assert "ensemble of 3" in (files / "report.html").read_text()
    found = numbers(files)
    assert (found["examples"], found["ways"], found["mixed"]) == (80, None, None)


def test_fitted_on_rows_set_apart(files):
    text = run(*REPORT, *FIT, "--html", "new/page.html", "--json", "new/numbers.json")
    for said in ("On 40 examples of members.npz", "Combined with fitted coefficients, temperature", "What to ship"):
        assert said in text
    found = json.loads((files / "new" / "numbers.json").read_text())
    assert (found["examples"], found["ways"]["validation"]) == (40, 40)
    assert found["mixed"]["label"].startswith("fitted coefficients, temperature")


def test_separate_validation_files_are_the_same_as_a_share(files):
    """The rows of `--validation-share` as files of their own give the same numbers."""
    from manyminima.datasets.predictions import read, split

    run(*REPORT, *FIT)
    expected = numbers(files)
    rest, apart = split(read(files / "members.npz", files / "y.npy", None), 0.5)
    for name, part in (("rest", rest), ("apart", apart)):
        np.save(f"{name}.npy", part.probs), np.save(f"y_{name}.npy", part.y)
    own = ["--validation-probs", "apart.npy", "--validation-labels", "y_apart.npy", *FIT[2:]]
    run("report", "--probs", "rest.npy", "--labels", "y_rest.npy", *own)
    found = numbers(files)
    for one in (found, expected):
        del one["doubt"]["examples"]  # their rows are counted in the files
    assert found == expected


def test_rows_are_those_of_the_file(files):
    np.save("x.npy", RNG.uniform(size=(80, 8, 8)))
    run(*REPORT, *SPLIT, "--inputs", "x.npy")
    examples = numbers(files)["doubt"]["examples"]
    assert [one["label"] for one in examples] == [str(Y[one["row"]]) for one in examples]
    assert max(one["row"] for one in examples) > 40
    assert "taken for" in (files / "report.html").read_text()


TASKS = {
    "binary": (Y % 2, noisy(Y % 2, [1, 2], 2), []),
    "multilabel": (np.eye(3)[Y] + np.eye(3)[0] * (Y == 1)[:, None], np.clip(P * 0.9, 0, 1), []),
    "regression": (Y[:, None] * 1.5, P[..., :1] * 2, ["--calibrate", "none"]),
    "segmentation": (Y.reshape(20, 2, 2), P.reshape(3, 20, 2, 2, 3), []),
    "logits": (Y, np.log(P), ["--from-logits"]),
    "one member": (Y, P[:1], []),
    "the same member": (Y, P[[0, 0, 0]], []),
    "one class": (np.zeros_like(Y), P, []),
    "isotonic": (Y, P, ["--calibrate", "isotonic"]),
    "few": (Y[:4], P[:, :4], []),
    "two": (Y[:2], P[:, :2], []),
}


@pytest.mark.parametrize("task", TASKS)
def test_every_task(task, files):
    y, probs, options = TASKS[task]
    np.save("y.npy", y), np.save("p.npy", probs)
    text = run("report", "--probs", "p.npy", "--labels", "y.npy", *FIT, *options, columns="80")
    assert "What to ship" in text
    assert numbers(files)["task"] == (task if task in ("binary", "multilabel", "regression") else "multiclass")
    assert "None" not in text


WRONG = [
    (["--coefficients", "best"], "'best' is none of uniform, fitted, greedy, newest."),
    (["--calibrate", "platt"], "'platt' is none of none, temperature, isotonic."),
    (["--coefficients", "fitted"], "not fitted on the rows they are reported on. Give --validation-probs"),
    (["--validation-probs", "p.npy"], "it takes --validation-probs and --validation-labels together."),
    (["--validation-share", "1.5"], "expected a share between 0 and 1"),
    (["--validation-share", "nan"], "expected a share between 0 and 1"),
    ([*SPLIT, "--validation-probs", "p.npy", "--validation-labels", "y.npy"], "and no validation files beside it"),
]


@pytest.mark.parametrize(("arguments", "says"), WRONG)
def test_wrong_usage_is_status_2_and_reads_nothing(arguments, says, tmp_path):
    none = tmp_path / "none.npy"
    assert says in run("report", "--probs", none, "--labels", none, *arguments, status=2)


def test_errors_are_one_message(files):
    np.save("two.npy", P[:2])
    np.save("y1.npy", Y + 1)
    np.save("nan.npy", np.where(np.arange(80)[:, None] == 71, np.nan, P))
    validation = ["--validation-labels", "y.npy", *FIT[2:], "--validation-probs"]
    for arguments, says in (
        (["--probs", "none.npy"], "Error: there is no file 'none.npy'. Write one with np.save or np.savez."),
        (["--labels", "y1.npy"], "They seem to count from 1: pass y - 1."),
        (["--probs", "nan.npy", *FIT], "Error: probs holds nan in member 0, row 71; predictions must be finite"),
        ([*validation, "members.npz"], "Error: the validation rows are the rows to report on"),
        ([*validation, "two.npy"], "Error: the validation rows have predictions of 2 members, the others of 3."),
        (["--html", "."], "Error: '.' is a directory. Name a file in it: report.html."),
        (["--task", "classes"], "Error: task 'classes' is not known."),
        (["--validation-share", "0.001"], "Error: a share of 0.001 of 80 examples leaves one part empty."),
    ):
        text = run(*REPORT, *arguments, status=1)
        assert says in text
        assert "Traceback" not in text
        assert not (files / "report.json").exists()


def test_paths_are_no_markup(files, capsys):
    from manyminima.reporting.report import report

    show(report(Y, P), "On [red]x[/red]:", files / "[bold]a.html", files / "b.json")
    text = capsys.readouterr().out
    assert "On [red]x[/red]:" in text
    assert "[bold]a.html" in text


def test_arrays_need_no_keras(files):
    program = (
        "import sys; from manyminima.cli import app\n"
        f"try: app({[*REPORT, *FIT]!r})\n"
        "except SystemExit as end: assert not end.code\n"
        "print('HEAVY', {'keras', 'jax', 'torch', 'tensorflow'} & sys.modules.keys())"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.endswith("HEAVY set()\n")


# -- evaluate -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    path = tmp_path_factory.mktemp("runs") / "wine"
    train = ["train", "--data", "wine", "--model", "mlp:8", "--epochs", "6"]
    run(*train, "--recipe", "snapshot", "--cycles", "3", "--peak", "0.1", "--out", path)
    return path


@pytest.mark.parametrize("arguments", [["--coefficients", "best"], ["--calibrate", "platt"]])
def test_evaluate_refuses_unknown_ways_before_reading(arguments, tmp_path):
    assert "is none of" in run("evaluate", tmp_path / "none", *arguments, status=2)


def test_what_evaluate_fits_is_kept_and_used(trained, tmp_path):
    import manyminima as mm

    trained = shutil.copytree(trained, tmp_path / "copy", ignore=shutil.ignore_patterns("analysis"))
    plain = run("evaluate", trained)
    assert "What to ship" in plain
    assert not (trained / "analysis" / "combination.json").exists()
    text = run("evaluate", trained, "--coefficients", "fitted", "--calibrate", "temperature")
    assert "validation rows: fitted coefficients, temperature" in text
    kept = mm.Combination.from_json(trained / "analysis" / "combination.json")
    ensemble = mm.load(trained)
    assert ensemble.combination.label == kept.label
    data = mm.datasets.load("wine")
    members = ensemble.predict_members(data.x_test)
    np.testing.assert_allclose(ensemble.predict(data.x_test), kept(members), atol=1e-6)
    again = run("evaluate", trained)
    assert f"Combined with {kept.label}" in again
    found = json.loads((trained / "analysis" / "report.json").read_text())["mixed"]
    np.testing.assert_allclose(found["coefficients"], kept.selection.coefficients)
    np.testing.assert_allclose(found["calibrated"]["nll"], mm.metrics.nll(data.y_test, kept(members)), rtol=1e-5)
    with pytest.raises(ValueError, match="on_fitting_data=True"):
        mm.report(data.y_val, ensemble.predict_members(data.x_val), run=ensemble)


def test_it_is_fitted_on_the_validation_rows(trained):
    import manyminima as mm

    run("evaluate", trained, "--calibrate", "temperature")
    data, ensemble = mm.datasets.load("wine"), mm.load(trained)
    assert ensemble.combination.selection is None
    expected = mm.calibrate.temperature(data.y_val, mm.combine.mean(ensemble.predict_members(data.x_val)))
    np.testing.assert_allclose(ensemble.combination.calibrator.temperature, expected.temperature, rtol=1e-4)
    assert ensemble.combination.calibrator.data.examples == len(data.y_val)


def test_a_damaged_combination_is_one_message(trained):
    path = trained / "analysis" / "combination.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text("{")
    try:
        text = run("evaluate", trained, "--coefficients", "fitted", status=1)
    finally:
        path.unlink()
    assert "combination.json' is no combination that this version reads" in text
    assert "Delete it, then fit anew" in text
    run("evaluate", trained, "--coefficients", "newest")


# -- what we ship -------------------------------------------------------------------------------------------------------


def test_no_example_of_ours_fits_or_chooses_on_test_rows():
    """Validation is not test: wherever something is fitted or validated, no test rows are named."""
    root = Path(__file__).parents[1]
    files = [root / "README.md", *sorted((root / "examples").glob("*.py")), *sorted((root / "docs").glob("**/*.md"))]
    fits = r"(?:Combination\.fit|fit_coefficients|greedy|greedy_soup|newest|temperature|isotonic|validation(?:_data)?=)"
    found = [call for path in files for call in re.findall(rf"{fits}\([^)]*\)", path.read_text(encoding="utf-8"))]
    assert len(found) > 3
    assert [call for call in found if "test" in call] == []
