"""Columns of a table: each means what its training rows say, the target too, and what does not fit is one clear error."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from manyminima import datasets
from manyminima.datasets.columns import Column, Tally, numbers
from manyminima.datasets.records import open_table
from manyminima.datasets.targets import read_target
from tables_of_people import people, write


def column(cells, name="c"):
    """What a column with these training cells holds."""
    tally = Tally(name)
    tally.add(cells, np.arange(1, len(cells) + 1))
    return tally.column("a.csv")


@given(st.lists(st.one_of(st.none(), st.floats(width=32, allow_nan=False, allow_infinity=False)), min_size=1))
def test_numbers_come_back_bit_for_bit(values):
    cells = ["" if value is None else repr(value) for value in values]
    found = Column("c", "number").encode(cells, 1, "a.csv")
    np.testing.assert_array_equal(found, np.array([np.nan if v is None else v for v in values], np.float32))


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        (["1", "2.5", "", "-3e2"], "number"),
        (["1", "0", "1", "0"], "number"),
        (["True", "False", "", "true"], "boolean"),
        (["yes", "NO", "no"], "boolean"),
        (["a", "b", "a", ""], "category"),
        (["0", "1", "3+", "1", "3+"], "category"),
        (["yes", "", "yes", ""], "category"),
        (["1", "", "1"], "category"),
        (["5", "5", "5"], "constant"),
        (["a", "a"], "constant"),
        (["", ""], "constant"),
        ([str(n) for n in range(7, 60)], "count"),
        ([str(n) for n in range(60, 7, -1)], "number"),
        ([f"id{n}" for n in range(50)], "id"),
        ([f"note {n // 1.5}" for n in range(60)], "text"),
        (["x", "y", "z"], "text"),
    ],
)
def test_kinds(cells, kind):
    assert column(cells).kind == kind


def test_categories_are_ordered_by_how_often_they_come_and_rare_ones_are_unknown():
    found = column(["b"] * 5 + ["a"] * 3 + ["c"] * 3 + ["once"] + [""] * 2)
    assert found.categories == ("b", "a", "c", "")
    assert found.encode(["a", "once", "new", "", "b"], 1, "a.csv").tolist() == [2, 0, 0, 4, 1]
    assert found.unknown(["a", "new", "once", "new", ""]) == {"new": 2, "once": 1}


@given(st.lists(st.sampled_from(["a", "b", "c", "", "1"]), min_size=30, max_size=60))
def test_a_tally_does_not_depend_on_its_chunks(cells):
    whole, split = Tally("c"), Tally("c")
    whole.add(cells, np.arange(1, len(cells) + 1))
    for first in range(0, len(cells), 7):
        split.add(cells[first : first + 7], np.arange(first + 1, first + 1 + len(cells[first : first + 7])))
    assert whole.column("a.csv") == split.column("a.csv")


def test_a_column_survives_json():
    for found in (column(["1", "2", ""]), column(["a", "b", "a", "b"]), column(["x", "x"])):
        assert Column.from_json(json.loads(json.dumps(found.to_json()))) == found


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        (
            ["2024-01-05", "2023-11-30", "2024-02-01T10:00"],
            r"holds dates, such as '2024-01-05'\. .*days since .*--drop 'c'",
        ),
        (["1/5/2024", "30.11.23", "2/2/2024"], "holds dates"),
        (["3,14", "2,5", "1.000,5"], r"numbers with a decimal comma, such as '3,14'\. Expected a point"),
        (
            [str(n) for n in range(30)] + ["unknown"],
            r"holds numbers in 30 of 31 training rows, but row 31 below the header has 'unknown'\. .*leave cells empty",
        ),
    ],
)
def test_columns_that_cannot_be_used_as_they_are(cells, message):
    with pytest.raises(ValueError, match=message):
        column(cells)


@pytest.mark.parametrize(
    ("kind", "cells", "message"),
    [
        ("number", ["1", "abc"], r"row 6 below the header of 'new\.csv' has 'abc' in column 'c', which holds numbers"),
        ("number", ["1", "1_000"], "has '1_000'"),
        ("number", ["inf", "1"], r"row 5 .* has 'inf' .*finite number"),
        ("number", ["1", "1e40"], r"row 6 .* has '1e40' .*float32"),
        ("boolean", ["true", "", "maybe"], r"row 7 .* has 'maybe' in column 'c', which holds true or false"),
    ],
)
def test_cells_that_do_not_fit_their_column(kind, cells, message):
    with pytest.raises(ValueError, match=message):
        Column("c", kind).encode(cells, 5, "new.csv")


def test_numbers_that_float32_cannot_tell_apart(tmp_path):
    columns = people()
    columns["tenure"] = [str(16_777_216_000 + n % 2) for n in range(200)]
    with pytest.raises(ValueError, match=r"'tenure' .* varies by less than float32 can tell around 1677721.*Subtract"):
        datasets.load(write(tmp_path / "a.csv", columns), target="churned")


def test_numbers_are_strict():
    assert numbers(["1", "2_0"]) is None
    assert numbers(["1", "x"]) is None


# -- targets -------------------------------------------------------------------------------------------------------------


def target(tmp_path, cells, task=None):
    path = write(tmp_path / "a.csv", {"x": range(len(cells)), "y": cells})
    return read_target(open_table(path), "y", task)


@pytest.mark.parametrize(
    ("cells", "classes"),
    [
        (["b", "a"] * 5, ("a", "b")),
        (["2", "10", "1"] * 5, ("1", "2", "10")),
        (["0.0", "1", "1.0"] * 5, ("0", "1")),
        (["class 10", "class 9"] * 5, ("class 9", "class 10")),
        (["True", "False"] * 5, ("False", "True")),
    ],
)
def test_classes_have_their_names_in_order(tmp_path, cells, classes):
    found, y = target(tmp_path, cells)
    assert (found.task, found.classes) == ("multiclass", classes)
    np.testing.assert_array_equal(y, found.encode(cells, 1, "a.csv"))


@pytest.mark.parametrize("cells", [["0.5", "1.5", "2.5"] * 10, [str(n) for n in range(100)], ["1", "2", "3"]])
def test_other_numbers_are_a_regression(tmp_path, cells):
    found, y = target(tmp_path, cells)
    assert found.task == "regression"
    np.testing.assert_array_equal(y, np.array(cells, np.float32))


def test_the_task_can_be_told(tmp_path):
    assert target(tmp_path, ["1", "2"] * 10, "regression")[0].classes == ()
    assert target(tmp_path, ["0.5", "1.5"] * 10, "multiclass")[0].classes == ("0.5", "1.5")


@pytest.mark.parametrize(
    ("cells", "task", "message"),
    [
        (["a", "", "b", ""], None, r"2 of 4 rows of .* have no value in the target column 'y', the first is row 2"),
        (
            ["a"] * 9 + ["b"],
            None,
            r"of the 2 classes .*, 'b' has 1 row\. Expected at least 5 of each.*remove the class",
        ),
        (["1"] * 9 + ["2"] * 3, None, r"'2' has 3 rows\. .*--task regression"),
        (["a"] * 9, None, r"holds 'a' in all rows\. Expected at least two classes"),
        (["1", "2", "x"] * 5, "regression", r"row 3 .* has 'x' in the target column 'y'\. .*--task multiclass"),
        (["1.5", "inf", "2"] * 5, "regression", r"row 2 .* has no finite number in the target column 'y'"),
        ([f"t{n}" for n in range(10_001)], None, r"holds more than 10,000 different values\..*name another --target"),
    ],
)
def test_targets_that_cannot_be_predicted(tmp_path, cells, task, message):
    with pytest.raises(ValueError, match=message):
        target(tmp_path, cells, task)
