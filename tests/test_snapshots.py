"""A run on disk: what was written comes back bit for bit, and everything else is refused by name."""

import json
import os
import shutil

import keras
import ml_dtypes
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import manyminima as mm
from manyminima.runs.format import Member, write_member
from manyminima.runs.streaming import read_member
from problems import assert_same, compiled, data, layers

RNG = np.random.default_rng(0)
ARRAYS = [
    RNG.normal(size=(3, 4)).astype("float32"),
    np.asfortranarray(RNG.normal(size=(4, 5))),
    RNG.normal(size=(6, 4)).astype("float32")[::2, 1:],
    RNG.normal(size=7).astype(ml_dtypes.bfloat16),
    RNG.normal(size=7).astype("float16"),
    np.array([2**40, -1]),
    np.array([True, False]),
    np.array(3.5, "float32"),
    np.zeros((0, 3), "float32"),
]


def write_run(path, steps=(10, 20, 30), weights=None):
    run = mm.Snapshots(path)
    for step in steps:
        run.add([step * w for w in (weights or [np.arange(6, dtype="float32").reshape(2, 3)])], step, epoch=step / 10)
    return mm.Snapshots(path)


def test_every_kind_of_array_comes_back(tmp_path):
    (tmp_path / "members").mkdir()
    member = Member("members/r000-s00000005.safetensors", 5, epoch=0.5, logs={"loss": 0.1, "accuracy": np.float32(0.5)})
    written = write_member(tmp_path, "id", member, ARRAYS)
    found, arrays = read_member(tmp_path, "id", member.file)
    assert found == written
    assert [(a.dtype, a.shape) for a in arrays] == [(a.dtype, a.shape) for a in ARRAYS]
    assert_same(arrays, ARRAYS)


def test_members_come_back_in_the_order_of_their_steps(tmp_path):
    run = write_run(tmp_path / "run", steps=(9, 10, 99_999_999, 100_000_000))
    assert [m.step for m in run.members] == [9, 10, 99_999_999, 100_000_000]
    assert [w[0][0, 1] for w in run] == [9, 10, 99_999_999, 100_000_000]
    assert len(run) == 4
    assert_same(run[-1], list(run)[3])


def test_logs_that_strict_json_cannot_hold(tmp_path):
    run = mm.Snapshots(tmp_path / "run")
    run.add([np.ones(2)], 1, logs={"loss": float("nan"), "val_loss": float("inf")})
    json.loads((tmp_path / "run" / "index.json").read_text(), parse_constant=pytest.fail)
    assert mm.Snapshots(tmp_path / "run").members[0].logs == {"loss": "nan", "val_loss": "inf"}


def test_loading_twice_does_not_double_the_members(tmp_path):
    run = write_run(tmp_path / "run")
    assert len(list(run)) == len(list(run)) == len(mm.Snapshots(tmp_path / "run")) == 3


# -- damage ----------------------------------------------------------------------------------------------------------

MEMBER = "members/r000-s00000020.safetensors"


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    path = tmp_path_factory.mktemp("runs") / "run"
    write_run(path)
    return path


@pytest.fixture
def run(whole, tmp_path):
    shutil.copytree(whole, tmp_path / "run")
    return tmp_path / "run"


def test_a_whole_run_has_no_problems(run):
    assert mm.Snapshots(run).problems() == []


@settings(max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_no_flipped_bit_is_accepted(run, place, bit):
    file = run / MEMBER
    content = bytearray(file.read_bytes())
    position = int(place * len(content))
    content[position] ^= 1 << bit
    damaged = run.parent / "damaged"
    shutil.rmtree(damaged, ignore_errors=True)
    shutil.copytree(run, damaged)
    (damaged / MEMBER).write_bytes(content)
    problems = mm.Snapshots(damaged).problems()
    assert len(problems) == 1
    assert MEMBER in problems[0]


@pytest.mark.parametrize("keep", [0, 7, 100, -1])
def test_truncated_files_are_named(run, keep):
    content = (run / MEMBER).read_bytes()
    (run / MEMBER).write_bytes(content[:keep])
    with pytest.raises(ValueError, match=rf"{MEMBER}' is truncated or damaged .* move it out of the run"):
        list(mm.Snapshots(run))


def test_missing_files_are_named(run):
    (run / MEMBER).unlink()
    with pytest.raises(FileNotFoundError, match=rf"{MEMBER}' is missing.*Restore the file"):
        list(mm.Snapshots(run))


def test_renamed_files_are_named(run):
    (run / MEMBER).rename(run / "members/r000-s00000025.safetensors")
    assert "was renamed" in mm.Snapshots(run).problems()[0]


def test_files_that_are_no_members_are_named(run):
    shutil.copy(run / MEMBER, run / "members/copy.safetensors")
    with pytest.raises(ValueError, match=r"copy.safetensors' is not a member .* Move it out of the run"):
        len(mm.Snapshots(run))


def test_files_of_another_run_are_named(run, tmp_path):
    other = write_run(tmp_path / "other").path
    shutil.copy(other / MEMBER, run / MEMBER)
    assert "belongs to run" in mm.Snapshots(run).problems()[0]
    shutil.copy(run / "members/r000-s00000010.safetensors", run / MEMBER)
    assert "was renamed" in mm.Snapshots(run).problems()[0]


def test_several_problems_are_named_at_once(run):
    for file in (run / "members").iterdir():
        file.write_bytes(b"")
    assert len(mm.Snapshots(run).problems()) == 3


def test_a_member_rewritten_with_a_hash_of_its_own_is_not_the_runs(run):
    run_id = mm.Snapshots(run).run["run_id"]
    write_member(run, run_id, Member(MEMBER, 20, epoch=2.0), [np.zeros((2, 3), "float32")])
    assert "its hash differs from the index" in mm.Snapshots(run).problems()[0]


def test_a_run_that_died_between_member_and_index_keeps_the_member(run):
    index = json.loads((run / "index.json").read_text())
    index["members"].pop()
    index.pop("hash")
    (run / "index.json").write_text(json.dumps(index))
    (run / "members" / ".r000-s00000040.safetensors.1.tmp").write_bytes(b"half")
    assert [m.step for m in mm.Snapshots(run).members] == [10, 20, 30]
    assert mm.Snapshots(run).problems() == []


@pytest.mark.parametrize("name", ["run.json", "index.json"])
@pytest.mark.parametrize(
    ("content", "fix"),
    [
        (b"{", "is damaged.*Restore it"),
        (b"\xff\xfe", "is damaged"),
        (b"[]", "no format number"),
        (b'{"format": 2}', r"has run format 2; this version reads format 1. Update: pip install -U"),
    ],
)
def test_damaged_descriptions_are_named(run, name, content, fix):
    (run / name).write_bytes(content)
    with pytest.raises(ValueError, match=f"{name}' {fix}" if "no format" not in fix else fix):
        len(mm.Snapshots(run))


def test_an_index_of_another_run(run, tmp_path):
    shutil.copy(write_run(tmp_path / "other").path / "index.json", run / "index.json")
    with pytest.raises(ValueError, match="belongs to another run than run.json"):
        len(mm.Snapshots(run))


def test_the_index_cannot_lead_out_of_the_run(run):
    text = (run / "index.json").read_text().replace(MEMBER, "../../secret")
    (run / "index.json").write_text(text)
    (run / MEMBER).unlink()
    assert "which no member is called" in mm.Snapshots(run).problems()[0]


def test_no_run(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"holds no run.*`manyminima train`"):
        len(mm.Snapshots(tmp_path))


def test_a_run_that_ended_before_its_first_member_is_none(tmp_path):
    mm.Snapshots(tmp_path / "run").begin({})
    assert len(write_run(tmp_path / "run")) == 3
    with pytest.raises(FileExistsError, match="never overwritten"):
        write_run(tmp_path / "run")


def test_no_best_was_kept(run):
    with pytest.raises(FileNotFoundError, match='best="val_loss"'):
        mm.Snapshots(run).best  # noqa: B018


# -- rebuilding the model --------------------------------------------------------------------------------------------

X, Y = data()


@keras.saving.register_keras_serializable("tests")
class Doubled(layers.Layer):
    """A registered layer."""

    def call(self, x):
        return 2 * x


@keras.saving.register_keras_serializable("tests")
class Subclassed(keras.Model):
    """A registered model that says how it was made."""

    def __init__(self, units, **options):
        super().__init__(**options)
        self.units, self.head = units, layers.Dense(units, "softmax")

    def call(self, x):
        return self.head(x)

    def get_config(self):
        return {**super().get_config(), "units": self.units}


class Unregistered(layers.Layer):
    """A layer that Keras learns of by `custom_objects` only."""

    def call(self, x):
        return 3 * x


def functional():
    a, b = keras.Input((4,), name="a"), keras.Input((4,), name="b")
    shared = layers.Dense(5, "tanh")
    joined = layers.Concatenate()([shared(a), shared(b), Doubled()(a)])
    return keras.Model({"a": a, "b": b}, layers.Dense(3, "softmax")(joined))


def normalised():
    scale = layers.Normalization()
    scale.adapt(X)
    return keras.Sequential([keras.Input((4,)), scale, layers.GaussianNoise(0.1), layers.Dense(3, "softmax")])


def subclassed():
    model = Subclassed(3)
    model(X[:1])
    return model


@pytest.mark.parametrize("build", [functional, normalised, subclassed], ids=["shared", "counts", "subclass"])
def test_a_run_rebuilds_its_model(build, tmp_path):
    model = build()
    x = {"a": X, "b": X[::-1]} if len(getattr(model, "inputs", [0])) == 2 else X
    model.compile(optimizer="sgd", loss="sparse_categorical_crossentropy")
    model.fit(x, Y, epochs=2, verbose=0, callbacks=[mm.Collect(mm.recipes.checkpoints(), into=tmp_path / "run")])
    loaded = mm.load(tmp_path / "run")
    assert len(loaded) == 2
    assert_same(loaded[-1], model.get_weights())
    np.testing.assert_allclose(loaded.predict_members(x)[-1], model.predict(x, verbose=0), atol=1e-6)


def test_classes_that_keras_does_not_know_are_named(tmp_path):
    with keras.saving.custom_object_scope({"Unregistered": Unregistered}):
        model = keras.Sequential([keras.Input((4,)), Unregistered(), layers.Dense(3, "softmax")])
        model.compile(optimizer="sgd", loss="sparse_categorical_crossentropy")
        into = tmp_path / "run"
        model.fit(X, Y, epochs=1, verbose=0, callbacks=[mm.Collect(mm.recipes.checkpoints(), into=into)])
    with pytest.raises(ValueError, match=r"uses .*Unregistered, which Keras does not know.*custom_objects="):
        mm.load(into)
    assert len(mm.load(into, custom_objects={"Unregistered": Unregistered})) == 1


def test_lambdas_need_the_users_word(tmp_path):
    model = keras.Sequential([keras.Input((4,)), layers.Lambda(lambda x: x * 2), layers.Dense(3, "softmax")])
    model.compile(optimizer="sgd", loss="sparse_categorical_crossentropy")
    into = tmp_path / "run"
    model.fit(X, Y, epochs=1, verbose=0, callbacks=[mm.Collect(mm.recipes.checkpoints(), into=into)])
    with pytest.raises(ValueError, match=r"code is stored in the run.*mm.load\(path, safe_mode=False\)"):
        mm.load(into)
    trusted = mm.load(into, safe_mode=False)
    np.testing.assert_allclose(trusted.predict(X), model.predict(X, verbose=0), atol=1e-6)


def test_a_run_of_another_model(tmp_path):
    compiled_model = compiled()
    into = tmp_path / "run"
    compiled_model.fit(X, Y, epochs=1, verbose=0, callbacks=[mm.Collect(mm.recipes.checkpoints(), into=into)])
    other = keras.Sequential([keras.Input((4,)), layers.Dense(8), layers.BatchNormalization(), layers.Dense(5)])
    with pytest.raises(ValueError, match=r"s00000004.safetensors' holds 8 arrays.*array 6.*\(8, 3\) there, \(8, 5\)"):
        mm.Ensemble(other, mm.Snapshots(into))


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="elsewhere Keras builds the model before training")
def test_a_model_that_is_not_built_is_refused(tmp_path):
    model = Subclassed(3)
    model.compile(optimizer="sgd", loss="sparse_categorical_crossentropy")
    with pytest.raises(ValueError, match=r"Call it once before fit: model\(x\[:1\]\)"):
        model.fit(X, Y, verbose=0, callbacks=[mm.Collect(mm.recipes.checkpoints(), into=tmp_path / "run")])


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")
@pytest.mark.parametrize("mode", [0o700, 0o750, 0o755])
def test_whoever_may_read_the_folder_may_read_its_members(tmp_path, mode):
    tmp_path.chmod(mode)
    member = write_member(tmp_path, "0" * 32, Member("r000-s00000001.safetensors", 1), [np.zeros(3, "float32")])
    assert (tmp_path / member.file).stat().st_mode & 0o777 == mode & 0o666
