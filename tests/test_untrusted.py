"""A run from a stranger: whatever its files say, reading ends in success or in our own error, soon and in bounded memory."""

import contextlib
import copy
import hashlib
import json
import os
import shutil
import struct
import subprocess
import sys
import tracemalloc

import keras
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import manyminima as mm
from manyminima.inference.loading import COMBINATION, _kept
from manyminima.runs import architecture
from manyminima.runs.format import member_file, read_json
from manyminima.runs.streaming import read_member
from manyminima.runs.strict import parse
from manyminima.runs.verify import inspect
from problems import assert_same, compiled, data, layers

X, Y = data(32)
MEMBER = member_file(2)
FUZZ = settings(
    max_examples=150,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run of two members as `fit` leaves it."""
    path = tmp_path_factory.mktemp("runs") / "run"
    collect = mm.Collect(mm.recipes.checkpoints(), into=path, best="loss")
    compiled().fit(X, Y, batch_size=16, epochs=2, verbose=0, callbacks=[collect])
    return path


@pytest.fixture
def run(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "run")


@contextlib.contextmanager
def ours(run):
    """Accept success, or an error of ours that names the place."""
    told = str(run)
    try:
        yield
    except (ValueError, FileNotFoundError) as error:
        told = str(error)
    assert str(run) in told, told


def look_at(run):
    """Do all that can be done with a run but to predict."""
    snapshots = mm.Snapshots(run)
    for look in (lambda: list(snapshots), lambda: snapshots.about, lambda: snapshots.best, lambda: snapshots.left_out):
        with ours(run):
            look()
    assert isinstance(snapshots.problems(), list)
    with ours(run):
        inspect(run)


def rewrite(run, name, data):
    """Write a description, and make the index agree with it as a stranger would."""
    if name == "index.json" and isinstance(data, dict):
        data.pop("hash", None)
    text = json.dumps(data).encode()
    (run / name).write_bytes(text)
    if name == "run.json" and (run / "index.json").exists():
        index = json.loads((run / "index.json").read_text())
        index["run_hash"] = hashlib.sha256(text).hexdigest()
        index.pop("hash", None)
        (run / "index.json").write_text(json.dumps(index))


# -- fuzz ------------------------------------------------------------------------------------------------------------

STRANGE = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**25), 10**25),
    st.floats(),
    st.sampled_from(
        ["", "nan", "../../etc/passwd", "/etc/passwd", "members/..", "\ud800", "\x00", "a" * 5000, "__class__"]
    ),
    st.sampled_from(
        [[], {}, [[]], [None], {"": {}}, {"class_name": "function", "config": "eval", "module": "builtins"}]
    ),
    st.lists(st.integers(-1, 2**62), max_size=4),
    st.just([2**40, 2**40]),
)


def places(data, path=()):
    """Yield the path to every value in nested JSON."""
    yield path
    for key, value in data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ():
        yield from places(value, (*path, key))


@st.composite
def mutated(draw, original):
    """The same JSON with one to three values replaced, removed, doubled or renamed."""
    data = copy.deepcopy(original)
    for _ in range(draw(st.integers(1, 3))):
        where = draw(st.sampled_from(list(places(data))))
        if not where:
            return copy.deepcopy(draw(STRANGE))
        parent = data
        for key in where[:-1]:
            parent = parent[key]
        how = draw(st.sampled_from(["replace", "replace", "remove", "add"]))
        if how == "remove":
            del parent[where[-1]]
        elif how == "add" and isinstance(parent, list):
            parent.append(copy.deepcopy(parent[where[-1]]))
        elif how == "add":
            parent[draw(st.sampled_from(["file", "config", "class_name", "x"]))] = copy.deepcopy(draw(STRANGE))
        else:
            parent[where[-1]] = copy.deepcopy(draw(STRANGE))  # what is drawn is shared
    return data


@FUZZ
@given(st.data())
@pytest.mark.parametrize("name", ["index.json", "run.json"])
def test_mutated_descriptions(name, run, whole, data):
    rewrite(run, name, data.draw(mutated(json.loads((whole / name).read_text()))))
    look_at(run)
    shutil.copy(whole / "index.json", run)
    shutil.copy(whole / "run.json", run)


@settings(FUZZ, max_examples=40)
@given(st.data())
def test_mutated_models_are_built_or_refused(run, whole, data):
    about = json.loads((whole / "run.json").read_text())
    for part in data.draw(st.lists(st.sampled_from(["model", "tasks", "variables"]), min_size=1, max_size=2)):
        about[part] = data.draw(mutated(about[part]))
    rewrite(run, "run.json", about)
    with ours(run):
        mm.load(run)


@settings(FUZZ, max_examples=300)
@given(st.data())
def test_mutated_headers(run, whole, data):
    content = bytearray((whole / MEMBER).read_bytes())
    (length,) = struct.unpack("<Q", content[:8])
    how = data.draw(st.sampled_from(["bytes", "length", "header"]))
    if how == "bytes":
        for _ in range(data.draw(st.integers(1, 6))):
            content[data.draw(st.integers(0, 8 + length - 1))] = data.draw(st.integers(0, 255))
    elif how == "length":
        content[:8] = struct.pack("<Q", data.draw(st.integers(0, 2**64 - 1)))
    else:
        header = data.draw(mutated(json.loads(content[8 : 8 + length])))
        text = json.dumps(header).encode()
        content = bytearray(struct.pack("<Q", len(text)) + text) + content[8 + length :]
    (run / MEMBER).write_bytes(content)
    with ours(run):
        found, arrays = read_member(run, mm.Snapshots(run).run["run_id"], MEMBER)
        expected, weights = read_member(whole, found_id(whole), MEMBER)
        assert (found.hash, len(arrays)) == (expected.hash, len(weights))
    look_at(run)


def found_id(run):
    return mm.Snapshots(run).run["run_id"]


@settings(FUZZ, max_examples=100)
@given(st.binary(max_size=400))
def test_bytes_that_are_nothing(run, content):
    for name in ("run.json", "index.json", MEMBER, "best.safetensors"):
        before = (run / name).read_bytes()
        (run / name).write_bytes(content)
        look_at(run)
        (run / name).write_bytes(before)


@pytest.fixture
def combination(run):
    """What `evaluate` keeps beside a run."""
    probs = np.random.default_rng(0).dirichlet(np.ones(3), (2, len(Y)))
    (run / "analysis").mkdir()
    mm.Combination.fit(Y, probs).to_json(run / COMBINATION)
    return json.loads((run / COMBINATION).read_text())


@settings(FUZZ, max_examples=60)
@given(st.data())
def test_mutated_combinations(run, combination, data):
    (run / COMBINATION).write_text(json.dumps(data.draw(mutated(combination))))
    with ours(run):
        _kept(mm.Snapshots(run))


# -- strict JSON -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"\xff", "utf-8"),
        (b'{"a": NaN}', "holds NaN"),
        (b'{"a": -Infinity}', "holds -Infinity"),
        (b'{"a": 1e999}', "too large"),
        (b'{"a": ' + b"9" * 5000 + b"}", "5000 digits"),
        (b'{"a": 1, "a": 2}', "says 'a' twice"),
        (b"[" * 100_000, "nested too deeply"),
        (b"[" * 400 + b"]" * 400, "nested too deeply"),
        (b'{"a":' * 300 + b"1" + b"}" * 300, "nested too deeply"),
        (b'["\\ud800"]', "surrogates not allowed"),
        (b'{"a": 1} x', "Extra data"),
        (b"", "Expecting value"),
    ],
)
def test_only_strict_json_is_read(content, why, tmp_path):
    with pytest.raises(ValueError, match=why):
        parse(content)
    (tmp_path / "run.json").write_bytes(content)
    with pytest.raises(ValueError, match=rf"run.json' is damaged: .*{why}.*Restore it from a copy"):
        read_json(tmp_path / "run.json")


TEXT = st.text(st.characters(exclude_categories=["Cs"]))
NUMBERS = st.integers(-(2**60), 2**60) | st.floats(allow_nan=False, allow_infinity=False)
PLAIN = st.none() | st.booleans() | NUMBERS | TEXT


@given(st.recursive(PLAIN, lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner)))
def test_all_else_is_read_as_json_is(value):
    assert parse(json.dumps(value).encode()) == value


def test_formats_to_come_ask_for_an_update(run):
    for name in ("run.json", "index.json"):
        before = (run / name).read_bytes()
        rewrite(run, name, {**json.loads(before), "format": 2, "news": True})
        with pytest.raises(
            ValueError, match=rf"{name}' has run format 2; this version reads format 1. Update: pip install"
        ):
            mm.load(run)
        (run / name).write_bytes(before)


# -- nothing outside, nothing large, nothing executed ----------------------------------------------------------------


@pytest.mark.parametrize("name", ["run.json", "index.json", MEMBER, "members", "best.safetensors", "analysis"])
def test_links_are_not_followed(name, run, whole, tmp_path):
    outside = tmp_path / "outside"
    if (run / name).exists():
        (run / name).rename(outside)
    else:
        outside.mkdir()
        (outside / "combination.json").write_text("{}")
    (run / name).symlink_to(outside)
    with pytest.raises(ValueError, match=rf"{name}' is a link, and .* plain .*(cp -rL follows links)"):
        mm.Snapshots(run).best if name == "best.safetensors" else mm.load(run)
    assert mm.load(whole)


def test_a_pipe_does_not_hang(run):
    for name in ("run.json", "index.json", MEMBER):
        (run / name).rename(run / "aside")
        os.mkfifo(run / name)
        with pytest.raises(ValueError, match="is a pipe, and runs are read from plain files only"):
            mm.load(run)
        (run / "aside").replace(run / name)


@pytest.mark.parametrize(
    "file", ["../../secret", "/etc/passwd", "members/../../x.safetensors", "members/", "best.safetensors"]
)
def test_an_index_leads_nowhere_else(run, file):
    index = json.loads((run / "index.json").read_text())
    index["members"][0]["file"] = file
    rewrite(run, "index.json", index)
    with pytest.raises(ValueError, match=r"which no member is called\). Delete it"):
        mm.load(run)


def layer_of(about):
    return about["model"]["config"]["config"]["layers"]


@pytest.mark.parametrize("units", [10**9, 10**12, 2**62])
def test_a_model_larger_than_its_members_takes_no_memory(run, units):
    about = json.loads((run / "run.json").read_text())
    dense = next(layer for layer in layer_of(about) if layer["class_name"] == "Dense")
    dense["config"]["units"] = units
    rewrite(run, "run.json", about)
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=r"run.json': the model that the run describes cannot be built"):
            mm.load(run)
        assert tracemalloc.get_traced_memory()[1] < 50e6
    finally:
        tracemalloc.stop()
    with keras.StatelessScope():
        pass  # leaving it fills what waits: nothing of the refused model may


PROGRAM = """
import resource, sys
import manyminima as mm
mm.Snapshots("nowhere")
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 100_000_000,) * 2)
for path in sys.argv[1:]:
    try:
        print(len(list(mm.Snapshots(path))))
    except (ValueError, FileNotFoundError) as error:
        print("ours:", error)
"""


def declare(run, shape, size):
    """Make a member a file of so many bytes, most of which take no room on disk, with a header of its own."""
    content = (run / MEMBER).read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    about = json.loads(content[8 : 8 + length])["__metadata__"]
    entry = {"dtype": "F32", "shape": shape, "data_offsets": [0, 4 * int(np.prod(shape))]}
    text = json.dumps({"__metadata__": about, "0": entry}).encode()
    with (run / MEMBER).open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.truncate(8 + len(text) + size)


def test_declared_sizes_take_no_memory(run, tmp_path):
    """With little memory left: a huge array in a small file, in a huge sparse file, and a header of a huge length."""
    small, sparse, long = (shutil.copytree(run, tmp_path / name) for name in ("small", "sparse", "long"))
    declare(small, [2**38], 1000)
    declare(sparse, [2**38], 2**40)
    about = json.loads((run / "run.json").read_text())
    rewrite(sparse, "run.json", {**about, "variables": [{"path": "", "shape": [2**38], "dtype": "float32"}]})
    (sparse / "index.json").unlink()
    with (long / MEMBER).open("rb+") as file:
        file.write(struct.pack("<Q", 2**40))
        file.truncate(2**41)
    paths = [str(path) for path in (small, sparse, long)]
    done = subprocess.run([sys.executable, "-c", PROGRAM, *paths], capture_output=True, text=True, timeout=60)
    for path, line in zip(paths, done.stdout.splitlines(), strict=True):
        assert line.startswith("ours:"), done.stdout + done.stderr
        assert f"{path}/{MEMBER}" in line


def test_a_description_of_any_size_is_refused_unread(run):
    os.truncate(run / "index.json", 2**41)
    with pytest.raises(ValueError, match=r"index.json' has 2,199,.* bytes, and 67,108,864 is the most"):
        mm.load(run)


@pytest.mark.parametrize(
    ("module", "name", "config"),
    [
        ("keras.layers", "TFSMLayer", {"filepath": "/tmp"}),
        ("keras.layers", "TorchModuleWrapper", {"module": "gASV"}),
        ("keras.layers", "StringLookup", {"vocabulary": "/etc/passwd"}),
        ("keras.utils", "get_file", {"fname": "x"}),
        ("keras.saving", "load_model", {"filepath": "x"}),
        ("keras.config", "enable_unsafe_deserialization", {}),
    ],
)
def test_what_reads_files_or_runs_code_is_refused(run, module, name, config):
    about = json.loads((run / "run.json").read_text())
    layer_of(about)[1].update(module=module, class_name=name, config=config, registered_name=None)
    rewrite(run, "run.json", about)
    with pytest.raises(ValueError, match="run.json': the model that the run describes cannot be built"):
        mm.load(run)


def test_no_model_is_no_model(run):
    for config in ({"module": "keras.layers", "class_name": "Dense", "config": {"units": 3}}, {}, {"a": 1}):
        about = json.loads((run / "run.json").read_text())
        about["model"]["config"] = config
        rewrite(run, "run.json", about)
        with pytest.raises(
            ValueError, match=r"run.json': the model that the run describes cannot be built: it is a .*no model"
        ):
            mm.load(run)


# -- honest models are built -----------------------------------------------------------------------------------------


def honest():
    """Models with state, random layers, recurrent cells, attention and nested parts."""
    image, words = keras.Input((8, 8, 3)), keras.Input((6,), dtype="int32")
    nested = keras.Sequential([layers.Dense(4, "relu"), layers.BatchNormalization()])
    convolved = layers.Conv2D(4, 3)(layers.RandomRotation(0.1)(layers.RandomFlip()(image)))
    yield keras.Model(image, nested(layers.GlobalAveragePooling2D()(layers.DepthwiseConv2D(2)(convolved))))
    embedded = layers.Embedding(20, 8)(words)
    attended = layers.MultiHeadAttention(2, 4, dropout=0.1)(embedded, embedded)
    read = layers.Bidirectional(layers.LSTM(3, dropout=0.1))(layers.LayerNormalization()(attended))
    yield keras.Model(words, layers.Dense(2)(layers.Concatenate()([read, layers.GRU(3)(embedded)])))
    scale = layers.Normalization()
    scale.adapt(X)
    spectral = layers.SpectralNormalization(layers.Dense(4))
    yield keras.Sequential(
        [keras.Input((4,)), scale, spectral, layers.PReLU(), layers.GaussianNoise(0.1), layers.Dense(3)]
    )
    half = keras.Sequential([keras.Input((4,)), layers.Dense(3, dtype="mixed_bfloat16"), layers.UnitNormalization()])
    yield half


def test_honest_models_are_built_with_sizes_untrusted():
    for model in honest():
        about = json.loads(json.dumps(architecture.describe(model)))
        shapes = [w.shape for w in model.get_weights()]
        twin = architecture.rebuild_of(about, shapes, "here")
        architecture.adopt(twin, model.get_weights())
        assert_same(twin.get_weights(), model.get_weights())
        assert_same([np.shape(v) for v in twin.variables], [np.shape(v) for v in model.variables])
        if model.inputs[0].shape == (None, 4):
            np.testing.assert_allclose(twin.predict(X, verbose=0), model.predict(X, verbose=0), rtol=1e-2)
        with pytest.raises(ValueError, match=rf"here holds {len(shapes) - 1} arrays, and model"):
            architecture.rebuild_of(about, shapes[:-1], "here")
