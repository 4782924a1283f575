"""A run as an object: named once, at the same place wherever the process goes, sliced, copied and pickled."""

import copy
import pickle

import numpy as np
import pytest

import manyminima as mm
from manyminima.runs.format import Member, member_file, write_member
from problems import assert_same, compiled
from runs_of_100 import fit


def test_a_run_is_where_it_began_whichever_the_working_directory(tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    run = mm.Snapshots("run")
    run.add([np.ones(2)], 1)
    monkeypatch.chdir("elsewhere")
    run.add([np.ones(2)], 2)
    assert len(run) == 2
    assert repr(run) == "Snapshots('run')"
    assert run.about["path"] == "run"
    assert list((tmp_path / "elsewhere").iterdir()) == []


@pytest.mark.parametrize("path", ["", "a\0b", b"run"])
def test_what_names_no_directory(path):
    with pytest.raises(ValueError, match=r'names no directory: write mm.Snapshots\("runs/x"\), or into="runs/x"'):
        mm.Snapshots(path)


def test_a_slice_is_a_list_of_weights(tmp_path):
    run = mm.Snapshots(tmp_path / "run")
    for step in (1, 2, 3):
        run.add([np.full(2, step)], step)
    assert len(run[1:]) == 2
    for found, expected in zip(run[1:], list(run)[1:], strict=True):
        assert_same(found, expected)


WEIGHTS = [np.ones((2, 3)), np.zeros(2)]


@pytest.mark.parametrize(
    ("weights", "options", "message"),
    [
        (
            WEIGHTS,
            {"step": 1},
            r"s00000001.safetensors' is written already: .*Count steps on, or tell .* apart by replica=",
        ),
        (WEIGHTS, {"step": 1.5}, r"step is 1\.5, expected a whole number of at least 0"),
        (WEIGHTS, {"step": -1}, "step is -1, expected a whole number"),
        (WEIGHTS, {"step": 2, "replica": "a"}, "replica is 'a', expected a whole number"),
        (WEIGHTS[:1], {"step": 2}, r"would hold 1 arrays .*which has 2\. Give each model a directory of its own"),
        ([np.ones((2, 4)), WEIGHTS[1]], {"step": 2}, r"Array 0 has shape \(2, 4\), expected \(2, 3\)"),
        ([WEIGHTS[0], np.array(["a", "b"])], {"step": 2}, "array 1 of the weights holds <U1 values, expected numbers"),
        ([WEIGHTS[0], np.array([{}, {}])], {"step": 2}, "array 1 of the weights holds object values"),
    ],
)
def test_what_is_no_further_member_leaves_the_run_as_it_was(tmp_path, weights, options, message):
    run = mm.Snapshots(tmp_path / "run")
    run.add(WEIGHTS, 1)
    with pytest.raises(ValueError, match=message):
        run.add(weights, **options)
    assert mm.Snapshots(run.path).problems() == []
    run.add([[[1, 2, 3], [4, 5, 6]], [7, 8]], 2)  # what NumPy takes for arrays
    run.add(WEIGHTS, 1, replica=1)
    assert [(m.step, m.replica) for m in mm.Snapshots(run.path).members] == [(1, 0), (1, 1), (2, 0)]


def test_a_file_of_this_run_with_other_arrays_is_named(tmp_path):
    run = mm.Snapshots(tmp_path / "run")
    run.add(WEIGHTS, 1)
    write_member(run.path, run.run["run_id"], Member(member_file(2), 2), WEIGHTS[:1])
    message = (
        r"s00000002\.safetensors' does not hold the arrays that run\.json tells of: 1 arrays, expected 2.*Restore it"
    )
    with pytest.raises(ValueError, match=message):
        list(mm.Snapshots(run.path))


def test_a_run_that_was_trained_into_can_be_copied_and_pickled(tmp_path):
    run = mm.Snapshots(tmp_path / "run")
    fit(compiled(), mm.Collect(mm.recipes.checkpoints(last=2), into=run), epochs=2)
    for copied in (copy.deepcopy(run), pickle.loads(pickle.dumps(run))):
        assert copied.members == run.members
