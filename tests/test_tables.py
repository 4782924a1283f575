"""Tables: cells come as they were written, columns mean what the training rows say, and every fault is one clear error."""

import csv
import io
import json
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from manyminima import datasets
from manyminima.datasets import tables
from manyminima.datasets.columns import Column, Tally, numbers
from manyminima.datasets.records import MISSING, open_table
from manyminima.datasets.splitting import fifths
from manyminima.datasets.targets import read_target
from tables_of_people import NAMES, people, prices, write


@pytest.fixture(scope="module")
def churn(tmp_path_factory):
    return write(tmp_path_factory.mktemp("tables") / "churn.csv", people())


def table(tmp_path, text, name="a.csv", encoding="utf-8"):
    path = tmp_path / name
    path.write_bytes(text.encode(encoding))
    return path


def column(cells, name="c"):
    """What a column with these training cells holds."""
    tally = Tally(name)
    tally.add(cells, np.arange(1, len(cells) + 1))
    return tally.column("a.csv")


def described(dataset):
    return {found["name"]: found for found in dataset.contract["table"]["columns"]}


def cells_of(path, names):
    chunks = [chunk.columns for chunk in open_table(path).chunks(names)]
    return [[cell for chunk in chunks for cell in chunk[place]] for place in range(len(names))]


# -- files ---------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("written")


cell = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)


@given(
    st.lists(st.tuples(cell, cell, st.floats(allow_nan=False).map(str)), min_size=1, max_size=8),
    st.sampled_from([",", ";", "\t", "|"]),
    st.sampled_from(["utf-8", "utf-8-sig"]),
)
def test_what_was_written_is_read_whatever_the_delimiter(folder, rows, delimiter, encoding):
    written = dict(zip("abc", zip(*rows, strict=True), strict=True))
    path = write(folder / "a.csv", written, delimiter=delimiter, encoding=encoding)
    expected = [["" if raw.strip() in MISSING else raw.strip() for raw in written[name]] for name in "ca"]
    assert open_table(path).names == ("a", "b", "c")
    assert cells_of(path, "ca") == expected


def test_a_long_file_comes_in_chunks_that_know_their_rows(tmp_path):
    path = write(tmp_path / "long.csv", {"n": range(1, 20_001), "m": ["x"] * 20_000})
    chunks = list(open_table(path).chunks(["n"]))
    assert len(chunks) > 1
    for chunk in chunks:
        assert chunk.first == int(chunk.columns[0][0])
    assert sum(len(chunk.columns[0]) for chunk in chunks) == 20_000


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"'.*a\.csv' is empty\. Expected a header"),
        ("\n\n", r"is empty\. Expected a header"),
        ("\n  \n", r"is empty in its first line\. Expected a header"),
        ("a,b\n", r"has a header but no rows\. Expected at least one below it"),
        ("a,b,a\n1,2,3\n", r"more than one column called 'a'\. .* rename them in the header"),
        (
            "1.5,2,3\n4,5,6\n",
            r"first row of .* holds numbers only \(1\.5, 2, 3, \.\.\.\)\. .* write them into a line above",
        ),
        ("a,b\n1,2\n1,2,3\n", r"row 2 below the header of .* has 3 cells, and the header has 2 \(delimited by ','\)"),
        ("a;b;c\n1;2;3\n1;2\n", r"row 2 below the header of .* has 2 cells, and the header has 3 \(delimited by ';'\)"),
        ("a\tb\n1\t2\n1\n", r"row 2 .* \(delimited by tabs\)\. .* leave missing ones empty"),
        ('a,b\n1,"2\n3,4\n', r"line 3 of .* cannot be read: .*\. Look for a quote that is not closed"),
        ('a,b\n1,"2"x\n', r"line 2 of .* cannot be read"),
    ],
)
def test_a_file_that_is_no_table_says_why(tmp_path, text, message):
    with pytest.raises(ValueError, match=message):
        cells_of(table(tmp_path, text), ["a"])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "name,b\nJosé,1\n".encode("latin1"),
            r"is not UTF-8 \(byte 0xe9 .*type iconv -f latin1 -t utf-8 '.*a\.csv' > 'a-utf8",
        ),
        ("a,b\n1,2\n".encode("utf-16"), r"is written in UTF-16\. Expected UTF-8: type iconv -f utf-16"),
        (b"PK\x03\x04rest", r"is an Excel workbook or a zip, not text\. .* save the sheet as CSV"),
        (b"\x1f\x8b\x08rest", r"is compressed by gzip, not text\. .* unpack it"),
    ],
)
def test_other_encodings_say_what_to_type(tmp_path, content, message):
    path = tmp_path / "a.csv"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        open_table(path)


def test_a_late_byte_that_is_not_utf_8_is_found(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(b"a,b\n" + b"1,2\n" * 20_000 + b"1,\xff\n")
    with pytest.raises(ValueError, match=r"is not UTF-8 \(byte 0xff in line 20002\)"):
        cells_of(path, ["a"])


def test_a_missing_file_lists_its_folder(tmp_path):
    table(tmp_path, "a,b\n1,2\n", "near.csv")
    with pytest.raises(FileNotFoundError, match=r"no file '.*far\.csv'\. Check the path; the folder .* has near\.csv"):
        datasets.load(tmp_path / "far.csv", target="b")


def test_arrow_files_are_read_as_the_same_table(tmp_path, churn):
    pa = pytest.importorskip("pyarrow")
    from pyarrow import feather, parquet

    columns = people()
    typed = {
        "customer": columns["customer"],
        "tenure": pa.array([int(t) for t in columns["tenure"]], pa.int16()),
        "spent": pa.array([float(s) if s else None for s in columns["spent"]]),
        "plan": pa.array(columns["plan"]).dictionary_encode(),
        "active": [a == "True" for a in columns["active"]],
        "country": columns["country"],
        "churned": columns["churned"],
    }
    expected = datasets.load(churn, target="churned")
    parquet.write_table(pa.table(typed), tmp_path / "churn.parquet", row_group_size=70)
    feather.write_feather(pa.table(typed), str(tmp_path / "churn.feather"), chunksize=70)
    for name in ("churn.parquet", "churn.feather"):
        found = datasets.load(tmp_path / name, target="churned")
        np.testing.assert_array_equal(found.x_test, expected.x_test)
        np.testing.assert_array_equal(found.y_train, expected.y_train)
        assert found.contract["table"] == expected.contract["table"]


def test_arrow_files_that_cannot_be_used(tmp_path):
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    with pytest.raises(ValueError, match=r"'.*a\.parquet' is no Parquet file .*Write it again, or as \.csv"):
        open_table(table(tmp_path, "a,b\n1,2\n", "a.parquet"))
    with pytest.raises(ValueError, match="is no Arrow file"):
        open_table(table(tmp_path, "a,b\n1,2\n", "a.feather"))
    path = tmp_path / "lists.parquet"
    parquet.write_table(pa.table({"a": [[1, 2], [3]], "b": [1, 2]}), path)
    with pytest.raises(ValueError, match=r"column 'a' of .* is of type list.*leave it out with --drop"):
        cells_of(path, ["a"])


# -- what columns hold ---------------------------------------------------------------------------------------------------


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


# -- a table as a data set -----------------------------------------------------------------------------------------------


def test_a_table_becomes_arrays_with_a_contract(churn):
    data = datasets.load(churn, target="churned")
    assert data.contract == json.loads(json.dumps(data.contract))
    assert data.contract["rows"] == {"train": 120, "val": 40, "test": 40}
    assert data.contract["split"] == "60/20/20, stratified"
    assert (data.task, data.outputs, data.contract["classes"]) == ("multiclass", 2, ["no", "yes"])
    kinds = {name: found["kind"] for name, found in described(data).items()}
    assert kinds == {
        "customer": "id",
        "tenure": "number",
        "spent": "number",
        "plan": "category",
        "active": "boolean",
        "country": "constant",
    }
    assert data.x_train.shape == (120, 4)
    assert data.x_train.dtype == np.float32
    assert described(data)["spent"]["missing"] == np.isnan(data.x_train[:, 1]).sum() > 0


def test_the_split_and_the_rows_are_those_of_the_file(churn):
    data, columns = datasets.load(churn, target="churned", seed=3), people()
    rows = np.concatenate([data.x_train[:, 0], data.x_val[:, 0], data.x_test[:, 0]])
    np.testing.assert_array_equal(np.sort(rows), np.sort(np.array(columns["tenure"], np.float32)))
    parts = fifths(np.array(columns["churned"]) == "yes", ["val", "test"], 3)
    for part in ("train", "val", "test"):
        expected = np.array(columns["tenure"], np.float32)[parts[part]]
        np.testing.assert_array_equal(getattr(data, f"x_{part}")[:, 0], expected)


def test_only_training_rows_tell_what_columns_hold(tmp_path):
    columns = people()
    first = datasets.load(write(tmp_path / "a.csv", columns), target="churned")
    parts = fifths(np.array(columns["churned"]) == "yes", ["val", "test"], 0)
    for row in np.concatenate([parts["val"], parts["test"]]):
        columns["plan"][row], columns["tenure"][row] = "other", "1000000"
    second = datasets.load(write(tmp_path / "b.csv", columns), target="churned")
    assert second.contract["table"] == first.contract["table"]
    np.testing.assert_array_equal(second.x_train, first.x_train)
    np.testing.assert_array_equal(second.x_test[:, 2], 0)


def test_a_long_table_fills_the_same_arrays_as_one_chunk_would(tmp_path):
    columns = people(20_000)
    data = datasets.load(write(tmp_path / "a.csv", columns), target="churned")
    parts = fifths(np.array(columns["churned"]) == "yes", ["val", "test"], 0)
    spent = np.array([float(s) if s else np.nan for s in columns["spent"]], np.float32)
    np.testing.assert_array_equal(data.x_val[:, 1], spent[parts["val"]])
    np.testing.assert_array_equal(data.y_train, (np.array(columns["churned"]) == "yes")[parts["train"]])
    assert described(data)["spent"]["center"] == np.nanmedian(spent[parts["train"]].astype(np.float64))


def test_prices_are_a_regression_with_mean_and_deviation(tmp_path):
    data = datasets.load(write(tmp_path / "a.csv", prices()), target="price")
    goal = data.contract["table"]["target"]
    assert (data.task, data.outputs, data.contract["split"]) == ("regression", 1, "60/20/20, at random")
    np.testing.assert_allclose(goal["mean"], data.y_train.mean(dtype=np.float64))
    np.testing.assert_allclose(goal["deviation"], data.y_train.std(dtype=np.float64))


def test_dropped_columns_are_left_out_and_remembered(churn):
    data = datasets.load(churn, target="churned", drop="plan")
    assert data.input_shape == (3,)
    assert described(data)["plan"]["kind"] == "dropped"
    np.testing.assert_array_equal(datasets.run_dataset(data.contract).x_train, data.x_train)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, r"is a table, and which of its columns .* It has 'customer', .*Name one: --target 'churned'"),
        ({"target": "churn"}, r"no column 'churn'\. Did you mean 'churned'\? It has 'customer', 'tenure'"),
        ({"target": "CHURNED"}, r"Did you mean 'churned'\?.*--target 'churned'"),
        ({"target": "churned", "drop": ["Plan"]}, r"no column 'Plan'\. Did you mean 'plan'\?.*--drop 'plan'"),
        ({"target": "customer"}, r"of the 200 classes in the target column 'customer'"),
        ({"target": "churned", "drop": NAMES[:-1]}, r"no column but the target 'churned'"),
        ({"target": "churned", "drop": NAMES[1:5]}, r"no column of .* can be used: .*'country' \(constant\)"),
        (
            {"target": "plan", "task": "regression"},
            r"in the target column 'plan'\. Expected numbers, because the task is",
        ),
    ],
)
def test_tables_that_cannot_be_trained_on(churn, options, message):
    with pytest.raises(ValueError, match=message):
        datasets.load(churn, **options)


def test_columns_of_something_that_is_no_table():
    with pytest.raises(ValueError, match="'wine' is no table, so it has no columns to name. Leave out --target"):
        datasets.load("wine", target="grower")


def test_text_among_the_numbers_of_test_rows_is_found_before_training(tmp_path):
    columns = people()
    row = fifths(np.array(columns["churned"]) == "yes", ["val", "test"], 0)["test"][0]
    columns["tenure"][row] = "long"
    message = rf"row {row + 1} below the header of .* has 'long' in column 'tenure', which holds numbers"
    with pytest.raises(ValueError, match=message):
        datasets.load(write(tmp_path / "a.csv", columns), target="churned")


# -- other rows ----------------------------------------------------------------------------------------------------------


def test_a_run_is_judged_on_its_own_test_rows_also_in_a_copy(churn, tmp_path):
    data = datasets.load(churn, target="churned", drop=["active"], seed=2)
    copy = tmp_path / "copy.csv"
    copy.write_bytes(churn.read_bytes())
    for source in (None, copy, churn):
        rows = datasets.evaluation_rows(data.contract, source)
        np.testing.assert_array_equal(rows.x, data.x_test)
        np.testing.assert_array_equal(rows.y, data.y_test)
        assert rows.text.startswith("the 40 test rows of")


def test_other_rows_are_encoded_as_the_run_does_in_any_order_of_columns(churn, tmp_path):
    data, other = datasets.load(churn, target="churned"), people(50, seed=9)
    turned = {name: other[name] for name in reversed(NAMES)} | {"extra": ["1"] * 50}
    path = write(tmp_path / "new.csv", turned, delimiter=";")
    rows = datasets.evaluation_rows(data.contract, path)
    assert rows.text == f"all 50 rows of {path}"
    np.testing.assert_array_equal(rows.y, np.array(other["churned"]) == "yes")
    np.testing.assert_array_equal(rows.x[:, 0], np.array(other["tenure"], np.float32))
    np.testing.assert_array_equal(datasets.new_rows(data.contract, path), rows.x)
    codes = dict(zip(described(data)["plan"]["categories"], (1, 2, 3), strict=True))
    np.testing.assert_array_equal(rows.x[:, 2], [codes[plan] for plan in other["plan"]])


def test_labels_in_a_column_of_another_name(churn, tmp_path):
    data, other = datasets.load(churn, target="churned"), people(20, seed=9)
    other["left"] = other.pop("churned")
    path = write(tmp_path / "new.csv", other)
    assert len(datasets.evaluation_rows(data.contract, path, target="left").y) == 20
    with pytest.raises(
        ValueError, match=r"no column 'churned', which has the labels .*It has .*'left'.*--target 'left'"
    ):
        datasets.evaluation_rows(data.contract, path)


def test_rows_that_do_not_fit_the_run(churn, tmp_path):
    contract = datasets.load(churn, target="churned").contract
    other = people(20, seed=9)
    renamed = {{"tenure": "Tenure"}.get(name, name): cells for name, cells in other.items() if name != "plan"}
    message = r"has no column 'tenure', 'plan', which the run was trained on; it has 'Tenure'.*Did you mean 'Tenure' for 'tenure'"
    with pytest.raises(ValueError, match=message):
        datasets.new_rows(contract, write(tmp_path / "a.csv", renamed))
    other["churned"][3] = "maybe"
    with pytest.raises(
        ValueError, match=r"row 4 .* has 'maybe' in the target column 'churned'\. Expected one of no, yes"
    ):
        datasets.evaluation_rows(contract, write(tmp_path / "b.csv", other))
    other["churned"][3] = ""
    with pytest.raises(
        ValueError, match=r"row 4 below the header of .* has no value in the target column .*manyminima predict"
    ):
        datasets.evaluation_rows(contract, write(tmp_path / "c.csv", other))


def test_tables_and_arrays_are_not_mixed_up(churn, tmp_path):
    of_table, of_arrays = datasets.load(churn, target="churned").contract, datasets.load("wine").contract
    np.savez(tmp_path / "a.npz", x=np.ones((5, 4)), y=np.zeros(5, int))
    for call in (datasets.evaluation_rows, datasets.new_rows):
        with pytest.raises(ValueError, match=r"is no table, and the run was trained on one"):
            call(of_table, tmp_path / "a.npz")
        with pytest.raises(ValueError, match=r"is a table, and the run was .*Give .*arrays"):
            call(of_arrays, churn)
    with pytest.raises(ValueError, match=r"inputs of shape \(5, 4\)\. Expected \(rows, 13\)"):
        datasets.new_rows(of_arrays, tmp_path / "a.npz")


def test_a_file_that_changed_since_training_is_refused(tmp_path):
    path = write(tmp_path / "a.csv", people())
    contract = datasets.load(path, target="churned").contract
    write(path, people(seed=1))
    with pytest.raises(ValueError, match="other test rows now than when the run was trained"):
        datasets.evaluation_rows(contract)


def test_a_damaged_record_is_one_error(churn):
    contract = datasets.load(churn, target="churned").contract
    for table in ({}, {"columns": [1], "target": {}}, {**contract["table"], "target": {"nome": 1}}):
        for call in (lambda c: datasets.new_rows(c, churn), datasets.evaluation_rows):
            with pytest.raises(ValueError, match="keeps about its table is damaged .*Restore run.json"):
                call({**contract, "table": table})


def test_unknown_words_and_new_gaps_are_counted_or_refused(churn, tmp_path):
    contract, other = datasets.load(churn, target="churned").contract, people(20, seed=9)
    other["plan"][:3] = ["silver", "silver", "iron"]
    other["tenure"][5], other["spent"][5] = "", ""
    rows = tables.open_rows(write(tmp_path / "a.csv", other), contract["table"])
    (piece,) = rows.encoded()
    assert piece.unknown == {"plan": {"silver": 2, "iron": 1}}
    assert piece.gaps == {"tenure": 1}
    assert piece.carried == {"customer": other["customer"]}
    np.testing.assert_array_equal(piece.x[:3, 2], 0)
    with pytest.raises(ValueError, match=r"row 1 .* has 'silver' in column 'plan', .*did not have.*--unknown other"):
        list(rows.encoded("error"))


def test_reading_on_takes_no_more_memory(churn, tmp_path):
    contract = datasets.load(churn, target="churned").contract
    peaks = []
    for rows in (20_000, 60_000):  # more than two chunks
        body = io.StringIO()
        writer = csv.writer(body)
        writer.writerow(NAMES)
        writer.writerows(list(zip(*people(200).values(), strict=True)) * (rows // 200))
        path = table(tmp_path, body.getvalue(), f"{rows}.csv")
        tracemalloc.start()
        count = sum(len(piece.x) for piece in tables.open_rows(path, contract["table"]).encoded())
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert count == rows
    assert peaks[1] < 1.2 * peaks[0]


def test_numbers_are_strict():
    assert numbers(["1", "2_0"]) is None
    assert numbers(["1", "x"]) is None
