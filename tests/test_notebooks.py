"""What notebooks show: a part of a page that needs nothing else and leaves the notebook's own style alone; and short reprs."""

import dataclasses
import subprocess
import sys

import numpy as np
import pytest

import manyminima as mm
from cases import RECIPES, members_of
from page_checks import problems, read
from problems import compiled, data

X, Y = data(64)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    path = tmp_path_factory.mktemp("runs") / "<b>x"
    collect = mm.Collect(mm.recipes.snapshot(cycles=3, peak=0.1), into=path, resume=True)
    compiled(plain=True).fit(
        X, Y, batch_size=32, epochs=6, validation_data=(X[:20], Y[:20]), verbose=0, callbacks=[collect]
    )
    return mm.Snapshots(path)


def checked(shown) -> str:
    """The text of what a notebook shows."""
    part = shown._repr_html_()
    assert part == shown._repr_html_()
    assert part.startswith('<div class="manyminima">')
    assert problems(part) == []
    style = part.partition("<style>")[2].partition("</style>")[0]
    selectors = [line for line in style.splitlines() if "{" in line and not line.startswith("@")]
    assert selectors
    for line in selectors:
        assert line.strip().startswith(".manyminima")
    assert "\n" not in repr(shown)
    return read(part).text


def test_a_run(run):
    text = checked(run)
    for said in ("<b>x", "snapshot(cycles=3, peak=0.1", "step 12", "val_loss", "net, ", "SGD(momentum=0.9)"):
        assert said in text
    assert repr(run) == f"Snapshots({str(run.path)!r})"


def test_an_ensemble(run):
    ensemble = mm.load(run)
    text = checked(ensemble)
    assert repr(ensemble) in text
    assert len(repr(ensemble)) < 100
    assert run._repr_html_().count("<img") == ensemble._repr_html_().count("<img") == 1
    newest = [checked(ensemble[-n:]).rpartition("collected after")[2] for n in (1, 2)]
    assert ["step 12" in members for members in newest] == [True, True]
    assert ["step 8" in members for members in newest] == [False, True]


def test_an_ensemble_of_lists_has_nothing_to_tell_but_itself():
    model = compiled(plain=True)
    ensemble = mm.Ensemble(model, [model.get_weights()] * 2)
    assert repr(ensemble) in checked(ensemble)


def test_a_run_that_is_not_there_yet_or_damaged(run, tmp_path):
    assert "holds no run" in checked(mm.Snapshots(tmp_path / "none"))
    (tmp_path / "run.json").write_text("{")
    assert "run.json" in checked(mm.Snapshots(tmp_path))


def test_many_members_are_shown_by_the_newest(tmp_path):
    from manyminima.reporting.notebook import _members

    members = [
        {"step": n, "epoch": n / 2, "replica": n % 2, "logs": {"loss": 1 / n, "kind": None}} for n in range(1, 101)
    ]
    table = _members(members)
    assert [len(table.rows), table.rows[-1][0]] == [20, "replica 0, step 100"]
    assert table.notes == ("The newest 20 of 100 members.",)


def test_epochs_are_told_by_the_run(run):
    history = run.about["history"]
    assert [one["epoch"] for one in history] == [1, 2, 3, 4, 5, 6]
    assert {"loss", "val_loss", "accuracy", "learning_rate"} <= history[0]["logs"].keys()
    assert history[-1]["logs"]["loss"] == run.members[-1].logs["loss"]


@pytest.mark.parametrize(("name", "arguments"), [(name, arguments) for name, arguments, _ in RECIPES])
def test_recipes(name, arguments):
    recipe = getattr(mm.recipes, name)(**arguments)
    text = checked(recipe)
    assert name in text
    for argument, value in arguments.items():
        assert argument in text
        assert repr(value) in text
    assert ("<img" in recipe._repr_html_()) == (recipe.plan(60, 20).lr is not None if "peak" in arguments else False)
    assert "_repr_html_" not in {field.name for field in dataclasses.fields(recipe)}


def test_recipes_without_a_peak_or_that_do_not_fit():
    text = checked(mm.recipes.snapshot(cycles=5))
    assert "as a share of the peak" in text
    assert "more cycles than" in checked(mm.recipes.snapshot(cycles=5000))


def test_epochs_are_counted_as_members_are_from_the_start_of_this_fit(tmp_path):
    collect = mm.Collect(mm.recipes.snapshot(cycles=2, peak=0.1), into=tmp_path / "run", resume=True)
    compiled(plain=True).fit(X, Y, batch_size=32, initial_epoch=3, epochs=7, verbose=0, callbacks=[collect])
    known = mm.Snapshots(tmp_path / "run").about
    assert [one["epoch"] for one in known["history"]] == [1, 2, 3, 4]
    assert [one["epoch"] for one in known["members"]] == [2, 4]
    assert known["history"][1]["logs"]["loss"] == known["members"][0]["logs"]["loss"]


def test_a_report_is_short_in_one_line():
    result = mm.report(*members_of(0), validation=members_of(1))
    checked(result)
    assert repr(result).startswith("Report(4 members, 150 examples, multiclass: ")
    assert len(repr(result)) < 200


def test_nothing_heavy_is_imported_for_the_classes():
    program = "import sys, manyminima.recipes; print({'keras', 'matplotlib', 'jinja2', 'sklearn'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize("damage", ["link", "cut", "text", "numbers"])
def test_a_history_that_cannot_be_read_is_none(run, tmp_path, damage):
    """It is for pictures only: what is wrong with the state is said where it is needed."""
    import shutil

    from safetensors.numpy import save_file

    from manyminima.runs import resume

    (tmp_path / "resume").mkdir()
    file = tmp_path / "resume" / "state.safetensors"
    source = run.path / "resume" / "state.safetensors"
    states = {"text": "{", "numbers": '{"first_epoch": 0, "history": {"epoch": [0, 1], "logs": {"loss": [1]}}}'}
    if damage == "link":
        file.symlink_to(source)
    elif damage == "cut":
        file.write_bytes(source.read_bytes()[:200])
    else:
        save_file({"0": np.zeros(1)}, file, metadata={"state": states[damage]})
    assert resume.history(tmp_path) == []
    file.unlink()
    shutil.copy(source, file)
    assert len(resume.history(tmp_path)) == 6
