"""Tables as data: columns become arrays with a contract, and other rows are encoded as the run's were."""

import csv
import io
import json
import tracemalloc

import numpy as np
import pytest

from manyminima import datasets
from manyminima.datasets import tables
from manyminima.datasets.splitting import fifths
from tables_of_people import NAMES, people, prices, write


@pytest.fixture(scope="module")
def churn(tmp_path_factory):
    return write(tmp_path_factory.mktemp("tables") / "churn.csv", people())


def described(dataset):
    return {found["name"]: found for found in dataset.contract["table"]["columns"]}


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
        path = tmp_path / f"{rows}.csv"
        path.write_text(body.getvalue())
        tracemalloc.start()
        count = sum(len(piece.x) for piece in tables.open_rows(path, contract["table"]).encoded())
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert count == rows
    assert peaks[1] < 1.2 * peaks[0]
