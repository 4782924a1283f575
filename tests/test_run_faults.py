"""Nothing on disk is trusted: any changed byte is noticed, nobody's files are overwritten, and what is lost is told."""

import json
import shutil

import numpy as np
import pytest

import manyminima as mm
from manyminima.runs.format import member_file, read_member
from problems import assert_same, compiled
from runs_of_100 import SNAPSHOT, fit

ARRAYS = [np.arange(6, dtype="float32").reshape(2, 3), np.array([1, 2], "int32")]
MEMBER = member_file(20)


@pytest.fixture
def run(tmp_path):
    snapshots = mm.Snapshots(tmp_path / "run", data={"source": "none"})
    for step in (10, 20):
        snapshots.add([w * step for w in ARRAYS], step, epoch=step / 10, logs={"loss": 1 / step, "auc": float("nan")})
    return tmp_path / "run"


def flips(path):
    """Write the file again and again, each time with one bit flipped, one in every byte."""
    whole = path.read_bytes()
    for position in range(len(whole)):
        changed = bytearray(whole)
        changed[position] ^= 1 << position % 8
        path.write_bytes(changed)
        yield position
    path.write_bytes(whole)


def test_a_changed_byte_in_a_member_is_noticed(run):
    run_id = mm.Snapshots(run).run["run_id"]
    for _ in flips(run / MEMBER):
        with pytest.raises(ValueError, match=MEMBER):
            read_member(run, run_id, MEMBER)


@pytest.mark.parametrize("name", ["index.json", "run.json"])
def test_a_changed_byte_in_a_description_is_noticed(run, name):
    whole = mm.Snapshots(run).about
    for place in flips(run / name):
        problems = mm.Snapshots(run).problems()
        if not problems and mm.Snapshots(run).about != whole:
            pytest.fail(f"byte {place} was changed and accepted")


def test_the_index_is_told_by_the_files(run):
    whole, weights = mm.Snapshots(run).members, list(mm.Snapshots(run))
    (run / "index.json").unlink()
    assert mm.Snapshots(run).members == whole
    for again, before in zip(mm.Snapshots(run), weights, strict=True):
        assert_same(again, before)


@pytest.mark.parametrize(
    "change",
    [
        lambda index: index.pop("members"),
        lambda index: index["members"][0].pop("file"),
        lambda index: index["members"][0].update(color="red"),
        lambda index: index.update(members=5),
        lambda index: index["members"][1].update(step=5),
        lambda index: index["members"][1].update(logs={}),
    ],
)
def test_an_index_that_does_not_fit(run, change):
    index = json.loads((run / "index.json").read_text())
    change(index)
    (run / "index.json").write_text(json.dumps(index))
    (problem,) = mm.Snapshots(run).problems()
    assert "index.json' is damaged" in problem
    assert "Delete" in problem


def test_a_run_that_was_edited(run):
    text = (run / "run.json").read_text()
    (run / "run.json").write_text(text.replace('"none"', '"some"'))
    with pytest.raises(ValueError, match=r"run.json' is damaged: it is not what the run wrote. Restore it from a copy"):
        list(mm.Snapshots(run))


def test_files_that_systems_leave_behind_are_no_members(run):
    (run / "members" / ".DS_Store").write_bytes(b"?")
    (run / "members" / f".{MEMBER[8:]}.123.tmp").write_bytes(b"half")
    assert mm.Snapshots(run).problems() == []


def test_lost_members(run):
    shutil.rmtree(run / "members")
    (problem,) = mm.Snapshots(run).problems()
    assert "members' is missing. Restore it from a copy" in problem


# -- directories that are somebody else's ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["run.json", "index.json"])
@pytest.mark.parametrize("content", ['{"my": "own"}', "notes", '{"format": 2, "run_id": "f"}'])
def test_files_of_the_same_name_are_not_overwritten(tmp_path, name, content):
    (tmp_path / name).write_text(content)
    with pytest.raises(FileExistsError, match=rf"{name}' is not of a run .* Choose another directory"):
        mm.Snapshots(tmp_path).begin({})
    assert (tmp_path / name).read_text() == content
    assert [p.name for p in tmp_path.iterdir()] == [name]


def test_other_files_may_be_there(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    mm.Snapshots(tmp_path).add(ARRAYS, 1)
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_a_best_model_alone_is_a_run(tmp_path):
    first = mm.Snapshots(tmp_path)
    first.begin({})
    first.add_best(ARRAYS, 1)
    with pytest.raises(FileExistsError, match=r"best.safetensors is there.* Choose another directory"):
        mm.Snapshots(tmp_path).begin({})


def test_two_runs_that_begin_in_one_directory(tmp_path):
    first, second = mm.Snapshots(tmp_path), mm.Snapshots(tmp_path)
    first.begin({})
    second.begin({})  # the directory still looks free
    with pytest.raises(FileExistsError, match="Give each run a directory of its own"):
        first.add(ARRAYS, 1)
    second.add(ARRAYS, 1)
    assert mm.Snapshots(tmp_path).problems() == []


def test_one_directory_for_two(tmp_path):
    with pytest.raises(ValueError, match="give each run a directory of its own"):
        fit(compiled(), mm.Collect(SNAPSHOT, into=[tmp_path / "a", tmp_path / "b" / ".." / "a"]))
    model, checkpoints = compiled(), mm.recipes.checkpoints()
    with pytest.raises(ValueError, match="give each run a directory of its own"):
        fit(model, mm.Collect(SNAPSHOT, into=tmp_path / "a"), mm.Collect(checkpoints, into=str(tmp_path / "a")))
    assert int(model.optimizer.iterations) == 0
    assert list(tmp_path.iterdir()) == []


def test_a_place_where_nothing_can_be_made():
    with pytest.raises(OSError, match="Choose a directory that can be written to"):
        mm.Snapshots("/proc/run").begin({})


def test_what_json_cannot_hold_is_no_data_contract(tmp_path):
    mm.Snapshots(tmp_path, data={"classes": np.arange(3), "mean": np.float32(0.5)})
    with pytest.raises(TypeError, match="cannot be recorded: .*Use text, numbers, lists and dicts"):
        mm.Snapshots(tmp_path, data={"path": tmp_path})
