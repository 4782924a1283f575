"""From a CSV of one's own to a run, its report and predictions of new rows; and what a model makes of a table's columns."""

import csv
import json
from collections import Counter

import keras
import numpy as np
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import OneHotEncoder
from typer.testing import CliRunner

import manyminima as mm
from commands import run
from manyminima import datasets, zoo
from manyminima.cli import app
from manyminima.datasets.columns import Column
from manyminima.reporting.per_row import Summary, per_row
from manyminima.reporting.row_files import writing
from manyminima.zoo.tables import features
from tables_of_people import people, prices, write

RECIPE = ["--recipe", "snapshot", "--cycles", "2", "--peak", "0.1", "--epochs", "6"]


def read(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("csv")


@pytest.fixture(scope="module")
def trained(folder):
    """A run on a table with classes, and what training said."""
    path = write(folder / "churn.csv", people())
    return folder / "churn", run(
        "train", "--data", path, "--target", "churned", "--model", "mlp:8", *RECIPE, "--out", folder / "churn"
    )


@pytest.fixture(scope="module")
def priced(folder):
    """A run on a table with prices in thousands."""
    path = write(folder / "prices.csv", prices())
    out = folder / "prices"
    run("train", "--data", path, "--target", "price", "--drop", "customer", "--model", "mlp:8", *RECIPE, "--out", out)
    return out


@pytest.fixture(scope="module")
def new(folder):
    """New people, without labels, one with a word that the run has not seen."""
    table = people(30, seed=5)
    table["plan"][2] = "silver"
    return write(folder / "new.csv", {name: cells for name, cells in table.items() if name != "churned"})


# -- what a model makes of columns -----------------------------------------------------------------------------------------


def test_features_are_those_of_scikit_learns_encoders(folder):
    data = datasets.load(write(folder / "features.csv", people()), target="churned")
    columns = [column for column in map(Column.from_json, data.contract["table"]["columns"]) if column.used]
    inputs = keras.Input((4,))
    model = keras.Model(inputs, features(inputs, columns))
    imputer = SimpleImputer(strategy="median", add_indicator=True)
    categories = [[float(code) for code in range(1, 1 + len(columns[2].categories))]]
    one_hot = OneHotEncoder(categories=categories, handle_unknown="ignore", sparse_output=False)
    reference = ColumnTransformer([("numbers", imputer, [0, 1, 3]), ("words", one_hot, [2])]).fit(data.x_train)
    x = np.concatenate([data.x_test, [[10, np.nan, 0, 1]]]).astype("float32")
    expected = reference.transform(x)
    center = np.array([column.center for column in columns if column.kind != "category"])
    expected[:, :3] = (expected[:, :3] - center) / np.nanstd(data.x_train[:, [0, 1, 3]], axis=0, dtype=np.float64)
    np.testing.assert_allclose(model.predict(x, verbose=0), expected, rtol=1e-5, atol=1e-6)


def test_a_models_own_function_gets_the_features(folder):
    (folder / "own.py").write_text(
        "import keras\n"
        "def net(shape, classes):\n"
        "    return keras.Sequential([keras.Input(shape), keras.layers.Dense(classes, 'softmax')], name='own')\n"
    )
    data = datasets.load(write(folder / "own.csv", people()), target="churned")
    model = zoo.build(f"{folder / 'own.py'}:net", data)
    assert model.count_params() == 2 * (3 + 1 + 3 + 1)  # numbers, a mark of missing ones, three plans, bias
    model.save(folder / "own.keras")
    again = zoo.build(str(folder / "own.keras"), data)
    np.testing.assert_array_equal(again.predict(data.x_test, verbose=0), model.predict(data.x_test, verbose=0))


# -- the whole way -------------------------------------------------------------------------------------------------------


def test_training_shows_the_columns(trained):
    for words in (
        "120 train, 40 val, 40 test rows",
        "churned target 2 classes: no, yes",
        "customer not used another text in every row",
        "plan category 3: basic, plus, gold",
        "active boolean true or false",
        "country not used one value only",
        "missing",
    ):
        assert words in trained[1]


def test_evaluate_finds_the_test_rows_again_and_names_the_classes(trained):
    assert "On the 40 test rows of" in run("evaluate", trained[0])
    report = json.loads((trained[0] / "analysis" / "report.json").read_text())
    assert "yes" in json.dumps(report)


def test_evaluate_on_another_table_takes_all_rows(trained, folder, tmp_path):
    path = write(folder / "other.csv", people(40, seed=3))
    files = ["--html", tmp_path / "a.html", "--json", tmp_path / "a.json"]
    assert f"On all 40 rows of {path}" in run("evaluate", trained[0], "--data", path, *files)


def test_predict_says_class_probabilities_and_doubt_of_each_row(trained, new, tmp_path):
    out = tmp_path / "predictions.csv"
    text = run("predict", trained[0], "--data", new, "--out", out)
    rows, ensemble = read(out), mm.load(trained[0])
    assert list(rows[0]) == ["row", "customer", "class", "p_no", "p_yes", "entropy", "mutual_information", "agreement"]
    x = datasets.new_rows(ensemble.about["data"], new)
    probs, combined = ensemble.predict_members(x), ensemble.predict(x)
    np.testing.assert_allclose([[float(r["p_no"]), float(r["p_yes"])] for r in rows], combined, rtol=1e-5)
    assert [r["class"] for r in rows] == [("no", "yes")[c] for c in combined.argmax(-1)]
    assert [r["customer"] for r in rows] == people(30, seed=5)["customer"]
    assert [int(r["row"]) for r in rows] == list(range(1, 31))
    np.testing.assert_allclose([float(r["entropy"]) for r in rows], mm.uncertainty.total(probs), atol=1e-6)
    assert "30 rows of" in text
    assert "predicted by 2 members" in text
    assert "Column 'plan': words not known from training in 1 row, such as 'silver'." in text
    assert f"Predictions: {out}" in text


def test_predict_reads_the_labelled_file_too_and_says_what_it_passes_over(trained, tmp_path):
    table = {**people(20, seed=8), "note": ["x"] * 20}
    text = run("predict", trained[0], "--data", write(tmp_path / "a.csv", table), "--out", tmp_path / "p.csv")
    assert "Not known from training, and not used: 'note'." in text


@pytest.mark.parametrize("suffix", [".jsonl", ".npz"])
def test_other_files_hold_the_same(trained, new, tmp_path, suffix):
    for name in ("a.csv", f"a{suffix}"):
        run("predict", trained[0], "--data", new, "--out", tmp_path / name)
    expected = read(tmp_path / "a.csv")
    if suffix == ".npz":
        with np.load(tmp_path / "a.npz", allow_pickle=False) as arrays:
            found = [
                dict(zip(arrays.files, row, strict=True))
                for row in zip(*(arrays[n] for n in arrays.files), strict=True)
            ]
    else:
        found = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()]
    assert [row["class"] for row in found] == [row["class"] for row in expected]
    np.testing.assert_allclose([row["p_yes"] for row in found], [float(row["p_yes"]) for row in expected], rtol=1e-6)


def test_json_is_one_object(trained, new, tmp_path):
    result = CliRunner().invoke(
        app, ["predict", str(trained[0]), "--data", str(new), "--out", str(tmp_path / "a.csv"), "--json", "-"]
    )
    found = json.loads(result.stdout)
    assert found["rows"] == sum(found["classes"].values()) == 30
    assert found["unknown"] == {"plan": 1}


def test_a_regression_is_in_the_targets_unit(priced, new, tmp_path):
    run("predict", priced, "--data", new, "--out", tmp_path / "p.csv")
    rows = read(tmp_path / "p.csv")
    assert list(rows[0]) == ["row", "customer", "prediction", "standard_deviation"]
    ensemble = mm.load(priced)
    probs = ensemble.predict_members(datasets.new_rows(ensemble.about["data"], new))
    np.testing.assert_allclose([float(r["prediction"]) for r in rows], probs.mean(0)[:, 0], rtol=1e-5)
    np.testing.assert_allclose([float(r["standard_deviation"]) for r in rows], probs.std(0)[:, 0], rtol=1e-3)
    data = datasets.run_dataset(ensemble.about["data"])
    errors = ensemble.predict(data.x_test)[:, 0] - data.y_test
    assert np.mean(errors**2) < 0.5 * np.var(data.y_test)  # trained, although prices are in thousands


def test_the_exported_model_needs_nothing_but_keras(trained, new, tmp_path):
    ensemble = mm.load(trained[0])
    x = datasets.new_rows(ensemble.about["data"], new)
    ensemble.to_keras().save(tmp_path / "one.keras")
    one = keras.saving.load_model(tmp_path / "one.keras")
    np.testing.assert_allclose(one.predict(x, verbose=0), ensemble.predict(x), atol=1e-6)


def test_a_run_on_arrays_predicts_arrays(tmp_path):
    run("train", "--data", "wine", "--model", "mlp:8", *RECIPE, "--out", tmp_path / "wine")
    wine = datasets.load("wine")
    np.save(tmp_path / "x.npy", wine.x_test)
    np.savez(tmp_path / "x.npz", x=wine.x_test)
    for name in ("x.npy", "x.npz"):
        run("predict", tmp_path / "wine", "--data", tmp_path / name, "--out", tmp_path / f"{name}.csv")
    assert (tmp_path / "x.npy.csv").read_text() == (tmp_path / "x.npz.csv").read_text()
    assert len(read(tmp_path / "x.npy.csv")) == 36


# -- errors --------------------------------------------------------------------------------------------------------------


def test_predict_refuses_before_it_writes(trained, new, tmp_path):
    predict = ["predict", trained[0], "--data"]
    out = ["--out", tmp_path / "p.csv"]
    cases = [
        ([*predict, new, "--out", tmp_path / "p.xlsx"], "Expected a name that ends in .csv, .jsonl, .npz"),
        ([*predict, new, "--out", new], "would be overwritten. Choose another --out"),
        ([*predict, tmp_path / "gone.csv", *out], "no file"),
        ([*predict, new, *out, "--unknown", "error"], "row 3 below the header of"),
        (["predict", tmp_path, "--data", new, *out], "holds no run"),
    ]
    for arguments, message in cases:
        assert message in run(*arguments, status=1)
    assert "none of other, error" in run(*predict, new, *out, "--unknown", "skip", status=2)
    assert list(tmp_path.iterdir()) == []


def test_text_where_numbers_were_names_row_and_column(trained, tmp_path):
    table = people(20_000, seed=8)
    table["spent"][12_345] = "a lot"
    path = write(tmp_path / "a.csv", table)
    text = run("predict", trained[0], "--data", path, "--out", tmp_path / "p.csv", status=1)
    assert "row 12346 below the header of" in text
    assert "has 'a lot' in column 'spent', which holds numbers" in text
    assert [p.name for p in tmp_path.iterdir()] == ["a.csv"]  # what was written before is gone


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "which of its columns is to be predicted was not said"),
        (["--target", "churnd"], "Did you mean 'churned'?"),
        (["--target", "churned", "--drop", "plans"], "Did you mean 'plan'?"),
    ],
)
def test_training_says_what_to_type(folder, tmp_path, options, message):
    path = write(folder / "a.csv", people())
    text = run("train", "--data", path, "--model", "mlp", *RECIPE, "--out", tmp_path / "x", *options, status=1)
    assert message in text
    assert not (tmp_path / "x").exists()


# -- the parts -----------------------------------------------------------------------------------------------------------


def test_other_tasks_are_left_to_python():
    with pytest.raises(ValueError, match=r"'multilabel' are not one class or a few numbers.*mm\.load\(run\)\.predict"):
        per_row(np.zeros((2, 3, 4)), np.zeros((3, 4)), "multilabel")


def test_several_targets_have_numbers():
    found = per_row(np.arange(12.0).reshape(2, 3, 2), np.zeros((3, 2)), "regression")
    assert list(found) == ["prediction_0", "standard_deviation_0", "prediction_1", "standard_deviation_1"]
    np.testing.assert_allclose(found["standard_deviation_1"], 3)


def test_a_summary_counts_and_keeps_few_words():
    summary = Summary()
    for k in range(3):
        words = Counter({f"w{k}{n}": 1 for n in range(4)})
        summary.add({"class": ["a", "b"], "agreement": np.array([1, 0.5])}, {"c": words}, Counter())
    assert (summary.rows, summary.disputed, summary.classes) == (6, 3, {"a": 3, "b": 3})
    assert summary.unknown == {"c": 12}
    assert summary.words == {"c": ["w00", "w01", "w02", "w03", "w10"]}


def test_a_file_that_is_not_finished_leaves_what_was_there(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("before")
    with pytest.raises(ValueError, match="shorter"), writing(path) as add:
        add({"a": [1, 2], "b": [3]})
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_cells_with_commas_and_quotes_come_back(tmp_path):
    with writing(tmp_path / "a.csv") as add:
        add({"class": ['a "b", c'], "p": np.array([0.25])})
        add({"class": ["line\nbreak"], "p": np.array([1 / 3])})
    assert [row["class"] for row in read(tmp_path / "a.csv")] == ['a "b", c', "line\nbreak"]
    assert read(tmp_path / "a.csv")[1]["p"] == "0.3333333"
