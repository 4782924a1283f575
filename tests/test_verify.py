"""`verify` names every file that is not as the run wrote it, and an index can be written anew."""

import json
import os
import shutil

import numpy as np
import pytest
from typer.testing import CliRunner

import manyminima as mm
from manyminima.cli import app
from manyminima.runs import lock
from manyminima.runs.format import member_file
from manyminima.runs.rebuild import rebuild_index
from manyminima.runs.verify import inspect
from problems import assert_same

RUN = CliRunner()
FIRST, SECOND, THIRD = (member_file(step) for step in (10, 20, 30))


def write(path):
    run = mm.Snapshots(path)
    for step in (10, 20, 30):
        run.add([np.full((2, 3), step, "float32"), np.array([step])], step, epoch=step / 10, logs={"loss": 1 / step})
    run.add_best([np.zeros((2, 3), "float32"), np.array([0])], 20)
    return path


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return write(tmp_path_factory.mktemp("runs") / "run"), write(tmp_path_factory.mktemp("runs") / "other")


@pytest.fixture
def run(whole, tmp_path):
    return shutil.copytree(whole[0], tmp_path / "run")


def flip(path, position):
    content = bytearray(path.read_bytes())
    content[position] ^= 4
    path.write_bytes(content)


def cut(path):
    os.truncate(path, path.stat().st_size - 5)


def lengthen(path):
    os.truncate(path, path.stat().st_size + 5)


def edit_index(run, change):
    index = json.loads((run / "index.json").read_text())
    change(index)
    index.pop("hash")  # whoever edits an index may leave it out
    (run / "index.json").write_text(json.dumps(index))


DAMAGE = {
    "truncated": (lambda run, other: cut(run / SECOND), SECOND, "truncated", "Restore it from a copy"),
    "header cut": (lambda run, other: os.truncate(run / SECOND, 40), SECOND, "truncated", "Restore"),
    "empty": (lambda run, other: os.truncate(run / SECOND, 0), SECOND, "truncated", "Restore"),
    "bit in an array": (lambda run, other: flip(run / SECOND, -3), SECOND, "altered", "does not match its SHA-256"),
    "bit in the header": (lambda run, other: flip(run / SECOND, 30), SECOND, "altered", "Restore"),
    "longer": (lambda run, other: lengthen(run / SECOND), SECOND, "altered", "Restore"),
    "missing": (lambda run, other: (run / SECOND).unlink(), SECOND, "missing", "Restore the file from a copy"),
    "extra": (lambda run, other: (run / "members/notes.txt").touch(), "members/notes.txt", "extra", "Move it out"),
    "renamed": (
        lambda run, other: (run / SECOND).rename(run / member_file(25)),
        member_file(25),
        "renamed",
        f"by its header it is '{SECOND}'",
    ),
    "renamed oddly": (
        lambda run, other: (run / SECOND).rename(run / "members/b.safetensors"),
        "members/b.safetensors",
        "renamed",
        "Give it that name back",
    ),
    "foreign": (lambda run, other: shutil.copy(other / SECOND, run / SECOND), SECOND, "foreign", "Move it back"),
    "foreign, new": (
        lambda run, other: (other / SECOND).rename(run / "members/x.safetensors"),
        "members/x.safetensors",
        "foreign",
        "belongs to run",
    ),
    "duplicate": (
        lambda run, other: shutil.copy(run / SECOND, run / member_file(25)),
        member_file(25),
        "duplicate",
        f"is a copy of '{SECOND}'. Delete it",
    ),
    "copy": (
        lambda run, other: shutil.copy(run / SECOND, run / "members/copy.safetensors"),
        "members/copy.safetensors",
        "duplicate",
        "Delete it",
    ),
    "link": (
        lambda run, other: (run / SECOND).unlink() or (run / SECOND).symlink_to(other / SECOND),
        SECOND,
        "link",
        "Put a copy of what was meant",
    ),
    "folder": (lambda run, other: (run / SECOND).unlink() or (run / SECOND).mkdir(), SECOND, "link", "is a folder"),
    "no members": (lambda run, other: shutil.rmtree(run / "members"), "members", "missing", "Restore it from a copy"),
    "members linked": (
        lambda run, other: shutil.rmtree(run / "members") or (run / "members").symlink_to(other / "members"),
        "members",
        "link",
        "plain folders",
    ),
    "best altered": (lambda run, other: flip(run / "best.safetensors", -1), "best.safetensors", "altered", "Restore"),
    "best is a member": (
        lambda run, other: shutil.copy(run / SECOND, run / "best.safetensors"),
        "best.safetensors",
        "duplicate",
        "Delete it",
    ),
    "best of another": (
        lambda run, other: shutil.copy(other / "best.safetensors", run),
        "best.safetensors",
        "foreign",
        "Move it back",
    ),
    "run.json edited": (
        lambda run, other: (run / "run.json").write_text((run / "run.json").read_text() + " "),
        "run.json",
        "altered",
        "it is not what the run wrote",
    ),
    "run.json of another": (
        lambda run, other: shutil.copy(other / "run.json", run),
        "run.json",
        "foreign",
        "Restore the right one",
    ),
    "index of another": (
        lambda run, other: shutil.copy(other / "index.json", run),
        "index.json",
        "foreign",
        "Restore the right one",
    ),
    "no run.json": (lambda run, other: (run / "run.json").unlink(), "run.json", "missing", "no run.json"),
    "run.json broken": (lambda run, other: os.truncate(run / "run.json", 20), "run.json", "altered", "Restore"),
    "no index": (lambda run, other: (run / "index.json").unlink(), "index.json", "missing", "--rebuild-index"),
    "index broken": (lambda run, other: cut(run / "index.json"), "index.json", "altered", "--rebuild-index"),
    "index wrong": (
        lambda run, other: edit_index(run, lambda index: index["members"][1].update(bytes=7)),
        "index.json",
        "altered",
        "--rebuild-index",
    ),
    "index twice": (
        lambda run, other: edit_index(run, lambda index: index["members"].append(index["members"][0])),
        "index.json",
        "altered",
        "twice",
    ),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_every_damage_is_named(name, run, whole, tmp_path):
    damage, file, kind, fix = DAMAGE[name]
    damage(run, shutil.copytree(whole[1], tmp_path / "other"))
    problems = inspect(run).problems
    named = next(problem for problem in problems if problem.file == file)
    assert (named.kind, fix in named.text) == (kind, True), named
    assert file in named.text
    assert len(problems) == 1, problems  # one cause, one problem
    result = RUN.invoke(app, ["verify", str(run)])
    assert result.exit_code == 1
    assert file in result.output.replace("\n", "")


def test_a_whole_run_is_well(run):
    found = inspect(run)
    assert found.sound
    assert list(found.members) == mm.Snapshots(run).members
    result = RUN.invoke(app, ["verify", str(run)])
    assert (result.exit_code, "All is well: 3 whole members" in result.output) == (0, True)


def test_several_problems_are_named_at_once(run):
    cut(run / FIRST)
    (run / SECOND).unlink()
    flip(run / THIRD, -1)
    found = inspect(run)
    assert [(p.file, p.kind) for p in found.problems] == [
        (FIRST, "truncated"),
        (THIRD, "altered"),
        (SECOND, "missing"),
    ]
    assert found.members == ()


def test_as_json(run):
    flip(run / SECOND, -1)
    result = RUN.invoke(app, ["verify", str(run), "--json", "-"])
    data = json.loads(result.stdout)
    assert (result.exit_code, data["sound"], len(data["members"])) == (1, False, 2)
    assert data["problems"][0]["file"] == SECOND
    assert data["problems"][0]["kind"] == "altered"


def test_no_run(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"holds no run.*`manyminima train`"):
        inspect(tmp_path)
    with pytest.raises(FileNotFoundError, match="holds no run"):
        rebuild_index(tmp_path)
    assert RUN.invoke(app, ["verify", str(tmp_path)]).exit_code == 1


def test_what_a_killed_process_leaves_is_noted(run):
    edit_index(run, lambda index: index["members"].pop())
    (run / "members" / ".r000-s00000040.safetensors.77.tmp").write_bytes(b"half")
    (run / "lock").write_text(json.dumps({"pid": 7, "host": "far-away"}))
    found = inspect(run)
    assert found.sound
    assert [m.step for m in found.members] == [10, 20, 30]
    text = "\n".join(found.notes)
    for note in ("left by process 7 on host 'far-away'", f"{THIRD}' is complete, and the index", ".77.tmp' is what"):
        assert note in text
    assert "note:" in RUN.invoke(app, ["verify", str(run)]).output


@pytest.mark.parametrize("lose", [[], ["index.json"]], ids=["all", "killed before the index"])
def test_a_run_that_has_just_begun_is_well(tmp_path, lose):
    mm.Snapshots(tmp_path).begin({})
    for name in lose:
        (tmp_path / name).unlink()
    assert inspect(tmp_path).problems == ()


def test_a_run_that_is_being_written_is_well(tmp_path):
    run = mm.Snapshots(tmp_path / "run")
    run.add([np.zeros(3)], 1)
    found = inspect(tmp_path / "run")
    assert found.sound
    assert f"is being written by process {os.getpid()}" in found.notes[0]


# -- the index, written anew -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "lose", [os.unlink, lambda path: os.truncate(path, 30), lambda path: path.write_bytes(b"\xff")]
)
def test_the_index_is_rebuilt_as_it_was(run, lose):
    before, weights, members = (run / "index.json").read_bytes(), list(mm.Snapshots(run)), mm.Snapshots(run).members
    lose(run / "index.json")
    result = RUN.invoke(app, ["verify", str(run), "--rebuild-index"])
    assert (result.exit_code, "index.json, with 3 members" in result.output) == (0, True)
    assert (run / "index.json").read_bytes() == before
    assert mm.Snapshots(run).members == members
    for found, expected in zip(mm.Snapshots(run), weights, strict=True):
        assert_same(found, expected)


def test_damaged_members_are_not_named_and_stay(run):
    flip(run / SECOND, -1)
    (run / "index.json").unlink()
    assert [m.step for m in rebuild_index(run)] == [10, 30]
    assert [p.file for p in inspect(run).problems] == [SECOND]
    with pytest.raises(ValueError, match="SHA-256"):
        list(mm.Snapshots(run))
    (run / SECOND).unlink()
    assert [w[0][0, 0] for w in mm.Snapshots(run)] == [10, 30]


def test_an_index_never_vouches_for_another_run_json(run):
    text = (run / "run.json").read_text()
    (run / "run.json").write_text(text.replace('"created"', '"Created"'))
    with pytest.raises(ValueError, match=r"run.json' is damaged: it is not what the run wrote. Restore it"):
        rebuild_index(run)


@pytest.mark.parametrize("index", ["there", "gone"])
def test_no_index_is_written_for_a_foreign_run_json(run, whole, index):
    shutil.copy(whole[1] / "run.json", run)
    if index == "gone":
        (run / "index.json").unlink()
    with pytest.raises(ValueError, match="Restore the right"):
        rebuild_index(run)
    assert (run / "index.json").exists() == (index == "there")


def test_an_index_is_not_rebuilt_under_a_writer(run):
    held = lock._open(run / "lock", run)  # as another process would
    try:
        with pytest.raises(FileExistsError, match="is being written by"):
            rebuild_index(run)
    finally:
        os.close(held)


def test_an_index_with_a_changed_byte_is_told_from_a_changed_run(run):
    text = (run / "index.json").read_text()
    place = text.index('"run_hash": "') + 20
    (run / "index.json").write_text(text[:place] + ("0" if text[place] != "0" else "1") + text[place + 1 :])
    assert [p.file for p in inspect(run).problems] == ["index.json"]
    rebuild_index(run)
    assert (run / "index.json").read_text() == text


def test_what_was_left_out_is_kept(run):
    left = [{"step": 25, "why": "the loss is nan"}]
    edit_index(run, lambda index: index.update(left_out=left))
    rebuild_index(run)
    assert json.loads((run / "index.json").read_text())["left_out"] == left


# -- the fast path ---------------------------------------------------------------------------------------------------


def test_sizes_notice_all_but_flipped_bits(run, whole):
    fast = mm.Snapshots(run, check="sizes")
    for found, expected in zip(fast, mm.Snapshots(whole[0]), strict=True):
        assert_same(found, expected)
    flip(run / SECOND, -1)
    assert fast.problems() == []
    assert len(mm.Snapshots(run).problems()) == 1
    cut(run / SECOND)
    shutil.copy(whole[1] / THIRD, run / THIRD)
    (run / FIRST).unlink()
    missing, truncated, foreign = fast.problems()
    assert "is missing" in missing
    assert "is truncated" in truncated
    assert "belongs to run" in foreign
    with pytest.raises(ValueError, match='expected "hashes", or "sizes" for speed'):
        mm.Snapshots(run, check="none")
