"""Files that hold tables: cells come as they were written, whatever wrote them, and a file that is no table says why."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from manyminima import datasets
from manyminima.datasets.records import MISSING, open_table
from tables_of_people import people, write


@pytest.fixture(scope="module")
def churn(tmp_path_factory):
    return write(tmp_path_factory.mktemp("tables") / "churn.csv", people())


def table(tmp_path, text, name="a.csv", encoding="utf-8"):
    path = tmp_path / name
    path.write_bytes(text.encode(encoding))
    return path


def cells_of(path, names):
    chunks = [chunk.columns for chunk in open_table(path).chunks(names)]
    return [[cell for chunk in chunks for cell in chunk[place]] for place in range(len(names))]


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
