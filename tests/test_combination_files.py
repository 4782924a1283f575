"""Combinations as files: they come back as they were, and whatever is damaged is named and not used."""

import copy
import functools
import json
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cases import members_of, noisy
from manyminima.combination import Combination

Y = np.random.default_rng(0).integers(3, size=120)
P = noisy(Y, [1.0, 2.0, 4.0])


@pytest.mark.parametrize("task", ["multiclass", "binary", "multilabel", "dense", "regression"])
def test_json_and_back(task, tmp_path):
    y, probs = members_of(0, task=task)
    for coefficients, calibrator in [("fitted", "none"), ("uniform", "temperature"), ("newest", "isotonic")]:
        if task == "regression" and calibrator != "none":
            continue
        found = Combination.fit(y, probs, coefficients, calibrator)
        path = found.to_json(tmp_path / "new" / "combination.json")
        json.loads(path.read_text(), parse_constant=pytest.fail)
        again = Combination.from_json(path)
        np.testing.assert_array_equal(again(probs), found(probs))
        assert str(again) == str(found)
        assert again.to_json(tmp_path / "b.json").read_bytes() == path.read_bytes()


@functools.cache
def fitted(calibrator="temperature"):
    return Combination.fit(Y, P, "fitted", calibrator)


def written(tmp_path, change, calibrator="temperature"):
    path = fitted(calibrator).to_json(tmp_path / "combination.json")
    data = json.loads(path.read_text())
    path.write_text(json.dumps(change(copy.deepcopy(data))))
    return path


def put(*keys_and_value):
    *keys, last, value = keys_and_value

    def change(data):
        inner = data
        for key in keys:
            inner = inner[key]
        inner[last] = value
        return data

    return change


DAMAGE = {
    "format": [put("format", 2), put("format", None), put("format", "1")],
    "not a dict": [lambda data: [], lambda data: "x", lambda data: None, lambda data: {}, lambda data: 3],
    "entries": [
        lambda data, gone=gone: {key: data[key] for key in data if key != gone}
        for gone in ("format", "selection", "calibrator", "members")
    ],
    "members": [put("members", value) for value in (None, "abc", 3, [1], [None])],
    "selection": [put("selection", value) for value in ([], "fitted", 3, {}, {"method": "fitted"})],
    "coefficients": [
        put("selection", "coefficients", value)
        for value in (
            [1.5, -0.5, 0],
            [0.5, 0.4, 0],
            [],
            None,
            "abc",
            [float("nan"), 1, 0],
            [float("inf"), 0, 0],
            [[0.2, 0.3, 0.5]],
            ["a", "b", "c"],
            [10**400, 0, 0],
            [1e308, 0, 0],
            {"a": 1},
            1.0,
        )
    ],
    "of the selection": [
        *(put("selection", "method", value) for value in ("best", None, 3)),
        *(put("selection", "task", value) for value in ("ranking", 3)),
        *(put("selection", "metric", value) for value in ("brier", None)),
        *(put("selection", "score", value) for value in ("x", None, float("nan"), [1], True)),
        put("selection", "reason", 3),
        put("selection", "gap", "x"),
        *(put("selection", "data", value) for value in (None, {}, {"examples": 3}, [1])),
        *(put("selection", "data", "examples", value) for value in ("3", None, 1.5)),
        put("selection", "data", "labels", 3),
        put("selection", "data", "score", "x"),
        put("selection", "more", 1),
    ],
    "calibrator": [put("calibrator", value) for value in ([], "temperature", {}, {"kind": "temperature"}, 3)],
    "temperature": [
        put("calibrator", "temperature", value)
        for value in (0, -1.0, None, "2", True, float("nan"), float("inf"), 1e-320, 1e308, 10**400, [1.0], 1e4)
    ],
    "of the calibrator": [
        *(put("calibrator", "kind", value) for value in ("platt", None, [], "isotonic")),
        *(put("calibrator", "task", value) for value in ("regression", None, 3)),
        *(put("calibrator", "classes", value) for value in (0, -1, "3", None, 2.5, True)),
        put("calibrator", "before", "x"),
        put("calibrator", "after", float("nan")),
        put("calibrator", "data", None),
        put("calibrator", "more", 1),
    ],
}
CHANGES = [
    pytest.param(change, id=f"{name} {n}") for name, changes in DAMAGE.items() for n, change in enumerate(changes)
]


@pytest.mark.parametrize("change", CHANGES)
def test_a_damaged_file_is_named(change, tmp_path):
    path = written(tmp_path, change)
    with pytest.raises(
        ValueError, match=r"combination.json' is no combination that this version reads .*Delete it, then fit"
    ):
        Combination.from_json(path)


CURVES = [
    put("calibrator", "inputs", []),
    put("calibrator", "inputs", 3),
    put("calibrator", "inputs", [[0.1], [0.1]]),
    put("calibrator", "inputs", [["a", "b"]] * 3),
    put("calibrator", "inputs", [[0.9, 0.1]] * 3),
    put("calibrator", "outputs", [[0.5] * 1000] * 3),
    put("calibrator", "outputs", [[2.0], [0.5], [0.5]]),
    put("calibrator", "floor", 0.0),
    put("calibrator", "floor", "x"),
    put("calibrator", "floor", None),
    put("calibrator", "classes", 4),
]


@pytest.mark.parametrize("change", CURVES)
def test_damaged_curves_are_named(change, tmp_path):
    path = written(tmp_path, change, "isotonic")
    with pytest.raises(ValueError, match=r"combination.json' is no combination that this version reads"):
        Combination.from_json(path)


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"\xff\xfe\x00", b"nonsense", b"[" * 100_000, b'{"format": 1e999}', b'{"format": NaN}', b"1" * 5000],
    ids=range(8),
)
def test_what_is_no_json_is_named(content, tmp_path):
    path = tmp_path / "combination.json"
    path.write_bytes(content)
    with pytest.raises(
        ValueError, match=r"combination.json' is no combination that this version reads .{0,300}Delete it"
    ):
        Combination.from_json(path)


@settings(max_examples=60)
@given(st.data())
def test_a_truncated_or_changed_file_is_read_or_refused(data):
    """Whatever happens to its bytes: what is read has sound numbers, all else is our error."""
    with tempfile.TemporaryDirectory() as folder:
        path = fitted().to_json(Path(folder) / "combination.json")
        content = bytearray(path.read_bytes())
        for _ in range(data.draw(st.integers(1, 3))):
            content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
        path.write_bytes(content[: data.draw(st.integers(0, len(content)))] if data.draw(st.booleans()) else content)
        try:
            found = Combination.from_json(path)
        except ValueError as error:
            assert "is no combination that this version reads" in str(error)  # noqa: PT017
        else:
            np.testing.assert_allclose(found(P[: len(found.coefficients(3))]).sum(-1), 1)


def test_there_is_no_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.json"):
        Combination.from_json(tmp_path / "none.json")
