"""Only strict JSON is read of a run, and all of it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manyminima.runs.format import read_json
from manyminima.runs.strict import parse


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
