"""A run from a stranger, mutated at random: reading ends in success or in our own error that names the place."""

import copy
import json
import shutil
import struct

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import manyminima as mm
from manyminima.inference.loading import COMBINATION, _kept
from manyminima.runs.streaming import read_member
from problems import data
from runs_of_strangers import MEMBER, look_at, ours, rewrite

_, Y = data(32)
FUZZ = settings(
    max_examples=150,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)


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
