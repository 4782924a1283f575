"""Tables of any length: what is in memory while they are read, predicted and split, and what is said on the way."""

import csv
import io
import json
import tracemalloc

import numpy as np
import pytest

from commands import run
from manyminima import datasets
from manyminima.datasets import tables
from manyminima.datasets.limiting import limited
from manyminima.datasets.records import open_table, rows_at_once
from manyminima.datasets.room import available, check_room
from tables_of_people import people, prices, write


def repeated(path, rows, columns=None):
    """A file of so many rows, the same thousand again and again."""
    columns = columns or people(1000)
    body = io.StringIO()
    csv.writer(body).writerows(list(zip(*columns.values(), strict=True)))
    path.write_text(",".join(columns) + "\n" + body.getvalue() * (rows // 1000), encoding="utf-8")
    return path


def peak_of(call):
    tracemalloc.start()
    try:
        found = call()
        return tracemalloc.get_traced_memory()[1], found
    finally:
        tracemalloc.stop()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("large")


@pytest.fixture(scope="module")
def trained(folder):
    """A run on a table."""
    path = write(folder / "churn.csv", people())
    recipe = ["--recipe", "snapshot", "--cycles", "2", "--peak", "0.1", "--epochs", "2", "--out", folder / "run"]
    run("train", "--data", path, "--target", "churned", "--model", "mlp:8", *recipe)
    return folder / "run"


# -- memory --------------------------------------------------------------------------------------------------------------


def test_predicting_more_rows_takes_no_more_memory(trained, folder):
    def predict(rows):
        path = repeated(folder / f"{rows}.csv", rows)
        out = folder / f"{rows}.predictions.csv"
        peak, _ = peak_of(lambda: run("predict", trained, "--data", path, "--out", out))
        with out.open(encoding="utf-8") as file:
            assert sum(1 for _ in file) == rows + 1
        return peak, path.stat().st_size + out.stat().st_size

    predict(1000)  # what is compiled and imported once
    small, large = predict(30_000), predict(60_000)
    assert large[0] - small[0] < 0.2 * (large[1] - small[1])


def test_loading_takes_no_more_than_three_times_the_arrays(folder):
    def load(rows):
        path = repeated(folder / f"{rows}.train.csv", rows)
        peak, data = peak_of(lambda: datasets.load(path, target="churned"))
        parts = (data.x_train, data.y_train, data.x_val, data.y_val, data.x_test, data.y_test)
        return peak, sum(part.nbytes for part in parts)

    small, large = load(30_000), load(60_000)
    assert large[1] == 2 * small[1]
    assert large[0] - small[0] < 3 * (large[1] - small[1])


def test_a_limit_spares_the_memory_of_the_rows_it_leaves_out(folder):
    path = repeated(folder / "limited.csv", 30_000)
    whole, _ = peak_of(lambda: datasets.load(path, target="churned"))
    peak, data = peak_of(lambda: datasets.load(path, target="churned", limit=1000))
    assert data.contract["rows"] == {"train": len(data.y_train), "val": len(data.y_val), "test": 6000}
    assert whole - peak > 0.5 * 23_000 * 4 * 4


@pytest.mark.parametrize(("columns", "target"), [(people(400), "churned"), (prices(400), "price")])
def test_a_limit_keeps_the_rows_that_it_would_keep_of_all(tmp_path, columns, target):
    path = write(tmp_path / "a.csv", columns)
    whole, part = datasets.load(path, target=target, seed=1), datasets.load(path, target=target, seed=1, limit=50)
    expected = limited(whole, 50)
    for name in ("x_train", "y_train", "x_val", "y_val", "x_test", "y_test"):
        np.testing.assert_array_equal(getattr(part, name), getattr(expected, name))
    assert part.contract["limit"] == 50
    assert part.contract["test_sha256"] == whole.contract["test_sha256"]
    assert part.contract == json.loads(json.dumps(part.contract))
    np.testing.assert_array_equal(datasets.run_dataset(part.contract).x_train, part.x_train)
    assert "limit" not in datasets.load(path, target=target, limit=1000).contract


def test_a_column_may_be_the_same_in_all_rows_that_a_limit_keeps(tmp_path):
    columns = people(400)
    columns["rare"] = ["7" if n % 40 else "8" for n in range(400)]
    columns["seldom"] = ["" if n % 40 else str(n) for n in range(400)]
    data = datasets.load(write(tmp_path / "a.csv", columns), target="churned", limit=3)
    found = {column["name"]: column for column in data.contract["table"]["columns"]}
    assert (found["rare"]["kind"], found["rare"]["center"], found["rare"]["variance"]) == ("number", 7.0, 1.0)
    assert np.isnan(data.x_train[:, -1]).all()
    assert (found["seldom"]["kind"], found["seldom"]["center"]) == ("number", 0.0)


def test_what_does_not_fit_is_said_at_the_first_rows(tmp_path, monkeypatch):
    path = repeated(tmp_path / "a.csv", 20_000)
    monkeypatch.setattr(tables, "available", lambda: 700_000)
    read = []
    with pytest.raises(ValueError, match=r"a\.csv' has about \d+,\d+ rows, and 6 columns to predict from: as arrays"):
        datasets.load(path, target="churned", progress=lambda what, share: read.append(share))
    assert read == []
    assert len(datasets.load(path, target="churned", limit=500).y_test) == 4000


@pytest.mark.parametrize(
    ("rows", "limit", "message"),
    [
        (1e9, None, r"they take 52\.2 GB, and 16\.0 GB .*--drop, or train on fewer of the rows: --limit 3\d000000\.$"),
        (1e9, 10_000_000, None),
        (1e10, 1000, r"they take 104\.3 GB, and 16\.0 GB of memory are free. Leave columns out with --drop\.$"),
        (1e8, None, None),
    ],
)
def test_room(rows, limit, message):
    call = lambda: check_room("a.csv", rows, 10, limit, 16 * 2**30)  # noqa: E731
    if message is None:
        return call()
    with pytest.raises(ValueError, match=message):
        call()


def test_the_advised_limit_fits():
    with pytest.raises(ValueError, match="--limit") as caught:
        check_room("a.csv", 1e9, 10, None, 16 * 2**30)
    check_room("a.csv", 1e9, 10, int(str(caught.value).rstrip(".").rpartition(" ")[2]), 16 * 2**30)
    assert 2**20 < available() < 2**50


# -- reading in blocks ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("at", [0, 8190, 8191, 8192, 16_383])
def test_a_cell_that_goes_on_over_lines_may_lie_anywhere(tmp_path, at, end):
    """Chunks are cut at lines: such a cell may begin in one and end in the next."""
    assert rows_at_once(2) == 8192
    rows = [[str(n), f"w{n % 7}"] for n in range(17_000)]
    rows[at][1] = f'a "word",{end}{end}and more'
    path = tmp_path / "a.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator=end).writerows([["n", "w"], *rows])
    chunks = list(open_table(path).chunks(["n", "w"]))
    assert [[*row] for chunk in chunks for row in zip(*chunk.columns, strict=True)] == rows
    assert [chunk.first for chunk in chunks] == [int(chunk.columns[0][0]) + 1 for chunk in chunks]


def test_lines_of_errors_are_counted_over_blocks(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("a,b\n\n" + "1,2\n" * 10_000 + '"1\n\n",2\n3,"4\n')
    with pytest.raises(ValueError, match=r"line 10006 of .* cannot be read"):
        list(open_table(path).chunks(["a"]))
    path.write_text("a,b\n" + '"1\n",2\n' * 10_000 + "1,2,3\n")
    with pytest.raises(ValueError, match="row 10001 below the header of .* has 3 cells, and the header has 2"):
        list(open_table(path).chunks(["a"]))
    path.write_text("a,b\n1,2,3\n4\n")  # as many cells as two whole rows have
    with pytest.raises(ValueError, match="row 1 below the header of .* has 3 cells"):
        list(open_table(path).chunks(["a"]))


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".feather"])
def test_reading_tells_how_far_it_is(tmp_path, suffix):
    path, columns = tmp_path / f"a{suffix}", people(20_000)
    if suffix == ".csv":
        write(path, columns)
    else:
        pa = pytest.importorskip("pyarrow")
        from pyarrow import feather, parquet

        write_table = parquet.write_table if suffix == ".parquet" else feather.write_feather
        write_table(pa.table(columns), str(path))
    told = []
    data = datasets.load(path, target="churned", progress=lambda *what: told.append(what))
    shares = [share for _, share in told]
    assert shares == sorted(shares)
    assert {what for what, _ in told} == {f"reading a{suffix}"}
    np.testing.assert_allclose([shares[0] < 0.34, shares[-1]], 1)
    again = []
    datasets.run_dataset(data.contract, progress=lambda *what: again.append(what))
    assert again == told
    pieces = list(tables.open_rows(path, data.contract["table"]).encoded())
    assert pieces[-1].share == 1
    assert len(pieces) > 2


# -- what a new user meets -----------------------------------------------------------------------------------------------


def test_rows_without_labels_cannot_be_judged(trained, tmp_path):
    columns = {name: cells for name, cells in people(20).items() if name != "churned"}
    path = write(tmp_path / "new.csv", columns)
    text = run("evaluate", trained, "--data", path, status=1)
    assert "has no column 'churned', which has the labels that rows are judged by." in text
    assert "Add the labels. `manyminima predict` takes rows without." in text
    columns["churn"] = people(20)["churned"]
    text = run("evaluate", trained, "--data", write(path, columns), status=1)
    assert "where they are called something else, name them: --target 'churn'" in text


def test_words_that_are_not_known_are_counted_where_rows_are_judged(trained, tmp_path):
    columns = people(20)
    columns["plan"][:3] = ["silver", "silver", "iron"]
    path = write(tmp_path / "new.csv", columns)
    files = ["--html", tmp_path / "a.html", "--json", tmp_path / "a.json"]
    text = run("evaluate", trained, "--data", path, *files)
    assert f"On all 20 rows of {path} (with words not known from training: 3 in column 'plan'):" in text


def test_keras_s_backend_is_chosen_before_data_are_loaded_with_keras(trained, tmp_path):
    gone = tmp_path / "gone.csv"
    for command in (
        ["study", "--data", gone, "--model", "mlp", "--epochs", "2"],
        ["evaluate", trained, "--data", gone],
        ["average", trained, "--data", gone, "-o", tmp_path / "a.keras"],
    ):
        text = run(*command, status=1)
        assert text.index("Keras runs on") < text.index("no file")


def test_a_study_of_a_table(tmp_path):
    path = write(tmp_path / "churn.csv", people(100))
    text = run(
        *("study", "--data", path, "--target", "churned", "--drop", "customer", "--model", "mlp:4", "--epochs", "1"),
        *("--seeds", "2", "--recipes", "snapshot:cycles=2", "--peaks", "0.1", "--out", tmp_path / "study"),
    )
    assert "snapshot:cycles=2" in text
    numbers = json.loads((tmp_path / "study" / "report.json").read_text())
    assert numbers["about"]["data"]["classes"] == ["no", "yes"]
    assert numbers["about"]["data"]["rows"] == {"train": 60, "val": 20, "test": 20}
    assert "churn.csv" in (tmp_path / "study" / "study.html").read_text()
