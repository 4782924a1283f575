"""What cannot be gone on with is refused before any training, in words that say what to do; and what a state is on disk."""

import json

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import manyminima as mm
from manyminima.runs import resume
from problems import compiled
from resumed_runs import SNAPSHOT, Killed, KilledAt, X, Y, batches, fit


def collecting(path, recipe=SNAPSHOT, **options):
    return mm.Collect(recipe, into=path, **{"resume": True, **options})


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory):
    """A run that was interrupted at step 20, with two members of three; its newest state may be older."""
    path = tmp_path_factory.mktemp("interrupted") / "run"
    with pytest.raises(Killed):
        fit(compiled(), batches(), collecting(path), KilledAt(22))
    return path


def unchanged(path):
    return {p: p.read_bytes() for p in path.rglob("*") if p.is_file()}


OTHERS = {
    r"the recipe: snapshot\(cycles=3, .* there, snapshot\(cycles=2, .* here": {
        "recipe": mm.recipes.snapshot(cycles=2, peak=0.1)
    },
    "epochs: 4 there, 5 here": {"epochs": 5},
    "rows in a batch: 16 there, 20 here": {"source": lambda: batches(batch_size=20)},
    "the seed of the order: 3 there, 4 here": {"source": lambda: batches(seed=4)},
    "other rows to train on": {"source": lambda: mm.datasets.Batches(X + 1, Y, 16, seed=3)},
    "training rows: 100 there, 99 here": {"source": lambda: mm.datasets.Batches(X[1:], Y[1:], 16, seed=3)},
    "where the batches come from: Batches there, arrays here": {"source": lambda: (X, Y)},
    "the optimizer: .*SGD.* there, .*Adam.* here": {"model": {"optimizer": "adam"}},
    "parameters of the model: .* there, .* here": {"model": {"plain": True}},
    r"the places in into=: \['Snapshots'\] there, \['Snapshots', 'Average of mean'\] here": {"beside": [mm.Mean()]},
    r"that remember something: \[\] there, \['EarlyStopping'\] here": {
        "callbacks": [keras.callbacks.EarlyStopping("loss")]
    },
}


@pytest.mark.parametrize("difference", OTHERS)
def test_another_training_is_not_gone_on_with(interrupted, difference):
    other = OTHERS[difference]
    before = unchanged(interrupted)
    into = [interrupted, *other["beside"]] if "beside" in other else interrupted
    collect = collecting(into, other.get("recipe", SNAPSHOT))
    model = compiled(**other.get("model", {}))
    weights = model.get_weights()
    source = other.get("source", batches)()
    with pytest.raises(ValueError, match=f"{difference}.*Go on with the program that began it"):
        fit(model, source, collect, *other.get("callbacks", ()), epochs=other.get("epochs", 4))
    for a, b in zip(model.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(a, b)
    assert {k: v for k, v in unchanged(interrupted).items() if k.name != "lock"} == {
        k: v for k, v in before.items() if k.name != "lock"
    }


def test_another_activation_is_another_model(interrupted):
    model = compiled()
    model.layers[0].activation = keras.activations.tanh
    with pytest.raises(ValueError, match=r"another training: another model\. Go on with"):
        fit(model, batches(), collecting(interrupted))


def test_a_program_that_does_not_ask_is_told(interrupted):
    with pytest.raises(
        FileExistsError, match=r"2 of 3 members and can go on from step .* mm.Collect\(…, resume=True\)"
    ):
        fit(compiled(), batches(), mm.Collect(SNAPSHOT, into=interrupted))


def test_a_run_without_a_state(tmp_path):
    fit(compiled(), batches(), mm.Collect(SNAPSHOT, into=tmp_path / "run"))
    with pytest.raises(
        FileExistsError, match=r"no state to go on from: it was made without resume=True. Choose another"
    ):
        fit(compiled(), batches(), collecting(tmp_path / "run"))


def test_a_run_that_ended_before_its_first_state_begins_anew(tmp_path):
    mm.Snapshots(tmp_path / "run").begin({})
    fit(compiled(), batches(), collecting(tmp_path / "run"))
    assert len(mm.Snapshots(tmp_path / "run")) == 3


def test_there_has_to_be_a_directory():
    with pytest.raises(ValueError, match='resume=True needs a directory .* write into="runs/x"'):
        fit(compiled(), batches(), collecting(None))


def test_folds_that_cannot_go_on(tmp_path):
    class Counter:
        def add(self, weights, step, **about):
            pass

        def __iter__(self):
            return iter(())

    for fold in (Counter(), mm.Mean(into=Counter())):
        with pytest.raises(ValueError, match=r"give it `state\(\)`.*or leave it out of into="):
            fit(compiled(), batches(), collecting([tmp_path / "run", fold]))


def test_two_that_would_go_on(tmp_path):
    backup = keras.callbacks.BackupAndRestore(tmp_path / "backup")
    with pytest.raises(ValueError, match="BackupAndRestore would both go on.*remove the latter"):
        fit(compiled(), batches(), collecting(tmp_path / "run"), backup)
    with pytest.raises(ValueError, match=r"works for one Collect in a fit.* into=\[…\]"):
        fit(compiled(), batches(), collecting(tmp_path / "run"), mm.Collect(SNAPSHOT))


# -- on disk ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def state(tmp_path):
    resume.write(tmp_path, {"step": 5, "finished": False, "weights": [np.arange(6.0).reshape(2, 3)], "best": -np.inf})
    return tmp_path / "resume" / "state.safetensors"


def test_a_changed_byte_is_noticed(state, tmp_path):
    whole = state.read_bytes()
    for position in range(0, len(whole), 3):
        changed = bytearray(whole)
        changed[position] ^= 1 << position % 8
        state.write_bytes(changed)
        with pytest.raises(ValueError, match=r"state.safetensors' is .*Restore it from a copy; without it"):
            resume.read(tmp_path)


@pytest.mark.parametrize("length", [0, 1, 8, 100, -1])
def test_a_state_that_was_cut(state, tmp_path, length):
    state.write_bytes(state.read_bytes()[:length])
    with pytest.raises(ValueError, match="truncated or damaged"):
        resume.read(tmp_path)


def test_what_a_killed_process_left_is_cleared_away(state, tmp_path):
    half = state.with_name(".state.safetensors.123.tmp")
    half.write_bytes(b"half")
    resume.write(tmp_path, {"step": 6, "finished": True})
    assert [p.name for p in state.parent.iterdir()] == [state.name]
    assert resume.read(tmp_path) == {"step": 6, "finished": True}


def test_a_place_that_cannot_be_written(tmp_path):
    (tmp_path / "resume").write_text("a file")
    with pytest.raises(OSError, match=r"cannot write .*make room, and type the same again"):
        resume.write(tmp_path, {"step": 1})


def test_another_format(state, tmp_path, monkeypatch):
    monkeypatch.setattr(resume, "FORMAT", 2)
    with pytest.raises(ValueError, match="is of another format than 2"):
        resume.read(tmp_path)


kinds = st.sampled_from(["float32", "float64", "int64", "uint32", "uint8", "bool"])
shapes = st.lists(st.integers(0, 3), max_size=3)
arrays = st.builds(lambda shape, kind: np.arange(int(np.prod(shape))).reshape(shape).astype(kind), shapes, kinds)
plain = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | arrays
trees = st.recursive(plain, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3))


def same(found, expected):
    if isinstance(expected, np.ndarray):
        np.testing.assert_array_equal(found, expected, strict=True)
    elif isinstance(expected, dict):
        assert found.keys() == expected.keys()
        for key in expected:
            same(found[key], expected[key])
    elif isinstance(expected, list):
        assert len(found) == len(expected)
        for a, b in zip(found, expected, strict=True):
            same(a, b)
    else:
        assert type(found) is type(expected)
        assert found == expected or found != found != expected != expected


@given(tree=st.dictionaries(st.text().filter(lambda name: name != "format"), trees, max_size=4))
def test_what_is_written_is_read(tmp_path_factory, tree):
    run = tmp_path_factory.mktemp("run")
    resume.write(run, tree)
    same(resume.read(run), tree)


def test_what_is_there_is_told_without_reading_arrays(interrupted, tmp_path):
    assert resume.look(tmp_path / "nothing") is None
    found = resume.look(interrupted)
    assert found is not None
    assert (found.members, found.due, found.total, found.finished) == (2, 3, 28, False)
    assert json.loads((interrupted / "run.json").read_text())["collect"] == [10, 19, 28]
    assert str(resume.Found(3, 3, 28, 28, True)) == "a finished run of 3 of 3 members"
    assert str(resume.Found(1, 3, 14, 28, True)).endswith("of 1 of 3 members, which ended at step 14 of 28")
