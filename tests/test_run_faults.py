"""Nothing on disk is trusted: any changed byte is noticed, nobody's files are overwritten, and what is lost is told."""

import json
import os
import resource
import shutil
import subprocess
import sys
import tracemalloc
from pathlib import Path

import keras
import numpy as np
import pytest

import manyminima as mm
from manyminima.runs.behind import settle
from manyminima.runs.format import member_file
from manyminima.runs.streaming import read_member
from manyminima.runs.verify import inspect
from problems import assert_same, compiled
from runs_of_100 import SNAPSHOT, fit

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))

from fault_injections import room_for

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
    index.pop("hash")
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


# -- killed, and out of room -----------------------------------------------------------------------------------------

KILLED = """
import os, random, signal, sys, time
from pathlib import Path
import numpy as np
from manyminima.runs.snapshots import Snapshots
from manyminima.runs.verify import inspect

random.seed(int(sys.argv[2]))
for trial in range(25):
    path = Path(sys.argv[1], str(trial))
    told, tell = os.pipe()
    child = os.fork()
    if child == 0:
        run = Snapshots(path)
        for step in range(1, 10_000):
            run.add([np.full(2000, step, "float32"), np.array([step])], step)
            if step % 3 == 0:
                run.add_best([np.full(2000, step, "float32"), np.array([step])], step)
            os.write(tell, step.to_bytes(4, "little"))
    time.sleep(random.uniform(0, 0.03))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    os.close(tell)
    done = []
    while (number := os.read(told, 4)):
        done.append(int.from_bytes(number, "little"))
    os.close(told)
    if not path.joinpath("run.json").exists():
        assert not done
        continue
    run = Snapshots(path)
    steps = [member.step for member in run.members]
    assert steps[: len(done)] == done and len(steps) <= len(done) + 1, (steps, done)
    assert all((weights[0] == step).all() and weights[1] == step for step, weights in zip(steps, run))
    assert inspect(path).sound or not steps, inspect(path).problems
    if steps[3:]:
        assert run.best[1][1] == run.best[0].step
print("done")
"""


def test_killed_at_any_moment(tmp_path):
    """Every member whose `add` returned is there, and what was under way is there whole or not at all."""
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path), "1"], capture_output=True, text=True)
    assert done.stdout == "done\n", done.stderr


def names(path):
    return sorted(str(p.relative_to(path)) for p in path.rglob("*") if p.is_file())


@pytest.mark.parametrize("size", [0, 1, 100, 300])
def test_a_full_disk_leaves_what_was_complete(run, size):
    snapshots = mm.Snapshots(run.parent / "other")
    snapshots.add(ARRAYS, 10)
    before = names(snapshots.path)
    with room_for(size), pytest.raises(OSError, match=r"cannot write .*s00000020.*complete: mm.load\(.*Make room"):
        snapshots.add(ARRAYS, 20)
    assert names(snapshots.path) == before
    assert inspect(snapshots.path).sound
    snapshots.add(ARRAYS, 20)  # once there is room again
    assert len(mm.Snapshots(snapshots.path)) == 2


def test_a_disk_too_full_for_the_index_keeps_the_member(run):
    snapshots = mm.Snapshots(run.parent / "other")
    for step in range(1, 8):
        snapshots.add(ARRAYS, step)
    with room_for((snapshots.path / "index.json").stat().st_size + 20), pytest.raises(OSError, match="cannot write"):
        snapshots.add(ARRAYS, 8)
    found = inspect(snapshots.path)
    assert found.sound
    assert [m.step for m in mm.Snapshots(snapshots.path).members] == [*range(1, 9)]
    assert "the index does not name it yet" in found.notes[1]


@pytest.mark.parametrize("size", [0, 100])
def test_a_full_disk_at_the_start(tmp_path, size):
    with (
        room_for(size),
        pytest.raises(OSError, match=r"cannot write a run to .*Choose a directory that can be written to"),
    ):
        mm.Snapshots(tmp_path / "run").begin({"recipe": {"name": "x" * 200}})
    assert names(tmp_path) == []
    mm.Snapshots(tmp_path / "run").add(ARRAYS, 1)


class At(keras.callbacks.Callback):
    """Does something to the run when an epoch begins."""

    def __init__(self, epoch, call):
        super().__init__()
        self.epoch, self.call = epoch, call

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == self.epoch:
            settle()
            self.call()


def test_training_is_told_of_a_full_disk_and_of_a_directory_that_vanished(tmp_path):
    recipe, before = mm.recipes.checkpoints(), resource.getrlimit(resource.RLIMIT_FSIZE)
    full = At(2, lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (600, before[1])))
    try:
        with pytest.raises(OSError, match=r"cannot write .*a/.*What was written before is complete.*Make room"):
            fit(compiled(), mm.Collect(recipe, into=tmp_path / "a"), full)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert inspect(tmp_path / "a").sound
    assert len(mm.load(tmp_path / "a")) == 2
    gone = At(2, lambda: (tmp_path / "b").rename(tmp_path / "c"))
    with pytest.raises(OSError, match=r"cannot write .*b/members/"):
        fit(compiled(), mm.Collect(recipe, into=tmp_path / "b"), gone)
    assert not (tmp_path / "b").exists()
    assert len(mm.load(tmp_path / "c")) == 2


def test_a_killed_run_without_members_is_begun_anew(tmp_path):
    mm.Snapshots(tmp_path).begin({})
    (tmp_path / "members" / ".r000-s00000001.safetensors.7.tmp").write_bytes(b"half")
    (tmp_path / ".run.json.7.tmp").write_bytes(b"half")
    (tmp_path / "members" / ".tmpA1b2C3").write_bytes(b"half")
    mm.Snapshots(tmp_path).add(ARRAYS, 1)
    assert not [name for name in names(tmp_path) if "tmp" in name]
    assert inspect(tmp_path).sound


def test_a_run_that_could_not_be_read_again_is_not_begun(tmp_path):
    for run in ({"collect": ["a"]}, {"model": 3}, {"recipe": {"x": 10**30}}):
        with pytest.raises(ValueError, match=r"the run cannot be recorded in .*run.json': "):
            mm.Snapshots(tmp_path / "run").begin(run)
    assert not (tmp_path / "run").exists()


def test_nothing_grows_with_the_members_but_the_index(tmp_path):
    run, files = mm.Snapshots(tmp_path / "run"), []
    for step in range(1, 301):
        run.add(ARRAYS, step)
        if step == 100:
            tracemalloc.start()
            before = tracemalloc.get_traced_memory()[0]
        if step >= 100:
            files.append(len(os.listdir("/proc/self/fd")) if sys.platform == "linux" else 0)
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert max(files) == min(files)
    assert grown < 200 * 3000  # what is known of 200 members
    assert len(mm.Snapshots(tmp_path / "run")) == 300
